//! One sequence of events each, and what a client must see of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use journal::Topic;

use super::client::Probe;
use super::world::{Client, World, run, small};
use crate::dialect::{Control, Dialect, Item, Look};
use crate::subscription::{Delivery, DeviceSet, View};

pub(super) const ROOM: usize = 1_000_000;

pub(super) fn live() -> Client {
    Client::new(View::Events, Delivery::Every, DeviceSet::All)
}

pub(super) fn append(world: &World, partition: u32, count: usize) {
    for _ in 0..count {
        world
            .log
            .append(Topic::Events, partition, "t/a", "telemetry", None);
    }
    world.log.reveal(Topic::Events, partition);
}

pub(super) async fn opened(world: &mut World, client: &mut Client) {
    world.open(client);
    world.give(client, ROOM);
    world.settle(std::slice::from_mut(client)).await;
}

pub(super) async fn settled(world: &mut World, client: &mut Client) {
    world.settle(std::slice::from_mut(client)).await;
}

#[test]
fn a_live_stream_says_hello_then_caught_up_and_shows_what_comes_after() {
    run(async {
        let mut world = World::new(&small(), 0);
        append(&world, 0, 5);
        let mut client = live();
        opened(&mut world, &mut client).await;
        assert_eq!(client.controls(), ["hello", "caught_up"]);
        append(&world, 0, 2);
        append(&world, 1, 1);
        settled(&mut world, &mut client).await;
        let places: BTreeSet<_> = client.places().into_iter().collect();
        assert_eq!(places, BTreeSet::from([(0, 5), (0, 6), (1, 0)]));
    });
}

#[test]
fn caught_up_comes_once_exactly_behind_what_the_log_held_when_the_stream_opened() {
    run(async {
        let mut world = World::new(&small(), 1);
        append(&world, 0, 30);
        let mut client = live().from(&[(0, 3)]);
        client.subscription.start.ends = vec![(0, 30), (1, 0), (2, 0)];
        opened(&mut world, &mut client).await;
        append(&world, 0, 3);
        settled(&mut world, &mut client).await;
        let at = client
            .frames
            .iter()
            .position(|frame| frame.control() == Some("caught_up"))
            .unwrap();
        let before: Vec<u64> = client.frames[..at]
            .iter()
            .filter_map(|frame| Some(frame.place()?.1))
            .collect();
        assert_eq!(before, (3..30).collect::<Vec<u64>>());
        assert_eq!(
            client
                .controls()
                .iter()
                .filter(|name| **name == "caught_up")
                .count(),
            1
        );
        assert_eq!(client.places().len(), 30);
    });
}

#[test]
fn caught_up_does_not_wait_for_a_record_behind_a_hole_at_the_end() {
    run(async {
        let mut world = World::new(&small(), 0);
        let mut first = live();
        opened(&mut world, &mut first).await;
        append(&world, 0, 3);
        world.log.edit(Topic::Events, 0, |part| part.end += 2);
        let mut client = live().from(&[(0, 0), (1, 0), (2, 0)]);
        client.subscription.start.ends = vec![(0, 5)];
        opened(&mut world, &mut client).await;
        assert_eq!(client.controls(), ["hello", "caught_up"]);
        assert_eq!(client.places().len(), 3);
    });
}

#[test]
fn a_stream_that_starts_ahead_of_the_tail_shows_nothing_from_before_its_start() {
    run(async {
        let mut world = World::new(&small(), 0);
        let mut other = live();
        opened(&mut world, &mut other).await;
        for _ in 0..10 {
            world.log.append(Topic::Events, 0, "t/a", "telemetry", None);
        }
        let mut client = live().from(&[(0, 8)]);
        opened(&mut world, &mut client).await;
        assert!(client.places().is_empty());
        world.log.reveal(Topic::Events, 0);
        settled(&mut world, &mut client).await;
        assert_eq!(client.places(), [(0, 8), (0, 9)]);
        assert!(!client.controls().contains(&"reset"));
    });
}

#[test]
fn a_partition_that_nobody_followed_for_a_while_is_resumed_exactly() {
    run(async {
        let mut world = World::new(&small(), 0);
        let mut client = live();
        opened(&mut world, &mut client).await;
        append(&world, 0, 3);
        settled(&mut world, &mut client).await;
        world.cut(&mut client);
        for _ in 0..100 {
            world.step(10).await;
        }
        assert_eq!(world.tails(), 0, "the grace period has passed");
        append(&world, 0, 40);
        opened(&mut world, &mut client).await;
        append(&world, 0, 2);
        settled(&mut world, &mut client).await;
        assert_eq!(
            client.places(),
            (0..45).map(|offset| (0, offset)).collect::<Vec<_>>()
        );
    });
}

#[test]
fn a_log_that_loses_what_its_tail_would_read_next_is_told_as_a_reset() {
    run(async {
        let mut world = World::new(&small(), 0);
        let mut client = live();
        opened(&mut world, &mut client).await;
        append(&world, 0, 3);
        settled(&mut world, &mut client).await;
        for _ in 0..20 {
            world.log.append(Topic::Events, 0, "t/a", "telemetry", None);
        }
        world.log.edit(Topic::Events, 0, |part| part.start = 10);
        world.log.reveal(Topic::Events, 0);
        settled(&mut world, &mut client).await;
        append(&world, 0, 1);
        settled(&mut world, &mut client).await;
        assert_eq!(client.controls(), ["hello", "caught_up", "reset"]);
        let places: Vec<u64> = client.places().into_iter().map(|(_, offset)| offset).collect();
        assert_eq!(places, (0..3).chain(10..24).collect::<Vec<u64>>());
    });
}

#[test]
fn a_position_that_stays_ahead_of_the_log_is_reset_by_time() {
    run(async {
        let mut world = World::new(&small(), 0);
        append(&world, 0, 3);
        world.step(70_000).await;
        append(&world, 0, 2);
        let mut client = live().from(&[(0, 99)]);
        client.subscription.start.time_ms = world.wall_ms();
        opened(&mut world, &mut client).await;
        for _ in 0..50 {
            world.step(10).await;
        }
        settled(&mut world, &mut client).await;
        assert!(client.controls().contains(&"reset"), "{:?}", client.controls());
        // Two of them are younger than the cursor's time less 60 s.
        assert_eq!(client.places(), [(0, 3), (0, 4)]);
    });
}

#[test]
fn a_partition_that_is_away_is_told_and_holds_up_no_other() {
    run(async {
        let mut world = World::new(&small(), 0);
        world.log.edit(Topic::Events, 1, |part| part.unavailable = true);
        let mut client = live().from(&[(0, 0), (2, 0)]);
        world.open(&mut client);
        world.give(&mut client, ROOM);
        for _ in 0..30 {
            world.step(5).await;
        }
        append(&world, 0, 2);
        for _ in 0..30 {
            world.step(5).await;
        }
        client.take();
        assert_eq!(client.places(), [(0, 0), (0, 1)]);
        let degraded = |client: &Client| -> Vec<String> {
            let told = client
                .frames
                .iter()
                .filter(|frame| frame.control() == Some("degraded"));
            told.map(|frame| frame.json["extra"].to_string()).collect()
        };
        assert_eq!(degraded(&client), ["[1]"]);
        world.log.edit(Topic::Events, 1, |part| part.unavailable = false);
        for _ in 0..100 {
            world.step(5).await;
        }
        append(&world, 1, 1);
        settled(&mut world, &mut client).await;
        assert_eq!(degraded(&client), ["[1]", "[]"]);
        assert_eq!(client.places().last(), Some(&(1, 0)));
    });
}

#[test]
fn what_was_acknowledged_while_a_partition_could_not_be_followed_yet_is_delivered() {
    run(async {
        let mut world = World::new(&small(), 0);
        world.log.edit(Topic::Events, 1, |part| part.unavailable = true);
        let mut client = live();
        world.ensure(Topic::Events).await;
        world.open(&mut client);
        world.give(&mut client, ROOM);
        append(&world, 1, 1);
        world.log.edit(Topic::Events, 1, |part| part.unavailable = false);
        settled(&mut world, &mut client).await;
        assert_eq!(client.places(), [(1, 0)]);
    });
}

#[test]
fn an_idle_stream_gets_keep_alives_whose_cursor_moves_on() {
    run(async {
        let mut world = World::new(&small(), 0);
        let nobody = DeviceSet::Set(Arc::new(BTreeSet::from(["nobody".into()])));
        let mut client = Client::new(View::Events, Delivery::Every, nobody);
        opened(&mut world, &mut client).await;
        append(&world, 0, 7);
        for _ in 0..70 {
            world.step(10).await;
        }
        client.take();
        let last = client.frames.last().unwrap();
        assert_eq!((last.control(), last.position(0)), (Some("keepalive"), Some(7)));
    });
}

#[test]
fn a_stuck_client_holds_no_more_after_many_records_than_after_few() {
    run(async {
        let mut world = World::new(&small(), 0);
        let mut client = live();
        opened(&mut world, &mut client).await;
        client.pipe.lock().room = 100;
        let mut held = Vec::new();
        for _ in 0..20 {
            append(&world, 0, 100);
            for _ in 0..40 {
                world.step(1).await;
            }
            held.push(world.core.held_bytes(client.token.unwrap()));
        }
        assert!(
            held.iter().all(|bytes| *bytes == held[0] && *bytes < 500),
            "{held:?}"
        );
        world.give(&mut client, ROOM);
        settled(&mut world, &mut client).await;
        assert_eq!(
            client.places(),
            (0..2_000).map(|offset| (0, offset)).collect::<Vec<_>>()
        );
    });
}

/// Counts the data frames that are made.
struct Counting(Arc<AtomicUsize>);

impl Dialect for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn data(&self, look: Look<'_>, item: Item<'_>, cursor: &str, out: &mut Vec<u8>) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        Probe.data(look, item, cursor, out)
    }

    fn control(
        &self,
        look: Look<'_>,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str> {
        Probe.control(look, control, cursor, out)
    }
}

#[test]
fn live_streams_of_one_form_share_one_frame() {
    run(async {
        let mut world = World::new(&small(), 0);
        let made = Arc::new(AtomicUsize::new(0));
        let mut clients: Vec<Client> = (0..20).map(|_| live()).collect();
        for client in &mut clients {
            client.subscription.dialect = Arc::new(Counting(Arc::clone(&made)));
            opened(&mut world, client).await;
        }
        append(&world, 0, 5);
        world.settle(&mut clients).await;
        assert!(clients.iter().all(|client| client.places().len() == 5));
        assert_eq!(made.load(Ordering::Relaxed), 5);
    });
}

#[test]
fn a_reconnect_storm_reads_the_log_once() {
    run(async {
        let settings = crate::settings::Settings {
            block_bytes: 2_000,
            block_align: 16,
            block_cache_bytes_max: 100_000,
            ..small()
        };
        let mut world = World::new(&settings, 2);
        append(&world, 0, 60);
        let mut clients: Vec<Client> = (0..40)
            .map(|index| live().from(&[(0, index % 4), (1, 0), (2, 0)]))
            .collect();
        for client in &mut clients {
            world.open(client);
            world.give(client, ROOM);
        }
        world.settle(&mut clients).await;
        for (index, client) in clients.iter().enumerate() {
            assert_eq!(client.places().len(), 60 - index % 4);
        }
        // Three blocks of 20 records, and blocks that begin between them.
        assert!(*world.log.reads.lock() <= 8, "{} reads", world.log.reads.lock());
    });
}

#[test]
fn a_stream_of_no_device_is_live_at_once_and_silent() {
    run(async {
        let mut world = World::new(&small(), 0);
        let mut client = Client::new(View::Events, Delivery::Every, DeviceSet::Set(Arc::default()));
        client.subscription.partitions = Vec::new();
        opened(&mut world, &mut client).await;
        append(&world, 0, 3);
        settled(&mut world, &mut client).await;
        assert_eq!(client.controls(), ["hello", "caught_up"]);
        assert!(client.places().is_empty());
    });
}
