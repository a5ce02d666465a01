//! The model: each event alone, on documents that never leave memory.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use journal::Offset;
use schemas::document::FoldState;
use schemas::{Document, Event};
use state::{DeviceKey, Outcome};

use super::LIMITS;

/// As many ids as the fold remembers of a device.
const REMEMBERED: usize = 64;

/// Source, key, and what the record says.
pub(super) type StateRecord = (Offset, Box<str>, Option<Bytes>);

#[derive(Default)]
pub(super) struct Expected {
    pub(super) documents: BTreeMap<DeviceKey, Document>,
    pub(super) records: Vec<StateRecord>,
}

fn key_of(event: &Event) -> DeviceKey {
    DeviceKey {
        tenant: event.tenant.clone(),
        device: event.device.clone(),
    }
}

/// Folds the events one after the other.
pub(super) fn one_by_one(events: &[&Event]) -> Result<Expected, String> {
    let mut expected = Expected::default();
    // Ids of each device's last events since it was made.
    let mut remembered: BTreeMap<DeviceKey, VecDeque<Box<str>>> = BTreeMap::new();
    for (offset, event) in (0..).zip(events) {
        let key = key_of(event);
        let before = expected.documents.get(&key).cloned();
        let outcome = state::fold(before.as_ref(), event, &LIMITS);
        let ids = remembered.entry(key.clone()).or_default();
        if before.is_some() && ids.contains(&event.id) && outcome != Outcome::Nothing {
            return Err(format!(
                "event {offset} was sent again and folded again: {outcome:?}"
            ));
        }
        if outcome != Outcome::Nothing {
            ids.push_back(event.id.clone());
            ids.drain(..ids.len().saturating_sub(REMEMBERED));
        }
        let record = |value| (offset, format!("{}/{}", key.tenant, key.device).into(), value);
        match outcome {
            Outcome::Nothing => {}
            Outcome::Times(after) => {
                unchanged_but_for_times(before.as_ref(), &after, offset)?;
                expected.documents.insert(key, after);
            }
            Outcome::Changed(change) => {
                let version = before.as_ref().map_or(0, |before| before.version) + 1;
                if change.document.version != version || change.changed.is_empty() {
                    return Err(format!(
                        "event {offset} changed {:?} to {version}",
                        change.changed
                    ));
                }
                let value = change.encode();
                let decoded = schemas::Change::decode(&value).map_err(|error| error.to_string())?;
                if decoded != *change {
                    return Err(format!("event {offset}: its change comes back as another"));
                }
                expected.records.push(record(Some(value)));
                expected.documents.insert(key, change.document);
            }
            Outcome::Deleted => {
                expected.records.push(record(None));
                expected.documents.remove(&key);
                remembered.remove(&key);
            }
            Outcome::Refused { document, .. } => {
                if let (Some(before), Some(after)) = (&before, &document) {
                    unchanged_but_for_times(Some(before), after, offset)?;
                }
                expected
                    .documents
                    .extend(document.map(|document| (key, document)));
            }
        }
    }
    Ok(expected)
}

fn unchanged_but_for_times(
    before: Option<&Document>,
    after: &Document,
    offset: Offset,
) -> Result<(), String> {
    let Some(before) = before else {
        return Err(format!("event {offset} made a device without a state record"));
    };
    let timeless = |document: &Document| {
        let mut document = document.clone();
        (document.last_seen_at, document.fold) = (None, FoldState::default());
        document.lock.iter_mut().for_each(|lock| lock.at = 0);
        document.entities.values_mut().for_each(|entity| entity.at = 0);
        document
            .commands
            .iter_mut()
            .for_each(|command| command.modified = 0);
        document
    };
    if timeless(before) != timeless(after) {
        return Err(format!(
            "event {offset} changed a document without a state record"
        ));
    }
    Ok(())
}
