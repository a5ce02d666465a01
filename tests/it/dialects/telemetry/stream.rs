//! The stream's frames, filters, and resumption.

use journal::Placement;
use serde_json::{Value, json};
use tests::fixture::text;
use tests::raw::Raw;
use tests::socket::Socket;
use tests::stream::Ended;
use tests::world::{TENANT, World};
use tokio_tungstenite::tungstenite::Message;

use super::{STREAM, connected, metrics};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_is_its_scalars_under_dotted_names() {
    let world = World::start().await;
    let mut socket = connected(&world, "").await;
    let fields = json!({"speed": 1.5, "on": true, "name": "x", "gone": null, "list": [1],
        "battery": {"level": 7}, "lat": 1.0, "lng": 2.0});
    world.admin.send_events(&[metrics("bus", json!({}))]).await;
    world
        .admin
        .send_events(&[metrics("bus", json!({"gone": null}))])
        .await;
    world.admin.send_events(&[metrics("bus", fields)]).await;
    assert_eq!(
        socket.next().await,
        json!({
            "type": "telemetry", "device_id": "bus", "tenant_id": TENANT,
            "metrics": {"speed": 1.5, "on": true, "name": "x", "battery.level": 7, "lat": 1.0, "lng": 2.0},
            "timestamp": "2026-02-17T10:00:00.000Z", "topic": "tenant/acme/device/bus/telemetry",
        })
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_metrics_and_devices_of_the_filter_come() {
    let world = World::start().await;
    let mut socket = connected(&world, "device_id=bus&metric=battery,speed").await;
    for (device, fields) in [
        ("tram", json!({"speed": 1})),
        ("bus", json!({"battery": {"level": 1}})),
        ("bus", json!({"speed": 2, "noise": 3})),
    ] {
        world.admin.send_events(&[metrics(device, fields)]).await;
    }
    assert_eq!(socket.next().await["metrics"], json!({"speed": 2}));
    world.end().await;
}

/// Sends a message and gives the answer, passing over updates.
async fn told(socket: &mut Socket, message: Value) -> Value {
    socket.send(&message).await;
    socket
        .first("an answer", |frame| frame["type"] != "telemetry")
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_change_while_it_runs() {
    let world = World::start().await;
    let mut socket = connected(&world, "").await;
    let rounds = [
        (
            json!({"action": "subscribe", "device_id": "bus"}),
            json!({"type": "subscribed", "device_id": "bus"}),
            vec!["bus"],
        ),
        (
            json!({"action": "subscribe", "device_ids": ["tram", "cab"]}),
            json!({"type": "subscribed", "device_ids": ["tram", "cab"]}),
            vec!["bus", "tram", "cab"],
        ),
        (
            json!({"action": "unsubscribe", "device_ids": ["tram", "cab"]}),
            json!({"type": "unsubscribed", "device_ids": ["tram", "cab"]}),
            vec!["bus"],
        ),
        (
            json!({"action": "set_metrics", "metrics": ["other"]}),
            json!({"type": "metrics_updated", "metrics": ["other"]}),
            vec![],
        ),
        (
            json!({"action": "set_metrics", "metrics": []}),
            json!({"type": "metrics_updated", "metrics": []}),
            vec!["bus"],
        ),
        (
            json!({"action": "unsubscribe", "device_id": "bus"}),
            json!({"type": "unsubscribed", "device_id": "bus"}),
            vec![],
        ),
        (
            json!({"action": "clear_filters"}),
            json!({"type": "filters_cleared"}),
            vec!["bus", "tram", "cab", "lift"],
        ),
    ];
    for (round, (message, answer, shown)) in rounds.into_iter().enumerate() {
        assert_eq!(told(&mut socket, message).await, answer);
        for device in ["bus", "tram", "cab", "lift"] {
            world
                .admin
                .send_events(&[metrics(device, json!({"n": round}))])
                .await;
        }
        // Everything of this round has come before what a wider filter shows of the mark.
        let mut seen = Vec::new();
        for _ in &shown {
            let frame = socket
                .first("an update", |frame| frame["metrics"]["n"] == round)
                .await;
            seen.push(frame["device_id"].as_str().expect("a device").to_owned());
        }
        seen.sort_unstable();
        let mut shown = shown;
        shown.sort_unstable();
        assert_eq!(seen, shown, "round {round}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_acted_on_is_told_and_ends_nothing() {
    let world = World::start().await;
    let mut socket = connected(&world, "").await;
    for (message, text) in [
        (json!({"action": "dance"}), "Unknown action: dance"),
        (json!({}), "Unknown action: null"),
        (json!([1]), "Invalid JSON"),
        (json!({"action": "subscribe"}), "device_id or device_ids required"),
        (
            json!({"action": "set_metrics", "metrics": 1}),
            "metrics must be an array",
        ),
    ] {
        let error = told(&mut socket, message).await;
        assert_eq!(error, json!({"type": "error", "message": text}));
    }
    for message in [Message::text("{"), Message::binary(vec![0, 159])] {
        socket.send_raw(message).await;
        assert_eq!(
            socket.next().await,
            json!({"type": "error", "message": "Invalid JSON"})
        );
    }
    world.admin.send_events(&[metrics("bus", json!({"n": 1}))]).await;
    assert_eq!(socket.next().await["device_id"], "bus");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_comes_after_a_silence() {
    // 30 s by the contract; the stream's own clock cannot be moved, so this is the one test that waits.
    let world = World::start().await;
    let mut socket = connected(&world, "").await;
    let ping = tokio::time::timeout(std::time::Duration::from_secs(40), socket.try_next()).await;
    let ping = ping.expect("a ping in time").expect("the socket goes on");
    assert_eq!(ping["type"], "ping");
    assert!(ping["ts"].as_str().is_some_and(|at| at.ends_with('Z')), "{ping}");
    world.end().await;
}

/// Devices of the tenant, by the partition they lie in: two in one, and one in another.
fn devices(world: &World) -> [String; 3] {
    let layout = &world.storage.opened().journal.layout;
    let placement = Placement::new(TENANT, layout.default_spread, layout.partitions);
    let named = |number: u32| format!("bus-{number}");
    let first = placement.of(&named(0));
    let beside = (1..).map(named).find(|name| placement.of(name) == first);
    let elsewhere = (1..).map(named).find(|name| placement.of(name) != first);
    [named(0), beside.expect("one"), elsewhere.expect("one")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn choices_made_in_the_beginning_hold_from_the_cursor_on_each_event_once() {
    let world = World::start().await;
    let [one, beside, elsewhere] = devices(&world);
    let query = format!("device_id={one}&cursor=1");
    let mut socket = connected(&world, &query).await;
    world.admin.send_events(&[metrics(&one, json!({"n": 0}))]).await;
    let cursor = socket.next().await["cursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    drop(socket);
    for n in 1..4 {
        for device in [&one, &beside, &elsewhere] {
            world.admin.send_events(&[metrics(device, json!({"n": n}))]).await;
        }
    }
    let mut socket = connected(&world, &format!("{query}&since={cursor}")).await;
    for n in 1..4 {
        let frame = socket.next().await;
        assert_eq!(
            (&frame["device_id"], &frame["metrics"]["n"]),
            (&json!(one), &json!(n))
        );
    }
    for chosen in [&beside, &elsewhere] {
        let answer = told(&mut socket, json!({"action": "subscribe", "device_id": chosen})).await;
        assert_eq!(answer["type"], "subscribed");
        for n in 1..4 {
            let frame = socket.next().await;
            assert_eq!(
                (&frame["device_id"], &frame["metrics"]["n"]),
                (&json!(chosen), &json!(n))
            );
        }
    }
    world.admin.send_events(&[metrics(&one, json!({"n": 4}))]).await;
    assert_eq!(socket.next().await["metrics"]["n"], 4);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_is_none_is_refused_before_the_upgrade() {
    let world = World::start().await;
    let path = format!("{STREAM}?token={}&since=nonsense", world.admin.token);
    let refused = Socket::open(&world.admin, &path, &[]).await.err();
    assert!(matches!(refused, Some(Ended::Status(400, ref body)) if body.starts_with("{\"detail\":")));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_is_spelled_as_documented_and_resumes() {
    let world = World::start().await;
    let head = Raw::head(&world.admin, "GET", &format!("{STREAM}/sse?device_id=bus"));
    let mut raw = Raw::send(&world.admin, format!("{head}\r\n").as_bytes()).await;
    let answer = raw.until("\r\n\r\n").await.to_lowercase();
    assert!(answer.contains("content-type: text/event-stream"), "{answer}");
    assert!(
        answer.contains("cache-control: no-cache") && answer.contains("x-accel-buffering: no"),
        "{answer}"
    );
    let opening = raw.chunk().await;
    assert!(
        opening.starts_with(": ") && opening.contains("\nretry: "),
        "{opening}"
    );
    world.admin.send_events(&[metrics("bus", json!({"n": 1}))]).await;
    let first = raw.chunk().await;
    let printed = text("telemetry", "sse-event.txt").replace("<json>\n", "");
    let (data, id) = first.split_once("\nid: ").expect("data, then id");
    let data = data.strip_prefix(&*printed).expect("data first");
    let frame: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(
        (&frame["type"], &frame.get("cursor")),
        (&json!("telemetry"), &None)
    );
    world.admin.send_events(&[metrics("bus", json!({"n": 2}))]).await;
    drop(raw);

    let resumed = format!("{head}Last-Event-ID: {}\r\n\r\n", id.trim_end());
    let mut raw = Raw::send(&world.admin, resumed.as_bytes()).await;
    assert!(raw.until("\nid: ").await.contains("\"metrics\":{\"n\":2}"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_is_no_cursor_starts_live_after_a_reset() {
    let world = World::start().await;
    world.admin.send_events(&[metrics("bus", json!({"n": 1}))]).await;
    let head = Raw::head(&world.admin, "GET", &format!("{STREAM}/sse"));
    let mut raw = Raw::send(
        &world.admin,
        format!("{head}Last-Event-ID: 17\r\n\r\n").as_bytes(),
    )
    .await;
    let reset = raw.until("\nid: ").await;
    assert!(
        reset.contains("event: reset\n") && reset.contains("\"reason\":\"invalid\""),
        "{reset}"
    );
    world.admin.send_events(&[metrics("bus", json!({"n": 2}))]).await;
    assert!(raw.until("\nid: ").await.contains("\"metrics\":{\"n\":2}"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_event_stream_is_kept_alive_by_a_comment_and_an_event() {
    let world = World::start().await;
    let head = Raw::head(&world.admin, "GET", &format!("{STREAM}/sse"));
    let mut raw = Raw::send(&world.admin, format!("{head}\r\n").as_bytes()).await;
    raw.until("retry: ").await;
    let long = std::time::Duration::from_secs(25);
    let printed = text("telemetry", "sse-keepalive.txt").replace("<comment>", "keepalive");
    raw.pass_over(&format!("{printed}event: keepalive\ndata: {{}}\nid: "), long)
        .await;
    world.end().await;
}
