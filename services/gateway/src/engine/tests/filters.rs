//! Streams with filters: whatever happens to their connections, they are told what a full evaluation of the
//! log tells, with both documents at hand.

use std::collections::BTreeMap;

use journal::{Offset, Partition, Placement, Topic};
use proptest::prelude::*;
use query::Filter;
use schemas::event::Telemetry;
use schemas::{Body, Document, Event, Fields, Scalar};
use state::{Applied, Filterable, Limits, Outcome, Stored, fold};

use super::client::Frame;
use super::fake::PARTITIONS;
use super::sequences::{ROOM, opened, settled};
use super::world::{Client, World, run, small};
use crate::filters::Filters;
use crate::settings::Settings;
use crate::subscription::{Delivery, DeviceSet, SnapshotStart, View};

/// What became of a device by one record of state.
pub(super) struct Said {
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) key: String,
    before: Option<Document>,
    after: Option<Document>,
}

/// Writes the log as a projector does.
#[derive(Default)]
pub(super) struct Author {
    documents: BTreeMap<String, Document>,
    /// Next source offset, by partition.
    sources: BTreeMap<Partition, Offset>,
    pub(super) at: i64,
    pub(super) said: Vec<Said>,
    /// State offset up to which documents are on the shelf, by partition.
    written: BTreeMap<Partition, Offset>,
}

/// Time between two events, microseconds: a second lies between a few of them.
const APART: i64 = 400_000;

/// One change: a device, its speed, and its zone if it has one.
pub(super) type Move = (u8, i64, Option<&'static str>);

impl Author {
    pub(super) fn drive(&mut self, world: &World, (device, speed, zone): Move) {
        let zone = zone.map_or(Scalar::Null, |zone| Scalar::String(zone.into()));
        let fields = [("speed".into(), Scalar::Integer(speed)), ("zone".into(), zone)];
        let telemetry = Telemetry {
            fields: Fields(fields.into()),
        };
        self.happen(world, device, Body::Telemetry(telemetry));
    }

    pub(super) fn delete(&mut self, world: &World, device: u8) {
        self.happen(world, device, Body::Deleted);
    }

    fn happen(&mut self, world: &World, device: u8, body: Body) {
        self.at += APART;
        let id = format!("d{device}");
        let (key, partition) = (
            format!("t/{id}"),
            Placement::new("t", PARTITIONS, PARTITIONS).of(&id),
        );
        let event = Event {
            id: self.at.to_string().into(),
            tenant: "t".into(),
            device: id.into(),
            occurred_at: self.at,
            received_at: self.at,
            claimed_at: None,
            seq: None,
            body,
        };
        let before = self.documents.get(&key).cloned();
        let source = self.sources.entry(partition).or_default();
        *source += 1;
        let (after, kind, value) = match fold(before.as_ref(), &event, &Limits::default()) {
            Outcome::Changed(change) => {
                let value = change.encode();
                (Some(change.document), "telemetry", Some(value))
            }
            Outcome::Deleted => (None, "deleted", None),
            Outcome::Times(document) => {
                self.documents.insert(key, document);
                return;
            }
            Outcome::Nothing | Outcome::Refused { .. } => return,
        };
        let offset = world
            .log
            .append_value(Topic::State, partition, &key, kind, Some(*source - 1), value);
        match &after {
            Some(document) => drop(self.documents.insert(key.clone(), document.clone())),
            None => drop(self.documents.remove(&key)),
        }
        self.said.push(Said {
            partition,
            offset,
            key,
            before,
            after,
        });
    }

    /// Puts documents on the shelf, as a projector that is so many records further.
    fn materialise(&mut self, world: &World, partition: Partition, records: usize) {
        let written = self.written.entry(partition).or_default();
        let mut shelf = world.shelf.0.lock();
        let part = world.log.part(Topic::State, partition);
        let from = *written;
        let sources: BTreeMap<Offset, Offset> = part
            .records
            .iter()
            .filter_map(|record| Some((record.offset, record.headers.source_offset?)))
            .collect();
        let next = self
            .said
            .iter()
            .filter(|said| said.partition == partition && said.offset >= from);
        for said in next.take(records) {
            *written = said.offset + 1;
            match &said.after {
                Some(document) => {
                    let stored = Stored {
                        document: std::sync::Arc::new(document.clone()),
                        source: sources[&said.offset],
                    };
                    shelf.documents.insert(said.key.clone(), stored);
                }
                None => drop(shelf.documents.remove(&said.key)),
            }
        }
        let last = part.records.iter().rfind(|record| record.offset < *written);
        let applied = Applied {
            source: last.map_or(0, |record| record.headers.source_offset.unwrap() + 1),
            state: *written,
            ..Applied::default()
        };
        shelf.applied.insert(partition, applied);
    }

    /// What filters tell of each record: its place, and whether it is that a device left.
    pub(super) fn told(&self, filters: &Filters) -> Vec<(&Said, bool)> {
        let told = self.said.iter().filter_map(|said| {
            let Some(after) = &said.after else {
                return (!filters.is_empty()).then_some((said, false));
            };
            let (after, before) = (Filterable::new(after), said.before.as_ref().map(Filterable::new));
            let any = |holds: &dyn Fn(&Filter) -> bool| filters.iter().any(|filter| holds(filter));
            if any(&|filter| filter.matches(&after, &before)) {
                return Some((said, false));
            }
            let was = before.is_some() && any(&|filter| filter.matches(&before, &before));
            (filters.tells_left() && was).then_some((said, true))
        });
        told.collect()
    }

    pub(super) fn reveal(&self, world: &World) {
        (0..PARTITIONS).for_each(|partition| world.log.reveal(Topic::State, partition));
    }
}

fn one(text: &str) -> Filters {
    Filters::parse(text, &query::Limits::default()).unwrap()
}

/// Of every way to be found: by no index, by a text, by transition, by device; and several at once.
fn sets() -> Vec<Filters> {
    let several = ["speed > 2", "@zone = \"A\" and zone != \"A\""];
    let parsed = several.iter().map(|text| text.parse().unwrap());
    vec![
        one("speed > 2"),
        one("zone = \"A\" and speed != 3"),
        one("@zone = \"A\" and zone != \"A\" or updated_at - @updated_at > 1s"),
        one("id = \"d1\" and zone or id = \"d3\" and speed > 1"),
        parsed.fold(Filters::silent(), |filters, filter| filters.with(filter)),
        Filters::silent(),
    ]
}

pub(super) fn client(delivery: Delivery, filters: Filters) -> Client {
    let mut client = Client::new(View::Devices, delivery, DeviceSet::All).from(&[(0, 0), (1, 0), (2, 0)]);
    client.subscription.selection.filters = Some(filters);
    client
}

pub(super) fn zone() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![None, Some("A"), Some("A"), Some("B")])
}

#[derive(Debug, Clone)]
enum Op {
    Drive(Vec<Move>),
    Delete { device: u8 },
    Reveal,
    Materialise { partition: Partition, records: usize },
    Step { ms: u64 },
    Give { client: usize, bytes: usize },
    Cut { client: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let drive = prop::collection::vec((0..6_u8, 0..5_i64, zone()), 1..8);
    prop_oneof![
        8 => drive.prop_map(Op::Drive),
        1 => (0..6_u8).prop_map(|device| Op::Delete { device }),
        4 => Just(Op::Reveal),
        2 => (0..PARTITIONS, 1..6_usize).prop_map(|(partition, records)| Op::Materialise { partition, records }),
        6 => (0..20_u64).prop_map(|ms| Op::Step { ms }),
        8 => (0..6_usize, 1..1_500_usize).prop_map(|(client, bytes)| Op::Give { client, bytes }),
        2 => (0..6_usize).prop_map(|client| Op::Cut { client }),
    ]
}

async fn act(world: &mut World, author: &mut Author, clients: &mut [Client], op: Op) {
    match op {
        Op::Drive(moves) => moves.into_iter().for_each(|step| author.drive(world, step)),
        Op::Delete { device } => author.delete(world, device),
        Op::Reveal => author.reveal(world),
        Op::Materialise { partition, records } => author.materialise(world, partition, records),
        Op::Step { ms } => world.step(ms).await,
        Op::Give { client, bytes } => {
            let client = client % clients.len();
            world.give(&mut clients[client], bytes);
        }
        Op::Cut { client } => {
            let client = client % clients.len();
            world.cut(&mut clients[client]);
            world.open(&mut clients[client]);
        }
    }
}

async fn every(settings: Settings, seed: u64, ops: Vec<Op>) {
    let (mut world, mut author) = (World::new(&settings, seed), Author::default());
    let sets = sets();
    let mut clients: Vec<Client> = sets
        .iter()
        .map(|filters| client(Delivery::Every, filters.clone()))
        .collect();
    clients.iter_mut().for_each(|client| world.open(client));
    for op in ops {
        act(&mut world, &mut author, &mut clients, op).await;
    }
    author.reveal(&world);
    clients
        .iter_mut()
        .for_each(|client| world.give(client, usize::MAX / 4));
    world.settle(&mut clients).await;
    for (client, filters) in clients.iter().zip(&sets) {
        for partition in 0..PARTITIONS {
            let shown = client.frames.iter().filter_map(|frame| {
                let (of, offset) = frame.place()?;
                (of == partition).then(|| (offset, frame.json["left"].is_string()))
            });
            let told = author.told(filters);
            let told = told.iter().filter(|(said, _)| said.partition == partition);
            let told: Vec<(Offset, bool)> = told.map(|(said, left)| (said.offset, *left)).collect();
            assert_eq!(shown.collect::<Vec<_>>(), told, "{filters:?} of {partition}");
        }
    }
}

/// The newest offsets that a client has of each device: at which it was shown, and at which it left. What
/// was deleted has left too.
pub(super) type Newest = BTreeMap<(String, bool), Offset>;

pub(super) fn note(newest: &mut Newest, said: &Said, left: bool) {
    let is_deleted = said.after.is_none();
    for left in [left, left || is_deleted] {
        let had = newest.entry((said.key.clone(), left)).or_default();
        *had = said.offset.max(*had);
    }
}

/// What a frame of a conflated stream shows, and whether it is that the device left.
pub(super) fn stands<'a>(author: &'a Author, frame: &Frame) -> Option<(&'a Said, bool)> {
    let mut said = author.said.iter();
    if let Some((partition, offset)) = frame.place() {
        let said = said.find(|said| (said.partition, said.offset) == (partition, offset))?;
        return Some((said, frame.json["left"].is_string()));
    }
    let at = frame.json["at"].as_i64()?;
    let is_it = |said: &&Said| said.after.as_ref().is_some_and(|after| after.updated_at == at);
    Some((said.find(is_it)?, false))
}

pub(super) fn check(author: &Author, filters: &Filters, newest: &Newest, frame: &Frame) {
    for (said, left) in author.told(filters) {
        if frame
            .position(said.partition)
            .is_some_and(|position| said.offset < position)
        {
            let had = newest.get(&(said.key.clone(), left)).copied();
            assert!(
                had.is_some_and(|had| had >= said.offset),
                "{} at {} ({left}) is behind the cursor, and the client has {had:?}",
                said.key,
                said.offset,
            );
        }
    }
}

async fn latest(settings: Settings, seed: u64, ops: Vec<Op>) {
    let (mut world, mut author) = (World::new(&settings, seed), Author::default());
    let sets = sets();
    let mut clients: Vec<Client> = sets
        .iter()
        .map(|filters| client(Delivery::Latest, filters.clone()))
        .collect();
    let mut newest = vec![Newest::new(); sets.len()];
    clients.iter_mut().for_each(|client| world.open(client));
    let mut take = |author: &Author, clients: &mut [Client]| {
        for ((client, filters), newest) in clients.iter_mut().zip(&sets).zip(&mut newest) {
            for frame in client.take() {
                if let Some((said, left)) = stands(author, &frame) {
                    note(newest, said, left);
                }
                check(author, filters, newest, &frame);
            }
        }
    };
    for op in ops {
        // A cut takes what came before it.
        take(&author, &mut clients);
        act(&mut world, &mut author, &mut clients, op).await;
        take(&author, &mut clients);
    }
    author.reveal(&world);
    clients
        .iter_mut()
        .for_each(|client| world.give(client, usize::MAX / 4));
    for _ in 0..1_000 {
        world.step(1).await;
        take(&author, &mut clients);
    }
    for (filters, newest) in sets.iter().zip(&newest) {
        let mut told = Newest::new();
        for (said, left) in author.told(filters) {
            note(&mut told, said, left);
        }
        assert_eq!(*newest, told, "{filters:?}");
    }
}

async fn snapshot(settings: Settings, seed: u64, text: &str, ops: Vec<Op>) {
    let (mut world, mut author) = (World::new(&settings, seed), Author::default());
    for device in 0..6 {
        author.drive(&world, (device, i64::from(device) % 5, Some("A")));
    }
    (0..PARTITIONS).for_each(|partition| author.materialise(&world, partition, 100));
    let filter: Filter = text.parse().unwrap();
    let mut client = Client::new(View::Devices, Delivery::Every, DeviceSet::All);
    client.subscription.selection.filters = Some(one(text));
    client.subscription.start.snapshot = Some(SnapshotStart::New);
    world.open(&mut client);
    for op in ops {
        act(&mut world, &mut author, std::slice::from_mut(&mut client), op).await;
    }
    author.reveal(&world);
    (0..PARTITIONS).for_each(|partition| author.materialise(&world, partition, 1_000));
    world.give(&mut client, usize::MAX / 4);
    world.settle(std::slice::from_mut(&mut client)).await;
    let mut shown: Vec<String> = Vec::new();
    for frame in &client.frames {
        let key = |name: &str| frame.json[name].as_str().map(str::to_owned);
        if let Some(key) = key("left") {
            shown.retain(|other| *other != key);
        } else if let Some(key) = key("document").or_else(|| key("key")) {
            shown.retain(|other| *other != key);
            if frame.json["deleted"] != true {
                shown.push(key);
            }
        }
    }
    shown.sort_unstable();
    let passes = |document: &&Document| {
        let document = Filterable::new(document);
        filter.matches(&document, &document)
    };
    let passing = author.documents.iter().filter(|(_, document)| passes(document));
    let passing: Vec<String> = passing.map(|(key, _)| key.clone()).collect();
    assert_eq!(shown, passing, "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 1_000, cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn with_cuts_anywhere_a_stream_is_told_what_a_full_evaluation_tells(
        ring_bytes_max in 0..20_000_usize, seed in 0..1_000_u64, ops in prop::collection::vec(op(), 1..60),
    ) {
        run(every(Settings { ring_bytes_max, ..small() }, seed, ops));
    }

    #[test]
    fn what_is_conflated_was_judged_on_every_change_and_no_cursor_passes_what_is_pending(
        devices_max in 1..6_usize, ring_bytes_max in 0..20_000_usize, seed in 0..1_000_u64,
        ops in prop::collection::vec(op(), 1..50),
    ) {
        run(latest(Settings { latest_devices_max: devices_max, ring_bytes_max, ..small() }, seed, ops));
    }

    #[test]
    fn after_a_snapshot_a_client_ends_with_the_devices_that_pass(
        text in prop::sample::select(vec!["speed > 2", "zone = \"A\"", "id != \"d2\" and speed", "not zone"]),
        page_documents in 1..5_usize, seed in 0..1_000_u64, ops in prop::collection::vec(op(), 1..60),
    ) {
        run(snapshot(Settings { page_documents, ..small() }, seed, text, ops));
    }
}

#[test]
fn a_zone_left_and_entered_again_while_the_client_slept_is_told() {
    run(async {
        let (mut world, mut author) = (World::new(&small(), 0), Author::default());
        author.drive(&world, (1, 1, Some("A")));
        author.reveal(&world);
        let mut clients = [
            client(Delivery::Latest, one("zone = \"A\"")),
            client(Delivery::Latest, one("@zone = \"A\" and zone != \"A\"")),
        ];
        for client in &mut clients {
            opened(&mut world, client).await;
            client.frames.clear();
            client.pipe.lock().room = 0;
        }
        for zone in [Some("B"), None, Some("A"), Some("A")] {
            author.drive(&world, (1, author.at, zone));
            author.reveal(&world);
            world.step(5).await;
        }
        for client in &mut clients {
            world.give(client, ROOM);
            settled(&mut world, client).await;
        }
        let said = |client: &Client| -> Vec<String> {
            let frames = client.frames.iter().filter_map(|frame| stands(&author, frame));
            let word = |left| if left { " left" } else { "" };
            frames
                .map(|(said, left)| format!("{}{}", said.offset, word(left)))
                .collect()
        };
        assert_eq!(said(&clients[0]), ["1 left", "4"]);
        assert_eq!(said(&clients[1]), ["1"]);
    });
}

#[test]
fn streams_that_do_not_pass_cost_a_change_nothing_but_one_evaluation() {
    run(async {
        let settings = Settings {
            ring_bytes_max: 1 << 20,
            ..small()
        };
        let (mut world, mut author) = (World::new(&settings, 0), Author::default());
        let mut clients: Vec<Client> = (0..30)
            .map(|_| client(Delivery::Every, one("speed > 100")))
            .collect();
        for client in &mut clients {
            opened(&mut world, client).await;
        }
        let before = world.metrics.evaluations.get();
        for speed in 0..10 {
            author.drive(&world, (1, speed, None));
        }
        author.reveal(&world);
        world.settle(&mut clients).await;
        // Whether it is shown, and whether it left; the first change is of a new device.
        assert_eq!(world.metrics.evaluations.get() - before, 19);
        assert!(clients.iter().all(|client| client.places().is_empty()));
    });
}
