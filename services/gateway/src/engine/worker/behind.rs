//! Reading on from a stream's own positions: from the rings where they reach so far, else from blocks of
//! the log that others share. A slice at a time, fair between partitions, until the stream stands where
//! its worker stands; then it is live.

use std::sync::Arc;

use journal::{Offset, Partition};

use super::connection::{Connection, Mode};
use super::hub::{Hub, Step, millis};
use super::output::Wire;
use super::snapshot::Snapshot;
use crate::engine::blocks::BlockAnswer;
use crate::engine::lookups::{Lookup, Moved};
use crate::engine::mailbox::BlockKey;
use crate::engine::record::{Chunk, LogRecord};
use crate::engine::ring::Place;
use crate::subscription::{Reset, ResetReason, SnapshotStart, View};

/// Where a stream stands by itself, in the order of its set's partitions.
pub(crate) struct Behind {
    /// What to read next; `None` until the partition is open, for one that starts at the live end.
    pub(crate) places: Box<[Option<Place>]>,
    /// The partition that is read first in the next slice.
    first: usize,
    /// Since when a position has been ahead of what the worker has seen; 0 = none is.
    pub(crate) ahead_since: u64,
}

/// A chunk that was just read from the log, and where.
pub(crate) struct Ready<'a> {
    pub(crate) partition: Partition,
    pub(crate) chunk: &'a Arc<Chunk>,
}

/// What is left of a slice.
struct Left {
    records: usize,
    bytes: usize,
}

/// Records of one partition before it is another's turn within the slice.
const VISIT_RECORDS: usize = 256;

impl Behind {
    pub(crate) fn new(places: Vec<Option<Place>>) -> Self {
        Self {
            places: places.into_boxed_slice(),
            first: 0,
            ahead_since: 0,
        }
    }
}

impl<W: Wire> Connection<W> {
    /// Reads and writes one slice.
    pub(crate) fn advance(&mut self, hub: &mut Hub, ready: Option<&Ready<'_>>) {
        self.flush(hub);
        self.emit_owed(hub);
        self.emit_latest(hub);
        let is_held = self
            .latest
            .as_ref()
            .is_some_and(|latest| !latest.may_read(hub.now_ms, hub.settings()));
        if self.out.blocked || self.out.gone || is_held {
            return;
        }
        let Mode::Behind(mut behind) = std::mem::replace(&mut self.mode, Mode::Live) else {
            return;
        };
        self.observe_lag(hub, &behind);
        let mut left = Left {
            records: hub.settings().slice_records_max,
            bytes: hub.settings().turn_bytes_max,
        };
        let mut steps = Vec::new();
        self.read_slice(hub, &mut behind, &mut steps, &mut left, ready);
        if let Some(mark) = self.flush(hub) {
            for step in steps.get(mark as usize..).unwrap_or_default().iter().rev() {
                behind.places[step.feed] = Some(step.before);
            }
            if let Some(skip) = &mut self.skip {
                skip.take_back();
            }
        } else if self.skip.as_mut().is_some_and(|skip| skip.tidy()) {
            self.skip = None;
        }
        let is_spent = left.records == 0 || left.bytes == 0 || self.is_full(hub);
        let joined = self.is_joined(hub, &mut behind);
        self.mode = Mode::Behind(behind);
        self.emit_latest(hub);
        if joined {
            self.set_mode(hub, Mode::Live);
            if let Some(latest) = &mut self.latest {
                latest.end_round(hub.now_ms);
            }
        } else if is_spent && !self.out.blocked {
            if !self.is_runnable {
                self.is_runnable = true;
                hub.runnable.push_back(self.token);
            }
        } else {
            self.linger(hub);
        }
        if self.check_ends(hub) {
            self.emit_owed(hub);
        }
    }

    fn observe_lag(&self, hub: &Hub, behind: &Behind) {
        if let Some(least_ms) = behind.places.iter().flatten().map(|place| place.time_ms).min() {
            let lag_us = hub.wall() - least_ms.saturating_mul(1_000);
            hub.env.metrics.lag.observe(lag_us.max(0) as f64 / 1e6);
        }
    }

    fn read_slice(
        &mut self,
        hub: &mut Hub,
        behind: &mut Behind,
        steps: &mut Vec<Step>,
        left: &mut Left,
        ready: Option<&Ready<'_>>,
    ) {
        let count = behind.places.len();
        loop {
            let mut progress = false;
            for turn in 0..count {
                let index = (behind.first + turn) % count;
                progress |= self.read_partition(hub, behind, index, steps, left, ready);
                if left.records == 0 || left.bytes == 0 || self.is_full(hub) {
                    behind.first = (index + 1) % count;
                    return;
                }
            }
            if !progress {
                return;
            }
        }
    }

    /// Reads some records of one partition; false when there is nothing to read at present.
    fn read_partition(
        &mut self,
        hub: &mut Hub,
        behind: &mut Behind,
        index: usize,
        steps: &mut Vec<Step>,
        left: &mut Left,
        ready: Option<&Ready<'_>>,
    ) -> bool {
        let number = hub.sets[self.set].feeds[index];
        let Some(limit) = hub.place(number) else {
            return false;
        };
        let Some(place) = behind.places[index] else {
            return false;
        };
        if place.next >= limit.next {
            return false;
        }
        let Some(chunk) = self.chunk_for(hub, index, number, place.next, ready) else {
            return false;
        };
        let mut visit = VISIT_RECORDS.min(left.records);
        for record in chunk.since(place.next) {
            if record.offset >= limit.next {
                break;
            }
            if visit == 0 || left.bytes == 0 || self.is_full(hub) {
                return true;
            }
            visit -= 1;
            left.records -= 1;
            let mark = steps.len();
            steps.push(Step {
                feed: index,
                before: behind.places[index].unwrap_or(place),
            });
            behind.places[index] = Some(Place {
                next: record.offset + 1,
                time_ms: record.timestamp_ms,
            });
            self.read_record(hub, behind, record, mark, left);
        }
        let end = chunk.next.min(limit.next);
        if let Some(place) = &mut behind.places[index]
            && place.next < end
        {
            steps.push(Step {
                feed: index,
                before: *place,
            });
            place.next = end;
        }
        true
    }

    fn read_record(
        &mut self,
        hub: &mut Hub,
        behind: &Behind,
        record: &Arc<LogRecord>,
        mark: usize,
        left: &mut Left,
    ) {
        if !self.wants(record) {
            return;
        }
        if let Some(latest) = &mut self.latest {
            return latest.offer(record, &self.subscription.selection);
        }
        let cursor = hub.cursor(self.set, &behind.places, self.subscription.start.time_ms, None);
        if let Some(frame) = hub.frame(&self.subscription, self.form, record, &cursor) {
            left.bytes = left.bytes.saturating_sub(frame.len());
            hub.env.metrics.frames.inc();
            self.out.push(frame, u32::try_from(mark).unwrap_or(u32::MAX - 1));
        }
    }

    /// Whether the selection wants a record that the index was not asked about.
    fn wants(&mut self, record: &LogRecord) -> bool {
        let selection = &self.subscription.selection;
        selection.kinds.contains(record.kind)
            && selection
                .tenant
                .name()
                .is_none_or(|tenant| tenant == record.tenant())
            && self.devices.contains(record.device())
            && !self.skip.as_mut().is_some_and(|skip| skip.skips(record))
    }

    fn is_full(&self, hub: &Hub) -> bool {
        self.latest
            .as_ref()
            .is_some_and(|latest| latest.is_full(hub.settings()))
    }

    /// The chunk that covers an offset, or `None` after asking for it.
    fn chunk_for(
        &mut self,
        hub: &mut Hub,
        index: usize,
        number: usize,
        at: Offset,
        ready: Option<&Ready<'_>>,
    ) -> Option<Arc<Chunk>> {
        let partition = hub.sets[self.set].partitions[index];
        if let Some(ready) = ready
            && ready.partition == partition
            && ready.chunk.covers(at)
        {
            return Some(Arc::clone(ready.chunk));
        }
        if self.waits.contains(&(partition, at)) {
            return None;
        }
        if let Some(chunk) = hub.chunk_at(number, at) {
            return Some(chunk);
        }
        self.ask_block(hub, partition, at);
        None
    }

    fn ask_block(&mut self, hub: &mut Hub, partition: Partition, at: Offset) {
        if self.times.retry > hub.now_ms || self.waits.contains(&(partition, at)) {
            return;
        }
        let key = BlockKey {
            topic: self.subscription.view.topic(),
            partition,
            at,
        };
        let tenant = self.subscription.selection.tenant.name().unwrap_or_default();
        if hub.request_block(key, tenant, self.token) {
            self.waits.push((partition, at));
        } else {
            self.retry_later(hub);
        }
    }

    pub(crate) fn retry_later(&mut self, hub: &Hub) {
        self.times.retry = hub.now_ms + millis(hub.settings().tail_retry);
    }

    /// Whether the stream stands where its worker stands. Notes since when a position is ahead of that.
    fn is_joined(&self, hub: &Hub, behind: &mut Behind) -> bool {
        let set = &hub.sets[self.set];
        let (mut joined, mut ahead) = (true, false);
        for (place, number) in behind.places.iter().zip(&set.feeds) {
            match (place, hub.place(*number)) {
                (Some(place), Some(limit)) => {
                    joined &= place.next == limit.next;
                    ahead |= place.next > limit.next;
                }
                _ => joined = false,
            }
        }
        behind.ahead_since = match (ahead, behind.ahead_since) {
            (false, _) => 0,
            (true, 0) => hub.now_ms.max(1),
            (true, since) => since,
        };
        joined
    }

    /// A block that was asked for has come, or not.
    pub(crate) fn block_answered(&mut self, hub: &mut Hub, key: BlockKey, answer: &BlockAnswer) {
        self.waits.retain(|wait| *wait != (key.partition, key.at));
        match answer {
            BlockAnswer::Chunk(chunk) => {
                self.end_seen(key, Some(chunk));
                let ready = Ready {
                    partition: key.partition,
                    chunk,
                };
                match self.mode {
                    Mode::Behind(_) => self.advance(hub, Some(&ready)),
                    Mode::Live | Mode::Snapshot(_) | Mode::Ended => self.settle(hub),
                }
            }
            BlockAnswer::End => {
                self.end_seen(key, None);
                self.times.retry = hub.now_ms + END_RETRY_MS;
                self.linger(hub);
            }
            BlockAnswer::Unavailable => self.retry_later(hub),
            BlockAnswer::OutOfRange { start, end } => {
                if self.stands_outside(hub, key, *start, *end) {
                    self.ask_reset(hub);
                } else {
                    self.retry_later(hub);
                }
            }
        }
    }

    fn stands_outside(&self, hub: &Hub, key: BlockKey, start: Offset, end: Offset) -> bool {
        let Mode::Behind(behind) = &self.mode else {
            return false;
        };
        let set = &hub.sets[self.set];
        let place = set
            .partitions
            .iter()
            .zip(&behind.places)
            .find(|(partition, _)| **partition == key.partition);
        place
            .and_then(|(_, place)| *place)
            .is_some_and(|place| place.next < start || place.next > end)
    }

    /// Asks where to go on: a position may lie outside the log.
    pub(crate) fn ask_reset(&mut self, hub: &mut Hub) {
        let Mode::Behind(behind) = &self.mode else {
            return;
        };
        if self.is_asking {
            return;
        }
        let set = &hub.sets[self.set];
        let known = set.partitions.iter().zip(&behind.places);
        let times = behind.places.iter().flatten().map(|place| place.time_ms);
        let lookup = Lookup::Reset {
            topic: set.topic,
            time_ms: times.min().unwrap_or(self.subscription.start.time_ms),
            positions: known
                .filter_map(|(partition, place)| Some((*partition, place.as_ref()?.next)))
                .collect(),
        };
        self.is_asking = self.ask(hub, lookup);
    }

    pub(crate) fn ask(&mut self, hub: &mut Hub, lookup: Lookup) -> bool {
        let tenant = self.subscription.selection.tenant.name().unwrap_or_default();
        let asked = hub.request_lookup(lookup, tenant, self.token);
        if !asked {
            self.retry_later(hub);
        }
        asked
    }

    /// The answer to [`ask_reset`](Self::ask_reset). The stream may have read on since it asked: only a
    /// position that is still where it was is moved.
    pub(crate) fn reset_answered(&mut self, hub: &mut Hub, mut moved: Vec<Moved>) {
        let Mode::Behind(behind) = &mut self.mode else {
            return;
        };
        behind.ahead_since = 0;
        let set = &hub.sets[self.set];
        let mut requested = Vec::new();
        moved.retain(|moved| {
            let index = set.partitions.iter().position(|other| *other == moved.partition);
            let place = index.and_then(|index| behind.places[index].as_mut());
            let Some(place) = place.filter(|place| place.next == moved.from) else {
                return false;
            };
            place.next = moved.to;
            requested.push((moved.partition, place.time_ms));
            true
        });
        if !moved.is_empty() {
            tracing::info!(?moved, "a stream stood outside the log and is reset");
            let is_trimmed = moved.iter().any(|moved| moved.reason == ResetReason::Trimmed);
            if is_trimmed && self.subscription.view == View::Devices {
                let places = behind.places.to_vec();
                self.set_mode(hub, Mode::Snapshot(Box::new(Snapshot::new(SnapshotStart::New, places))));
            }
            self.owed.reset = Some(Box::new(Reset {
                reason: if is_trimmed { ResetReason::Trimmed } else { ResetReason::Ahead },
                requested,
                available: moved.iter().filter_map(|moved| Some((moved.partition, moved.available_ms?))).collect(),
                duplicates: moved.iter().any(|moved| moved.reason == ResetReason::Ahead),
            }));
        }
        self.settle(hub);
    }

    /// Whether all that the log held when the stream opened is out; then `caught_up` is owed. Asks
    /// whether anything follows at a position that does not move: an end may lie behind a hole.
    pub(crate) fn check_ends(&mut self, hub: &mut Hub) -> bool {
        if self.ends.is_none() || self.owed.caught_up {
            return self.owed.caught_up;
        }
        let mut places = match &self.mode {
            Mode::Live => hub.places_before(self.set, usize::MAX),
            Mode::Behind(behind) => behind.places.to_vec(),
            Mode::Snapshot(_) | Mode::Ended => return false,
        };
        if let Some(latest) = &self.latest {
            latest.hold_back(&self.subscription.partitions, &mut places);
        }
        let set = &hub.sets[self.set];
        let at = |partition: Partition| {
            let index = set.partitions.iter().position(|other| *other == partition)?;
            Some((places[index], hub.place(set.feeds[index])))
        };
        let mut holes = Vec::new();
        if let Some(ends) = &mut self.ends {
            ends.remaining.retain(|(partition, end)| match at(*partition) {
                None => false,
                Some((Some(place), limit)) if place.next < *end => {
                    if limit.is_some_and(|limit| limit.next == place.next) {
                        holes.push((*partition, place.next));
                    }
                    true
                }
                Some((Some(_), _)) => false,
                Some((None, _)) => true,
            });
            self.owed.caught_up = ends.remaining.is_empty();
        }
        for (partition, at) in holes {
            self.ask_block(hub, partition, at);
        }
        if !self.owed.caught_up {
            self.linger(hub);
        }
        self.owed.caught_up
    }

    /// What a read at a position says about an end beyond it: only records count.
    fn end_seen(&mut self, key: BlockKey, chunk: Option<&Arc<Chunk>>) {
        let (Some(ends), Some(chunk)) = (&mut self.ends, chunk) else {
            return;
        };
        for (partition, end) in &mut ends.remaining {
            if *partition == key.partition && chunk.next >= *end {
                let before = chunk.since(key.at).iter().rfind(|record| record.offset < *end);
                *end = before.map_or(key.at, |record| record.offset + 1);
            }
        }
    }
}

/// The log's end as one reader sees it may be behind what another saw.
const END_RETRY_MS: u64 = 50;
