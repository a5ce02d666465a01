//! `deliver=latest`: the newest of each device always arrives, and no cursor passes what is pending.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::{Offset, Partition, Topic};
use proptest::prelude::*;

use super::fake::PARTITIONS;
use super::world::{Client, World, run, small};
use crate::settings::Settings;
use crate::subscription::{Delivery, DeviceSet, View};

#[derive(Debug, Clone)]
enum Op {
    Append { partition: Partition, devices: Vec<u8> },
    Step { ms: u64 },
    Give { client: usize, bytes: usize },
    Cut { client: usize },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..PARTITIONS, prop::collection::vec(0..5_u8, 1..12))
            .prop_map(|(partition, devices)| Op::Append { partition, devices }),
        6 => (0..30_u64).prop_map(|ms| Op::Step { ms }),
        6 => (0..2_usize, 1..2_000_usize).prop_map(|(client, bytes)| Op::Give { client, bytes }),
        1 => (0..2_usize).prop_map(|client| Op::Cut { client }),
    ]
}

/// The newest offset that a client has of each device, by partition and device.
type Newest = BTreeMap<(Partition, String), Offset>;

fn take(world: &World, client: &mut Client, newest: &mut Newest) {
    for frame in client.take() {
        if let Some((partition, offset)) = frame.place() {
            let key = (partition, frame.json["key"].as_str().unwrap().to_owned());
            let had = newest.entry(key).or_default();
            *had = offset.max(*had);
        }
        for partition in 0..PARTITIONS {
            let Some(position) = frame.position(partition) else {
                continue;
            };
            for record in world.log.part(Topic::Events, partition).records {
                if record.offset < position {
                    let had = newest.get(&(partition, record.key.to_string())).copied();
                    assert!(
                        had.is_some_and(|had| had >= record.offset),
                        "{partition}/{} is behind the cursor {position}",
                        record.offset
                    );
                }
            }
        }
    }
}

async fn scenario(settings: Settings, seed: u64, ops: Vec<Op>) {
    let mut world = World::new(&settings, seed);
    let mut clients: Vec<Client> = [None, Some(Duration::from_millis(60))]
        .into_iter()
        .map(|every| {
            let mut client =
                Client::new(View::Events, Delivery::Latest, DeviceSet::All).from(&[(0, 0), (1, 0), (2, 0)]);
            client.subscription.every = every;
            client
        })
        .collect();
    let mut newest = [Newest::new(), Newest::new()];
    for client in &mut clients {
        world.open(client);
    }
    for op in ops {
        match op {
            Op::Append { partition, devices } => {
                for device in devices {
                    world.log.append(
                        Topic::Events,
                        partition,
                        &format!("t/{device}"),
                        "telemetry",
                        None,
                    );
                }
                world.log.reveal(Topic::Events, partition);
            }
            Op::Step { ms } => world.step(ms).await,
            Op::Give { client, bytes } => world.give(&mut clients[client], bytes),
            Op::Cut { client } => {
                world.cut(&mut clients[client]);
                world.open(&mut clients[client]);
            }
        }
        for (client, newest) in clients.iter_mut().zip(&mut newest) {
            take(&world, client, newest);
        }
    }
    for client in &mut clients {
        world.give(client, usize::MAX / 4);
    }
    for _ in 0..2_000 {
        world.step(1).await;
        for (client, newest) in clients.iter_mut().zip(&mut newest) {
            take(&world, client, newest);
        }
    }
    for newest in &newest {
        for partition in 0..PARTITIONS {
            for record in world.log.part(Topic::Events, partition).records {
                let had = newest.get(&(partition, record.key.to_string())).copied();
                assert!(
                    had.is_some_and(|had| had >= record.offset),
                    "{partition}/{} never came",
                    record.offset
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn the_newest_of_each_device_arrives_and_no_cursor_passes_what_is_pending(
        devices_max in 1..6_usize, ring_bytes_max in 0..8_000_usize, seed in 0..1_000_u64,
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let settings = Settings { latest_devices_max: devices_max, ring_bytes_max, ..small() };
        run(scenario(settings, seed, ops));
    }
}

#[test]
fn a_blocked_client_gets_one_frame_for_many_records_of_a_device() {
    run(async {
        let mut world = World::new(&small(), 0);
        let mut client = Client::new(View::Events, Delivery::Latest, DeviceSet::All);
        world.open(&mut client);
        world.give(&mut client, 100_000);
        world.settle(std::slice::from_mut(&mut client)).await;
        client.pipe.lock().room = 0;
        for _ in 0..50 {
            world.log.append(Topic::Events, 0, "t/a", "telemetry", None);
            world.log.reveal(Topic::Events, 0);
            world.step(2).await;
        }
        world.give(&mut client, 100_000);
        world.settle(std::slice::from_mut(&mut client)).await;
        assert_eq!(client.places(), [(0, 49)]);
    });
}

#[test]
fn a_paced_client_gets_no_more_than_one_round_in_its_interval() {
    run(async {
        let settings = Settings {
            latest_devices_max: 100,
            ..small()
        };
        let mut world = World::new(&settings, 0);
        let mut client = Client::new(View::Events, Delivery::Latest, DeviceSet::All);
        client.subscription.every = Some(Duration::from_millis(500));
        world.open(&mut client);
        world.give(&mut client, 1_000_000);
        for _ in 0..200 {
            world.log.append(Topic::Events, 0, "t/a", "telemetry", None);
            world.log.reveal(Topic::Events, 0);
            world.step(10).await;
        }
        world.settle(std::slice::from_mut(&mut client)).await;
        let places = client.places();
        assert!((4..=6).contains(&places.len()), "{places:?}");
        assert_eq!(places.last(), Some(&(0, 199)));
    });
}
