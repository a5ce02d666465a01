//! What the document prints, frame by frame, and what its words mean.

use serde_json::{Value, json};
use tests::fixture::{assert_like, fixture};
use tests::world::{TENANT, World};
use tokio_tungstenite::tungstenite::Message;

use super::{back_online, filter, filtered, marked, opened, telemetry, update};

fn network(is_connected: bool, n: u64) -> Value {
    telemetry(
        "tag-1",
        json!({"network": {"is_connected": is_connected}, "n": n}),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_comes_only_when_a_device_comes_back_online() {
    let world = World::start().await;
    let mut socket = filtered(&world.admin, "", &back_online()).await;
    for (is_connected, n) in [(true, 1), (true, 2), (false, 3), (false, 4), (true, 5)] {
        world.admin.send_events(&[network(is_connected, n)]).await;
        // The first time it is seen counts as coming online.
        if n == 1 || n == 5 {
            let frame = socket.next().await;
            assert_like("filter", "update", &frame, &[], &[]);
            assert_eq!(frame["update"]["n"], n);
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_has_what_it_reports_beside_the_members_of_its_head() {
    let world = World::start().await;
    let mut socket = filtered(&world.admin, "", "speed > 80").await;
    let reported = json!({"speed": 90, "id": "mine", "update_time": 1, "site": {"zone": "A"}});
    world.admin.send_events(&[telemetry("p/tag-1", reported)]).await;
    let device = update(&mut socket).await;
    for (name, value) in [
        ("id", json!("p/tag-1")),
        ("tenant", json!(TENANT)),
        ("speed", json!(90)),
        ("site", json!({"zone": "A"})),
        ("alerts", json!([])),
    ] {
        assert_eq!(device[name], value, "{device}");
    }
    assert_eq!(device["update_time"], device["updated_at"], "{device}");
    let time = device["update_time"].as_str().expect("a time");
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    assert!(device.get("fields").is_none(), "{device}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clear_undoes_all_filters_and_says_nothing() {
    let world = World::start().await;
    let mut socket = filtered(&world.admin, "", "n").await;
    let mut witness = filtered(&world.admin, "", "n").await;
    socket.send(&filter("device_is_gone or n")).await;
    socket.send(&fixture("filter", "clear")).await;
    socket.send(&json!({"mark": 1})).await;
    // It is the first that comes.
    assert!(socket.next().await["error"]["unknown_command"].is_string());
    world
        .admin
        .send_events(&[telemetry("tag", json!({"n": 1}))])
        .await;
    update(&mut witness).await;
    world.admin.delete("/v1/devices/tag").await;
    witness
        .first("a deletion", |frame| frame.get("delete").is_some())
        .await;
    socket.send(&filter("n = 2")).await;
    socket.send(&json!({"mark": 1})).await;
    assert!(socket.next().await["error"]["unknown_command"].is_string());
    world
        .admin
        .send_events(&[telemetry("tag", json!({"n": 2}))])
        .await;
    assert_eq!(update(&mut socket).await["n"], 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_filter_is_told_with_its_column_and_the_others_stay() {
    let world = World::start().await;
    let mut socket = filtered(&world.admin, "", "n = 1").await;
    // As the document prints it.
    socket.send(&fixture("filter", "filter")).await;
    let frame = socket.next().await;
    assert_like("filter", "error", &frame, &[], &[]);
    let text = frame["error"]["filter_parse"].as_str().expect("a text");
    assert!(text.starts_with("column 1: found '<', expected a"), "{text}");
    socket.send(&filter("n == 1")).await;
    let text = socket.next().await["error"]["filter_parse"].to_string();
    assert!(
        text.contains("column 3") && text.contains("use = for equality"),
        "{text}"
    );
    world
        .admin
        .send_events(&[telemetry("tag", json!({"n": 1}))])
        .await;
    assert_eq!(update(&mut socket).await["n"], 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_messages_are_told_what_they_are_and_end_nothing() {
    let world = World::start().await;
    let mut socket = opened(&world.admin, "").await;
    for (message, kind) in [
        (Message::text("{\"subscribe\":{}}"), "unknown_command"),
        (Message::text("{\"filter\":1}"), "unknown_command"),
        (Message::text("5"), "unknown_command"),
        (Message::text("{"), "invalid_json"),
        (Message::binary(vec![0, 159]), "invalid_json"),
    ] {
        let shown = format!("{message:?}");
        socket.send_raw(message).await;
        let answer = socket.next().await;
        assert!(answer["error"][kind].is_string(), "{shown}: {answer}");
        assert_eq!(answer["error"].as_object().map(serde_json::Map::len), Some(1));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_told_while_any_filter_is_there_whatever_it_says() {
    let world = World::start().await;
    let mut silent = opened(&world.admin, "").await;
    let mut socket = filtered(&world.admin, "", "n = 99").await;
    let cursor = world
        .admin
        .send_events(&[telemetry("device-id", json!({"n": 1}))])
        .await;
    let path = format!("/v1/devices/device-id?min_cursor={cursor}");
    assert_eq!(world.admin.get(&path).await.status, 200);
    assert_eq!(world.admin.delete("/v1/devices/device-id").await.status, 202);
    assert_eq!(socket.next().await, fixture("filter", "delete"));
    silent.send(&json!({"mark": 1})).await;
    assert!(silent.next().await["error"]["unknown_command"].is_string());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_no_snapshot_and_a_device_of_two_filters_comes_once() {
    let world = World::start().await;
    let cursor = world
        .admin
        .send_events(&[telemetry("tag", json!({"speed": 90}))])
        .await;
    let path = format!("/v1/devices/tag?min_cursor={cursor}");
    assert_eq!(world.admin.get(&path).await.status, 200);
    let mut socket = filtered(&world.admin, "", "speed = 95 and id = \"tag\"").await;
    socket.send(&filter("speed >= 95")).await;
    marked(&mut socket).await;
    for speed in [95, 96] {
        world
            .admin
            .send_events(&[telemetry("tag", json!({"speed": speed}))])
            .await;
        let frame = socket.next().await;
        assert_eq!(frame["update"]["speed"], speed, "{frame}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_matched_is_sent_as_it_was_also_if_it_matches_no_more() {
    let world = World::start().await;
    let mut socket = filtered(&world.admin, "", "speed > 80").await;
    let moves = [70, 90, 10].map(|speed| telemetry("tag", json!({"speed": speed})));
    world.admin.send_events(&moves).await;
    assert_eq!(update(&mut socket).await["speed"], 90);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_too_many_is_refused_and_the_others_stay() {
    let world = World::start().await;
    let mut socket = opened(&world.admin, "").await;
    for number in 0..64 {
        socket.send(&filter(&format!("n = {number}"))).await;
    }
    // It is there already.
    socket.send(&filter("(n) = 63")).await;
    socket.send(&filter("n = 64")).await;
    let text = socket.next().await["error"]["filter_parse"].to_string();
    assert!(text.contains("64 filters"), "{text}");
    for n in [64, 63] {
        world
            .admin
            .send_events(&[telemetry("tag", json!({"n": n}))])
            .await;
    }
    assert_eq!(update(&mut socket).await["n"], 63);
    world.end().await;
}
