//! The legacy socket.

use serde_json::{Value, json};
use tests::fixture::{assert_like, fixture};
use tests::socket::Socket;
use tests::world::{TENANT, World};

use super::metrics;

async fn open(world: &World, token: &str) -> Socket {
    let path = format!("/api/v2/ws?token={token}");
    Socket::open(&world.admin, &path, &[]).await.expect("a socket")
}

fn alert(device: &str, id: &str, status: &str) -> Value {
    json!({"device": device, "kind": "alert", "alert_id": id, "alert_type": "HOT", "severity": 3,
        "summary": "too hot", "status": status, "confidence": 0.5})
}

/// Applied to the tables, so that what is current is known.
async fn applied(world: &World, device: &str, events: &[Value]) {
    let cursor = world.admin.send_events(events).await;
    let answer = world
        .admin
        .get(&format!("/v1/devices/{device}?min_cursor={cursor}"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_current_of_a_device_comes_at_once_and_when_it_changes() {
    let world = World::start().await;
    let fields = json!({"speed": 1.5, "on": true, "name": "x", "battery": {"level": 7}});
    applied(&world, "dev-0001", &[metrics("dev-0001", fields)]).await;
    let mut socket = open(&world, &world.admin.token).await;
    socket.send(&fixture("telemetry", "subscribe-device")).await;
    let ack = socket.next().await;
    assert_eq!(ack, fixture("telemetry", "subscribed-device"));
    let pushed = socket.next().await;
    assert_like(
        "telemetry",
        "telemetry",
        &pushed,
        &["type", "device_id"],
        &["data.timestamp", "data.seq"],
    );
    assert_eq!(
        pushed["data"]["metrics"],
        json!({"speed": 1.5, "on": true, "battery.level": 7})
    );
    assert_eq!(pushed["data"]["time"], "2026-02-17T10:00:00.000Z");
    assert_eq!(pushed["data"]["time"], pushed["data"]["timestamp"]);
    let seq = pushed["data"]["seq"].as_u64().expect("a number");

    let later = json!({"device": "dev-0001", "kind": "telemetry", "fields": {"speed": 2.5}});
    world.admin.send_events(&[later]).await;
    let changed = socket.until("telemetry").await;
    assert_eq!(changed["data"]["metrics"]["speed"], 2.5);
    assert_eq!(changed["data"]["metrics"]["on"], true);
    assert!(changed["data"]["seq"].as_u64() > Some(seq), "{changed}");

    socket.send(&fixture("telemetry", "unsubscribe-device")).await;
    let gone = json!({"type": "unsubscribed", "channel": "device", "device_id": "dev-0001"});
    assert_eq!(socket.until("unsubscribed").await, gone);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_has_a_cursor_in_each_push_and_resumes_from_it() {
    let world = World::start().await;
    applied(&world, "dev-0001", &[metrics("dev-0001", json!({"n": 1}))]).await;
    let open = async |since: &str| {
        let path = format!("/api/v2/ws?token={}&cursor=1{since}", world.admin.token);
        let mut socket = Socket::open(&world.admin, &path, &[]).await.expect("a socket");
        for channel in ["device", "alerts", "fleet"] {
            let message = fixture("telemetry", &format!("subscribe-{channel}"));
            socket.send(&message).await;
        }
        socket
    };
    let mut socket = open("").await;
    let mut cursors = Vec::new();
    for kind in ["telemetry", "alerts", "fleet_summary"] {
        let pushed = socket.first(kind, |frame| frame["type"] == kind).await;
        cursors.push(pushed["cursor"].as_str().expect("a cursor").to_owned());
    }
    drop(socket);
    applied(&world, "dev-0001", &[metrics("dev-0001", json!({"n": 2}))]).await;
    for cursor in cursors {
        let mut socket = open(&format!("&since={cursor}")).await;
        // What is current comes at once, and what changed since the cursor as a change.
        for _ in 0..2 {
            let pushed = socket.until("telemetry").await;
            assert_eq!(pushed["data"]["metrics"]["n"], 2);
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_pushed_once_a_second_however_often_it_changes() {
    let world = World::start().await;
    let mut socket = open(&world, &world.admin.token).await;
    socket.send(&fixture("telemetry", "subscribe-device")).await;
    socket.until("subscribed").await;
    let mut pushes = 0;
    let mut sent = 0;
    let second = tokio::time::Instant::now() + std::time::Duration::from_millis(900);
    while tokio::time::Instant::now() < second {
        sent += 1;
        let event = json!({"device": "dev-0001", "kind": "telemetry", "fields": {"n": sent}});
        world.admin.send_events(&[event]).await;
    }
    loop {
        pushes += 1;
        if socket.until("telemetry").await["data"]["metrics"]["n"] == sent {
            break;
        }
    }
    assert!(sent > 3 && pushes <= 3, "{pushes} of {sent}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_come_at_once_and_when_they_change_newest_first() {
    let world = World::start().await;
    applied(
        &world,
        "dev-0001",
        &[
            metrics("dev-0001", json!({"n": 1})),
            alert("dev-0001", "a1", "OPEN"),
        ],
    )
    .await;
    let mut socket = open(&world, &world.admin.token).await;
    socket.send(&fixture("telemetry", "subscribe-alerts")).await;
    assert_eq!(
        socket.next().await,
        json!({"type": "subscribed", "channel": "alerts"})
    );
    let pushed = socket.next().await;
    assert_like("telemetry", "alerts", &pushed, &["type"], &[]);
    let first = pushed["alerts"][0].as_object().expect("an alert");
    let names: Vec<&str> = first.keys().map(String::as_str).collect();
    let expected = [
        "alert_id",
        "tenant_id",
        "device_id",
        "site_id",
        "alert_type",
        "severity",
        "confidence",
        "summary",
        "status",
        "created_at",
    ];
    assert_eq!(names, expected);
    let created = first["created_at"].as_str().expect("a time");
    assert!(
        created.ends_with('Z') && created.len() == "2026-02-17T10:00:00.000Z".len(),
        "{created}"
    );
    assert_eq!(
        pushed["alerts"],
        json!([{"alert_id": "a1", "tenant_id": TENANT, "device_id": "dev-0001", "site_id": null, "alert_type": "HOT",
            "severity": 3, "confidence": 0.5, "summary": "too hot", "status": "OPEN", "created_at": created}])
    );

    // One that somebody has acknowledged counts in the fleet, and is not listed.
    let events = ["OPEN", "ACKNOWLEDGED"].map(|status| alert("dev-0001", "a0", status));
    applied(&world, "dev-0001", &events).await;
    world.admin.send_events(&[alert("dev-0001", "a2", "OPEN")]).await;
    let two = socket.first("two alerts", |frame| {
        let alerts = frame["alerts"].as_array().expect("alerts");
        alerts.iter().any(|alert| alert["alert_id"] == "a2")
    });
    let two = two.await;
    let ids = [&two["alerts"][0]["alert_id"], &two["alerts"][1]["alert_id"]];
    assert_eq!(ids, ["a2", "a1"]);
    assert_eq!(two["alerts"].as_array().map(Vec::len), Some(2));
    world
        .admin
        .send_events(&[
            alert("dev-0001", "a2", "CLOSED"),
            alert("dev-0001", "a1", "CLOSED"),
        ])
        .await;
    socket
        .first("no alert", |frame| frame["alerts"] == json!([]))
        .await;
    socket.send(&fixture("telemetry", "unsubscribe-alerts")).await;
    assert_eq!(
        socket.until("unsubscribed").await,
        json!({"type": "unsubscribed", "channel": "alerts"})
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleet_is_counted_at_once_when_it_changes_and_every_ten_seconds() {
    let world = World::start().await;
    let mut socket = open(&world, &world.admin.token).await;
    socket.send(&fixture("telemetry", "subscribe-fleet")).await;
    assert_eq!(
        socket.next().await,
        json!({"type": "subscribed", "channel": "fleet"})
    );
    let none = socket.next().await;
    assert_like("telemetry", "fleet_summary", &none, &["type"], &[]);
    assert_eq!(none["data"]["total"], 0);
    world
        .admin
        .send_events(&[metrics("dev-0001", json!({"n": 1}))])
        .await;
    let one = socket
        .first("one device", |frame| frame["data"]["ONLINE"] == 1)
        .await;
    assert_eq!(
        one["data"],
        json!({"ONLINE": 1, "STALE": 0, "OFFLINE": 0, "total": 1, "active_alerts": 0})
    );
    world.admin.send_events(&[alert("dev-0001", "a1", "OPEN")]).await;
    socket
        .first("one alert", |frame| frame["data"]["active_alerts"] == 1)
        .await;
    let again = tokio::time::timeout(std::time::Duration::from_secs(12), socket.try_next()).await;
    let again = again.expect("a push").expect("the socket goes on");
    assert_eq!(again["data"]["active_alerts"], 1);
    socket.send(&fixture("telemetry", "unsubscribe-fleet")).await;
    assert_eq!(
        socket.until("unsubscribed").await,
        json!({"type": "unsubscribed", "channel": "fleet"})
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_told() {
    let world = World::start().await;
    let mut socket = open(&world, &world.admin.token).await;
    for (message, text) in [
        (
            json!({"action": "subscribe", "type": "device"}),
            "device_id required for device subscription",
        ),
        (json!({"action": "dance"}), "Unknown action: dance"),
        (json!([]), "Invalid JSON"),
    ] {
        socket.send(&message).await;
        let error = socket.next().await;
        assert_like("telemetry", "error", &error, &["type"], &[]);
        assert_eq!(error["message"], text);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_without_a_tenant_sees_nobodys_data() {
    let world = World::start().await;
    applied(
        &world,
        "dev-0001",
        &[
            metrics("dev-0001", json!({"n": 1})),
            alert("dev-0001", "a1", "OPEN"),
        ],
    )
    .await;
    let mut socket = open(&world, &world.node.api.token).await;
    for name in ["subscribe-device", "subscribe-alerts", "subscribe-fleet"] {
        socket.send(&fixture("telemetry", name)).await;
    }
    assert_eq!(
        socket.until("alerts").await,
        json!({"type": "alerts", "alerts": []})
    );
    assert_eq!(socket.until("fleet_summary").await["data"]["total"], 0);
    world
        .admin
        .send_events(&[metrics("dev-0001", json!({"n": 2}))])
        .await;
    let again = tokio::time::timeout(std::time::Duration::from_secs(12), socket.try_next()).await;
    let again = again.expect("a push").expect("the socket goes on");
    assert_eq!(again, json!({"type": "alerts", "alerts": []}));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenants_devices_alerts_and_fleet_stay_behind_the_wall() {
    let world = World::start().await;
    applied(
        &world,
        "dev-0001",
        &[
            metrics("dev-0001", json!({"n": 1})),
            alert("dev-0001", "a1", "OPEN"),
        ],
    )
    .await;
    let other = world
        .node
        .api
        .token(&json!({"role": "admin", "tenant": "other"}))
        .await;
    let mut socket = open(&world, &other).await;
    for name in ["subscribe-device", "subscribe-alerts", "subscribe-fleet"] {
        socket.send(&fixture("telemetry", name)).await;
    }
    assert_eq!(socket.until("alerts").await["alerts"], json!([]));
    assert_eq!(socket.until("fleet_summary").await["data"]["total"], 0);
    let other = world.admin.with_token(&other);
    other
        .send_events(&[metrics("dev-0001", json!({"mine": 1}))])
        .await;
    let pushed = socket.until("telemetry").await;
    assert_eq!(pushed["data"]["metrics"], json!({"mine": 1}));
    world.end().await;
}
