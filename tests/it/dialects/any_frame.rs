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
const SENT: [(&str, &str); 10] = [
    ("filter", "filter"),
    ("filter", "clear"),
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
                "filter",
                "clear",
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
    let bearer = format!("Bearer {token}");
    let header = [("authorization", &*bearer)];
    let paths = [
        (format!("/realtime?api_key={token}"), &[][..]),
        (format!("/api/v1/customer/telemetry/stream?token={token}"), &[]),
        (format!("/api/v2/ws?token={token}"), &[]),
        ("/api/v2/ws".to_owned(), &header),
    ];
    let mut good = Socket::open(&world.admin, &paths[1].0, &[])
        .await
        .expect("a socket");
    for (number, (path, headers)) in (0..).zip(&paths) {
        let mut random = seed.part(number);
        let (mut sent, mut socket) = (
            0,
            Socket::open(&world.admin, path, headers).await.expect("a socket"),
        );
        while sent < 200 * scale() {
            for _ in 0..20 {
                socket.send_raw(message(&mut random)).await;
                sent += 1;
            }
            // Answered in order: what was sent before this is dealt with, and the socket lives.
            let mark = format!("mark-{sent}");
            let question = if headers.is_empty() {
                json!({"type": mark, "action": mark})
            } else {
                json!({ &mark: 1 })
            };
            socket.send(&question).await;
            let is_answer = |frame: &Value| {
                let texts = [&frame["message"], &frame["error"]["unknown_command"]];
                let mut texts = texts.into_iter().filter_map(Value::as_str);
                texts.any(|text| text.contains(&mark))
            };
            socket.first("the answer", is_answer).await;
        }
    }
    let event = json!({"device": "bus", "kind": "telemetry", "fields": {"n": 1}});
    world.admin.send_events(&[event]).await;
    assert_eq!(good.until("telemetry").await["device_id"], "bus");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_ends_a_socket_that_listens_to_none_or_that_of_a_device() {
    let seed = Seed::of_test();
    let world = World::start().await;
    let place = json!({"type": "Point", "coordinates": [1.5, 2.5]});
    let placed = json!({"device": "yard/van", "kind": "location", "location_id": "spot", "geometry": place});
    let sent = world.admin.send_events(&[placed]).await;
    let known = format!("/v1/devices?id=yard/van&min_cursor={sent}");
    assert_eq!(world.admin.get(&known).await.status, 200);
    let device = world
        .admin
        .token(&json!({"role": "device", "devices": ["yard/van"]}))
        .await;
    let root = format!("Bearer {}", world.node.api.token);
    let of_device = format!("Bearer {device}");
    let of_admin = format!("Bearer {}", world.admin.token);
    let mut sockets = Vec::new();
    for (path, bearer) in [
        ("/v1/projects/yard/devices/van/watch", &of_admin),
        ("/ws/controller/device/yard%2Fvan/command", &root),
        ("/ws/loci/location/spot/", &root),
        ("/ws/loci/location/", &root),
    ] {
        let socket = Socket::open(&world.admin, path, &[("authorization", bearer)]).await;
        sockets.push(socket.expect("a socket"));
    }
    let path = "/v1/projects/yard/devices/van/connect/websocket";
    let own = Socket::open(&world.admin, path, &[("authorization", &of_device)]).await;
    let mut own = own.expect("a socket");
    let mut random = seed.part(1);
    for _ in 0..100 * scale() {
        for socket in sockets.iter_mut().chain([&mut own]) {
            socket.send_raw(message(&mut random)).await;
        }
    }
    own.send(&json!({"type": "log", "payload": {"message": "after"}}))
        .await;
    let is_after = |frame: &Value| frame["data"]["message"] == "after";
    sockets[0].first("the log", is_after).await;
    let step = |status: &str| {
        json!({"device": "yard/van", "kind": "command", "command_id": "c", "type": "x",
        "status": status})
    };
    let moves = json!({"device": "yard/van", "kind": "telemetry", "fields": {"lat": 3.5, "lon": 4.5}});
    world
        .admin
        .send_events(&[step("queued"), step("failed"), moves])
        .await;
    for socket in &mut sockets[1..] {
        socket.next().await;
    }
    world.end().await;
}
