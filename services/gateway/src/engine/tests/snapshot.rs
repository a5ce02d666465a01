//! Snapshot, then live: whatever the projector does meanwhile and wherever it is cut, the client ends on
//! the final documents.

use std::collections::BTreeMap;

use journal::{Offset, Partition, Placement, Topic};
use proptest::prelude::*;
use state::{Applied, Stored};

use super::fake::{PARTITIONS, document};
use super::world::{Client, World, run, small};
use crate::settings::Settings;
use crate::subscription::{Delivery, DeviceSet, SnapshotStart, View};

#[derive(Debug, Clone)]
enum Op {
    Change {
        device: u8,
        deleted: bool,
    },
    Reveal,
    Materialise {
        partition: Partition,
        records: usize,
    },
    Applied {
        partition: Partition,
    },
    Step {
        ms: u64,
    },
    Give {
        bytes: usize,
    },
    Cut,
    /// Another build of the tables is filled as far as these are.
    Rebuild,
    /// Cut, and opened at a gateway that reads the other build.
    CutToOther,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..12_u8, prop::bool::weighted(0.15)).prop_map(|(device, deleted)| Op::Change { device, deleted }),
        3 => Just(Op::Reveal),
        3 => (0..PARTITIONS, 1..6_usize).prop_map(|(partition, records)| Op::Materialise { partition, records }),
        2 => (0..PARTITIONS).prop_map(|partition| Op::Applied { partition }),
        6 => (0..8_u64).prop_map(|ms| Op::Step { ms }),
        6 => (1..900_usize).prop_map(|bytes| Op::Give { bytes }),
        2 => Just(Op::Cut),
        1 => Just(Op::Rebuild),
        1 => Just(Op::CutToOther),
    ]
}

/// A projector that works in steps, and what it should have led to.
#[derive(Default)]
struct Projector {
    /// Next source offset, by partition; grows by more than one: not every event changes a document.
    sources: BTreeMap<Partition, Offset>,
    /// State offset up to which documents are written, by partition.
    written: BTreeMap<Partition, Offset>,
    /// Final documents: key → source.
    last: BTreeMap<String, Offset>,
}

impl Projector {
    fn change(&mut self, world: &World, device: u8, deleted: bool) {
        let device = format!("d{device}");
        let partition = Placement::new("t", PARTITIONS, PARTITIONS).of(&device);
        let source = self.sources.entry(partition).or_default();
        *source += 1 + u64::from(deleted);
        let (key, kind) = (
            format!("t/{device}"),
            if deleted { "deleted" } else { "telemetry" },
        );
        world
            .log
            .append(Topic::State, partition, &key, kind, Some(*source));
        world.log.edit(Topic::State, partition, |part| part.end += 1);
        if deleted {
            self.last.remove(&key);
        } else {
            self.last.insert(key, *source);
        }
    }

    fn materialise(&mut self, world: &World, partition: Partition, records: usize) {
        let written = self.written.entry(partition).or_default();
        let part = world.log.part(Topic::State, partition);
        let mut shelf = world.shelf.0.lock();
        let from = *written;
        for record in part
            .records
            .iter()
            .filter(|record| record.offset >= from)
            .take(records)
        {
            *written = record.offset + 1;
            if &*record.headers.kind == "deleted" {
                shelf.documents.remove(&*record.key);
            } else {
                let device = record.key.split_once('/').unwrap().1;
                let stored = document("t", device, record.headers.source_offset.unwrap());
                shelf.documents.insert(record.key.to_string(), stored);
            }
        }
    }

    fn apply(&self, world: &World, partition: Partition) {
        let state = self.written.get(&partition).copied().unwrap_or(0);
        let part = world.log.part(Topic::State, partition);
        let last = part.records.iter().rfind(|record| record.offset < state);
        let source = last.map_or(0, |record| record.headers.source_offset.unwrap() + 1);
        let applied = Applied {
            source,
            state,
            ..Applied::default()
        };
        world.shelf.0.lock().applied.insert(partition, applied);
    }
}

/// Tables as they were: documents, progress, and what was written of each partition.
#[derive(Clone)]
struct Tables {
    documents: BTreeMap<String, Stored>,
    applied: BTreeMap<Partition, Applied>,
    written: BTreeMap<Partition, Offset>,
}

impl Tables {
    fn of(world: &World, projector: &Projector) -> Self {
        let shelf = world.shelf.0.lock();
        Self {
            documents: shelf.documents.clone(),
            applied: shelf.applied.clone(),
            written: projector.written.clone(),
        }
    }

    /// These are read and written from now on.
    fn serve(self, world: &World, projector: &mut Projector) {
        let mut shelf = world.shelf.0.lock();
        shelf.documents = self.documents;
        shelf.applied = self.applied;
        projector.written = self.written;
    }
}

/// What a client has put together from frames.
#[derive(Default)]
struct Shown {
    documents: BTreeMap<String, Offset>,
    /// Sources seen in this connection.
    seen: BTreeMap<String, Offset>,
    is_cut: bool,
}

impl Shown {
    fn take(&mut self, client: &mut Client) {
        for frame in client.take() {
            let source = frame.json["source"].as_u64().unwrap_or_default();
            if let Some(key) = frame.json["document"].as_str() {
                self.documents.insert(key.to_owned(), source);
                self.saw(key, source);
            } else if let Some(key) = frame.json["key"].as_str() {
                if frame.json["deleted"] == true {
                    self.documents.remove(key);
                } else {
                    self.documents.insert(key.to_owned(), source);
                }
                self.saw(key, source);
            }
        }
    }

    fn saw(&mut self, key: &str, source: Offset) {
        let before = self.seen.insert(key.to_owned(), source);
        // After a cut in its middle a snapshot may repeat what it showed.
        assert!(
            self.is_cut || before.is_none_or(|before| before < source),
            "{key}: {source} after {before:?}"
        );
    }
}

async fn scenario(settings: Settings, seed: u64, devices: DeviceSet, ops: Vec<Op>) {
    let mut world = World::new(&settings, seed);
    let mut projector = Projector::default();
    for device in 0..u8::try_from(seed % 12).unwrap() {
        projector.change(&world, device, false);
    }
    for partition in 0..PARTITIONS {
        projector.materialise(&world, partition, 100);
        projector.apply(&world, partition);
    }
    let mut client = Client::new(View::Devices, Delivery::Every, devices.clone());
    client.subscription.start.snapshot = Some(SnapshotStart::New);
    world.open(&mut client);
    let mut view = Shown::default();
    let mut other = Tables::of(&world, &projector);
    for op in ops {
        match op {
            Op::Change { device, deleted } => projector.change(&world, device, deleted),
            Op::Reveal => (0..PARTITIONS).for_each(|partition| world.log.reveal(Topic::State, partition)),
            Op::Materialise { partition, records } => projector.materialise(&world, partition, records),
            Op::Applied { partition } => projector.apply(&world, partition),
            Op::Step { ms } => world.step(ms).await,
            Op::Give { bytes } => world.give(&mut client, bytes),
            Op::Cut => {
                view.take(&mut client);
                world.cut(&mut client);
                world.open(&mut client);
                view.is_cut = true;
            }
            Op::Rebuild => other = Tables::of(&world, &projector),
            Op::CutToOther => {
                view.take(&mut client);
                world.cut(&mut client);
                other.clone().serve(&world, &mut projector);
                world.open(&mut client);
                view.is_cut = true;
            }
        }
        view.take(&mut client);
    }
    for partition in 0..PARTITIONS {
        world.log.reveal(Topic::State, partition);
        projector.materialise(&world, partition, 1_000);
        projector.apply(&world, partition);
    }
    world.give(&mut client, usize::MAX / 4);
    for _ in 0..1_500 {
        world.step(1).await;
        view.take(&mut client);
    }
    projector
        .last
        .retain(|key, _| devices.contains(key.split_once('/').unwrap().1));
    assert_eq!(view.documents, projector.last);
    assert!(client.controls().contains(&"caught_up"));
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_client_ends_on_the_final_documents(
        page_documents in 1..6_usize, turn_bytes_max in 1..1_000_usize, seed in 0..1_000_u64,
        ops in prop::collection::vec(op(), 1..90),
    ) {
        let settings = Settings { page_documents, turn_bytes_max, ..small() };
        run(scenario(settings, seed, DeviceSet::All, ops));
    }

    #[test]
    fn a_client_of_some_devices_ends_on_their_final_documents(
        page_documents in 1..6_usize, seed in 0..1_000_u64, ops in prop::collection::vec(op(), 1..60),
    ) {
        let settings = Settings { page_documents, ..small() };
        let devices = ["d1", "d3", "d5", "d7", "d8", "d99"].map(Box::from);
        run(scenario(settings, seed, DeviceSet::Set(std::sync::Arc::new(devices.into())), ops));
    }
}
