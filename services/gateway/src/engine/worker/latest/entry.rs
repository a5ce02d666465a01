//! What is pending of one device: the newest that passes, and that it passes no more.

use std::collections::BTreeSet;
use std::sync::Arc;

use journal::{Partition, Topic};
use schemas::Change;
use serde_json::{Map, Value};
use smallvec::SmallVec;

use crate::engine::filtered::Outcome;
use crate::engine::record::LogRecord;

/// One device; on view `events` one device and kind. At least one of `shown` and `gone` is there, both only
/// on a stream with filters: there, that a device came and that it went are two things to tell.
pub(super) struct Entry {
    pub(super) key: Box<str>,
    pub(super) partition: Partition,
    /// The newest that passes.
    pub(super) shown: Option<Pending>,
    /// The newest after which the device passes no more, or is no more.
    gone: Option<Arc<LogRecord>>,
    pub(super) bytes: usize,
}

pub(super) struct Pending {
    record: Arc<LogRecord>,
    pub(super) merged: Option<Box<Merged>>,
}

/// Changes of one device since what was sent of it last.
pub(super) struct Merged {
    pub(super) changed: BTreeSet<Box<str>>,
    pub(super) before: Map<String, Value>,
    /// About what they take.
    bytes: usize,
}

/// One frame of an entry.
pub(super) struct Part<'e> {
    pub(super) record: &'e Arc<LogRecord>,
    pub(super) merged: Option<&'e Merged>,
    pub(super) outcome: Outcome,
}

impl Entry {
    pub(super) fn new(key: Box<str>, record: &Arc<LogRecord>, outcome: Outcome, is_filtered: bool) -> Self {
        let mut entry = Self {
            key,
            partition: record.partition,
            shown: None,
            gone: None,
            bytes: 0,
        };
        entry.take(record, outcome, is_filtered);
        entry
    }

    /// Puts a record in the place of what it makes void.
    pub(super) fn take(&mut self, record: &Arc<LogRecord>, outcome: Outcome, is_filtered: bool) {
        let is_gone = outcome == Outcome::Left || (is_filtered && record.value.is_none());
        if is_gone {
            self.gone = Some(Arc::clone(record));
        } else {
            match &mut self.shown {
                Some(pending) => pending.replace(record),
                None => {
                    self.shown = Some(Pending {
                        record: Arc::clone(record),
                        merged: None,
                    });
                }
            }
        }
        self.weigh();
    }

    /// Its frames, in the order in which they happened.
    pub(super) fn parts(&self) -> SmallVec<[Part<'_>; 2]> {
        let shown = self.shown.iter().map(|pending| Part {
            record: &pending.record,
            merged: pending.merged.as_deref(),
            outcome: Outcome::Shown,
        });
        let gone = self.gone.iter().map(|record| Part {
            record,
            merged: None,
            outcome: if record.value.is_none() {
                Outcome::Shown
            } else {
                Outcome::Left
            },
        });
        let mut parts: SmallVec<[Part<'_>; 2]> = shown.chain(gone).collect();
        parts.sort_by_key(|part| part.record.offset);
        parts
    }

    /// Forgets its first frame, which is out. The other is still pending.
    pub(super) fn drop_first(&mut self) {
        let at = |record: &Arc<LogRecord>| record.offset;
        match (&self.shown, &self.gone) {
            (Some(shown), Some(gone)) if at(&shown.record) > at(gone) => self.gone = None,
            (_, _) => self.shown = None,
        }
        self.weigh();
    }

    /// Forgets what `wanted` does not say of its record any more; false when nothing is left.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(&LogRecord) -> Option<Outcome>) -> bool {
        if let Some(pending) = &self.shown
            && wanted(&pending.record) != Some(Outcome::Shown)
        {
            self.shown = None;
        }
        if let Some(record) = &self.gone {
            let says = if record.value.is_none() {
                Outcome::Shown
            } else {
                Outcome::Left
            };
            if wanted(record) != Some(says) {
                self.gone = None;
            }
        }
        self.weigh();
        self.shown.is_some() || self.gone.is_some()
    }

    fn weigh(&mut self) {
        let shown = self.shown.as_ref().map_or(0, Pending::bytes);
        let gone = self.gone.as_ref().map_or(0, |record| record_bytes(record));
        self.bytes = ENTRY_BYTES + shown + gone;
    }
}

impl Pending {
    fn replace(&mut self, record: &Arc<LogRecord>) {
        let (Some(old), Some(new)) = (self.record.change(), record.change()) else {
            // A deletion, or an event: nothing of what was pending is left to tell.
            self.merged = None;
            self.record = Arc::clone(record);
            return;
        };
        let mut merged = self.merged.take().unwrap_or_else(|| Box::new(Merged::new(old)));
        merged.add(new);
        merged.bytes = old.before.len() + merged.changed.len() * 64;
        self.merged = Some(merged);
        self.record = Arc::clone(record);
    }

    fn bytes(&self) -> usize {
        record_bytes(&self.record) + self.merged.as_ref().map_or(0, |merged| merged.bytes)
    }
}

impl Merged {
    fn new(change: &Change) -> Self {
        Self {
            changed: change.changed.iter().cloned().collect(),
            before: object(&change.before),
            bytes: 0,
        }
    }

    /// Adds a later change: of paths that changed before, the older value is what the client has.
    fn add(&mut self, change: &Change) {
        let mut path = String::new();
        add_missing(&mut self.before, object(&change.before), &mut path, &self.changed);
        self.changed.extend(change.changed.iter().cloned());
    }
}

fn add_missing(
    into: &mut Map<String, Value>,
    from: Map<String, Value>,
    path: &mut String,
    changed: &BTreeSet<Box<str>>,
) {
    for (name, value) in from {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(&schemas::fields::escape(&name));
        if !changed.contains(path.as_str()) {
            match (into.get_mut(&name), value) {
                (Some(Value::Object(into)), Value::Object(from)) => add_missing(into, from, path, changed),
                (Some(_), _) => {}
                (None, Value::Object(from)) => {
                    let mut object = Map::new();
                    add_missing(&mut object, from, path, changed);
                    if !object.is_empty() {
                        into.insert(name, Value::Object(object));
                    }
                }
                (None, value) => {
                    into.insert(name, value);
                }
            }
        }
        path.truncate(length);
    }
}

fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap_or_default()
}

/// One device; on view `events` one device and kind, since the newest telemetry says nothing of a lock.
/// The partition is part of it: what others produced to a wrong one must not mix up positions.
pub(super) fn key(record: &LogRecord) -> Box<str> {
    let kind = match (record.topic, record.kind) {
        (Topic::Events, Some(kind)) => kind.name(),
        _ => "",
    };
    format!("{}\n{kind}\n{}", record.partition, record.key()).into()
}

/// Charged for an entry beside its records.
const ENTRY_BYTES: usize = 256;

fn record_bytes(record: &LogRecord) -> usize {
    record.key().len() + record.value.as_ref().map_or(0, bytes::Bytes::len)
}
