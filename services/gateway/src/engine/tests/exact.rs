//! `deliver=every`, view events: whatever happens, each record once, in order, and every cursor says
//! exactly what was delivered before it.

use std::collections::BTreeSet;
use std::sync::Arc;

use journal::{Offset, Partition, Topic};
use proptest::prelude::*;
use schemas::Kind;

use super::client::{Frame, Received};
use super::fake::PARTITIONS;
use super::world::{Client, World, run, small};
use crate::settings::Settings;
use crate::subscription::{Delivery, DeviceSet, KindSet, View};

const DEVICES: [&str; 4] = ["a", "b", "c", "d"];

/// The kind of what a device sends.
fn kind(device: usize) -> &'static str {
    ["telemetry", "presence"][device / 2]
}

#[derive(Debug, Clone)]
enum Op {
    Append {
        partition: Partition,
        devices: Vec<usize>,
    },
    Hole {
        partition: Partition,
    },
    Reveal {
        partition: Partition,
    },
    Step {
        ms: u64,
    },
    Give {
        client: usize,
        bytes: usize,
    },
    Cut {
        client: usize,
    },
    Open {
        client: usize,
    },
    Unavailable {
        partition: Partition,
        unavailable: bool,
    },
    Trim {
        partition: Partition,
        part: u64,
    },
}

fn op(trims: bool) -> impl Strategy<Value = Op> {
    let partition = 0..PARTITIONS;
    let trim = if trims { 2 } else { 0 };
    prop_oneof![
        8 => (partition.clone(), prop::collection::vec(0..DEVICES.len(), 1..9))
            .prop_map(|(partition, devices)| Op::Append { partition, devices }),
        2 => partition.clone().prop_map(|partition| Op::Hole { partition }),
        6 => partition.clone().prop_map(|partition| Op::Reveal { partition }),
        6 => (0..6_u64).prop_map(|ms| Op::Step { ms }),
        1 => (50..200_u64).prop_map(|ms| Op::Step { ms }),
        6 => (0..5_usize, 1..3_000_usize).prop_map(|(client, bytes)| Op::Give { client, bytes }),
        2 => (0..5_usize).prop_map(|client| Op::Cut { client }),
        4 => (0..5_usize).prop_map(|client| Op::Open { client }),
        1 => (partition.clone(), any::<bool>())
            .prop_map(|(partition, unavailable)| Op::Unavailable { partition, unavailable }),
        trim => (partition, 0..4_u64).prop_map(|(partition, part)| Op::Trim { partition, part }),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    (
        0..8_000_usize,
        1..12_usize,
        1..2_000_usize,
        1..9_usize,
        1..9_u64,
        100..900_usize,
    )
        .prop_map(
            |(
                ring_bytes_max,
                turn_records_max,
                turn_bytes_max,
                slice_records_max,
                block_align,
                block_bytes,
            )| Settings {
                ring_bytes_max,
                turn_records_max,
                turn_bytes_max,
                slice_records_max,
                block_align,
                block_bytes,
                ..small()
            },
        )
}

/// What one client must see, and has.
struct Expectation {
    devices: DeviceSet,
    birth: Vec<Option<Offset>>,
    /// The log's ends when the client came first: a live start lies at or before them.
    ends: [Offset; PARTITIONS as usize],
    /// Partitions that could not be read when the client came: what is trimmed before they can be is
    /// nobody's to know.
    unknown: [bool; PARTITIONS as usize],
    received: Received,
    resets: usize,
}

impl Expectation {
    /// Where the client has no position, it is live from here on.
    fn opened(&mut self, world: &World, client: &Client) {
        for (partition, (_, end)) in (0..).zip(world.bounds(Topic::Events)) {
            let position = client
                .cursor
                .as_ref()
                .and_then(|cursor| cursor.position(partition));
            if position.is_none() {
                self.ends[partition as usize] = end;
                self.unknown[partition as usize] |= world.log.part(Topic::Events, partition).unavailable;
            }
        }
    }

    /// Takes a frame and holds its cursor to what came before it.
    fn take(&mut self, world: &World, frame: &Frame) {
        if frame.control() == Some("reset") {
            assert_eq!(frame.json["extra"], "trimmed");
            self.resets += 1;
        }
        if let Some((partition, offset)) = frame.place() {
            let list = self.received.entry(partition).or_default();
            assert!(
                list.last().is_none_or(|last| *last < offset),
                "{partition}/{offset} after {list:?}"
            );
            list.push(offset);
        }
        for partition in 0..PARTITIONS {
            if let Some(position) = frame.position(partition) {
                self.check(world, partition, position);
            }
        }
    }

    /// The client has exactly what it should have of a partition before `position`.
    fn check(&mut self, world: &World, partition: Partition, position: Offset) {
        let part = world.log.part(Topic::Events, partition);
        let received = self.received.entry(partition).or_default();
        // The first cursor may come late: all since the opening counts.
        let end = self.ends[partition as usize];
        let birth = *self.birth[partition as usize].get_or_insert(position.min(end));
        let received: BTreeSet<Offset> = received.iter().copied().collect();
        assert!(
            received.iter().all(|offset| *offset < position),
            "{partition}: {received:?} and {position}"
        );
        for record in part
            .records
            .iter()
            .filter(|record| (birth..position).contains(&record.offset))
        {
            let device = record.key.split_once('/').unwrap().1;
            let has = received.contains(&record.offset);
            if self.devices.contains(device) {
                let is_told = self.resets > 0 || self.unknown[partition as usize];
                let is_lost = is_told && record.offset < part.start;
                assert!(
                    has || is_lost,
                    "{partition}/{} is missing before {position}",
                    record.offset
                );
            } else {
                assert!(!has, "{partition}/{} is not for this client", record.offset);
            }
        }
    }
}

fn append(world: &World, partition: Partition, device: usize) {
    let key = format!("t/{}", DEVICES[device]);
    world
        .log
        .append(Topic::Events, partition, &key, kind(device), None);
}

/// Records of the kinds that are `told` are not shown: the conversation tells of them.
async fn scenario(settings: Settings, seed: u64, told: KindSet, ops: Vec<Op>) {
    let mut world = World::new(&settings, seed);
    for partition in 0..PARTITIONS {
        for index in 0..seed % 23 {
            append(&world, partition, usize::try_from(index).unwrap() % DEVICES.len());
        }
    }
    let sets = [
        DeviceSet::All,
        DeviceSet::Set(Arc::new(BTreeSet::from(["a".into(), "c".into()]))),
        DeviceSet::Set(Arc::new(BTreeSet::from(["nobody".into()]))),
        // In step with the first, when they are live.
        DeviceSet::All,
        DeviceSet::All,
    ];
    let mut clients: Vec<Client> = sets
        .iter()
        .map(|devices| Client::new(View::Events, Delivery::Every, devices.clone()))
        .collect();
    for client in &mut clients {
        client.subscription.selection.told.kinds = told;
    }
    // The first is live, the second starts in the past, the third somewhere.
    clients[1].subscription.start.positions = (0..PARTITIONS).map(|partition| (partition, Some(0))).collect();
    clients[2].subscription.start.positions = vec![(1, Some(seed % 5).filter(|at| *at <= seed % 23))];
    let mut expectations: Vec<Expectation> = clients
        .iter()
        .map(|client| {
            let starts = &client.subscription.start.positions;
            let start = |partition| {
                starts
                    .iter()
                    .find(|(other, _)| *other == partition)
                    .and_then(|(_, at)| *at)
            };
            Expectation {
                devices: client.subscription.selection.devices.clone(),
                birth: (0..PARTITIONS).map(start).collect(),
                ends: [0; PARTITIONS as usize],
                unknown: [false; PARTITIONS as usize],
                received: Received::new(),
                resets: 0,
            }
        })
        .collect();

    for op in ops {
        let opens = if let Op::Open { client } = &op {
            Some(*client)
        } else {
            None
        };
        apply(&mut world, &mut clients, op).await;
        if let Some(client) = opens {
            expectations[client].opened(&world, &clients[client]);
        }
        for (client, expectation) in clients.iter_mut().zip(&mut expectations) {
            for frame in client.take() {
                expectation.take(&world, &frame);
            }
        }
    }
    finish(&mut world, &mut clients, &mut expectations).await;
}

async fn apply(world: &mut World, clients: &mut [Client], op: Op) {
    match op {
        Op::Append { partition, devices } => {
            for device in devices {
                append(world, partition, device);
            }
        }
        Op::Hole { partition } => world.log.edit(Topic::Events, partition, |part| part.end += 2),
        Op::Reveal { partition } => world.log.reveal(Topic::Events, partition),
        Op::Step { ms } => world.step(ms).await,
        Op::Give { client, bytes } => world.give(&mut clients[client], bytes),
        Op::Cut { client } => world.cut(&mut clients[client]),
        Op::Open { client } => {
            if clients[client].token.is_none() {
                world.ensure(Topic::Events).await;
                world.open(&mut clients[client]);
            }
        }
        Op::Unavailable {
            partition,
            unavailable,
        } => {
            world
                .log
                .edit(Topic::Events, partition, |part| part.unavailable = unavailable);
        }
        Op::Trim {
            partition,
            part: quarters,
        } => world.log.edit(Topic::Events, partition, |part| {
            // Tails stay within the log.
            let before = part.start + (part.revealed.saturating_sub(part.start)) * quarters / 4;
            part.start = before;
            let _kept_for_the_model = &part.records;
        }),
    }
}

/// Everything is revealed and read: every client has all.
async fn finish(world: &mut World, clients: &mut [Client], expectations: &mut [Expectation]) {
    for partition in 0..PARTITIONS {
        world
            .log
            .edit(Topic::Events, partition, |part| part.unavailable = false);
        world.log.reveal(Topic::Events, partition);
    }
    for (client, expectation) in clients.iter_mut().zip(expectations.iter_mut()) {
        if client.token.is_none() {
            world.ensure(Topic::Events).await;
            world.open(client);
            expectation.opened(world, client);
        }
        world.give(client, usize::MAX / 4);
    }
    let before: Vec<usize> = clients.iter().map(|client| client.frames.len()).collect();
    world.settle(clients).await;
    for ((client, expectation), before) in clients.iter().zip(expectations.iter_mut()).zip(before) {
        for frame in &client.frames[before..] {
            expectation.take(world, frame);
        }
        for partition in 0..PARTITIONS {
            let (_, end) = world.bounds(Topic::Events)[partition as usize];
            // With the end as its position, a client must have everything.
            if client
                .cursor
                .as_ref()
                .is_some_and(|cursor| cursor.position(partition).is_some())
            {
                expectation.check(world, partition, end);
            }
        }
        assert!(
            client.controls().contains(&"caught_up"),
            "{:?}",
            client.controls()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn each_record_comes_once_in_order_and_every_cursor_is_exact(
        settings in settings(), seed in 0..1_000_u64, ops in prop::collection::vec(op(false), 1..120),
    ) {
        run(scenario(settings, seed, KindSet::NONE, ops));
    }

    #[test]
    fn what_the_conversation_is_told_comes_in_its_place_among_what_is_shown(
        settings in settings(), seed in 0..1_000_u64, ops in prop::collection::vec(op(false), 1..120),
    ) {
        let told = KindSet::NONE.with(Kind::Presence);
        run(scenario(settings, seed, told, ops));
    }

    #[test]
    fn what_was_trimmed_is_missing_only_after_a_reset(
        settings in settings(), seed in 0..1_000_u64, ops in prop::collection::vec(op(true), 1..120),
    ) {
        run(scenario(settings, seed, KindSet::NONE, ops));
    }
}
