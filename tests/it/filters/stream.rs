//! Streams of devices with a filter.

use serde_json::{Value, json};
use tests::stream::{Carrier, Ended, Streaming};
use tests::world::World;

use super::{drives, with_q};

const BOTH: [Carrier; 2] = [Carrier::Sse, Carrier::WebSocket];

/// What a frame says, in short: a device and its speed, or who left or went.
fn said(data: &Value) -> String {
    match (data["left"].as_str(), data["deleted"].as_str()) {
        (Some(left), _) => format!("{left} left"),
        (_, Some(deleted)) => format!("{deleted} deleted"),
        (None, None) => {
            let id = data["device"]["id"].as_str().expect("an id");
            format!("{id} {}", data["device"]["fields"]["speed"])
        }
    }
}

async fn next(stream: &mut Streaming, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(said(&stream.data().await.data));
    }
    all
}

/// Waits until the tables have all that was sent.
async fn settled(world: &World, device: &str, cursor: &str) {
    let answer = world
        .admin
        .get(&format!("/v1/devices/{device}?min_cursor={cursor}"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_shown_while_it_passes_and_told_to_have_left_once() {
    let world = World::start().await;
    let query = with_q("view=devices&kind=telemetry", "speed > 80");
    let mut streams = Vec::new();
    for carrier in BOTH {
        streams.push(world.stream(carrier, &query, None).await);
    }
    let moves = [70, 90, 95, 70, 60, 85].map(|speed| drives("bus", speed, None));
    world.admin.send_events(&moves).await;
    for stream in &mut streams {
        assert_eq!(next(stream, 4).await, ["bus 90", "bus 95", "bus left", "bus 85"]);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_says_who_left_has_a_cursor_and_nothing_else() {
    let world = World::start().await;
    let query = with_q("view=devices&kind=telemetry", "speed > 80");
    for carrier in BOTH {
        let mut stream = world.stream(carrier, &query, None).await;
        world
            .admin
            .send_events(&[drives("bus", 90, None), drives("bus", 10, None)])
            .await;
        stream.until("device").await;
        let left = stream.until("left").await;
        let cursor = left.cursor.clone().expect("a cursor");
        let expected = match carrier {
            Carrier::Sse => json!({"left": "bus"}),
            Carrier::WebSocket => json!({"type": "left", "cursor": cursor, "left": "bus"}),
        };
        assert_eq!(left.data, expected);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_before_can_be_asked_for() {
    let world = World::start().await;
    let entered = "not @zone and zone = \"A\"";
    let after_a_pause = "updated_at - @updated_at >= 0s and @speed < speed";
    let mut entries = world
        .stream(
            Carrier::Sse,
            &with_q("view=devices&kind=telemetry", entered),
            None,
        )
        .await;
    let mut faster = world
        .stream(
            Carrier::WebSocket,
            &with_q("view=devices&kind=telemetry", after_a_pause),
            None,
        )
        .await;
    let moves = [
        drives("bus", 1, Some("A")),
        drives("bus", 2, Some("B")),
        drives("bus", 3, None),
        drives("bus", 2, Some("A")),
        drives("bus", 5, Some("A")),
    ];
    world.admin.send_events(&moves).await;
    assert_eq!(next(&mut entries, 2).await, ["bus 1", "bus 2"]);
    assert_eq!(next(&mut faster, 3).await, ["bus 2", "bus 3", "bus 5"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_shows_the_devices_that_pass_and_then_what_becomes_of_them() {
    let world = World::start().await;
    let fleet: Vec<Value> = (0..200)
        .map(|number| drives(&format!("bus-{number:03}"), i64::from(number % 10), Some("A")))
        .collect();
    let cursor = world.admin.send_events(&fleet).await;
    settled(&world, "bus-199", &cursor).await;
    let query = with_q(
        "view=devices&kind=telemetry&snapshot=true",
        "speed = 7 and zone = \"A\"",
    );
    for carrier in BOTH {
        let mut stream = world.stream(carrier, &query, None).await;
        let mut shown: Vec<String> = stream.rest().await.iter().map(said).collect();
        shown.sort_unstable();
        let expected: Vec<String> = (0..20)
            .map(|number| format!("bus-{:03} 7", 10 * number + 7))
            .collect();
        assert_eq!(shown, expected, "{carrier:?}");
        world.admin.send_events(&[drives("bus-007", 8, Some("A"))]).await;
        assert_eq!(next(&mut stream, 1).await, ["bus-007 left"]);
        let cursor = world.admin.send_events(&[drives("bus-007", 7, Some("A"))]).await;
        assert_eq!(next(&mut stream, 1).await, ["bus-007 7"]);
        settled(&world, "bus-007", &cursor).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_told_whatever_the_filter_says() {
    let world = World::start().await;
    let stream = async |q: &str| {
        world
            .stream(
                Carrier::Sse,
                &with_q("view=devices&kind=telemetry,deleted", q),
                None,
            )
            .await
    };
    let mut all = stream("speed > 80").await;
    let mut north = stream("site_id = \"north\"").await;
    let mut named = stream("id = \"tram\"").await;
    let cursor = world
        .admin
        .send_events(&[drives("bus", 1, None), drives("tram", 1, None)])
        .await;
    for device in ["bus", "tram"] {
        settled(&world, device, &cursor).await;
        assert_eq!(
            world.admin.delete(&format!("/v1/devices/{device}")).await.status,
            202
        );
    }
    assert_eq!(next(&mut named, 1).await, ["tram 1"]);
    for stream in [&mut all, &mut north, &mut named] {
        let mut deleted = next(stream, 2).await;
        deleted.sort_unstable();
        assert_eq!(deleted, ["bus deleted", "tram deleted"]);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_reaches_no_further_than_the_credential() {
    let world = World::start().await;
    let user = world.client(json!({"role": "user", "devices": ["bus"]})).await;
    let query = with_q("view=devices&kind=telemetry", "speed or id = \"tram\"");
    let mut stream = Streaming::open(&user, Carrier::Sse, &query, None)
        .await
        .expect("a stream");
    world
        .admin
        .send_events(&[drives("tram", 1, None), drives("bus", 2, None)])
        .await;
    assert_eq!(next(&mut stream, 1).await, ["bus 2"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_left_and_entered_again_between_two_rounds_is_told() {
    let world = World::start().await;
    let query = "view=devices&kind=telemetry&deliver=latest&every=700ms";
    let mut zone = world
        .stream(Carrier::Sse, &with_q(query, "zone = \"A\""), None)
        .await;
    let mut leaving = world
        .stream(
            Carrier::WebSocket,
            &with_q(query, "@zone = \"A\" and zone != \"A\""),
            None,
        )
        .await;
    world.admin.send_events(&[drives("bus", 1, Some("A"))]).await;
    assert_eq!(next(&mut zone, 1).await, ["bus 1"]);
    let moves = [
        drives("bus", 2, Some("B")),
        drives("bus", 3, Some("C")),
        drives("bus", 4, Some("A")),
    ];
    world.admin.send_events(&moves).await;
    assert_eq!(next(&mut zone, 2).await, ["bus left", "bus 4"]);
    assert_eq!(next(&mut leaving, 1).await, ["bus 2"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_filter_holds_from_its_answer_on() {
    let world = World::start().await;
    let query = with_q("view=devices&kind=telemetry", "speed > 80");
    let mut stream = world.stream(Carrier::WebSocket, &query, None).await;
    world.admin.send_events(&[drives("bus", 90, Some("A"))]).await;
    assert_eq!(next(&mut stream, 1).await, ["bus 90"]);
    for (q, moves, expected) in [
        ("speed < 10", [5, 50], ["bus 5", "bus left"]),
        ("zone = \"A\" and speed = 7", [7, 8], ["bus 7", "bus left"]),
        ("", [60, 61], ["bus 60", "bus 61"]),
        ("speed > 80", [90, 10], ["bus 90", "bus left"]),
    ] {
        stream.send(&json!({"type": "update", "q": q})).await;
        let updated = stream.until("updated").await;
        assert!(updated.cursor.is_some(), "{q}");
        world
            .admin
            .send_events(&moves.map(|speed| drives("bus", speed, Some("A"))))
            .await;
        assert_eq!(next(&mut stream, 2).await, expected, "{q}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_names_no_filter_keeps_it_and_a_bad_one_changes_nothing() {
    let world = World::start().await;
    let query = with_q("view=devices&kind=telemetry", "speed > 80");
    let mut stream = world.stream(Carrier::WebSocket, &query, None).await;
    stream.send(&json!({"type": "update", "device": ["bus"]})).await;
    stream.until("updated").await;
    stream.send(&json!({"type": "update", "q": "speed == 80"})).await;
    let told = stream.until("fault").await.data;
    let error = told["error"].as_str().expect("a reason");
    assert!(
        error.contains("column 7") && error.contains("use = for equality"),
        "{error}"
    );
    world
        .admin
        .send_events(&[
            drives("tram", 90, None),
            drives("bus", 70, None),
            drives("bus", 90, None),
        ])
        .await;
    assert_eq!(next(&mut stream, 1).await, ["bus 90"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_filter_is_a_400_that_points_at_the_column() {
    let world = World::start().await;
    for (query, q, column) in [
        ("view=devices", "speed == 80", Some(7)),
        ("view=devices", "", Some(1)),
        ("view=devices", "connected = true", Some(13)),
        ("view=devices", "(speed > 80", Some(12)),
        ("view=events", "speed > 80", None),
        ("kind=telemetry", "speed > 80", None),
    ] {
        for carrier in BOTH {
            let refused = Streaming::open(&world.admin, carrier, &with_q(query, q), None)
                .await
                .err();
            let Some(Ended::Status(400, body)) = refused else {
                panic!("{query} {q}, {carrier:?}: {refused:?}")
            };
            let problem: Value = serde_json::from_str(&body).expect("a problem");
            assert_eq!(problem["parameter"], "q", "{body}");
            assert_eq!(problem["column"].as_u64(), column, "{body}");
        }
    }
    world.end().await;
}
