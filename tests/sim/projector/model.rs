//! What must hold, worked out from the log alone.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use journal::{Offset, Partition, Topic};
use schemas::{Document, Event, Kind};
use state::fold::is_late;
use state::{Counts, DeviceKey, Limits, Outcome, counts, fold};

use super::world::{PARTITIONS, World};

/// What one partition comes to, folded once from its beginning.
#[derive(Default)]
pub(super) struct Folded {
    pub(super) documents: BTreeMap<DeviceKey, Document>,
    /// Source, key and value of each state record.
    records: Vec<(Offset, Box<str>, Option<Bytes>)>,
    history: BTreeMap<Offset, (bool, Bytes)>,
}

pub(super) fn events(world: &World, partition: Partition) -> Vec<(Offset, Event)> {
    let records = world.log.all(Topic::Events, partition);
    let event = |record: &journal::Record| {
        Event::decode(record.value.as_ref()?)
            .ok()
            .map(|event| (record.offset, event))
    };
    records.iter().filter_map(event).collect()
}

pub(super) fn folded(world: &World, partition: Partition) -> Folded {
    let limits = Limits::of(&world.layout);
    let mut folded = Folded::default();
    for (offset, event) in events(world, partition) {
        let key = DeviceKey {
            tenant: event.tenant.clone(),
            device: event.device.clone(),
        };
        let name: Box<str> = format!("{}/{}", key.tenant, key.device).into();
        let before = folded.documents.get(&key);
        let late = is_late(before, &event);
        match fold(before, &event, &limits) {
            Outcome::Nothing => continue,
            Outcome::Times(after) => {
                folded.documents.insert(key, after);
                // What is closed is closed: it leaves no second row.
                if event.body.kind() == Kind::Alert {
                    continue;
                }
            }
            Outcome::Changed(change) => {
                folded.records.push((offset, name, Some(change.encode())));
                folded.documents.insert(key, change.document);
            }
            Outcome::Deleted => {
                folded.records.push((offset, name, None));
                folded.documents.remove(&key);
            }
            Outcome::Refused { document, .. } => {
                folded.documents.extend(document.map(|document| (key, document)));
            }
        }
        folded.history.insert(offset, (late, event.encode()));
    }
    folded
}

/// State records, documents, counts, positions and history are what the log says.
pub(super) fn tables_hold(world: &World) -> Result<(), String> {
    for partition in 0..PARTITIONS {
        let folded = folded(world, partition);
        records_hold(world, partition, &folded)?;
        documents_hold(world, partition, &folded)?;
        applied_holds(world, partition, &folded)?;
        let history: BTreeMap<_, _> = world.tables.with(|rows| {
            let of = rows
                .history
                .iter()
                .filter(|((number, _), _)| *number == partition);
            of.map(|((_, offset), row)| (*offset, row.clone())).collect()
        });
        let offsets: BTreeSet<_> = history.keys().chain(folded.history.keys()).copied().collect();
        for offset in offsets {
            let (found, due) = (history.get(&offset), folded.history.get(&offset));
            if found != due {
                let brief = |row: Option<&(bool, Bytes)>| row.map(|(late, _)| *late);
                return Err(format!(
                    "the history of event {offset} of partition {partition} is {:?}, should be {:?} (late or not)",
                    brief(found),
                    brief(due)
                ));
            }
        }
    }
    Ok(())
}

fn records_hold(world: &World, partition: Partition, folded: &Folded) -> Result<(), String> {
    let records = world.log.all(Topic::State, partition);
    let found: Vec<_> = records
        .into_iter()
        .map(|record| {
            (
                record.headers.source_offset.unwrap_or(Offset::MAX),
                record.key,
                record.value,
            )
        })
        .collect();
    for (number, due) in folded.records.iter().enumerate() {
        match found.get(number) {
            Some(record) if record == due => {}
            Some(record) => {
                return Err(format!(
                    "state record {number} of partition {partition} is of event {} ({}), should be of {} ({}){}",
                    record.0,
                    record.1,
                    due.0,
                    due.1,
                    if record.0 == due.0 {
                        ", and has other content"
                    } else {
                        ""
                    }
                ));
            }
            None => {
                return Err(format!(
                    "event {} of partition {partition} left no state record",
                    due.0
                ));
            }
        }
    }
    match found.get(folded.records.len()) {
        Some(record) => Err(format!(
            "a state record too many, of event {} of partition {partition}",
            record.0
        )),
        None => Ok(()),
    }
}

fn documents_hold(world: &World, partition: Partition, folded: &Folded) -> Result<(), String> {
    let stored: BTreeMap<DeviceKey, Bytes> = world.tables.with(|rows| {
        let of = rows
            .documents
            .iter()
            .filter(|((number, _), _)| *number == partition);
        of.filter_map(|((_, key), (value, _))| Some((key.clone(), value.clone()?)))
            .collect()
    });
    let keys: BTreeSet<_> = stored.keys().chain(folded.documents.keys()).collect();
    for key in keys {
        let due = folded.documents.get(key);
        if stored.get(key) != due.map(Document::encode).as_ref() {
            let found = stored.get(key).and_then(|value| Document::decode(value).ok());
            return Err(format!("the document of {key:?} is {found:?}, should be {due:?}"));
        }
    }
    Ok(())
}

fn applied_holds(world: &World, partition: Partition, folded: &Folded) -> Result<(), String> {
    let applied = world
        .tables
        .with(|rows| rows.applied.get(&partition).cloned())
        .unwrap_or_default();
    let counted: BTreeMap<Box<str>, Counts> = counts::count(folded.documents.values());
    if applied.counts != counted {
        return Err(format!(
            "counts of partition {partition} are {:?}, should be {counted:?}",
            applied.counts
        ));
    }
    // Past the mark of the last transaction, or before it: both read the same.
    let last = world
        .log
        .all(Topic::State, partition)
        .last()
        .map_or(0, |record| record.offset + 1);
    if applied.state < last {
        return Err(format!(
            "{} state records of partition {partition} were applied, not {last}",
            applied.state
        ));
    }
    Ok(())
}
