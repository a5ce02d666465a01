//! The state machine of one partition: events in; state records, rows, timers and reactions out.
//!
//! Pure: no I/O, no clock. Whoever drives it reads the documents that [`Partition::missing`] names,
//! calls [`Partition::handle`], and makes the [`Decision`] true in this order: append `rejected` and
//! `reactions`, commit `state` with `next`, append `history`, write `writes`, record [`Partition::counts`]
//! as applied. A decision that is not made true ends the machine: another is built from what is stored.

mod cache;
mod rejected;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use journal::{Headers, NewRecord, Offset, Topic};
use rustc_hash::FxHashMap;
use schemas::{Document, Kind, Micros};
use state::counts::{self, CountsByTenant};
use state::fold::{is_late, is_sign_of_life, says_status};
use state::{DeviceKey, HistoryRow, Limits, Outcome, Stored, Write, fold};

use crate::reactor::{Changed, Heartbeat, Reaction, Reactor, Sign, Silence};
use crate::rulebook::Rulebook;
use crate::source::{SourceBatch, SourceEvent, record_key};
use cache::Cache;

/// What is fixed for a partition while it is driven.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Its number.
    pub partition: journal::Partition,
    /// Generation of the layout.
    pub generation: u32,
    /// Limits of the fold.
    pub limits: Limits,
    /// Kinds kept as history.
    pub history_kinds: Vec<Kind>,
    /// Rejected records made for one batch.
    pub rejected_per_batch_max: usize,
    /// Memory for documents between batches, by their measured content.
    pub cached_document_bytes_max: u64,
    /// When silence is spoken of.
    pub silence: Silence,
    /// Alerts of devices that fell silent.
    pub heartbeat: Heartbeat,
}

/// A device's document as the partition knows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot {
    /// The document; `None`: there is no such device.
    pub(crate) document: Option<Arc<Document>>,
    /// Offset of the last event that it holds; not known of a device that the store does not have.
    pub(crate) source: Option<Offset>,
}

impl From<Option<Stored>> for Slot {
    fn from(stored: Option<Stored>) -> Self {
        match stored {
            Some(Stored { document, source }) => Self {
                document: Some(document),
                source: Some(source),
            },
            None => Self::default(),
        }
    }
}

/// What a batch of events comes to.
#[derive(Debug, Default)]
pub struct Decision {
    /// To `wakeline.state`, in one transaction with `next`: one for every event that changed something.
    pub state: Vec<NewRecord>,
    /// The group's source position after this batch.
    pub next: Offset,
    /// Each touched document once. Those of which only times moved are among them: they have no state
    /// record, and what the fold remembers of an event must not be lost once its offset is committed.
    pub writes: Vec<Write>,
    /// Rows of history.
    pub history: Vec<HistoryRow>,
    /// Events to append to this partition before the commit, so that none is forgotten.
    pub reactions: Vec<Reaction>,
    /// To `wakeline.rejected`.
    pub rejected: Vec<NewRecord>,
    /// How many events did what.
    pub tally: EventTally,
    /// Bytes of `state`.
    pub bytes: usize,
}

/// How many events of a batch did what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventTally {
    /// Folded before, or without meaning for a device that does not exist.
    pub nothing: u64,
    /// Moved times only.
    pub times: u64,
    /// Changed or made a document.
    pub changed: u64,
    /// Deleted a device.
    pub deleted: u64,
    /// Refused by the fold.
    pub refused: u64,
    /// Not an event of ours.
    pub unreadable: u64,
}

/// One partition.
pub struct Partition {
    rules: Rules,
    cache: Cache,
    counts: CountsByTenant,
    reactor: Reactor,
}

/// A device that the batch at hand is about.
struct Touched {
    slot: Slot,
    /// Whether the slot must be written.
    dirty: bool,
    /// What asks for ONLINE, and no other word about the status follows.
    sign: Option<Sign>,
}

impl Partition {
    /// A partition of which nothing is known yet; [`restore`](Self::restore) it before the first batch.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            cache: Cache::new(rules.cached_document_bytes_max),
            counts: CountsByTenant::new(),
            reactor: Reactor::new(rules.silence, rules.heartbeat, rules.generation),
            rules,
        }
    }

    /// Takes in one stored document: its timer and its part in the counts. Each document once.
    pub fn restore(&mut self, stored: &Stored) {
        let document = &stored.document;
        counts::update(&mut self.counts, &document.tenant, None, Some(document));
        self.reactor.restore(stored);
    }

    /// The alert rules that are in force from now on.
    pub fn set_rules(&mut self, book: Arc<Rulebook>) {
        self.reactor.set_rules(book);
    }

    /// The alert rules in force.
    #[must_use]
    pub fn rulebook(&self) -> &Arc<Rulebook> {
        self.reactor.rules()
    }

    /// Holds a stored document against the alert rules put at or after `since` (an offset of
    /// `wakeline.control`), which found it as it is. `now` is wall time.
    pub fn hold_against_rules(&mut self, stored: Stored, since: Offset, now: Micros) -> Vec<Reaction> {
        let key = Arc::new(DeviceKey {
            tenant: stored.document.tenant.clone(),
            device: stored.document.id.clone(),
        });
        // What is cached is what the store has, or newer.
        let document = match self.cache.get(&key) {
            Some(slot) => slot.document,
            None => Some(stored.document),
        };
        document.map_or_else(Vec::new, |document| {
            self.reactor.hold_against_rules(&key, &document, since, now)
        })
    }

    /// The devices of `events` whose documents [`handle`](Self::handle) needs, each once.
    #[must_use]
    pub fn missing(&self, events: &[SourceEvent]) -> Vec<Arc<DeviceKey>> {
        let mut seen = rustc_hash::FxHashSet::default();
        events
            .iter()
            .map(|event| &event.key)
            .filter(|key| !self.cache.contains(key) && seen.insert(Arc::clone(key)))
            .cloned()
            .collect()
    }

    /// Folds `batch` in offset order. `fetched` answers [`missing`](Self::missing) for this batch. An
    /// event that its document holds already is passed over. `now` is wall time.
    pub fn handle(
        &mut self,
        batch: &SourceBatch,
        fetched: Vec<(Arc<DeviceKey>, Option<Stored>)>,
        now: Micros,
    ) -> Decision {
        let mut decision = Decision {
            next: batch.next,
            ..Decision::default()
        };
        for unreadable in &batch.unreadable {
            decision.tally.unreadable += 1;
            self.reject(&mut decision, || rejected::unreadable(&self.rules, unreadable));
        }
        let mut touched: FxHashMap<Arc<DeviceKey>, Touched> = FxHashMap::default();
        // Decisions come in the order in which the devices were first met, whatever the hasher does.
        let mut order: Vec<Arc<DeviceKey>> = Vec::new();
        for (key, stored) in fetched {
            touched.insert(
                key,
                Touched {
                    slot: stored.into(),
                    dirty: false,
                    sign: None,
                },
            );
        }
        let mut met = rustc_hash::FxHashSet::default();
        for event in &batch.events {
            if met.insert(&*event.key) {
                order.push(Arc::clone(&event.key));
            }
            let device = touched.entry(Arc::clone(&event.key)).or_insert_with(|| Touched {
                slot: self.cache.get(&event.key).unwrap_or_default(),
                dirty: false,
                sign: None,
            });
            self.reactor.heard_event(event, now);
            self.fold(event, device, &mut decision, now);
        }
        for key in order {
            if let Some(device) = touched.remove(&key) {
                self.settle(key, device, &mut decision, now);
            }
        }
        decision
    }

    /// The end of the partition was reached at wall time `now`: from here on its clock is wall time.
    pub fn reached_end(&mut self, now: Micros) {
        self.reactor.reached_end(now);
    }

    /// The reactions whose time has come, at wall time `now`; none while the partition is behind.
    pub fn due(&mut self, now: Micros, reactions_max: usize) -> Vec<Reaction> {
        self.reactor.due(now, reactions_max)
    }

    /// The log will never take this reaction: it is no longer waited for.
    pub fn give_up(&mut self, reaction: &Reaction) {
        self.reactor.give_up(reaction);
    }

    /// Counts by tenant after the last batch.
    #[must_use]
    pub const fn counts(&self) -> &CountsByTenant {
        &self.counts
    }

    /// Devices with a timer.
    #[must_use]
    pub fn pending_timers(&self) -> usize {
        self.reactor.pending_timers()
    }

    fn fold(&mut self, event: &SourceEvent, device: &mut Touched, decision: &mut Decision, now: Micros) {
        let slot = &mut device.slot;
        if slot.source.is_some_and(|source| source >= event.offset) {
            decision.tally.nothing += 1;
            return;
        }
        let late = is_late(slot.document.as_deref(), &event.event);
        let mut moved = true;
        match fold(slot.document.as_deref(), &event.event, &self.rules.limits) {
            Outcome::Nothing => {
                decision.tally.nothing += 1;
                if slot.document.is_none() {
                    self.reactor.heard_of_unknown(event);
                }
                return;
            }
            Outcome::Times(document) => {
                decision.tally.times += 1;
                moved = false;
                slot.document = Some(Arc::new(document));
            }
            Outcome::Changed(change) => {
                decision.tally.changed += 1;
                let value = change.encode();
                decision.bytes += value.len();
                decision.state.push(state_record(&self.rules, event, Some(value)));
                self.count(event, slot, Some(&change.document));
                let changed = Changed {
                    event,
                    before: slot.document.as_deref(),
                    after: &change.document,
                };
                decision.reactions.extend(self.reactor.judge(&changed, now));
                slot.document = Some(Arc::new(change.document));
            }
            Outcome::Deleted => {
                decision.tally.deleted += 1;
                decision.state.push(state_record(&self.rules, event, None));
                self.count(event, slot, None);
                slot.document = None;
            }
            Outcome::Refused { reason, document } => {
                decision.tally.refused += 1;
                self.reject(decision, || rejected::refused(&self.rules, event, &reason));
                if let Some(document) = document {
                    slot.document = Some(Arc::new(document));
                }
            }
        }
        slot.source = Some(event.offset);
        device.dirty = true;
        note_sign(&self.rules.silence, event, device);
        decision
            .history
            .extend(history_row(&self.rules, event, late, moved));
    }

    /// Closes the batch for one device: its write, its timer, its reaction, its place in the cache.
    fn settle(&mut self, key: Arc<DeviceKey>, device: Touched, decision: &mut Decision, now: Micros) {
        let Touched { slot, dirty, sign } = device;
        if let (true, Some(source)) = (dirty, slot.source) {
            decision.writes.push(Write {
                key: DeviceKey::clone(&key),
                partition: self.rules.partition,
                document: slot.document.clone(),
                source,
            });
        }
        if let Some(source) = slot.source {
            // Also when the row held the batch already: the reactor may know an older one.
            let heard = self
                .reactor
                .observe(&key, slot.document.as_deref(), source, sign, now);
            decision.reactions.extend(heard);
        }
        self.cache.insert(key, slot);
    }

    fn count(&mut self, event: &SourceEvent, before: &Slot, after: Option<&Document>) {
        counts::update(
            &mut self.counts,
            &event.key.tenant,
            before.document.as_deref(),
            after,
        );
    }

    fn reject(&self, decision: &mut Decision, record: impl FnOnce() -> NewRecord) {
        if decision.rejected.len() < self.rules.rejected_per_batch_max {
            decision.rejected.push(record());
        }
    }
}

/// The row of history that `event` leaves, if its kind leaves any; `moved`: it moved more than times. A step of an
/// alert that moves nothing leaves none: its rule and somebody's hand may close an alert at about the same time, and
/// it closed once.
pub(crate) fn history_row(rules: &Rules, event: &SourceEvent, late: bool, moved: bool) -> Option<HistoryRow> {
    let kind = event.event.body.kind();
    let is_kept = rules.history_kinds.contains(&kind) && (moved || kind != Kind::Alert);
    is_kept.then(|| HistoryRow {
        partition: rules.partition,
        offset: event.offset,
        late,
        event: Arc::clone(&event.event),
    })
}

/// The state record of what `event` made of its device; without a value, a tombstone.
pub(crate) fn state_record(rules: &Rules, event: &SourceEvent, value: Option<Bytes>) -> NewRecord {
    NewRecord {
        topic: Topic::State,
        partition: rules.partition,
        key: record_key(&event.key),
        value,
        timestamp_ms: event.event.received_at.div_euclid(1_000),
        headers: Headers {
            kind: event.event.body.kind().name().into(),
            generation: rules.generation,
            traceparent: event.traceparent.clone(),
            source_offset: Some(event.offset),
        },
    }
}

/// Keeps `device.sign` the last sign of life after which nothing spoke of the status. A verdict of silence that
/// the fold lets stand, though the device was heard in time, counts as one: it is contradicted by whoever reads it,
/// also when whoever gave it is gone.
fn note_sign(silence: &Silence, event: &SourceEvent, device: &mut Touched) {
    let Some(document) = &device.slot.document else {
        device.sign = None;
        return;
    };
    let is_wrong_verdict = silence.is_refuted(&event.event, document.last_seen_at);
    // A word that the fold passes over takes back no sign of life before it.
    let is_sign = if says_status(document, &event.event) {
        is_wrong_verdict
    } else if is_sign_of_life(&event.event) {
        true
    } else {
        return;
    };
    device.sign = is_sign.then(|| Sign {
        is_wrong_verdict,
        offset: event.offset,
        traceparent: event.traceparent.clone(),
    });
}
