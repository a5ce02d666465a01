//! Cursors of a log that is not this one, or that this one has not got to.

use std::time::Duration;

use journal::Cursor;
use serde_json::{Value, json};
use tests::stream::{Carrier, Frame};
use tests::world::World;

use super::{line, messages, parsed, partition, quiet};

/// The frames up to `caught_up`: what was told first, and the events.
async fn resumed(world: &World, carrier: Carrier, query: &str, cursor: &str) -> (Option<Frame>, Vec<Value>) {
    let mut stream = world.stream(carrier, query, Some(cursor)).await;
    let (mut reset, mut events) = (None, Vec::new());
    loop {
        let frame = stream.next().await.expect("the stream goes on");
        match frame.kind.as_str() {
            "reset" => {
                assert!(
                    events.is_empty() && reset.is_none(),
                    "a reset comes first, and once"
                );
                reset = Some(frame);
            }
            "caught_up" => return (reset, events),
            "event" | "device" | "deleted" => events.push(frame.data),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_cursor_continues_with_the_next_event_and_says_nothing() {
    let world = World::start().await;
    let cursor = world
        .admin
        .send_events(&[line("bus", "one"), line("bus", "two")])
        .await;
    world.admin.send_events(&[line("bus", "three")]).await;
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let (reset, events) = resumed(&world, carrier, "device=bus&kind=log", &cursor).await;
        assert_eq!((reset, messages(&events)), (None, vec!["three"]));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_copied_data_directory_an_old_cursor_resets_and_goes_on_by_time() {
    let world = World::start().await;
    world.admin.send_events(&[line("bus", "one")]).await;
    let cursor = world.admin.send_events(&[line("bus", "two")]).await;
    world.admin.send_events(&[line("bus", "three")]).await;
    let world = Box::pin(world.on_a_copy()).await;
    world.admin.send_events(&[line("bus", "four")]).await;
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let (reset, events) = resumed(&world, carrier, "device=bus&kind=log", &cursor).await;
        let reset = reset.expect("a reset").data;
        assert_eq!(
            (&reset["reason"], &reset["duplicates"]),
            (&json!("epoch"), &json!(true))
        );
        assert!(
            reset["requested"][partition(&world, "bus").to_string()].is_string(),
            "{reset}"
        );
        // All are within the 60 s that it goes back; none is left out.
        assert_eq!(messages(&events), ["one", "two", "three", "four"]);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reset_of_another_epoch_gives_a_cursor_of_this_one() {
    let world = World::start().await;
    let cursor = world.admin.send_events(&[line("bus", "one")]).await;
    let world = Box::pin(world.on_a_copy()).await;
    let mut stream = world
        .stream(Carrier::Sse, "device=bus&kind=log", Some(&cursor))
        .await;
    let reset = stream.until("reset").await;
    assert_eq!(
        parsed(&reset.cursor.expect("a cursor")).epoch,
        world.storage.opened().journal.epoch
    );
    let after = stream.data().await.cursor.expect("a cursor");
    world.admin.send_events(&[line("bus", "two")]).await;
    let (reset, events) = resumed(&world, Carrier::Sse, "device=bus&kind=log", &after).await;
    assert_eq!((reset, messages(&events)), (None, vec!["two"]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_snapshot_of_another_epoch_begins_anew() {
    let world = World::start().await;
    let devices: Vec<Value> = (0..10)
        .map(|number| json!({"device": format!("bus-{number}"), "kind": "device", "name": "Bus"}))
        .collect();
    let written = world.admin.send_events(&devices).await;
    let wait = format!("/v1/devices/bus-9?min_cursor={written}");
    assert_eq!(world.admin.get(&wait).await.status, 200);
    let query = "view=devices&snapshot=true";
    let mut stream = world.stream(Carrier::Sse, query, None).await;
    stream.data().await;
    let cursor = stream.data().await.cursor.expect("a cursor");
    assert!(
        parsed(&cursor).snapshot.is_some(),
        "in the middle of the snapshot"
    );
    drop(stream);
    let world = Box::pin(world.on_a_copy()).await;
    let (reset, mut shown) = resumed(&world, Carrier::WebSocket, query, &cursor).await;
    assert_eq!(reset.expect("a reset").data["reason"], "epoch");
    shown.retain(|frame| frame.get("changed").is_none());
    assert_eq!(shown.len(), 10, "the whole snapshot");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ahead_of_the_log_it_resets_after_some_patience_and_goes_on_by_time() {
    let patience = Duration::from_millis(300);
    let world = World::with(|config| config.gateway.ahead_max = patience).await;
    let cursor = world.admin.send_events(&[line("bus", "one")]).await;
    let ahead = moved(&cursor, 1_000);
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let (reset, events) = resumed(&world, carrier, "device=bus&kind=log", &ahead).await;
        let reset = reset.expect("a reset").data;
        assert_eq!(
            (&reset["reason"], &reset["duplicates"]),
            (&json!("ahead"), &json!(true))
        );
        assert_eq!(messages(&events), ["one"]);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_gets_to_the_cursor_in_time_makes_no_reset() {
    let world = World::with(|config| config.gateway.ahead_max = Duration::from_secs(60)).await;
    world.admin.send_events(&[line("bus", "one")]).await;
    quiet(&world, "bus").await;
    let end = world
        .stream(Carrier::Sse, "device=bus&since=earliest", None)
        .await
        .until("caught_up")
        .await;
    let ahead = moved(&end.cursor.expect("a cursor"), 1);
    let opening = async {
        let mut stream = world.stream(Carrier::Sse, "device=bus", Some(&ahead)).await;
        let mut kinds = Vec::new();
        loop {
            let frame = stream.next().await.expect("the stream goes on");
            kinds.push(frame.kind.clone());
            if frame.kind == "event" {
                return (kinds, frame.data);
            }
        }
    };
    let writing = async {
        for message in ["two", "three"] {
            world.admin.send_events(&[line("bus", message)]).await;
        }
    };
    let ((kinds, event), ()) = tokio::join!(opening, writing);
    assert_eq!(
        event["message"], "three",
        "the cursor stands behind the first of them"
    );
    assert!(!kinds.iter().any(|kind| kind == "reset"), "{kinds:?}");
    world.end().await;
}

fn moved(cursor: &str, by: u64) -> String {
    let mut cursor: Cursor = parsed(cursor);
    cursor.positions.iter_mut().for_each(|(_, offset)| *offset += by);
    cursor.to_string()
}
