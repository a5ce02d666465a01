//! The engine as it runs: threads, polls and real sockets, over the scripted log.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use journal::Topic;
use parking_lot::Mutex;
use serde_json::Value;
use tungstenite::{Message, WebSocket};

use super::client::{Frame, Probe, take_blocks};
use super::fake::{FakeAccess, FakeStore, Log, Shelf, store};
use super::world::Client;
use crate::engine::{Adoption, ChannelBody, Engine, Reading, Refused, Sink};
use crate::settings::Settings;
use crate::subscription::{Delivery, DeviceSet, LiveEnds, Subscription, Transport, View};

const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    log: Arc<Log>,
    engine: Engine,
    runtime: tokio::runtime::Runtime,
}

fn bench(settings: Settings) -> Bench {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let log = Log::new(Duration::ZERO);
    let shelf = Arc::new(FakeStore(Mutex::new(Shelf::default())));
    let clock: journal::Clock = Arc::new(|| 1_000_000_000);
    let access = Arc::new(FakeAccess::default());
    let registry = prometheus::Registry::new();
    let engine =
        Engine::start_with(settings, log.journal(), store(&shelf), access, clock, &registry).unwrap();
    Bench { log, engine, runtime }
}

fn settings() -> Settings {
    Settings {
        workers: 2,
        ring_bytes_max: 1 << 20,
        ..Settings::default()
    }
}

fn every(transport: Transport) -> Subscription {
    Subscription {
        transport,
        ..Client::new(View::Events, Delivery::Every, DeviceSet::All).subscription
    }
}

impl Bench {
    fn connect(&self, mut subscription: Subscription) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = listener.accept().unwrap();
        subscription.start.live_ends = Some(self.live_ends());
        self.adopt(Sink::Socket(socket), subscription).unwrap();
        client
    }

    fn live_ends(&self) -> LiveEnds {
        self.runtime
            .block_on(self.engine.live_ends(Topic::Events, &[0, 1, 2]))
    }

    fn adopt(&self, sink: Sink, subscription: Subscription) -> Result<(), Refused> {
        self.engine.adopt(Adoption {
            seat: self.engine.reserve(subscription.selection.tenant.name())?,
            sink,
            prelude: Bytes::new(),
            leftover: Vec::new(),
            subscription,
            reading: Reading::by(Probe),
        })
    }

    fn append(&self, count: usize) {
        for _ in 0..count {
            self.log.append(Topic::Events, 0, "t/a", "telemetry", None);
        }
        self.log.reveal(Topic::Events, 0);
    }

    /// Reads blocks of a stream behind hyper until `enough` of their frames say so.
    fn body_until(&self, body: &mut ChannelBody, enough: impl Fn(&[Frame]) -> bool) -> Vec<Frame> {
        let (mut bytes, mut frames) = (Vec::new(), Vec::new());
        let reading = async {
            while !enough(&frames) {
                bytes.extend_from_slice(&body.next().await.unwrap());
                frames.extend(take_blocks(&mut bytes));
            }
        };
        let read = async { tokio::time::timeout(PATIENCE, reading).await };
        self.runtime.block_on(read).unwrap();
        frames
    }

    fn drain(self, deadline: Duration) {
        self.runtime.block_on(self.engine.drain(deadline));
    }
}

/// Reads blocks until `enough` of their frames say so.
fn read_until(client: &mut TcpStream, enough: impl Fn(&[Frame]) -> bool) -> Vec<Frame> {
    let (mut bytes, mut frames, mut buffer) = (Vec::new(), Vec::new(), vec![0; 64 << 10]);
    while !enough(&frames) {
        let length = client.read(&mut buffer).unwrap();
        assert!(length > 0, "the stream ended after {} frames", frames.len());
        bytes.extend_from_slice(&buffer[..length]);
        frames.extend(take_blocks(&mut bytes));
    }
    frames
}

fn offsets(frames: &[Frame]) -> Vec<u64> {
    frames.iter().filter_map(|frame| Some(frame.place()?.1)).collect()
}

fn has(count: usize) -> impl Fn(&[Frame]) -> bool {
    move |frames| offsets(frames).len() >= count
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn events_reach_a_socket_in_order() {
    let bench = bench(settings());
    let mut client = bench.connect(every(Transport::Sse));
    let opening = read_until(&mut client, |frames| frames.len() == 2);
    assert_eq!(
        opening.iter().filter_map(Frame::control).collect::<Vec<_>>(),
        ["hello", "caught_up"]
    );
    bench.append(500);
    assert_eq!(
        offsets(&read_until(&mut client, has(500))),
        (0..500).collect::<Vec<u64>>()
    );
    bench.drain(Duration::ZERO);
}

#[test]
fn a_client_that_does_not_read_gets_everything_later_and_holds_up_nobody() {
    let bench = bench(settings());
    let mut slow = bench.connect(every(Transport::Sse));
    let mut quick = bench.connect(every(Transport::Sse));
    let count = 60_000;
    let reader = std::thread::spawn(move || offsets(&read_until(&mut quick, has(count))));
    for _ in 0..count / 1_000 {
        bench.append(1_000);
    }
    assert_eq!(reader.join().unwrap().len(), count);
    let slow = offsets(&read_until(&mut slow, has(count)));
    assert_eq!(slow, (0..count as u64).collect::<Vec<u64>>());
    bench.drain(Duration::ZERO);
}

#[test]
fn a_client_that_goes_gives_its_seat_back() {
    let bench = bench(Settings {
        streams_per_tenant_max: 1,
        ..settings()
    });
    let client = bench.connect(every(Transport::Sse));
    assert!(matches!(
        bench.engine.reserve(Some("t")),
        Err(Refused::TenantFull)
    ));
    assert!(bench.engine.reserve(Some("other")).is_ok());
    drop(client);
    until("the seat is free again", || {
        bench.engine.reserve(Some("t")).is_ok()
    });
    bench.drain(Duration::ZERO);
}

fn websocket(bench: &Bench) -> WebSocket<TcpStream> {
    let client = bench.connect(every(Transport::WebSocket));
    WebSocket::from_raw_socket(client, tungstenite::protocol::Role::Client, None)
}

fn json(message: &Message) -> Value {
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

#[test]
fn a_websocket_client_narrows_its_stream_and_is_told_from_where() {
    let bench = bench(settings());
    let mut socket = websocket(&bench);
    assert_eq!(json(&socket.read().unwrap())["control"], "caught_up");
    socket.send(Message::text("b,c")).unwrap();
    let updated = json(&socket.read().unwrap());
    assert_eq!(updated["control"], "updated");
    let placement = journal::Placement::new("t", 3, 3);
    for device in ["a", "b", "c"] {
        let partition = placement.of(device);
        bench.log.append(
            Topic::Events,
            partition,
            &format!("t/{device}"),
            "telemetry",
            None,
        );
        bench.log.reveal(Topic::Events, partition);
    }
    let mut keys: Vec<String> = (0..2)
        .map(|_| json(&socket.read().unwrap())["key"].as_str().unwrap().to_owned())
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, ["t/b", "t/c"]);
    bench.drain(Duration::ZERO);
}

#[test]
fn a_ping_is_answered_and_a_close_is_too() {
    let bench = bench(settings());
    let mut socket = websocket(&bench);
    socket.read().unwrap();
    socket.send(Message::Ping(Bytes::from_static(b"hi"))).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(Bytes::from_static(b"hi")));
    socket.close(None).unwrap();
    assert!(matches!(socket.read(), Ok(Message::Close(Some(_)))));
    until("the seat is free again", || bench.engine.counts().streams == 0);
    bench.drain(Duration::ZERO);
}

fn close_code(socket: &mut WebSocket<TcpStream>) -> u16 {
    loop {
        if let Message::Close(Some(frame)) = socket.read().unwrap() {
            return frame.code.into();
        }
    }
}

#[test]
fn a_message_that_is_too_long_closes_with_1009() {
    let bench = bench(settings());
    let mut socket = websocket(&bench);
    socket.send(Message::text("x".repeat(65 << 10))).unwrap();
    assert_eq!(close_code(&mut socket), 1009);
    bench.drain(Duration::ZERO);
}

#[test]
fn a_text_that_is_not_utf_8_closes_with_1007() {
    let bench = bench(settings());
    let mut socket = websocket(&bench);
    socket.get_mut().write_all(b"\x81\x81\0\0\0\0\xff").unwrap();
    assert_eq!(close_code(&mut socket), 1007);
    bench.drain(Duration::ZERO);
}

#[test]
fn a_frame_that_is_not_masked_closes_with_1002() {
    let bench = bench(settings());
    let mut socket = websocket(&bench);
    socket.get_mut().write_all(b"\x81\x01a").unwrap();
    assert_eq!(close_code(&mut socket), 1002);
    bench.drain(Duration::ZERO);
}

#[test]
fn a_drain_closes_websockets_with_1012_and_refuses_new_streams() {
    let bench = bench(settings());
    let mut sockets: Vec<WebSocket<TcpStream>> = (0..5).map(|_| websocket(&bench)).collect();
    let engine = bench.engine.clone();
    let drain = std::thread::spawn(move || bench.drain(Duration::from_secs(5)));
    for socket in &mut sockets {
        assert_eq!(close_code(socket), 1012);
    }
    drop(sockets);
    drain.join().unwrap();
    assert!(matches!(engine.reserve(Some("t")), Err(Refused::Draining)));
    assert_eq!(engine.counts().streams, 0);
}

#[test]
fn a_stream_behind_hyper_gets_everything_at_its_own_pace() {
    let bench = bench(settings());
    let (sink, mut body, _input) = bench.engine.channel();
    let mut subscription = every(Transport::Sse);
    subscription.start.live_ends = Some(bench.live_ends());
    bench.adopt(Sink::Channel(sink), subscription).unwrap();
    let count = 5_000;
    bench.append(count);
    let frames = bench.body_until(&mut body, has(count));
    assert_eq!(offsets(&frames), (0..count as u64).collect::<Vec<u64>>());
    drop(body);
    until("the seat is free again", || bench.engine.counts().streams == 0);
    bench.drain(Duration::ZERO);
}

/// hyper sends the head when it likes, and a client may write an event before a worker takes the stream.
#[test]
fn a_stream_starts_where_it_was_told_however_late_a_worker_takes_it() {
    let bench = bench(settings());
    let mut other = bench.connect(every(Transport::Sse));
    let (sink, mut body, _input) = bench.engine.channel();
    let mut subscription = every(Transport::Sse);
    subscription.start.live_ends = Some(bench.live_ends());
    bench.append(3);
    // The events are past the rings' readers.
    read_until(&mut other, has(3));
    bench.adopt(Sink::Channel(sink), subscription).unwrap();
    let frames = bench.body_until(&mut body, has(3));
    assert_eq!(offsets(&frames), [0, 1, 2]);
    drop(body);
    bench.drain(Duration::ZERO);
}

#[test]
fn a_websocket_behind_hyper_hears_its_client() {
    let bench = bench(settings());
    let (sink, mut body, input) = bench.engine.channel();
    bench
        .adopt(Sink::Channel(sink), every(Transport::WebSocket))
        .unwrap();
    let pong = bench.runtime.block_on(async {
        assert!(
            input
                .send(Bytes::from_static(b"\x89\x82\x00\x00\x00\x00hi"))
                .await
        );
        loop {
            let frame = tokio::time::timeout(PATIENCE, body.next())
                .await
                .unwrap()
                .unwrap();
            if frame[0] == 0x8a {
                return frame;
            }
        }
    });
    assert_eq!(&pong[..], b"\x8a\x02hi");
    drop(input);
    until("the seat is free again", || bench.engine.counts().streams == 0);
    bench.drain(Duration::ZERO);
}

#[test]
fn bounds_are_asked_after_the_call_and_shared_by_callers() {
    let bench = bench(settings());
    bench.append(7);
    let answers = bench.runtime.block_on(async {
        let asked = (0..50).map(|_| bench.engine.bounds(Topic::Events, &[0, 2]));
        futures::future::join_all(asked).await
    });
    for answer in answers {
        let ends: Vec<u64> = answer.into_iter().map(|bounds| bounds.unwrap().end).collect();
        assert_eq!(ends, [7, 0]);
    }
    bench.drain(Duration::ZERO);
}
