//! The ingest of the same API.

use serde_json::{Value, json};
use tests::api::{Answer, Api};
use tests::raw::Raw;
use tests::wait::within;
use tests::world::{TENANT, World};

use super::{connected, metrics};

async fn post(api: &Api, path: &str, token: &str, body: &Value) -> Answer {
    let request = api.with_token("").request(reqwest::Method::POST, path).json(body);
    let request = if token.is_empty() {
        request
    } else {
        request.header("X-Provision-Token", token)
    };
    api.send(request).await
}

fn path(device: &str, kind: &str) -> String {
    format!("/ingest/v1/tenant/{TENANT}/device/{device}/{kind}")
}

fn message(seq: i64) -> Value {
    json!({"version": "1", "ts": "2026-02-17T10:00:00Z", "site_id": "s1", "seq": seq, "metrics": {"n": seq},
        "lat": 1.5, "lng": 2.5})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_acknowledged_and_streamed() {
    let world = World::start().await;
    let token = world
        .admin
        .token(&json!({"role": "device", "devices": ["bus"]}))
        .await;
    let mut socket = connected(&world, "").await;
    let answer = post(&world.admin, &path("bus", "heartbeat"), &token, &message(1)).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let answer = post(&world.admin, &path("bus", "telemetry"), &token, &message(2)).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(
        answer.json,
        json!({"status": "accepted", "device_id": "bus", "seq": 2})
    );
    let frame = socket.next().await;
    assert_eq!(frame["metrics"], json!({"n": 2, "lat": 1.5, "lng": 2.5}));
    assert_eq!(frame["timestamp"], "2026-02-17T10:00:00.000Z");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_time_is_none_is_taken_all_the_same() {
    let world = World::start().await;
    let token = world
        .admin
        .token(&json!({"role": "device", "devices": ["bus"]}))
        .await;
    let mut socket = connected(&world, "").await;
    for (seq, ts) in [
        (1, json!("2026-02-17T10:00:00.250000")),
        (2, json!("soon")),
        (3, json!(5)),
    ] {
        let mut body = message(seq);
        body["ts"] = ts;
        let answer = post(&world.admin, &path("bus", "telemetry"), &token, &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let frame = socket.next().await;
        assert_eq!(frame["metrics"]["n"], seq);
        // Without a time, that of the receipt.
        let is_its_own = frame["timestamp"] == "2026-02-17T10:00:00.250Z";
        assert_eq!(is_its_own, seq == 1, "{frame}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_has_its_word_and_its_status() {
    let world = World::start().await;
    let token = world
        .admin
        .token(&json!({"role": "device", "devices": ["bus"]}))
        .await;
    let head = json!({"device": "bus", "kind": "device", "site_id": "s1"});
    let cursor = world
        .admin
        .send_events(&[head, metrics("bus", json!({"n": 1}))])
        .await;
    world
        .admin
        .get(&format!("/v1/devices/bus?min_cursor={cursor}"))
        .await;
    let with = |name: &str, value: Value| {
        let mut body = message(1);
        body[name] = value;
        body
    };
    let many: Value = (0..51)
        .map(|n| (format!("m{n}"), json!(n)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let long = json!({"m".repeat(129): 1});
    let large = json!("x".repeat(70_000));
    let (good, token) = (path("bus", "telemetry"), &*token);
    for (token, path, body, status, word) in [
        ("", &good, message(1), 401, "TOKEN_MISSING"),
        ("nonsense", &good, message(1), 401, "TOKEN_INVALID"),
        (
            token,
            &path("tram", "telemetry"),
            message(1),
            401,
            "TOKEN_INVALID",
        ),
        (token, &path("bus", "dance"), message(1), 400, "INVALID_MSG_TYPE"),
        (token, &good, with("site_id", json!("s2")), 400, "SITE_MISMATCH"),
        (token, &good, with("metrics", many), 400, "TOO_MANY_METRICS"),
        (token, &good, with("metrics", long), 400, "METRIC_KEY_TOO_LONG"),
        (token, &good, with("version", large), 400, "PAYLOAD_TOO_LARGE"),
        (token, &good, json!([]), 400, "INVALID_BODY"),
    ] {
        let answer = post(&world.admin, path, token, &body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json),
            (status, &json!({"detail": word}))
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unregistered_device_is_refused_where_registration_is_required() {
    let world = World::with(|config| config.registration_required = true).await;
    let token = world
        .admin
        .token(&json!({"role": "device", "devices": ["bus"]}))
        .await;
    let answer = post(&world.admin, &path("bus", "telemetry"), &token, &message(1)).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json),
        (403, &json!({"detail": "UNREGISTERED_DEVICE"}))
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_judged_message_by_message() {
    let world = World::start().await;
    let token = world
        .admin
        .token(&json!({"role": "device", "devices": ["bus"]}))
        .await;
    let mut socket = connected(&world, "").await;
    let of = |device: &str, token: &str, kind: &str, seq: i64| {
        let mut body = message(seq);
        body["tenant_id"] = json!(TENANT);
        body["device_id"] = json!(device);
        body["msg_type"] = json!(kind);
        body["provision_token"] = json!(token);
        body
    };
    let messages = json!({"messages": [
        of("bus", &token, "telemetry", 1), of("tram", &token, "telemetry", 2),
        of("bus", "", "telemetry", 3), of("bus", &token, "dance", 4), of("bus", &token, "telemetry", 5),
    ]});
    let answer = post(&world.admin, "/ingest/v1/batch", "", &messages).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let accepted =
        |index: u64| json!({"index": index, "status": "accepted", "reason": null, "device_id": "bus"});
    let rejected = |index: u64, device: &str, reason: &str| json!({"index": index, "status": "rejected", "reason": reason, "device_id": device});
    assert_eq!(
        answer.json,
        json!({"accepted": 2, "rejected": 3, "results": [
            accepted(0), rejected(1, "tram", "TOKEN_INVALID"), rejected(2, "bus", "TOKEN_MISSING"),
            rejected(3, "bus", "INVALID_MSG_TYPE"), accepted(4),
        ]})
    );
    for n in [1, 5] {
        assert_eq!(socket.next().await["metrics"]["n"], n);
    }
    for (messages, detail) in [
        (json!([]), "Batch is empty"),
        (json!(vec![json!({}); 101]), "Batch exceeds 100 message limit"),
    ] {
        let answer = post(
            &world.admin,
            "/ingest/v1/batch",
            "",
            &json!({"messages": messages}),
        )
        .await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json),
            (400, &json!({"detail": detail}))
        );
    }
    let none = json!({"messages": [of("bus", "", "telemetry", 1)]});
    assert_eq!(
        post(&world.admin, "/ingest/v1/batch", "", &none).await.status,
        400
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_refused_before_its_body_comes_when_its_token_is_no_good() {
    let world = World::start().await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: test\r\nX-Provision-Token: nonsense\r\nContent-Length: 60000\r\n\r\n",
        path("bus", "telemetry")
    );
    let mut sender = Raw::send(&world.admin, head.as_bytes()).await;
    let answer = sender.until("TOKEN_INVALID").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_strangers_leave_room_for_who_is_known() {
    let world = World::with(|config| {
        config.desk.held_bytes_max = 64 << 10;
        config.desk.held_nameless_bytes_max = 32 << 10;
        config.desk.held_address_bytes_max = 32 << 10;
    })
    .await;
    let token = world
        .admin
        .token(&json!({"role": "device", "devices": ["bus"]}))
        .await;
    // Strangers send all that is taken of them, and then no more.
    let stalled = format!(
        "POST /ingest/v1/batch HTTP/1.1\r\nHost: test\r\nContent-Length: 500000\r\n\r\n{}",
        " ".repeat(8 << 10)
    );
    let mut strangers = Vec::new();
    within("the strangers' room is taken", async {
        let batch = json!({"messages": [message(1)]});
        // One that comes while a batch is looked at may be refused: another takes its place.
        while post(&world.admin, "/ingest/v1/batch", "", &batch).await.status != 503 {
            strangers.push(Raw::send(&world.admin, stalled.as_bytes()).await);
        }
    })
    .await;
    let mut known = message(1);
    known["version"] = json!("1".repeat(20 << 10));
    let answer = post(&world.admin, &path("bus", "telemetry"), &token, &known).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    drop(strangers);
    within("the room is given back", async {
        let batch = json!({"messages": [message(1)]});
        while post(&world.admin, "/ingest/v1/batch", "", &batch).await.status != 400 {}
    })
    .await;
    world.end().await;
}
