//! Whatever a client sends, no dialect ends the process or another stream.

use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use tests::fixture::fixture;
use tests::seed::{Seed, scale};
use tests::socket::Socket;
use tests::world::World;
use tokio_tungstenite::tungstenite::Message;

/// What the documents' clients send, to be bent.
const SENT: [(&str, &str); 8] = [
    ("realtime", "subscribe"),
    ("realtime", "unsubscribe"),
    ("realtime", "example-subscribe"),
    ("telemetry", "subscribe-device"),
    ("telemetry", "subscribe-alerts"),
    ("telemetry", "subscribe-fleet"),
    ("telemetry", "unsubscribe-device"),
    ("telemetry", "unsubscribe-fleet"),
];

fn anything(random: &mut SmallRng, depth: usize) -> Value {
    match random.random_range(0..if depth > 3 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => json!(random.random::<bool>()),
        2 => json!(random.random::<i64>()),
        3 => json!(random.random::<f64>()),
        4 => json!("subscribe"),
        5 => json!("x".repeat(random.random_range(0..300))),
        6 => (0..random.random_range(0..5))
            .map(|_| anything(random, depth + 1))
            .collect(),
        _ => {
            let names = [
                "type",
                "action",
                "device_id",
                "device_ids",
                "metrics",
                "hardwareIds",
                "command",
            ];
            let name = names[random.random_range(0..names.len())];
            json!({name: anything(random, depth + 1)})
        }
    }
}

fn message(random: &mut SmallRng) -> Message {
    let (dialect, name) = SENT[random.random_range(0..SENT.len())];
    let mut frame = fixture(dialect, name);
    match random.random_range(0..6) {
        0 => Message::text(frame.to_string()),
        1 => Message::binary(random.random::<[u8; 32]>().to_vec()),
        2 => {
            let text = frame.to_string();
            Message::text(text[..random.random_range(0..text.len())].to_owned())
        }
        3 => Message::text(anything(random, 0).to_string()),
        _ => {
            let members: Vec<String> = frame
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect();
            let member = &members[random.random_range(0..members.len())];
            frame[member] = anything(random, 1);
            Message::text(frame.to_string())
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_ends_anything() {
    let seed = Seed::of_test();
    let world = World::start().await;
    let token = &world.admin.token;
    let paths = [
        format!("/realtime?api_key={token}"),
        format!("/api/v1/customer/telemetry/stream?token={token}"),
        format!("/api/v2/ws?token={token}"),
    ];
    let mut good = Socket::open(&world.admin, &paths[1], &[])
        .await
        .expect("a socket");
    for (number, path) in (0..).zip(&paths) {
        let mut random = seed.part(number);
        let (mut sent, mut socket) = (0, Socket::open(&world.admin, path, &[]).await.expect("a socket"));
        while sent < 200 * scale() {
            for _ in 0..20 {
                socket.send_raw(message(&mut random)).await;
                sent += 1;
            }
            // Answered in order: what was sent before this is dealt with, and the socket lives.
            let mark = format!("mark-{sent}");
            socket.send(&json!({"type": mark, "action": mark})).await;
            let is_answer = |frame: &Value| {
                frame["message"]
                    .as_str()
                    .is_some_and(|text| text.ends_with(&mark))
            };
            socket.first("the answer", is_answer).await;
        }
    }
    let event = json!({"device": "bus", "kind": "telemetry", "fields": {"n": 1}});
    world.admin.send_events(&[event]).await;
    assert_eq!(good.until("telemetry").await["device_id"], "bus");
    world.end().await;
}
