//! Brings documents level with `wakeline.state`: on assignment of a partition, and for a rebuild.
//!
//! The state records after `applied` say what their events did; the events between them, up to the
//! position that the group committed, moved times only, and are folded again for these. Both are read side
//! by side in the order of source offsets, so that every document passes through exactly the values that it
//! had. A document that is further than an event is left as it is, which makes all of this repeatable.
//!
//! An event that changes something has a state record, or the two logs disagree: its transaction is not
//! visible yet (it soon is), compaction took the record (a later one of the device says more), or the fold
//! changed its meaning. Such a document is *unconfirmed*: it is kept here and written only once a state
//! record of its device follows.

mod error;
mod replay;
mod target;

use std::collections::VecDeque;
use std::sync::Arc;

use journal::{Bounds, NewRecord, Offset, Partition, ReadError, Reader, Topic};
use rustc_hash::{FxHashMap, FxHashSet};
use state::{Applied, DeviceKey, Write};

use crate::partition::Rules;
use crate::source::{SourceBatch, StateRecord, read_state};
pub use error::RecoveryError;
use replay::{Replay, ReplaySlot};
pub(crate) use target::{LiveKeys, Ports, Scope, ScratchRow, Target};

/// Unconfirmed documents that are kept at most.
const UNCONFIRMED_MAX: usize = 100_000;
/// Events or state records replayed in one step.
const STEP_RECORDS_MAX: usize = 1_000;

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more to do.
    More,
    /// The documents are level with the log.
    Done,
    /// Nothing more to read, but some documents are unconfirmed. Another step looks again.
    Unconfirmed,
}

/// A recovery under way. All it knows is in memory; begun anew it comes to the same.
pub(crate) struct Recovery {
    rules: Rules,
    scope: Scope,
    /// Next event to replay.
    source: Offset,
    /// The events before this were folded.
    until: Offset,
    /// Next state record to read.
    state: Offset,
    /// End of the state records, as last seen.
    end: Offset,
    /// State records read and not yet replayed.
    queue: VecDeque<StateRecord>,
    unconfirmed: FxHashMap<Arc<DeviceKey>, ReplaySlot>,
    /// Devices that the state records read so far leave existing, where somebody wants to know.
    live: Option<LiveKeys>,
}

impl Recovery {
    /// Begins after `applied`, to end with the event before `committed`, or with that of the last state
    /// record where the group has no position.
    pub(crate) async fn begin(
        ports: &Ports<'_>,
        rules: Rules,
        scope: Scope,
        applied: Option<&Applied>,
        committed: Option<Offset>,
    ) -> Result<Self, RecoveryError> {
        let partition = rules.partition;
        let applied_source = applied.map_or(0, |applied| applied.source);
        let applied_state = applied.map_or(0, |applied| applied.state);
        // Whichever of the two is further: a group's position can expire or be set back, and what is in
        // the documents is not folded again.
        let until = committed.unwrap_or(0).max(applied_source);
        let events = bounds(ports.reader, Topic::Events, partition).await?;
        let state = bounds(ports.reader, Topic::State, partition).await?;
        for (topic, bounds, applied) in [
            (Topic::Events, events, until),
            (Topic::State, state, applied_state),
        ] {
            if applied > bounds.end {
                return Err(RecoveryError::LogEndsEarly {
                    topic,
                    partition,
                    end: bounds.end,
                    applied,
                });
            }
        }
        Ok(Self {
            rules,
            scope,
            source: applied_source.max(events.start),
            until,
            state: applied_state.max(state.start),
            end: state.end,
            queue: VecDeque::new(),
            unconfirmed: FxHashMap::default(),
            live: None,
        })
    }

    /// Has it keep the devices that exist.
    pub(crate) fn with_live_keys(mut self) -> Self {
        self.live = Some(LiveKeys::default());
        self
    }

    /// The devices that exist, once done.
    pub(crate) fn live_keys(self) -> LiveKeys {
        self.live.unwrap_or_default()
    }

    /// Goes on a little.
    pub(crate) async fn step(&mut self, ports: &mut Ports<'_>) -> Result<Step, RecoveryError> {
        if self.queue.is_empty() && self.state < self.end {
            self.read_state(ports.reader).await?;
            return Ok(Step::More);
        }
        self.extend();
        let behind = self.queue.iter().take_while(|record| record.source < self.source);
        let behind = behind.take(STEP_RECORDS_MAX).count();
        if behind > 0 {
            self.replay(
                ports,
                SourceBatch {
                    next: self.source,
                    ..SourceBatch::default()
                },
                behind,
            )
            .await?;
            return Ok(Step::More);
        }
        if self.source < self.until {
            self.replay_events(ports).await?;
            return Ok(Step::More);
        }
        let end = bounds(ports.reader, Topic::State, self.rules.partition)
            .await?
            .end;
        if !self.unconfirmed.is_empty() && end > self.end {
            self.end = end;
            return Ok(Step::More);
        }
        Ok(if self.unconfirmed.is_empty() {
            Step::Done
        } else {
            Step::Unconfirmed
        })
    }

    /// Documents that no state record confirms.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// Next event to fold, once done.
    pub(crate) fn source(&self) -> Offset {
        self.source.max(self.until)
    }

    /// Next state record to apply, once done.
    pub(crate) const fn state(&self) -> Offset {
        self.state
    }

    /// Offsets dealt with, and of how many, for people.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let queued = self.queue.len() as u64;
        (
            self.state.saturating_sub(queued) + self.source,
            self.end.max(self.state) + self.source(),
        )
    }

    /// The state records that unconfirmed documents lack, in order, and the writes that go with them.
    pub(crate) fn repair(&mut self) -> (Vec<NewRecord>, Vec<Write>) {
        let mut records = Vec::new();
        let mut writes = Vec::new();
        for (key, slot) in self.unconfirmed.drain() {
            writes.extend(slot.write(&key, self.rules.partition));
            records.extend(slot.missing);
        }
        records.sort_by_key(|record| record.headers.source_offset);
        (records, writes)
    }

    /// The last state record shows how far events were folded at least.
    fn extend(&mut self) {
        if self.scope.refold_from.is_none()
            && self.scope.until.is_none()
            && let Some(last) = self.queue.back()
        {
            self.until = self.until.max(last.source.saturating_add(1));
        }
    }

    async fn read_state(&mut self, reader: &dyn Reader) -> Result<(), RecoveryError> {
        let partition = self.rules.partition;
        let block = reader
            .read(Topic::State, partition, self.state, BLOCK_BYTES)
            .await
            .map_err(|error| RecoveryError::Log {
                topic: Topic::State,
                error,
            })?;
        let mut records = Vec::with_capacity(block.records.len());
        for record in &block.records {
            let read = read_state(record).map_err(|reason| RecoveryError::BadState {
                partition,
                offset: record.offset,
                reason,
            })?;
            if let Some(live) = &mut self.live {
                live.note(&read);
            }
            let refolded = self.scope.refold_from.is_some_and(|from| read.source >= from);
            let later = self.scope.until.is_some_and(|until| read.source >= until);
            if !refolded && !later && self.scope.covers(&read.key) {
                records.push(read);
            }
        }
        self.queue.extend(records);
        // An empty block stands at the end.
        self.state = if block.records.is_empty() {
            self.end.max(block.next)
        } else {
            block.next
        };
        Ok(())
    }

    async fn replay_events(&mut self, ports: &mut Ports<'_>) -> Result<(), RecoveryError> {
        let read = ports
            .reader
            .read(Topic::Events, self.rules.partition, self.source, BLOCK_BYTES)
            .await;
        let mut block = match read {
            Ok(block) => block,
            Err(ReadError::OutOfRange { start, .. }) if start > self.source => {
                // Retention went on meanwhile: what only these events knew (times) is gone.
                self.source = start;
                return Ok(());
            }
            Err(error) => {
                return Err(RecoveryError::Log {
                    topic: Topic::Events,
                    error,
                });
            }
        };
        if block.records.is_empty() {
            block.next = block.next.max(self.until);
        }
        if block.records.len() > STEP_RECORDS_MAX {
            block.next = block.records[STEP_RECORDS_MAX].offset;
            block.records.truncate(STEP_RECORDS_MAX);
        }
        let next = block.next.min(self.until);
        block.records.retain(|record| record.offset < next);
        let mut batch = SourceBatch::read(&block.records, next);
        if let (Some(newer), true) = (&batch.stopped, batch.is_empty()) {
            return Err(newer.clone().into());
        }
        batch.events.retain(|event| self.scope.covers(&event.key));
        // The records of these events, wherever they begin to be in the log.
        while self.state < self.end && self.queue.back().is_none_or(|last| last.source < batch.next) {
            self.read_state(ports.reader).await?;
        }
        let records = self
            .queue
            .iter()
            .take_while(|record| record.source < batch.next)
            .count();
        self.replay(ports, batch, records).await
    }

    /// Replays `batch` and the first `records` of the queue, and goes past both once all is written.
    async fn replay(
        &mut self,
        ports: &mut Ports<'_>,
        batch: SourceBatch,
        records: usize,
    ) -> Result<(), RecoveryError> {
        let mut replay = Replay::new(&self.rules, &self.scope);
        let keys: FxHashSet<&Arc<DeviceKey>> = batch
            .events
            .iter()
            .map(|event| &event.key)
            .chain(self.queue.iter().take(records).map(|record| &record.key))
            .collect();
        let mut unknown = Vec::new();
        for key in keys {
            match self.unconfirmed.get(key) {
                Some(slot) => replay.know(Arc::clone(key), slot.clone()),
                // State records need no document before them: they hold the whole, and an old one loses.
                None if batch.events.is_empty() => {}
                None => unknown.push(Arc::clone(key)),
            }
        }
        let found = ports.documents.get(self.rules.partition, &unknown).await?;
        for (key, stored) in unknown.into_iter().zip(found) {
            replay.know(key, ReplaySlot::of(stored));
        }
        replay.run(&batch.events, self.queue.iter().take(records));
        let outcome = replay.finish();
        if self.unconfirmed.len() + outcome.unconfirmed.len() > UNCONFIRMED_MAX {
            return Err(RecoveryError::Inconsistent);
        }
        // History first: a document that is further than an event proves that the event's row is kept.
        if let (Some(history), false) = (ports.history, outcome.history.is_empty()) {
            history.append(outcome.history).await?;
        }
        if !outcome.writes.is_empty() {
            ports.documents.write(outcome.writes).await?;
        }
        for key in outcome.confirmed {
            self.unconfirmed.remove(&key);
        }
        self.unconfirmed.extend(outcome.unconfirmed);
        self.queue.drain(..records);
        self.source = self.source.max(batch.next);
        Ok(())
    }
}

/// Bytes of the log read at once.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

pub(crate) async fn bounds(
    reader: &dyn Reader,
    topic: Topic,
    partition: Partition,
) -> Result<Bounds, RecoveryError> {
    let answer = reader.bounds(topic, &[partition]).await.into_iter().next();
    let missing = || ReadError::Unavailable {
        reason: "the log gave no answer".to_owned(),
    };
    answer
        .unwrap_or_else(|| Err(missing()))
        .map_err(|error| RecoveryError::Log { topic, error })
}
