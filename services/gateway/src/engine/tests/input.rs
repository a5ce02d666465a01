//! What clients say over WebSocket: devices that they choose one by one, and how much is heard at a time.

use std::sync::Arc;

use access::{Principal, Scope};
use journal::Topic;

use super::world::{Client, World, run, small};
use crate::settings::Settings;
use crate::subscription::{Delivery, DeviceSet, Transport, View};

/// A client's frame, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    bytes.extend_from_slice(payload);
    bytes
}

fn client(devices: DeviceSet) -> Client {
    let mut client = Client::new(View::Events, Delivery::Every, devices);
    client.subscription.transport = Transport::WebSocket;
    client.subscription.chooses = true;
    client
}

fn says(world: &mut World, client: &Client, bytes: &[u8]) {
    client.pipe.lock().input.extend(bytes);
    world.core.readable(client.token.unwrap());
}

/// How often bytes came that stand in no text.
fn count(client: &Client, bytes: &[u8]) -> usize {
    let pipe = client.pipe.lock();
    pipe.taken
        .windows(bytes.len())
        .filter(|taken| *taken == bytes)
        .count()
}

/// The devices whose records came since, in their order.
async fn shown(world: &mut World, client: &Client) -> Vec<String> {
    client.pipe.lock().taken.clear();
    let placement = journal::Placement::new("t", 3, 3);
    for device in ["a", "b", "c"] {
        let partition = placement.of(device);
        let key = format!("t/{device}");
        world
            .log
            .append(Topic::Events, partition, &key, "telemetry", None);
        world.log.reveal(Topic::Events, partition);
    }
    for _ in 0..100 {
        world.step(1).await;
    }
    let pipe = client.pipe.lock();
    let text = String::from_utf8_lossy(&pipe.taken);
    let keys = ["a", "b", "c"].into_iter();
    let mut shown: Vec<String> = keys
        .filter(|key| text.contains(&format!("\"t/{key}\"")))
        .map(str::to_owned)
        .collect();
    shown.sort_unstable();
    shown
}

/// `others` is how many devices are chosen besides, which nobody speaks of.
async fn choices_one_by_one(scope: Scope, others: usize) {
    let mut world = World::new(&small(), 0);
    let others = (0..others).map(|number| format!("other-{number}").into());
    let mut client = client(DeviceSet::Set(Arc::new(others.collect())));
    client.subscription.principal = Arc::new(Principal {
        devices: scope.clone(),
        ..Principal::system("tester")
    });
    world.ensure(Topic::Events).await;
    world.open(&mut client);
    world.give(&mut client, usize::MAX / 4);
    for _ in 0..100 {
        world.step(1).await;
    }
    assert_eq!(shown(&mut world, &client).await, Vec::<String>::new());
    for (said, expected) in [
        ("+a", &["a"][..]),
        ("+b", &["a", "b"]),
        ("+b", &["a", "b"]),
        ("-a", &["b"]),
        ("-c", &["b"]),
        ("+c", if scope.contains("c") { &["b", "c"] } else { &["b"] }),
        ("-b", if scope.contains("c") { &["c"] } else { &[] }),
    ] {
        says(&mut world, &client, &frame(0x81, said.as_bytes()));
        assert_eq!(shown(&mut world, &client).await, expected, "after {said}");
    }
}

#[test]
fn devices_that_are_chosen_one_by_one_are_shown_and_those_let_go_are_not() {
    run(choices_one_by_one(Scope::All, 0));
}

#[test]
fn devices_are_chosen_one_by_one_also_where_a_stream_has_more_than_a_cohort_takes() {
    run(choices_one_by_one(Scope::All, 63));
    run(choices_one_by_one(Scope::All, 64));
    run(choices_one_by_one(Scope::All, 90));
}

#[test]
fn devices_out_of_scope_are_not_shown_whenever_they_are_chosen() {
    let scope = ["a", "b"].map(Box::from);
    run(choices_one_by_one(Scope::Devices(Arc::new(scope.into())), 0));
}

#[test]
fn a_client_that_says_much_at_once_is_heard_at_a_pace_and_as_a_whole() {
    run(async {
        let settings = Settings {
            // A hundred messages at once, then one in a millisecond.
            client_work_burst: 1_600,
            client_work_per_s: 16_000,
            ..small()
        };
        let mut world = World::new(&settings, 0);
        let mut client = client(DeviceSet::All);
        world.ensure(Topic::Events).await;
        world.open(&mut client);
        world.give(&mut client, usize::MAX / 4);
        let many = 1_000;
        says(&mut world, &client, &frame(0x89, b"").repeat(many));
        let at_once = count(&client, &[0x8a, 0]);
        assert!((1..=101).contains(&at_once), "{at_once}");
        for _ in 0..300 {
            world.step(1).await;
        }
        let soon = count(&client, &[0x8a, 0]);
        assert!((at_once + 1..600).contains(&soon), "{soon}");
        for _ in 0..3_000 {
            world.step(1).await;
        }
        assert_eq!(count(&client, &[0x8a, 0]), many);
    });
}
