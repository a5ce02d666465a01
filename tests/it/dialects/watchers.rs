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
    let watch = format!("/v1/projects/default/devices/ABC123/watch?token={token}");
    let root = format!("Bearer {}", world.node.api.token);
    let hello = json!({"device": "ABC123", "kind": "telemetry", "fields": {"lat": 80.5, "lon": 1.5}});
    let sent = world.admin.send_events(&[hello]).await;
    let known = format!("/v1/devices?id=ABC123&min_cursor={sent}");
    assert_eq!(world.admin.get(&known).await.status, 200);
    for number in 0..60 {
        let (dialect, path) = match number % 4 {
            0 => ("realtime", &*realtime),
            1 => ("telemetry", &*telemetry),
            2 => ("watch", &*watch),
            _ => ("controller", "/ws/loci/location/"),
        };
        let headers: &[(&'static str, &str)] = if dialect == "controller" {
            &[("authorization", &*root)]
        } else {
            &[]
        };
        let mut socket = Socket::open(&world.admin, path, headers).await.expect("a socket");
        if matches!(dialect, "realtime" | "telemetry") {
            socket.until("connected").await;
        }
        if dialect == "realtime" {
            socket.send(&fixture("realtime", "example-subscribe")).await;
            socket.until("subscribed").await;
        }
        sockets.push((dialect, socket));
    }
    let (_, _never_reads) = sockets.pop().expect("one");
    for n in 0..EVENTS {
        let fields = json!({"n": n, "load": "x".repeat(2_000), "lat": n as f64, "lon": 1.5});
        let event = json!({"device": "ABC123", "kind": "telemetry", "fields": fields});
        let log = json!({"device": "ABC123", "kind": "log", "message": "x".repeat(2_000)});
        world.admin.send_events(&[event, log]).await;
    }
    let mut seen: Vec<(&str, Vec<Value>)> = Vec::new();
    for (dialect, mut socket) in sockets {
        let is_data = |frame: &Value| match dialect {
            "realtime" => frame["type"] == "device_data",
            "telemetry" => frame["type"] == "telemetry",
            "watch" => frame["event"] == "log",
            _ => frame["geometry"].is_object(),
        };
        let mut frames = Vec::new();
        while frames.len() < EVENTS as usize {
            frames.push(socket.first("data", is_data).await);
        }
        match seen.iter().find(|(other, _)| *other == dialect) {
            Some((_, first)) => assert_eq!(&frames, first),
            None => seen.push((dialect, frames)),
        }
    }
    assert_eq!(seen.len(), 4);
    world.end().await;
}
