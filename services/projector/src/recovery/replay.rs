//! Replays events whose outcome stands in the log already. Pure.

use std::sync::Arc;

use bytes::Bytes;
use journal::{NewRecord, Offset, Partition};
use rustc_hash::FxHashMap;
use state::fold::is_late;
use state::{DeviceKey, HistoryRow, Outcome, Stored, Write, fold};

use super::Scope;
use crate::partition::{Rules, Slot, history_row, state_record};
use crate::source::{SourceEvent, StateRecord};

/// A device in a replay.
#[derive(Debug, Clone, Default)]
pub(super) struct ReplaySlot {
    slot: Slot,
    dirty: bool,
    /// State records that should exist and were not seen; empty: confirmed.
    pub(super) missing: Vec<NewRecord>,
}

impl ReplaySlot {
    pub(super) fn of(stored: Option<Stored>) -> Self {
        Self {
            slot: stored.into(),
            ..Self::default()
        }
    }

    pub(super) fn write(&self, key: &DeviceKey, partition: Partition) -> Option<Write> {
        let source = self.slot.source.filter(|_| self.dirty)?;
        Some(Write {
            key: key.clone(),
            partition,
            document: self.slot.document.clone(),
            source,
        })
    }

    fn holds(&self, source: Offset) -> bool {
        self.slot.source.is_some_and(|known| known >= source)
    }

    fn confirm(&mut self, record: &StateRecord) {
        if self.holds(record.source) && self.missing.is_empty() {
            return;
        }
        let ahead = self.slot.source.is_some_and(|known| known > record.source);
        if ahead {
            // Of the changes that lacked a record, those up to this one are accounted for.
            self.missing
                .retain(|missing| missing.headers.source_offset > Some(record.source));
            return;
        }
        self.slot = Slot {
            document: record.document.clone(),
            source: Some(record.source),
        };
        self.missing.clear();
        self.dirty = true;
    }
}

/// What a replay comes to.
pub(super) struct Replayed {
    pub(super) writes: Vec<Write>,
    pub(super) history: Vec<HistoryRow>,
    /// Devices that need no state record any more.
    pub(super) confirmed: Vec<Arc<DeviceKey>>,
    pub(super) unconfirmed: FxHashMap<Arc<DeviceKey>, ReplaySlot>,
}

/// A replay of some events and the state records among them.
pub(super) struct Replay<'a> {
    rules: &'a Rules,
    scope: &'a Scope,
    slots: FxHashMap<Arc<DeviceKey>, ReplaySlot>,
    history: Vec<HistoryRow>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(rules: &'a Rules, scope: &'a Scope) -> Self {
        Self {
            rules,
            scope,
            slots: FxHashMap::default(),
            history: Vec::new(),
        }
    }

    pub(super) fn know(&mut self, key: Arc<DeviceKey>, slot: ReplaySlot) {
        self.slots.insert(key, slot);
    }

    /// Replays both in the order of source offsets.
    pub(super) fn run<'r>(&mut self, events: &[SourceEvent], records: impl Iterator<Item = &'r StateRecord>) {
        let mut records = records.peekable();
        for event in events {
            while let Some(record) = records.next_if(|record| record.source < event.offset) {
                self.slot(&record.key).confirm(record);
            }
            let own = records.next_if(|record| record.source == event.offset);
            self.event(event, own);
        }
        for record in records {
            self.slot(&record.key).confirm(record);
        }
    }

    pub(super) fn finish(self) -> Replayed {
        let mut replayed = Replayed {
            writes: Vec::new(),
            history: self.history,
            confirmed: Vec::new(),
            unconfirmed: FxHashMap::default(),
        };
        for (key, slot) in self.slots {
            if slot.missing.is_empty() {
                replayed.writes.extend(slot.write(&key, self.rules.partition));
                replayed.confirmed.push(key);
            } else {
                replayed.unconfirmed.insert(key, slot);
            }
        }
        replayed
    }

    fn slot(&mut self, key: &Arc<DeviceKey>) -> &mut ReplaySlot {
        self.slots.entry(Arc::clone(key)).or_default()
    }

    fn event(&mut self, event: &SourceEvent, own: Option<&StateRecord>) {
        let (rules, scope) = (self.rules, self.scope);
        let device = self.slot(&event.key);
        if device.holds(event.offset) {
            if let Some(record) = own {
                device.confirm(record);
            }
            return;
        }
        let before = device.slot.document.as_deref();
        let late = is_late(before, event.event.as_ref());
        let refolded = scope.refold_from.is_some_and(|from| event.offset >= from);
        let moved = if let Some(record) = own {
            device.confirm(record);
            true
        } else {
            match refold(device, event, rules, refolded) {
                Some(moved) => moved,
                None => return,
            }
        };
        if event.event.received_at >= scope.history_from {
            self.history.extend(history_row(rules, event, late, moved));
        }
    }
}

/// Folds an event that has no state record of its own, and says whether it moved more than times; `None` when it
/// means nothing.
fn refold(device: &mut ReplaySlot, event: &SourceEvent, rules: &Rules, trusted: bool) -> Option<bool> {
    let mut missing = |value: Option<Bytes>| {
        if !trusted {
            device.missing.push(state_record(rules, event, value));
        }
    };
    let mut moved = true;
    match fold(device.slot.document.as_deref(), &event.event, &rules.limits) {
        Outcome::Nothing => return None,
        Outcome::Times(document) => {
            moved = false;
            device.slot.document = Some(Arc::new(document));
        }
        Outcome::Changed(change) => {
            missing(Some(change.encode()));
            device.slot.document = Some(Arc::new(change.document));
        }
        Outcome::Deleted => {
            missing(None);
            device.slot.document = None;
        }
        Outcome::Refused { document, .. } => {
            if let Some(document) = document {
                device.slot.document = Some(Arc::new(document));
            }
        }
    }
    device.slot.source = Some(event.offset);
    device.dirty = true;
    Some(moved)
}
