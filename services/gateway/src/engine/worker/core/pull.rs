//! Records on their way through a worker: from the rings to the streams that are live.

use std::sync::Arc;

use journal::Topic;

use super::Core;
use crate::engine::filtered::Outcome;
use crate::engine::index::Slot;
use crate::engine::intern::Id;
use crate::engine::record::{Chunk, LogRecord};
use crate::engine::ring::Place;
use crate::engine::tails::Pulled;
use crate::engine::worker::connection::Mode;
use crate::engine::worker::output::Wire;

impl<W: Wire> Core<W> {
    /// Takes what the rings have, matches it, and writes. True when positions moved.
    pub(super) fn pull(&mut self) -> bool {
        let mut changed = std::mem::take(&mut self.changed);
        self.hub.changed_feeds(&mut changed);
        let mut moved = false;
        let mut left = self.hub.settings().turn_records_max;
        for number in changed.drain(..) {
            moved |= self.pull_feed(number, &mut left);
        }
        self.changed = changed;
        self.end_records();
        moved
    }

    fn pull_feed(&mut self, number: usize, left: &mut usize) -> bool {
        let mut moved = self.look_at(number);
        // A stream that ends may be the last one of a feed.
        while let Some(feed) = self.hub.feeds.get(number) {
            let Some(at) = feed.at else {
                return moved;
            };
            match feed.feed.pull(at) {
                Pulled::Nothing => return moved,
                Pulled::Gap(to) => {
                    // What the ring lost, streams read from the log.
                    self.end_records();
                    self.detach(number);
                    self.hub.jump(number, to);
                }
                Pulled::Chunk(chunk) => self.take(number, &chunk, left),
            }
            moved = true;
            if *left == 0 {
                self.hub.revisit(number);
                self.has_more = true;
                return moved;
            }
        }
        moved
    }

    /// Sees whether a feed is open and can be read. True when it has just opened.
    fn look_at(&mut self, number: usize) -> bool {
        let Some(feed) = self.hub.feeds.get_mut(number) else {
            return false;
        };
        let opened = feed.at.is_none().then(|| feed.feed.begun()).flatten();
        if let Some((start, _)) = opened {
            feed.at = Some(start);
        }
        let unavailable = feed.feed.is_unavailable();
        if feed.unavailable != unavailable {
            feed.unavailable = unavailable;
            self.tell_degraded(number);
        }
        if let Some((_, promised)) = opened {
            // Streams that wait for the live end start where the feed began, before it moves.
            for (_, connection) in &mut self.connections {
                connection.begin(&self.hub, number, promised);
            }
        }
        opened.is_some()
    }

    /// Matches the records of a chunk, as far as the turn allows.
    fn take(&mut self, number: usize, chunk: &Chunk, left: &mut usize) {
        let Some(at) = self.hub.place(number) else {
            return;
        };
        let wall_ms = self.hub.wall() / 1_000;
        for record in chunk.since(at.next) {
            if *left == 0 {
                return;
            }
            *left -= 1;
            self.hub.env.metrics.records.inc();
            self.hub
                .env
                .metrics
                .age
                .observe((wall_ms - record.timestamp_ms).max(0) as f64 / 1e3);
            let mark = self.hub.steps.len();
            let place = Place {
                next: record.offset + 1,
                time_ms: record.timestamp_ms,
            };
            self.hub.step(number, place);
            self.hub.begin_record();
            self.queue(record, mark);
            let mut wanted = std::mem::take(&mut self.wanted);
            let index = self.hub.index_of(record.topic);
            index.find(record.tenant(), record.device(), record.kind, &mut wanted);
            for slot in wanted.drain(..) {
                self.show(slot, record, Outcome::Shown, mark);
            }
            self.wanted = wanted;
            if record.topic == Topic::State {
                let mut judged = std::mem::take(&mut self.judged);
                self.hub.filters.find(record, &mut judged);
                for (slot, outcome) in judged.drain(..) {
                    self.show(slot, record, outcome, mark);
                }
                self.judged = judged;
            }
        }
        if let Some(place) = self.hub.place(number)
            && place.next < chunk.next
        {
            let next = chunk.next;
            self.hub.step(number, Place { next, ..place });
        }
    }

    /// Queues a record for the cohorts that show it.
    fn queue(&mut self, record: &LogRecord, mark: usize) {
        let mut cohorts = std::mem::take(&mut self.cohorts);
        self.hub.cohort_index.find(record, &mut cohorts);
        for cohort in cohorts.drain(..) {
            if self.hub.queue(cohort, record, mark) {
                self.write_cohort(cohort);
            }
        }
        self.cohorts = cohorts;
    }

    /// Writes what is queued for a cohort to each of its streams.
    fn write_cohort(&mut self, cohort: Id) {
        let mut members = std::mem::take(&mut self.members);
        members.clear();
        let queued = self.hub.take_queued(cohort, &mut members);
        let joined = match &*queued {
            [] => return self.members = members,
            [one] => one.frame.clone(),
            all => all
                .iter()
                .map(|one| &*one.frame)
                .collect::<Vec<_>>()
                .concat()
                .into(),
        };
        let (mut bytes, mut whole) = (0, 0);
        for slot in &members {
            let Some(connection) = self.connections.get_mut(*slot as usize) else {
                continue;
            };
            let written = connection.write_joined(&mut self.hub, &joined);
            bytes += written;
            if written == joined.len() {
                whole += 1;
            } else {
                let token = connection.token;
                self.with(token, |connection, hub| {
                    connection.write_rest(hub, &queued, written)
                });
            }
        }
        self.hub.env.metrics.bytes.inc_by(bytes as u64);
        let frames = queued.len() * whole;
        self.hub.env.metrics.frames.inc_by(frames as u64);
        self.members = members;
    }

    fn show(&mut self, slot: Slot, record: &Arc<LogRecord>, outcome: Outcome, mark: usize) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        if matches!(connection.mode, Mode::Live) {
            connection.show(&mut self.hub, record, outcome, mark);
            if !connection.is_dirty {
                connection.is_dirty = true;
                self.dirty.push(connection.token);
            }
        }
    }

    /// Writes what live streams were shown. After this the moves of the turn are final.
    fn end_records(&mut self) {
        // First: a stream that joins a cohort has shown what is queued for it.
        for cohort in self.hub.dirty_cohorts() {
            self.write_cohort(cohort);
        }
        for token in std::mem::take(&mut self.dirty) {
            self.with(token, |connection, hub| {
                connection.is_dirty = false;
                if matches!(connection.mode, Mode::Live) {
                    connection.write(hub);
                    connection.emit_latest(hub);
                    if let Some(skip) = &mut connection.skip
                        && connection.out.is_empty()
                        && skip.tidy()
                    {
                        connection.skip = None;
                    }
                }
            });
        }
        self.hub.steps.clear();
    }

    /// The worker is about to leave its position in a feed: streams that are live there stay where
    /// they are and read on by themselves.
    fn detach(&mut self, number: usize) {
        for token in self.tokens() {
            self.with(token, |connection, hub| {
                if hub.sets[connection.set].feeds.contains(&number) {
                    connection.detach(hub);
                }
            });
        }
    }

    fn tell_degraded(&mut self, number: usize) {
        // Cursors of control frames are those of a worker at rest.
        self.end_records();
        for token in self.tokens() {
            self.with(token, |connection, hub| {
                if hub.sets[connection.set].feeds.contains(&number) {
                    connection.owed.degraded = true;
                    connection.settle_in_turn(hub);
                }
            });
        }
    }
}
