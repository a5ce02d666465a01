//! Presence over the whole way: appended, read back, folded.

use std::time::Duration;

use journal::Topic;
use projector::Settings;
use schemas::event::{Presence, Status};
use schemas::{Body, Event};
use state::DeviceKey;

use crate::events::{event, offline, speed};
use crate::truth::assert_true;
use crate::world::{SECOND, START, World, partition_of, quick, until};

/// The clock of a test stands still between two steps, so no step is an outage.
fn watched() -> Settings {
    Settings {
        unobserved_max: Duration::from_secs(3_600),
        ..quick()
    }
}

async fn status(world: &World, device: &str) -> Option<Status> {
    let probe = event("", device, 0, Body::Deleted);
    let key = DeviceKey {
        tenant: probe.tenant.clone(),
        device: device.into(),
    };
    let found = world
        .store
        .documents
        .get(&[(partition_of(&probe), key)])
        .await
        .unwrap();
    found
        .into_iter()
        .next()
        .flatten()
        .and_then(|stored| stored.document.status)
}

async fn becomes(world: &World, device: &str, expected: Status) {
    until(&format!("{device} is {}", expected.word()), async || {
        status(world, device).await == Some(expected)
    })
    .await;
}

/// Statuses that the log gives to a device, with the ones before.
async fn story(world: &World, device: &str) -> Vec<(Option<Status>, Option<Status>)> {
    let mut story = Vec::new();
    for (_, record) in world.read_all(Topic::Events).await {
        let event = Event::decode(record.value.as_ref().unwrap()).unwrap();
        if let (Body::Presence(Presence { status, previous, .. }), true) =
            (&event.body, &*event.device == device)
        {
            story.push((*previous, *status));
        }
    }
    story
}

/// A device of the same partition as `device` that nobody knows yet.
fn neighbour(device: &str) -> Event {
    let of = |name: &str| partition_of(&event("", name, 0, Body::Deleted));
    let name = (0..)
        .map(|n| format!("marker-{n}"))
        .find(|name| of(name) == of(device))
        .unwrap();
    event(&format!("marker of {device}"), &name, START, speed(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_told_once_each_step_with_the_status_before() {
    let world = World::new().await;
    let running = world.start(watched());
    // The first look at a partition is the end of time unobserved.
    world
        .append(&[event("a", "bus", world.time.now(), speed(1))])
        .await;
    becomes(&world, "bus", Status::Online).await;
    world.time.advance(31 * SECOND);
    becomes(&world, "bus", Status::Stale).await;
    world.time.advance(600 * SECOND);
    becomes(&world, "bus", Status::Offline).await;
    world
        .append(&[event("b", "bus", world.time.now(), speed(1))])
        .await;
    becomes(&world, "bus", Status::Online).await;
    world.quiet(&world.store).await;
    let (online, stale, gone) = (Some(Status::Online), Some(Status::Stale), Some(Status::Offline));
    assert_eq!(
        story(&world, "bus").await,
        [(None, online), (online, stale), (stale, gone), (gone, online)]
    );
    assert_true(&world, &world.store).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_says_goodbye_is_offline_until_it_is_heard_again() {
    let world = World::new().await;
    let running = world.start(watched());
    world
        .append(&[
            event("a", "bus", START, speed(1)),
            event("b", "bus", START + 1, offline()),
        ])
        .await;
    becomes(&world, "bus", Status::Offline).await;
    world.append(&[event("c", "bus", START + 2, speed(1))]).await;
    becomes(&world, "bus", Status::Online).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_go_on_after_a_hand_over() {
    let world = World::new().await;
    let first = world.start(watched());
    world.append(&[event("a", "bus", START, speed(1))]).await;
    becomes(&world, "bus", Status::Online).await;
    first.stop().await;
    let second = world.start(watched());
    until("it follows", async || {
        second.health().is_ready() && second.health().partitions.len() == 2
    })
    .await;
    // Until its first look nobody observed anything; whenever that was, it is over after this.
    becomes_after(&world, "bus", Status::Stale, 20 * SECOND).await;
    becomes_after(&world, "bus", Status::Offline, 200 * SECOND).await;
    world.quiet(&world.store).await;
    assert_eq!(story(&world, "bus").await.len(), 3);
    second.stop().await;
}

/// Moves the clock step by step until the device has the status.
async fn becomes_after(world: &World, device: &str, expected: Status, step: i64) {
    let mut looks = 0;
    until(&format!("{device} is {}", expected.word()), async || {
        looks += 1;
        if looks % 20 == 0 {
            world.time.advance(step);
        }
        status(world, device).await == Some(expected)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_projector_marks_nobody_silent() {
    let world = World::new().await;
    let settings = Settings {
        batch_records_max: 3,
        ..quick()
    };
    let first = world.start(settings.clone());
    world.append(&[event("a", "bus", START, speed(1))]).await;
    becomes(&world, "bus", Status::Online).await;
    first.stop().await;
    // It goes on reporting for ten minutes, and is last heard just now.
    let reports: Vec<Event> = (1..=40)
        .map(|n: i64| event(&format!("r{n}"), "bus", START + n * 15 * SECOND, speed(n)))
        .collect();
    world.time.advance(600 * SECOND);
    world.append(&reports).await;
    let second = world.start(settings);
    world.append(&[neighbour("bus")]).await;
    // What is decided about the neighbour is decided after the look at all timers before it.
    becomes(&world, &neighbour("bus").device, Status::Online).await;
    world.quiet(&world.store).await;
    assert_eq!(story(&world, "bus").await, [(None, Some(Status::Online))]);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_everything_gives_devices_time_to_come_back() {
    let world = World::new().await;
    let first = world.start(quick());
    world.append(&[event("a", "bus", START, speed(1))]).await;
    becomes(&world, "bus", Status::Online).await;
    first.stop().await;
    world.time.advance(3_600 * SECOND);
    let second = world.start(quick());
    until("it follows", async || {
        second.health().is_ready() && second.health().partitions.len() == 2
    })
    .await;
    world.time.advance(4 * SECOND);
    let marker = Event {
        received_at: world.time.now(),
        ..neighbour("bus")
    };
    world.append(&[marker]).await;
    becomes(&world, &neighbour("bus").device, Status::Online).await;
    world.quiet(&world.store).await;
    assert_eq!(story(&world, "bus").await, [(None, Some(Status::Online))]);
    second.stop().await;
}
