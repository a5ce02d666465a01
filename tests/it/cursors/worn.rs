//! Cursors of which the log has not kept everything that came after: trimmed, compacted.

use std::time::Duration;

use serde_json::{Value, json};
use tests::stream::{Carrier, Streaming};
use tests::wait::until;
use tests::world::World;

use super::{line, partition, quiet};

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn with_quick_maintenance() -> World {
    World::with(|config| {
        config.embedded.maintenance_interval = Duration::from_millis(50);
        // Time jumps here: nobody is to be told that the device fell silent.
        config.projector.stale_after = 1_000 * DAY;
        config.projector.offline_after = 2_000 * DAY;
    })
    .await
}

async fn first_message(world: &World, query: &str) -> Option<String> {
    let mut stream = world
        .stream(Carrier::Sse, &format!("{query}&since=earliest"), None)
        .await;
    let events = stream.rest().await;
    Some(events.first()?["message"].as_str()?.to_owned())
}

async fn next(stream: &mut Streaming) -> (String, Value) {
    let frame = stream.next().await.expect("the stream goes on");
    if frame.kind == "hello" {
        return Box::pin(next(stream)).await;
    }
    (frame.kind, frame.data)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trimmed_it_says_from_where_to_where_and_goes_on_with_the_earliest_event_kept() {
    let world = with_quick_maintenance().await;
    let cursor = world.admin.send_events(&[line("bus", "one")]).await;
    world.admin.send_events(&[line("bus", "two")]).await;
    world.clock.advance(8 * DAY);
    world
        .admin
        .send_events(&[line("bus", "three"), line("bus", "four")])
        .await;
    until("the first events are gone", || async {
        (first_message(&world, "device=bus&kind=log").await.as_deref() == Some("three")).then_some(())
    })
    .await;
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let mut stream = world.stream(carrier, "device=bus&kind=log", Some(&cursor)).await;
        let (kind, reset) = next(&mut stream).await;
        assert_eq!(
            (kind.as_str(), &reset["reason"]),
            ("reset", &json!("trimmed")),
            "{carrier:?}"
        );
        let partition = partition(&world, "bus").to_string();
        let time = |name: &str| -> jiff::Timestamp {
            reset[name][&partition]
                .as_str()
                .expect("a time")
                .parse()
                .expect("a time")
        };
        let gap = time("available").duration_since(time("requested"));
        assert!(gap.as_hours() >= 8 * 24 - 1, "{reset}");
        assert!(reset.get("duplicates").is_none(), "{reset}");
        assert_eq!(stream.data().await.data["message"], "three", "{carrier:?}");
        let after = stream.data().await;
        assert_eq!(after.data["message"], "four", "{carrier:?}");
        // The cursor after it is a good one again.
        let mut stream = world
            .stream(carrier, "device=bus&kind=log", after.cursor.as_deref())
            .await;
        let kind = next(&mut stream).await.0;
        assert_ne!(kind, "reset", "{carrier:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_the_last_event_trimmed_nothing_is_lost_and_nothing_said() {
    let world = with_quick_maintenance().await;
    world.admin.send_events(&[line("bus", "one")]).await;
    quiet(&world, "bus").await;
    let end = world
        .stream(Carrier::Sse, "device=bus&since=earliest", None)
        .await
        .until("caught_up")
        .await;
    world.clock.advance(8 * DAY);
    world.admin.send_events(&[line("bus", "two")]).await;
    until("the first event is gone", || async {
        (first_message(&world, "device=bus&kind=log").await.as_deref() == Some("two")).then_some(())
    })
    .await;
    let mut stream = world
        .stream(Carrier::Sse, "device=bus&kind=log", end.cursor.as_deref())
        .await;
    let (kind, frame) = next(&mut stream).await;
    assert_eq!(
        (kind.as_str(), &frame["message"]),
        ("event", &json!("two")),
        "{frame}"
    );
    world.end().await;
}

async fn name(world: &World, device: &str, name: &str) {
    let cursor = world
        .admin
        .send_events(&[json!({"device": device, "kind": "device", "name": name})])
        .await;
    let read = world
        .admin
        .get(&format!("/v1/devices/{device}?min_cursor={cursor}"))
        .await;
    assert_eq!(
        (read.status.as_u16(), &read.json["name"]),
        (200, &json!(name)),
        "{}",
        read.text
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_devices_and_older_than_the_compaction_lag_it_says_so_and_gives_a_snapshot() {
    let world = with_quick_maintenance().await;
    name(&world, "bus", "one").await;
    let end = world
        .stream(Carrier::Sse, "view=devices&since=earliest", None)
        .await
        .until("caught_up")
        .await;
    let cursor = end.cursor.expect("a cursor");
    name(&world, "bus", "two").await;
    name(&world, "tram", "one").await;
    world.clock.advance(8 * DAY);
    name(&world, "bus", "three").await;
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let mut stream = world.stream(carrier, "view=devices", Some(&cursor)).await;
        let (kind, reset) = next(&mut stream).await;
        assert_eq!(
            (kind.as_str(), &reset["reason"]),
            ("reset", &json!("compacted")),
            "{carrier:?}"
        );
        let mut names = Vec::new();
        for _ in 0..2 {
            let document = stream.data().await.data;
            assert!(document.get("changed").is_none(), "a snapshot: {document}");
            names.push(format!(
                "{} {}",
                document["device"]["id"], document["device"]["name"]
            ));
        }
        names.sort();
        assert_eq!(names, ["\"bus\" \"three\"", "\"tram\" \"one\""], "{carrier:?}");
        stream.until("caught_up").await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_devices_and_old_it_continues_where_nothing_older_follows() {
    let world = with_quick_maintenance().await;
    world.admin.send_events(&[line("bus", "hello")]).await;
    quiet(&world, "bus").await;
    name(&world, "bus", "one").await;
    let end = world
        .stream(Carrier::Sse, "view=devices&since=earliest", None)
        .await
        .until("caught_up")
        .await;
    let cursor = end.cursor.expect("a cursor");
    world.clock.advance(8 * DAY);
    name(&world, "bus", "two").await;
    let mut stream = world
        .stream(Carrier::Sse, "view=devices&kind=device", Some(&cursor))
        .await;
    let (kind, change) = next(&mut stream).await;
    assert_eq!(
        (kind.as_str(), &change["before"]["name"]),
        ("device", &json!("one")),
        "{change}"
    );
    world.end().await;
}
