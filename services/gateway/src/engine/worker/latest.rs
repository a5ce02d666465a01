//! `deliver=latest`: one pending item per device, the newest, whatever the client's speed.
//!
//! Filters judge every change, before anything is conflated: what a device was when it passed stays
//! pending when it passes no more, and so does that it left when it comes back.
//!
//! What is pending is what the client does not have yet: the stream's cursor is held back to the lowest
//! offset pending in each partition, so that a reconnect loses nothing. The list is bounded; when it is
//! full the stream stops reading, keeps its position, and conflates what it reads later.

mod entry;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use journal::Partition;
use rustc_hash::FxHashMap;

use super::connection::{Connection, Mode};
use super::hub::{Hub, millis};
use super::output::Wire;
use crate::dialect::Item;
use crate::engine::filtered::Outcome;
use crate::engine::frames::{self, Shown};
use crate::engine::record::LogRecord;
use crate::engine::ring::Place;
use crate::settings::Settings;
use crate::subscription::Selection;
use entry::{Entry, Part, key};

/// Items that wait, oldest first.
pub(crate) struct Latest {
    every_ms: u64,
    /// Nothing is sent before this.
    round_at: u64,
    /// Number of the first entry of `queue`.
    first: u64,
    queue: VecDeque<Entry>,
    by_key: FxHashMap<Box<str>, u64>,
    /// The first record of each entry, by partition, in the order of `queue`.
    held: BTreeMap<Partition, VecDeque<Place>>,
    bytes: usize,
    /// Something was sent in this round.
    has_sent: bool,
}

impl Latest {
    pub(crate) fn new(every: Option<Duration>) -> Self {
        Self {
            every_ms: every.map_or(0, millis),
            round_at: 0,
            first: 0,
            queue: VecDeque::new(),
            by_key: FxHashMap::default(),
            held: BTreeMap::new(),
            bytes: 0,
            has_sent: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What is charged for all that waits.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_full(&self, settings: &Settings) -> bool {
        self.queue.len() >= settings.latest_devices_max || self.bytes >= settings.latest_bytes_max
    }

    /// Whether a stream that is behind may read on: within a round, and with room.
    pub(crate) fn may_read(&self, now_ms: u64, settings: &Settings) -> bool {
        now_ms >= self.round_at && !self.is_full(settings)
    }

    /// When it may send again, if it waits for that.
    pub(crate) fn due(&self, now_ms: u64, is_behind: bool) -> Option<u64> {
        (self.round_at > now_ms && (is_behind || !self.queue.is_empty())).then_some(self.round_at)
    }

    /// Takes a record in the place of what was pending under its key.
    pub(crate) fn offer(&mut self, record: &Arc<LogRecord>, outcome: Outcome, selection: &Selection) {
        let is_filtered = selection.filters.is_some();
        if matches!(
            frames::reduce(record, selection.metrics.as_deref()),
            Shown::Nothing
        ) {
            return;
        }
        let key = key(record);
        let pending = self.by_key.get(&key).and_then(|number| {
            let index = usize::try_from(number - self.first).ok()?;
            self.queue.get_mut(index)
        });
        if let Some(entry) = pending {
            self.bytes -= entry.bytes;
            entry.take(record, outcome, is_filtered);
            self.bytes += entry.bytes;
            return;
        }
        self.by_key
            .insert(key.clone(), self.first + self.queue.len() as u64);
        self.held.entry(record.partition).or_default().push_back(Place {
            next: record.offset,
            time_ms: record.timestamp_ms,
        });
        let entry = Entry::new(key, record, outcome, is_filtered);
        self.bytes += entry.bytes;
        self.queue.push_back(entry);
    }

    /// Holds positions back to the first record that is pending in their partitions.
    pub(crate) fn hold_back(&self, partitions: &[Partition], places: &mut [Option<Place>]) {
        self.hold_back_behind(partitions, places, &BTreeMap::new());
    }

    /// The same as if the first entries, so many in each partition, were sent.
    fn hold_back_behind(
        &self,
        partitions: &[Partition],
        places: &mut [Option<Place>],
        sent: &BTreeMap<Partition, usize>,
    ) {
        for (partition, place) in partitions.iter().zip(places) {
            let sent = sent.get(partition).copied().unwrap_or(0);
            if let Some(held) = self.held.get(partition).and_then(|held| held.get(sent)) {
                *place = Some(place.map_or(*held, |place| Place {
                    next: place.next.min(held.next),
                    time_ms: place.time_ms.min(held.time_ms),
                }));
            }
        }
    }

    /// All is sent: the next round is some time away.
    pub(crate) fn end_round(&mut self, now_ms: u64) {
        if self.queue.is_empty() && std::mem::take(&mut self.has_sent) {
            self.round_at = now_ms + self.every_ms;
        }
    }

    /// The stream reads a partition again from here on: what is pending there holds its cursor back to that.
    pub(crate) fn go_back(&mut self, partition: Partition, to: Place) {
        for held in self.held.get_mut(&partition).into_iter().flatten() {
            *held = to;
        }
    }

    /// Forgets the first `count` frames: they are out, and `has` is told their records.
    fn sent(&mut self, mut count: usize, mut has: impl FnMut(&LogRecord)) {
        self.has_sent |= count > 0;
        while count > 0
            && let Some(entry) = self.queue.front_mut()
        {
            let parts = {
                let parts = entry.parts();
                parts.iter().take(count).for_each(|part| has(part.record));
                parts.len()
            };
            self.bytes -= entry.bytes;
            if count < parts {
                entry.drop_first();
                self.bytes += entry.bytes;
                break;
            }
            count -= parts;
            self.pop();
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
            self.by_key = FxHashMap::default();
        }
    }

    fn pop(&mut self) {
        let Some(entry) = self.queue.pop_front() else {
            return;
        };
        self.first += 1;
        self.by_key.remove(&entry.key);
        if let Some(held) = self.held.get_mut(&entry.partition) {
            held.pop_front();
            if held.is_empty() {
                self.held.remove(&entry.partition);
            }
        }
    }

    /// Forgets what a new selection does not want.
    pub(crate) fn retain(
        &mut self,
        mut wanted: impl FnMut(&LogRecord) -> Option<Outcome>,
        selection: &Selection,
    ) {
        let queue = std::mem::take(&mut self.queue);
        let mut held = std::mem::take(&mut self.held);
        self.by_key.clear();
        self.bytes = 0;
        for mut entry in queue {
            let first = held.get_mut(&entry.partition).and_then(VecDeque::pop_front);
            let is_wanted = entry.retain(|record| {
                let is_shown = !matches!(
                    frames::reduce(record, selection.metrics.as_deref()),
                    Shown::Nothing
                );
                wanted(record).filter(|_| is_shown)
            });
            if !is_wanted {
                continue;
            }
            self.by_key
                .insert(entry.key.clone(), self.first + self.queue.len() as u64);
            self.held.entry(entry.partition).or_default().extend(first);
            self.bytes += entry.bytes;
            self.queue.push_back(entry);
        }
    }
}

impl<W: Wire> Connection<W> {
    /// Sends what is pending, as far as its round and the client allow.
    pub(crate) fn emit_latest(&mut self, hub: &mut Hub) {
        let Some(mut latest) = self.latest.take() else {
            return;
        };
        while !latest.is_empty()
            && hub.now_ms >= latest.round_at
            && self.out.is_empty()
            && !self.out.blocked
            && !self.out.gone
        {
            let queued = self.queue_latest(hub, &latest);
            let count = self.flush(hub).map_or(queued, |mark| mark as usize);
            let devices_max = hub.settings().selection_devices_max;
            let (talk, conversation) = (&mut self.talk, &mut self.conversation);
            latest.sent(count, |record| {
                talk.has(record, devices_max);
                conversation.has(record);
            });
        }
        if matches!(self.mode, Mode::Live) {
            latest.end_round(hub.now_ms);
            self.talk.is_live(hub.now_ms);
        }
        self.latest = Some(latest);
    }

    /// Queues frames of pending items, each with the cursor that is right once it is out; answers how many.
    fn queue_latest(&mut self, hub: &Hub, latest: &Latest) -> usize {
        let places = match &self.mode {
            Mode::Behind(behind) => behind.places.to_vec(),
            Mode::Live | Mode::Snapshot(_) | Mode::Ended => hub.places_before(self.set, usize::MAX),
        };
        let mut sent: BTreeMap<Partition, usize> = BTreeMap::new();
        let mut queued = 0;
        for entry in &latest.queue {
            if self.out.bytes() > hub.settings().turn_bytes_max {
                break;
            }
            let parts = entry.parts();
            for (number, part) in parts.iter().enumerate() {
                // Until the last of it is out, all of it is pending.
                if number + 1 == parts.len() {
                    *sent.entry(entry.partition).or_default() += 1;
                }
                let mut places = places.clone();
                latest.hold_back_behind(&self.subscription.partitions, &mut places, &sent);
                let cursor = hub.cursor(self.set, &places, self.subscription.start.time_ms, None);
                if let Some(frame) = self.latest_frame(hub, part, &cursor) {
                    hub.env.metrics.frames.inc();
                    self.out.push(frame, queued);
                }
                queued += 1;
            }
        }
        queued as usize
    }

    fn latest_frame(&self, hub: &Hub, part: &Part<'_>, cursor: &str) -> Option<Bytes> {
        if self.conversation.is_old(part.record) {
            return None;
        }
        let (Some(merged), Some(change)) = (part.merged, part.record.change()) else {
            return hub.frame(self.form, part.record, part.outcome, cursor);
        };
        let mut change = change.clone();
        change.changed = merged.changed.iter().cloned().collect();
        change.before = serde_json::to_string(&merged.before).unwrap_or_default().into();
        hub.forms[self.form].data(Item::Change(&change), cursor)
    }
}

#[cfg(test)]
mod tests;
