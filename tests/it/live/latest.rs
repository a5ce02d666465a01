//! `deliver=latest`: the newest of each device, at the pace that was asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tests::api::reading;
use tests::stream::{Carrier, Streaming};
use tests::world::World;
use tokio::time::Instant;

/// Data frames until every device shows `last`; the values of `n` by device, in order.
async fn conflated(
    stream: &mut Streaming,
    devices: usize,
    last: u64,
    of: fn(&Value) -> &Value,
) -> BTreeMap<String, Vec<u64>> {
    let mut seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    while seen
        .values()
        .filter(|values| values.last() == Some(&last))
        .count()
        < devices
    {
        let frame = stream.data().await;
        let item = of(&frame.data);
        let id = item
            .get("device")
            .or_else(|| item.get("id"))
            .and_then(Value::as_str)
            .expect("an id");
        let value = item["fields"]["n"].as_u64().expect("a number");
        seen.entry(id.to_owned()).or_default().push(value);
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_each_round_shows_the_newest_of_each_device_and_the_last_is_never_left_out() {
    let world = World::start().await;
    for (view, carrier) in [
        ("events", Carrier::Sse),
        ("events", Carrier::WebSocket),
        ("devices", Carrier::Sse),
        ("devices", Carrier::WebSocket),
    ] {
        let query = format!("view={view}&kind=telemetry&deliver=latest&every=400ms");
        forget(&world).await;
        let mut stream = world.stream(carrier, &query, None).await;
        let begun = Instant::now();
        for burst in 0..10 {
            let events =
                (0..20).flat_map(|n| (0..3).map(move |bus| reading(&format!("bus-{bus}"), burst * 20 + n)));
            world.admin.send_events(&events.collect::<Vec<_>>()).await;
        }
        let of: fn(&Value) -> &Value = if view == "events" {
            |data| data
        } else {
            |data| &data["device"]
        };
        let seen = conflated(&mut stream, 3, 199, of).await;
        let rounds = begun.elapsed().as_millis() / 400 + 2;
        for (device, values) in &seen {
            assert!(values.is_sorted(), "{view}, {carrier:?}: {device}: {values:?}");
            assert!(
                values.len() as u128 <= rounds,
                "{view}, {carrier:?}: {device}: {values:?} in {rounds} rounds"
            );
        }
    }
    world.end().await;
}

/// Nothing is there, and the state shows it.
async fn forget(world: &World) {
    for bus in 0..3 {
        let path = format!("/v1/devices/bus-{bus}");
        let deleted = world.admin.delete(&path).await.json["cursor"]
            .as_str()
            .expect("a cursor")
            .to_owned();
        let read = world.admin.get(&format!("{path}?min_cursor={deleted}")).await;
        assert_eq!(read.status, 404, "{}", read.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_is_what_was_shown_last_and_changed_all_that_differs_since() {
    let world = World::start().await;
    let mut stream = world
        .stream(
            Carrier::Sse,
            "view=devices&device=bus&kind=telemetry&deliver=latest&every=200ms",
            None,
        )
        .await;
    let end = 300;
    let writing = async {
        for n in 1..=end {
            world.admin.send_events(&[reading("bus", n)]).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let reading = async {
        let (mut shown, mut frames) = (Value::Null, 0);
        while shown != end {
            let data = stream.data().await.data;
            let before = data["before"]["fields"].get("n").unwrap_or(&Value::Null);
            assert_eq!(*before, shown, "{data}");
            shown = data["device"]["fields"]["n"].clone();
            frames += 1;
        }
        frames
    };
    let ((), frames) = tokio::join!(writing, reading);
    assert!(frames < end, "nothing was conflated");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_cursor_stays_before_what_is_pending() {
    let world = World::start().await;
    let query = "kind=telemetry&deliver=latest&every=10s";
    let mut stream = world.stream(Carrier::Sse, query, None).await;
    world.admin.send_events(&[reading("bus-0", 1)]).await;
    let first = stream.data().await;
    // These wait for the next round: a client that is cut now gets them when it comes back.
    let events: Vec<Value> = (0..8).map(|bus| reading(&format!("bus-{bus}"), 2)).collect();
    world.admin.send_events(&events).await;
    drop(stream);
    let mut stream = world.stream(Carrier::Sse, query, first.cursor.as_deref()).await;
    let seen = conflated(&mut stream, 8, 2, |data| data).await;
    assert_eq!(seen.len(), 8);
    world.end().await;
}
