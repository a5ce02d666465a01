//! Many clients of one device, in every dialect.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::{Value, json};
use tests::api::Api;
use tests::raw::Raw;
use tests::socket::Socket;
use tests::wait::{until, within};
use tests::ways::{DEVICE, WAYS, Watcher, Way, numbered, placed};
use tests::world::{TENANT, World};

/// Those who read, of all ways together.
const WATCHERS: usize = 1_000;
/// Messages that each of them gets.
const MESSAGES: u64 = 10;
/// What comes to fill the sockets of those who do not read: events of each kind, and bytes of each.
const FLOOD: u64 = 700;
const FLOOD_TEXT: usize = 9_000;
/// Kinds of events, such that each way shows one. Telemetry is last: nothing changes the device after it.
const KINDS: [&str; 3] = ["command", "log", "telemetry"];
/// Connections that are opened at the same time.
const AT_ONCE: usize = 32;

/// Somebody who opens a stream and never reads it.
#[expect(dead_code, reason = "they are kept open, and nothing else")]
enum Stuck {
    Socket(Box<Socket>),
    Events(Raw),
}

async fn stuck(way: Way, admin: &Api) -> Stuck {
    let bearer = way.bearer(admin);
    if way.is_event_stream() {
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: test\r\nAuthorization: {}\r\n\r\n",
            way.path(admin, ""),
            bearer.expect("an event stream's credential stands in the header")
        );
        let mut raw = Raw::send_with_small_buffer(admin, head.as_bytes()).await;
        raw.until("\r\n\r\n").await;
        return Stuck::Events(raw);
    }
    let headers: Vec<(&'static str, &str)> = bearer.iter().map(|value| ("authorization", &**value)).collect();
    let mut socket = Socket::open_narrow(admin, &way.path(admin, ""), &headers).await;
    for message in way.first(&[DEVICE]) {
        socket.send(&message).await;
    }
    Stuck::Socket(Box::new(socket))
}

/// A watcher that sees what is sent from now on.
async fn watching(way: Way, admin: &Api) -> (Way, Watcher) {
    let mut watcher = way.open(admin, "", None).await.expect("a stream");
    watcher.choose(way, &[DEVICE]).await;
    match (&mut watcher, way) {
        (Watcher::Socket(socket), Way::Realtime | Way::Legacy) => {
            socket.until("subscribed").await;
        }
        (Watcher::Socket(socket), Way::Filter) => {
            // A filter is not acknowledged; what comes after it is answered.
            socket.send(&json!({"mark": 1})).await;
            let is_answer = |frame: &Value| frame["error"]["unknown_command"].is_string();
            socket.first("the answer", is_answer).await;
        }
        (Watcher::Socket(_) | Watcher::Events(_), _) => {}
    }
    (way, watcher)
}

/// The text of the message with that number, passing over older ones.
async fn message(way: Way, watcher: &mut Watcher, number: u64) -> String {
    loop {
        let frame = watcher.next().await;
        let frame = frame.unwrap_or_else(|ended| panic!("{way:?}: {ended:?}"));
        let found = way.number(&frame.json()).map(|(_, found)| found);
        assert!(found <= Some(number), "{way:?}: {found:?} before {number}");
        if found == Some(number) {
            return frame.text;
        }
    }
}

async fn send(admin: &Api, n: u64, text: &str) {
    admin
        .send_events(&KINDS.map(|kind| numbered(DEVICE, kind, n, text)))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_a_thousand_gets_every_message_the_same_and_those_who_never_read_change_nothing() {
    let world = World::with(|config| {
        // A word about the device's silence would be one more change to tell of.
        config.projector.stale_after = Duration::from_secs(3_600);
        config.projector.offline_after = Duration::from_secs(3_600);
        config.open.telemetry.streams_max = WATCHERS;
    })
    .await;
    let nodes = [world.node.api.clone()];
    let admin = placed(&nodes, TENANT, &[DEVICE]).await;
    let mut never_read = Vec::new();
    for way in WAYS {
        never_read.push(stuck(way, &admin).await);
    }
    for n in 0..FLOOD {
        send(&admin, 0, &format!("{n}{}", "x".repeat(FLOOD_TEXT))).await;
    }
    // Conflated streams skip what they cannot send; those of locations have small frames.
    until("those who do not read are behind", async || {
        (world.node.metric("wakeline_gateway_streams_behind").await >= 4.0).then_some(())
    })
    .await;

    let opening = (0..WATCHERS).map(|number| watching(WAYS[number % WAYS.len()], &admin));
    let mut watchers: Vec<(Way, Watcher)> = futures::stream::iter(opening)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    for n in 1..=MESSAGES {
        let sent = Instant::now();
        send(&admin, n, "small").await;
        let reading = watchers
            .iter_mut()
            .map(|(way, watcher)| async move { (*way, message(*way, watcher, n).await) });
        let texts = within("every watcher's message", futures::future::join_all(reading)).await;
        slowest = slowest.max(sent.elapsed());
        let mut by_way: BTreeMap<Way, String> = BTreeMap::new();
        for (way, text) in texts {
            let first = by_way.entry(way).or_insert_with(|| text.clone());
            assert_eq!(text, *first, "{way:?}");
        }
        assert_eq!(by_way.len(), WAYS.len());
    }
    println!(
        "{WATCHERS} watchers, {MESSAGES} messages each in {:?}, the slowest after {slowest:?}",
        begun.elapsed()
    );
    // They were not thrown out: nothing was gained by that.
    let streams = world.node.metric("wakeline_gateway_streams").await;
    assert_eq!(streams, (WATCHERS + never_read.len()) as f64);
    drop((watchers, never_read));
    world.end().await;
}
