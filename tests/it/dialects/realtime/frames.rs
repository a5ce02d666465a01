//! What the document prints, frame by frame.

use serde_json::{Value, json};
use tests::fixture::{assert_like, fixture};
use tests::socket::Socket;
use tests::wait::until;
use tests::world::World;
use tokio_tungstenite::tungstenite::Message;

use super::{TIME, changed, connected, lock, subscribed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_frame_has_an_id_of_its_own() {
    let world = World::start().await;
    let path = format!("/realtime?api_key={}", world.admin.token);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut socket = Socket::open(&world.admin, &path, &[]).await.expect("a socket");
        let frame = socket.next().await;
        assert_like("realtime", "connected", &frame, &["type"], &[]);
        let id = frame["connectionId"].as_str().expect("an id").to_owned();
        let parts: Vec<&str> = id.split('-').collect();
        assert!(
            parts[0] == "conn" && parts[1..].iter().all(|part| part.parse::<u64>().is_ok()),
            "{id}"
        );
        ids.push(id);
    }
    assert_ne!(ids[0], ids[1]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_are_echoed_each_id_once_in_the_order_sent_also_again() {
    let world = World::start().await;
    let mut socket = connected(&world.admin, "").await;
    for (message, answer) in [
        (
            fixture("realtime", "subscribe"),
            fixture("realtime", "subscribed"),
        ),
        (
            fixture("realtime", "subscribe"),
            fixture("realtime", "subscribed"),
        ),
        (
            fixture("realtime", "example-subscribe"),
            changed("subscribed", |frame| frame["hardwareIds"] = json!(["ABC123"])),
        ),
        (
            fixture("realtime", "unsubscribe"),
            fixture("realtime", "unsubscribed"),
        ),
        (
            fixture("realtime", "unsubscribe"),
            fixture("realtime", "unsubscribed"),
        ),
        (
            json!({"type": "subscribe", "hardwareIds": ["Z", "A", "Z"]}),
            json!({"type": "subscribed", "hardwareIds": ["Z", "A"]}),
        ),
        (
            json!({"type": "subscribe", "hardwareIds": []}),
            json!({"type": "subscribed", "hardwareIds": []}),
        ),
    ] {
        socket.send(&message).await;
        assert_eq!(socket.next().await, answer, "{message}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telemetry_is_what_one_update_reported_null_included() {
    let world = World::start().await;
    let mut socket = subscribed(&world, "").await;
    let printed = fixture("realtime", "device_data");
    let event =
        |fields: &Value| json!({"device": "ABC123", "kind": "telemetry", "time": TIME, "fields": fields});
    world.admin.send_events(&[event(&printed["payload"])]).await;
    let frame = socket.until("device_data").await;
    assert_like("realtime", "device_data", &frame, &["type"], &[]);
    assert_eq!(frame, printed);
    world.admin.send_events(&[event(&json!({}))]).await;
    let odd = json!({"a": null, "b": {"c": [1, {"d": 2}]}, "e.f": "x"});
    world.admin.send_events(&[event(&odd)]).await;
    assert_eq!(socket.until("device_data").await["payload"], odd);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn liveness_is_told_when_it_changes() {
    let world = World::start().await;
    let mut socket = subscribed(&world, "").await;
    let presence = |status: &str, previous: &str| {
        json!({"device": "ABC123", "kind": "presence", "time": TIME, "status": status, "previous": previous,
            "reason": "report"})
    };
    let events = [
        presence("ONLINE", "OFFLINE"),
        presence("STALE", "ONLINE"),
        presence("OFFLINE", "STALE"),
    ];
    world.admin.send_events(&events).await;
    assert_eq!(
        socket.next().await,
        changed("device_status", |frame| frame["payload"]["is_online"] =
            json!(true))
    );
    let offline = socket.next().await;
    assert_like("realtime", "device_status", &offline, &["type"], &[]);
    assert_eq!(offline, fixture("realtime", "device_status"));
    world
        .admin
        .send_events(&[lock(true, "evt_125", "key", json!({}))])
        .await;
    assert_eq!(socket.next().await["type"], "device_locked");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_of_silence_that_a_report_overtook_is_not_told() {
    let world = World::start().await;
    let mut socket = subscribed(&world, "").await;
    let report = |n: u32| json!({"device": "ABC123", "kind": "telemetry", "fields": {"n": n}});
    world.admin.send_events(&[report(1)]).await;
    let online = socket.until("device_status").await;
    assert_eq!(online["payload"]["is_online"], true);
    let since: jiff::Timestamp = online["timestamp"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    let deadline = since + jiff::SignedDuration::from_millis(1);
    let deadline_text = Value::from(format!("{deadline:.3}"));
    until("its deadline has passed", async || {
        (jiff::Timestamp::now() > deadline).then_some(())
    })
    .await;
    let presence = |reason: &str, status: &str| {
        json!({"device": "ABC123", "kind": "presence", "status": status, "previous": "ONLINE",
            "reason": reason})
    };
    let mut overtaken = presence("silence", "STALE");
    overtaken["time"] = deadline_text.clone();
    world.admin.send_events(&[report(2), overtaken]).await;
    let later = [
        lock(true, "evt_125", "key", json!({})),
        presence("report", "OFFLINE"),
    ];
    world.admin.send_events(&later).await;
    socket.until("device_locked").await;
    let offline = socket.until("device_status").await;
    assert_eq!(offline["payload"]["is_online"], false);
    assert_ne!(offline["timestamp"], deadline_text, "that verdict was void");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_carry_a_code_or_metadata_as_their_source_has_them() {
    let world = World::start().await;
    let mut socket = subscribed(&world, "").await;
    let both = json!({"code": "ABC123", "metadata": {"by": "ann"}});
    for (locked, id, source) in [
        (false, "evt_123", "rfid"),
        (false, "evt_124", "keypad"),
        (true, "evt_125", "key"),
        (true, "evt_126", "remote"),
    ] {
        world
            .admin
            .send_events(&[lock(locked, id, source, both.clone())])
            .await;
        let frame = socket
            .first("a lock", |frame| frame.get("eventId").is_some())
            .await;
        let mut expected = if locked {
            fixture("realtime", "device_locked")
        } else {
            fixture("realtime", "device_unlocked")
        };
        expected["eventId"] = json!(id);
        expected["source"] = json!(source);
        if source == "remote" {
            expected["metadata"] = json!({"by": "ann"});
        }
        assert_eq!(frame, expected);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_told_in_the_documents_words_and_end_nothing() {
    let world = World::start().await;
    let mut socket = connected(&world.admin, "").await;
    for (message, text) in [
        (json!({"type": "subscribe"}), "hardwareIds must be an array"),
        (
            json!({"type": "subscribe", "hardwareIds": "ABC123"}),
            "hardwareIds must be an array",
        ),
        (
            json!({"type": "unsubscribe", "hardwareIds": [1]}),
            "hardwareIds must be an array of strings",
        ),
        (json!({"type": "dance"}), "Unknown message type: dance"),
        (json!({}), "Unknown message type: undefined"),
    ] {
        socket.send(&message).await;
        let error = socket.next().await;
        assert_like("realtime", "error", &error, &["type"], &[]);
        assert_eq!(error["message"], text);
    }
    for message in [Message::text("{"), Message::binary(vec![0, 159])] {
        socket.send_raw(message).await;
        assert_eq!(
            socket.next().await,
            json!({"type": "error", "message": "Invalid JSON"})
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_before_a_subscription_or_after_it_ended() {
    let world = World::start().await;
    let mut socket = connected(&world.admin, "").await;
    let mut witness = subscribed(&world, "").await;
    let event = |n: u64| json!({"device": "ABC123", "kind": "telemetry", "fields": {"n": n}});
    for (round, name) in [(1, "connected"), (3, "unsubscribe")] {
        if name == "unsubscribe" {
            socket.send(&fixture("realtime", name)).await;
            socket.until("unsubscribed").await;
        }
        world.admin.send_events(&[event(round)]).await;
        witness
            .first("the event", |frame| frame["payload"]["n"] == round)
            .await;
        // The answer would stand behind it.
        socket.send(&json!({"type": "mark"})).await;
        assert_eq!(socket.next().await["message"], "Unknown message type: mark");
        socket.send(&fixture("realtime", "example-subscribe")).await;
        socket.until("subscribed").await;
        world.admin.send_events(&[event(round + 1)]).await;
        socket
            .first("the next", |frame| frame["payload"]["n"] == round + 1)
            .await;
    }
    world.end().await;
}
