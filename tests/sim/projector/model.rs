//! What must hold, worked out from the log alone.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use journal::{Offset, Partition, Topic};
use schemas::event::{PresenceReason, Status};
use schemas::{Body, Document, Event, Micros};
use state::fold::{is_late, is_sign_of_life};
use state::{Counts, DeviceKey, Limits, Outcome, counts, fold};

use super::world::{PARTITIONS, World};

/// Tenant and device.
type Name = (Box<str>, Box<str>);
/// Status, and whether it was ever seen.
type Liveness = (Option<Status>, bool);
type Faithful = BTreeSet<Name>;

/// What one partition comes to, folded once from its beginning.
#[derive(Default)]
struct Folded {
    documents: BTreeMap<DeviceKey, Document>,
    /// Source, key and value of each state record.
    records: Vec<(Offset, Box<str>, Option<Bytes>)>,
    history: BTreeMap<Offset, (bool, Bytes)>,
}

fn events(world: &World, partition: Partition) -> Vec<(Offset, Event)> {
    let records = world.log.all(Topic::Events, partition);
    let event = |record: &journal::Record| {
        Event::decode(record.value.as_ref()?)
            .ok()
            .map(|event| (record.offset, event))
    };
    records.iter().filter_map(event).collect()
}

fn folded(world: &World, partition: Partition) -> Folded {
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
            Outcome::Times(after) => drop(folded.documents.insert(key, after)),
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

fn status_of(world: &World) -> BTreeMap<Name, Liveness> {
    let mut statuses = BTreeMap::new();
    for partition in 0..PARTITIONS {
        for (key, document) in folded(world, partition).documents {
            let was_seen = document.last_seen_at.is_some();
            statuses.insert((key.tenant, key.device), (document.status, was_seen));
        }
    }
    statuses
}

/// Who keeps sending is ONLINE.
pub(super) fn are_online(world: &World, faithful: &Faithful) -> Result<(), String> {
    let statuses = status_of(world);
    for device in faithful {
        match statuses.get(device) {
            Some((Some(Status::Online), _)) => {}
            found => return Err(format!("{device:?} keeps sending and is {found:?}")),
        }
    }
    Ok(())
}

/// Who was seen, and then was silent for long, is OFFLINE.
pub(super) fn are_offline(world: &World) -> Result<(), String> {
    for (device, (status, was_seen)) in status_of(world) {
        if was_seen && status != Some(Status::Offline) {
            return Err(format!("{device:?} has long been silent and is {status:?}"));
        }
    }
    Ok(())
}

/// The status that a verdict of silence gives.
fn verdict(event: &Event) -> Option<Status> {
    match &event.body {
        Body::Presence(presence) if presence.reason == PresenceReason::Silence => presence.status,
        Body::Presence(_)
        | Body::Telemetry(_)
        | Body::Lock(_)
        | Body::Log(_)
        | Body::Entity(_)
        | Body::Location(_)
        | Body::Command(_)
        | Body::Alert(_)
        | Body::Device(_)
        | Body::Deleted => None,
    }
}

/// Whether somebody else says what the device's status is.
fn is_other_word(event: &Event) -> bool {
    matches!(&event.body, Body::Presence(presence)
        if presence.status.is_some() && presence.reason != PresenceReason::Silence)
}

/// No verdict was ever given on who keeps sending.
pub(super) fn were_never_silent(world: &World, faithful: &Faithful) -> Result<(), String> {
    for partition in 0..PARTITIONS {
        for (offset, event) in events(world, partition) {
            if let Some(status) = verdict(&event)
                && faithful.contains(&(event.tenant.clone(), event.device.clone()))
            {
                return Err(format!(
                    "{} keeps sending and was called {} in event {offset} of partition {partition}",
                    event.device,
                    status.word()
                ));
            }
        }
    }
    Ok(())
}

/// Between two signs of life (or words of others about its status), a device is called STALE once at most, and OFFLINE once at most; the same
/// event may stand in the log twice.
pub(super) fn each_silence_is_told_once(world: &World) -> Result<(), String> {
    for partition in 0..PARTITIONS {
        let mut told: BTreeMap<(Name, Status), Box<str>> = BTreeMap::new();
        let mut seen: BTreeMap<Name, Micros> = BTreeMap::new();
        for (offset, event) in events(world, partition) {
            let device = (event.tenant.clone(), event.device.clone());
            if is_sign_of_life(&event) {
                let seen = seen.entry(device.clone()).or_default();
                *seen = event.received_at.max(*seen);
            }
            if is_sign_of_life(&event) || is_other_word(&event) {
                told.retain(|(told, _), _| *told != device);
            }
            let Some(status) = verdict(&event) else { continue };
            if seen.get(&device).is_some_and(|seen| *seen > event.occurred_at) {
                // A sign of life overtook it on its way into the log: it is of the silence before.
                continue;
            }
            let key = (device, status);
            if told
                .insert(key, event.id.clone())
                .is_some_and(|before| before != event.id)
            {
                return Err(format!(
                    "{} was called {} twice, the second time in event {offset} of partition {partition}",
                    event.device,
                    status.word()
                ));
            }
        }
    }
    Ok(())
}
