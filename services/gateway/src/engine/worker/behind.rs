//! Reading on from a stream's own positions: from the rings where they reach so far, else from blocks of
//! the log that others share. A slice at a time, fair between partitions, until the stream stands where
//! its worker stands; then it is live.

use std::sync::Arc;

use journal::{Offset, Partition};

use super::connection::{Connection, Mode};
use super::hub::{Hub, Step, millis};
use super::output::Wire;
use crate::engine::blocks::BlockAnswer;
use crate::engine::filtered::Outcome;
use crate::engine::mailbox::BlockKey;
use crate::engine::record::{Chunk, LogRecord};
use crate::engine::ring::Place;
use crate::subscription::Use;

/// Where a stream stands by itself, in the order of its set's partitions.
pub(crate) struct Behind {
    /// What to read next; `None` until the partition is open, for one that starts at the live end.
    pub(crate) places: Box<[Option<Place>]>,
    /// The partition that is read first in the next slice.
    first: usize,
    /// Since when a position has been ahead of what the worker has seen; 0 = none is.
    pub(crate) ahead_since: u64,
    /// Frames of one slice, bytes: what the client does not take is made again, so this follows what it
    /// takes.
    slice_bytes: usize,
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
    /// What comes next waits for the next slice.
    is_ended: bool,
}

/// Frames of the first slice of a stream that falls behind, bytes.
const SLICE_BYTES_AT_FIRST: usize = 64 << 10;
/// Frames of the smallest slice, bytes.
const SLICE_BYTES_MIN: usize = 2 << 10;

/// Records of one partition before it is another's turn within the slice.
const VISIT_RECORDS: usize = 256;

impl Behind {
    pub(crate) fn new(places: Vec<Option<Place>>) -> Self {
        Self {
            places: places.into_boxed_slice(),
            first: 0,
            ahead_since: 0,
            slice_bytes: SLICE_BYTES_AT_FIRST,
        }
    }
}

impl<W: Wire> Connection<W> {
    /// Reads and writes one slice.
    pub(crate) fn advance(&mut self, hub: &mut Hub, ready: Option<&Ready<'_>>) {
        if !matches!(self.mode, Mode::Behind(_)) {
            return;
        }
        self.flush(hub);
        self.emit_owed(hub);
        self.emit_latest(hub);
        let is_held = self
            .latest
            .as_ref()
            .is_some_and(|latest| !latest.may_read(hub.now_ms, hub.settings()));
        if self.out.blocked || self.out.gone || is_held || self.talk.held_until(hub.now_ms).is_some() {
            return;
        }
        let Mode::Behind(mut behind) = std::mem::replace(&mut self.mode, Mode::Live) else {
            return;
        };
        self.observe_lag(hub, &behind);
        let settings = hub.settings();
        let slice_bytes_max = settings.slice_bytes_max.min(settings.turn_bytes_max).max(1);
        let mut left = Left {
            records: hub.settings().slice_records_max,
            bytes: behind.slice_bytes.min(slice_bytes_max),
            is_ended: false,
        };
        let mut steps = Vec::new();
        self.read_slice(hub, &mut behind, &mut steps, &mut left, ready);
        let before = self.out.written;
        if let Some(mark) = self.flush(hub) {
            let taken = usize::try_from(self.out.written - before).unwrap_or(usize::MAX);
            behind.slice_bytes = taken.saturating_mul(2).max(SLICE_BYTES_MIN);
            for step in steps.get(mark as usize..).unwrap_or_default().iter().rev() {
                behind.places[step.feed] = Some(step.before);
            }
            if let Some(skip) = &mut self.skip {
                skip.take_back();
            }
        } else {
            behind.slice_bytes = (behind.slice_bytes * 2).min(slice_bytes_max);
            if self.skip.as_mut().is_some_and(|skip| skip.tidy()) {
                self.skip = None;
            }
        }
        hub.worked += hub.settings().slice_records_max - left.records;
        let is_spent = left.records == 0 || left.bytes == 0 || left.is_ended || self.is_full(hub);
        let joined = self.is_joined(hub, &mut behind);
        self.mode = Mode::Behind(behind);
        self.emit_latest(hub);
        if joined {
            self.set_mode(hub, Mode::Live);
            self.talk.is_live(hub.now_ms);
            if let Some(latest) = &mut self.latest {
                latest.end_round(hub.now_ms);
            }
        } else if is_spent && !self.out.blocked {
            self.run_soon(hub);
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
                if left.is_ended {
                    behind.first = index;
                    return;
                }
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
            if self.is_told_after_data(record) {
                left.is_ended = true;
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
        match self.use_of(record) {
            Use::None => return,
            Use::Tell => return self.tell(hub, record, Some(&behind.places)),
            Use::Show => {}
        }
        let Some(outcome) = self.outcome(hub, record) else {
            return;
        };
        if let Some(latest) = &mut self.latest {
            return latest.offer(record, outcome, &self.subscription.selection);
        }
        let mut writer = std::mem::take(&mut hub.cursors);
        let start_ms = self.subscription.start.time_ms;
        let cursor = hub.cursor_by(&mut writer, self.set, &behind.places, start_ms, None);
        let frame = hub.frame(self.form, record, outcome, cursor);
        hub.cursors = writer;
        if let Some(frame) = frame {
            left.bytes = left.bytes.saturating_sub(frame.len());
            hub.env.metrics.frames.inc();
            self.out.push(frame, u32::try_from(mark).unwrap_or(u32::MAX - 1));
        }
    }

    /// Whether the conversation is to be told of a record while what was shown before it is not out. What it
    /// says is never dropped, and its cursor counts on that: the record waits for the next slice.
    fn is_told_after_data(&self, record: &LogRecord) -> bool {
        let is_told = self.latest.is_none() && self.is_told(record) && self.out.is_before_told();
        is_told && self.wants(record) == Use::Tell
    }

    fn wants(&self, record: &LogRecord) -> Use {
        let selection = &self.subscription.selection;
        if !selection.tenant.contains(record.tenant()) {
            return Use::None;
        }
        let scope = &self.subscription.principal.devices;
        selection.use_of(record.kind, record.device(), &self.devices, scope)
    }

    /// What becomes of a record that the index was not asked about.
    fn use_of(&mut self, record: &LogRecord) -> Use {
        let wanted = self.wants(record);
        let is_passed = wanted != Use::None
            && (self.talk.has_passed(record) || self.skip.as_mut().is_some_and(|skip| skip.skips(record)));
        if is_passed { Use::None } else { wanted }
    }

    /// What the filters, if there are any, say of a record.
    pub(crate) fn outcome(&self, hub: &mut Hub, record: &LogRecord) -> Option<Outcome> {
        let (Some(ids), Some(filters)) = (&self.filters, &self.subscription.selection.filters) else {
            return Some(Outcome::Shown);
        };
        hub.filters.outcome(ids, filters.tells_left(), record)
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

    pub(crate) fn ask_block(&mut self, hub: &mut Hub, partition: Partition, at: Offset) {
        if self.times.retry > hub.now_ms || self.waits.contains(&(partition, at)) {
            return;
        }
        let key = BlockKey {
            topic: self.subscription.view.topic(),
            partition,
            at,
        };
        if hub.request_block(key, &self.subscription.share(), self.token) {
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
            BlockAnswer::Chunk(chunk, _room) => {
                self.end_seen(key, chunk);
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
}

/// The log's end as one reader sees it may be behind what another saw.
const END_RETRY_MS: u64 = 50;
