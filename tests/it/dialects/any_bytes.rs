//! Whatever bytes a client's WebSocket sends, each dialect answers as it documents, closes with the code that
//! the standard (RFC 6455, 7.4.1) has for the mistake, and nobody else notices.

use rand::RngExt as _;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use serde_json::Value;
use tests::api::Api;
use tests::raw::Raw;
use tests::seed::{Seed, scale};
use tests::wait::{until, within};
use tests::ways::{DEVICE, WAYS, Way, numbered, placed};
use tests::world::{TENANT, World};

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
/// The last frame of a message.
const LAST: u8 = 0x80;
/// Most bytes of a frame or message from a client.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Conversations with each way.
const ROUNDS: u64 = 12;
/// What the last ping says.
const MARK: &[u8] = b"still here";

/// A client's frame; `first` is its first byte.
fn frame(first: u8, payload: &[u8], random: &mut SmallRng) -> Vec<u8> {
    let mut bytes = announced(first, payload.len() as u64, random);
    let mask: [u8; 4] = bytes[bytes.len() - 4..].try_into().expect("a mask");
    let masked = payload.iter().zip(mask.iter().cycle());
    bytes.extend(masked.map(|(byte, key)| byte ^ key));
    bytes
}

/// Its head, which ends with a mask.
fn announced(first: u8, length: u64, random: &mut SmallRng) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(0x80 | length as u8),
        126..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&random.random::<[u8; 4]>());
    bytes
}

/// What the other side owes for what was sent.
#[derive(Debug, Default)]
struct Owed {
    /// Errors: one for each message that says nothing in the dialect.
    errors: usize,
    /// What pings said.
    pongs: Vec<Vec<u8>>,
}

/// Frames that no rule forbids, and what they call for.
fn allowed(random: &mut SmallRng, owed: &mut Owed) -> Vec<u8> {
    // No JSON, whatever follows.
    let mut nonsense = b"{{".to_vec();
    let length = *[0, 1, 124, 125, 126, 3_000, MESSAGE_BYTES_MAX - 2]
        .choose(random)
        .expect("lengths");
    nonsense.extend((0..length).map(|_| random.random_range(b' '..b'~')));
    let short = random.random::<[u8; 20]>()[..random.random_range(0..20)].to_vec();
    match random.random_range(0..6) {
        0 => {
            owed.errors += 1;
            frame(LAST | TEXT, &nonsense, random)
        }
        1 => {
            owed.errors += 1;
            frame(LAST | BINARY, &nonsense, random)
        }
        2 => {
            owed.pongs.push(short.clone());
            frame(LAST | PING, &short, random)
        }
        3 => frame(LAST | PONG, &short, random),
        4 => {
            // In three parts, with a ping between.
            owed.errors += 1;
            owed.pongs.push(short.clone());
            let (one, two) = nonsense.split_at(random.random_range(0..=nonsense.len()));
            let mut bytes = frame(TEXT, one, random);
            bytes.extend(frame(LAST | PING, &short, random));
            bytes.extend(frame(0, two, random));
            bytes.extend(frame(LAST, b"", random));
            bytes
        }
        _ => {
            // A character that is split between two frames.
            owed.errors += 1;
            let mut bytes = frame(TEXT, b"{\xc3", random);
            bytes.extend(frame(LAST, b"\xa9", random));
            bytes
        }
    }
}

/// What ends it, and with which code.
fn ending(random: &mut SmallRng) -> (&'static str, Vec<u8>, u16) {
    let half = vec![b'x'; MESSAGE_BYTES_MAX / 2 + 1];
    match random.random_range(0..12) {
        0 => (
            "a close",
            frame(LAST | CLOSE, &1000_u16.to_be_bytes(), random),
            1000,
        ),
        1 => (
            "a close that says nothing",
            frame(LAST | CLOSE, b"", random),
            1000,
        ),
        2 => ("no mask", vec![LAST | TEXT, 2, b'{', b'}'], 1002),
        3 => {
            let opcode = *[0x3, 0x7, 0xB, 0xF].choose(random).expect("opcodes");
            ("a reserved opcode", frame(LAST | opcode, b"", random), 1002)
        }
        4 => {
            let bit = *[0x10, 0x20, 0x40].choose(random).expect("bits");
            ("a reserved bit", frame(LAST | bit | TEXT, b"{}", random), 1002)
        }
        5 => ("a ping in parts", frame(PING, b"", random), 1002),
        6 => ("a long ping", frame(LAST | PING, &[0; 126], random), 1002),
        7 => ("a part of nothing", frame(LAST, b"x", random), 1002),
        8 => {
            let mut bytes = frame(TEXT, b"{", random);
            bytes.extend(frame(LAST | TEXT, b"}", random));
            ("a message within another", bytes, 1002)
        }
        9 => ("no UTF-8", frame(LAST | TEXT, b"\"\xff\"", random), 1007),
        10 => {
            let most = MESSAGE_BYTES_MAX as u64;
            let length = *[most + 1, 1 << 32, u64::MAX >> 1]
                .choose(random)
                .expect("lengths");
            ("too long a frame", announced(LAST | TEXT, length, random), 1009)
        }
        _ => {
            let mut bytes = frame(TEXT, &half, random);
            bytes.extend(frame(LAST, &half, random));
            ("too long a message", bytes, 1009)
        }
    }
}

/// What the other side said.
#[derive(Debug, Default)]
struct Said {
    texts: Vec<Value>,
    pongs: Vec<Vec<u8>>,
    code: Option<u16>,
}

/// Reads a server's frames: whole, unmasked, nothing after a close.
fn read(mut bytes: &[u8]) -> Said {
    let mut said = Said::default();
    while let [first, length, rest @ ..] = bytes {
        assert_eq!(said.code, None, "something follows the close");
        assert_eq!(length & 0x80, 0, "a server does not mask");
        let (length, rest) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => {
                let length = rest[..8].try_into().expect("a length");
                (u64::from_be_bytes(length) as usize, &rest[8..])
            }
            short => (usize::from(*short), rest),
        };
        let (payload, rest) = rest.split_at(length);
        match first ^ LAST {
            TEXT => said
                .texts
                .push(serde_json::from_slice(payload).expect("texts are JSON")),
            PING => {}
            PONG => said.pongs.push(payload.to_vec()),
            CLOSE => said.code = Some(u16::from_be_bytes([payload[0], payload[1]])),
            other => panic!("a server sends no {other:#x}"),
        }
        bytes = rest;
    }
    assert!(bytes.is_empty(), "{bytes:?}");
    said
}

async fn upgraded(way: Way, admin: &Api) -> Raw {
    let bearer = way
        .bearer(admin)
        .map_or_else(String::new, |bearer| format!("Authorization: {bearer}\r\n"));
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: test\r\n{bearer}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        way.path(admin, "")
    );
    let mut raw = Raw::send(admin, request.as_bytes()).await;
    let head = raw.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{way:?}: {head}");
    raw
}

fn is_error(frame: &Value) -> bool {
    frame["type"] == "error" || frame["error"]["invalid_json"].is_string()
}

/// One client from its first byte to its last.
async fn converse(way: Way, admin: &Api, random: &mut SmallRng) {
    let mut raw = upgraded(way, admin).await;
    let mut owed = Owed::default();
    let mut bytes = Vec::new();
    for _ in 0..random.random_range(0..8) {
        bytes.extend(allowed(random, &mut owed));
    }
    bytes.extend(frame(LAST | PING, MARK, random));
    owed.pongs.push(MARK.to_vec());
    let (what, last, code) = ending(random);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (part, after) = rest.split_at(random.random_range(1..=rest.len()));
        raw.more(part).await;
        rest = after;
    }
    raw.more(&last).await;
    let said = read(&raw.rest_bytes().await);
    assert_eq!(said.code, Some(code), "{way:?}: {what}: {said:?}");
    assert_eq!(said.pongs, owed.pongs, "{way:?}");
    let errors = said.texts.iter().filter(|frame| is_error(frame)).count();
    let expected = if way.is_deaf() { 0 } else { owed.errors };
    assert_eq!(errors, expected, "{way:?}: {:?}", said.texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mistake_has_its_code_and_each_message_its_answer() {
    let seed = Seed::of_test();
    let world = World::with(|config| config.open.telemetry.streams_max = 100).await;
    let admin = placed(std::slice::from_ref(&world.node.api), TENANT, &[DEVICE]).await;
    let sockets = || WAYS.into_iter().filter(|way| !way.is_event_stream());
    let mut good = Vec::new();
    for way in sockets() {
        let mut watcher = way.open(&admin, "", None).await.expect("a stream");
        watcher.choose(way, &[DEVICE]).await;
        good.push((way, watcher));
    }
    for (number, way) in (0..).zip(sockets()) {
        let mut random = seed.part(number);
        for _ in 0..ROUNDS * scale() {
            within("the end of a conversation", converse(way, &admin, &mut random)).await;
        }
    }
    until("only those who behave are left", async || {
        let streams = world.node.metric("wakeline_gateway_streams").await;
        (streams == good.len() as f64).then_some(())
    })
    .await;
    let events = ["log", "command", "telemetry"].map(|kind| numbered(DEVICE, kind, 7, ""));
    admin.send_events(&events).await;
    for (way, watcher) in &mut good {
        within("the event", async {
            loop {
                let frame = watcher.next().await.expect("it goes on").json();
                if way.number(&frame).is_some_and(|(_, number)| number == 7) {
                    return;
                }
            }
        })
        .await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_up_an_event_stream_changes_nothing() {
    let seed = Seed::of_test();
    let world = World::start().await;
    let admin = placed(std::slice::from_ref(&world.node.api), TENANT, &[DEVICE]).await;
    for way in WAYS.into_iter().filter(|way| way.is_event_stream()) {
        let mut random = seed.part(1);
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\r\n",
            way.path(&admin, ""),
            admin.token
        );
        let mut raw = Raw::send(&admin, head.as_bytes()).await;
        assert!(raw.until("\r\n\r\n").await.starts_with("HTTP/1.1 200"), "{way:?}");
        raw.until(":").await;
        for _ in 0..20 {
            let bytes: Vec<u8> = (0..random.random_range(1..500))
                .map(|_| random.random())
                .collect();
            raw.more(&bytes).await;
        }
        let events = ["log", "telemetry"].map(|kind| numbered(DEVICE, kind, 7, "after"));
        admin.send_events(&events).await;
        raw.until("after").await;
    }
    world.end().await;
}
