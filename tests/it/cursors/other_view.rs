//! Cursors of the other view, of fewer partitions, and of a snapshot that is over.

use serde_json::{Value, json};
use tests::stream::{Carrier, Ended, Streaming};
use tests::wait::until;
use tests::world::World;

use super::{apart, line, parsed, partition};

fn named(device: &str, name: &str) -> Value {
    json!({"device": device, "kind": "device", "name": name})
}

/// Waits until the state shows what was written.
async fn applied(world: &World, device: &str, cursor: &str) {
    let read = world
        .admin
        .get(&format!("/v1/devices/{device}?min_cursor={cursor}"))
        .await;
    assert_eq!(read.status, 200, "{}", read.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_devices_on_events_is_a_400_that_names_both() {
    let world = World::start().await;
    let cursor = world
        .stream(Carrier::Sse, "view=devices&since=earliest", None)
        .await
        .until("caught_up")
        .await
        .cursor;
    let cursor = cursor.expect("a cursor");
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        // Over SSE it comes in the header: it can be read, and no browser made it by itself.
        for (query, header) in [
            (format!("since={cursor}"), None),
            (String::new(), Some(cursor.as_str())),
        ] {
            let refused = Streaming::open(&world.admin, carrier, &query, header).await.err();
            let Some(Ended::Status(400, body)) = refused else {
                panic!("{refused:?}")
            };
            assert!(
                body.contains("view=devices") && body.contains("view=events"),
                "{body}"
            );
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_events_on_devices_starts_with_the_changes_after_it() {
    let world = World::start().await;
    world.admin.send_events(&[named("bus", "one")]).await;
    let written = world.admin.send_events(&[named("bus", "two")]).await;
    let mut events = world
        .stream(Carrier::Sse, "kind=device&since=earliest", None)
        .await;
    events.data().await;
    let streamed = events.data().await.cursor.expect("a cursor");
    let end = world.admin.send_events(&[named("bus", "three")]).await;
    applied(&world, "bus", &end).await;
    for cursor in [&written, &streamed] {
        for carrier in [Carrier::Sse, Carrier::WebSocket] {
            let mut stream = world
                .stream(carrier, "view=devices&kind=device", Some(cursor))
                .await;
            let first = stream.data().await;
            assert_eq!(first.data["device"]["name"], "three", "{carrier:?}");
            assert_eq!(first.data["before"]["name"], "two");
            let after = parsed(&first.cursor.expect("a cursor"));
            assert_eq!(
                after.topic,
                journal::Topic::State,
                "from now on it is of view devices"
            );
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_is_newly_in_scope_starts_at_the_cursors_time_and_is_named() {
    let world = World::start().await;
    let (first, second) = apart(&world);
    let mut stream = world
        .stream(Carrier::Sse, &format!("device={first}&kind=log"), None)
        .await;
    world.admin.send_events(&[line(&first, "one")]).await;
    let cursor = stream.data().await.cursor.expect("a cursor");
    assert_eq!(parsed(&cursor).positions.len(), 1, "only what it touches");
    world
        .admin
        .send_events(&[line(&second, "two"), line(&first, "three")])
        .await;
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let query = format!("device={first},{second}&kind=log");
        let mut stream = world.stream(carrier, &query, Some(&cursor)).await;
        let mut seen = vec![stream.data().await.data, stream.data().await.data];
        seen.sort_by_key(|event| event["message"].to_string());
        assert_eq!(super::messages(&seen), ["three", "two"], "{carrier:?}");
        let caught_up = stream.until("caught_up").await;
        assert_eq!(
            caught_up.data["from_time"],
            json!([partition(&world, &second)]),
            "{carrier:?}"
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_its_snapshot_a_cursor_makes_the_snapshot_void() {
    let world = World::start().await;
    let written = world
        .admin
        .send_events(&[named("bus", "one"), named("tram", "one")])
        .await;
    applied(&world, "bus", &written).await;
    applied(&world, "tram", &written).await;
    let query = "view=devices&snapshot=true&kind=device";
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let mut stream = world.stream(carrier, query, None).await;
        let cursor = stream.until("caught_up").await.cursor.expect("a cursor");
        assert_eq!(parsed(&cursor).snapshot, None);
        drop(stream);
        let name = format!("{carrier:?}");
        world.admin.send_events(&[named("bus", &name)]).await;
        let mut stream = world.stream(carrier, query, Some(&cursor)).await;
        let first = stream.data().await.data;
        assert_eq!(
            (&first["device"]["name"], &first["changed"]),
            (&json!(name), &json!(["name"]))
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn since_takes_earliest_latest_a_time_and_a_cursor() {
    let world = World::start().await;
    let first = world.admin.send_events(&[line("bus", "one")]).await;
    let between = jiff::Timestamp::now().to_string();
    until("the clock has moved on by a millisecond", || async {
        let now = jiff::Timestamp::now().to_string();
        (now[..23] > between[..23]).then_some(())
    })
    .await;
    let between = jiff::Timestamp::now().to_string();
    world.admin.send_events(&[line("bus", "two")]).await;
    for (since, expected) in [
        ("earliest", vec!["one", "two", "three"]),
        (between.as_str(), vec!["two", "three"]),
        (first.as_str(), vec!["two", "three"]),
        ("2001-01-01T00:00:00%2B01:00", vec!["one", "two", "three"]),
        ("latest", vec!["three"]),
        ("2100-01-01T00:00:00Z", vec!["three"]),
    ] {
        for carrier in [Carrier::Sse, Carrier::WebSocket] {
            let device = format!("bus&kind=log&since={since}");
            let mut stream = world.stream(carrier, &format!("device={device}"), None).await;
            // A third event for every stream; of those before it, only the first two count.
            let mark = format!("three of {since} {carrier:?}");
            world.admin.send_events(&[line("bus", &mark)]).await;
            let mut seen = Vec::new();
            loop {
                let message = stream.data().await.data["message"]
                    .as_str()
                    .expect("a message")
                    .to_owned();
                if message == mark {
                    seen.push("three".to_owned());
                    break;
                }
                if !message.starts_with("three") {
                    seen.push(message);
                }
            }
            assert_eq!(seen, expected, "since={since}, {carrier:?}");
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_that_is_none_is_refused() {
    let world = World::start().await;
    for since in [
        "yesterday",
        "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:00+01:00",
        "12:00",
    ] {
        let answer = world.admin.get(&format!("/v1/stream?since={since}")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["parameter"]),
            (400, &json!("since")),
            "{since}"
        );
    }
    world.end().await;
}
