//! Many clients of one device, in every dialect.

use serde_json::{Value, json};
use tests::fixture::fixture;
use tests::socket::Socket;
use tests::world::World;

const EVENTS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_gets_every_message_the_same_in_its_dialect_and_one_that_never_reads_changes_nothing() {
    let world = World::with(|config| config.open.telemetry.streams_max = 100).await;
    let token = &world.admin.token;
    let realtime = format!("/realtime?api_key={token}");
    let telemetry = format!("/api/v1/customer/telemetry/stream?token={token}&device_id=ABC123");
    let mut sockets = Vec::new();
    for number in 0..60 {
        let (dialect, path) = if number % 2 == 0 {
            ("realtime", &realtime)
        } else {
            ("telemetry", &telemetry)
        };
        let mut socket = Socket::open(&world.admin, path, &[]).await.expect("a socket");
        socket.until("connected").await;
        if dialect == "realtime" {
            socket.send(&fixture("realtime", "example-subscribe")).await;
            socket.until("subscribed").await;
        }
        sockets.push((dialect, socket));
    }
    let (_, _never_reads) = sockets.pop().expect("one");
    for n in 0..EVENTS {
        let fields = json!({"n": n, "load": "x".repeat(2_000)});
        let event = json!({"device": "ABC123", "kind": "telemetry", "fields": fields});
        world.admin.send_events(&[event]).await;
    }
    let mut seen: Vec<(&str, Vec<Value>)> = Vec::new();
    for (dialect, mut socket) in sockets {
        let kind = if dialect == "realtime" {
            "device_data"
        } else {
            "telemetry"
        };
        let mut frames = Vec::new();
        while frames.len() < EVENTS as usize {
            frames.push(socket.until(kind).await);
        }
        match seen.iter().find(|(other, _)| *other == dialect) {
            Some((_, first)) => assert_eq!(&frames, first),
            None => seen.push((dialect, frames)),
        }
    }
    assert_eq!(seen.len(), 2);
    world.end().await;
}
