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

mod replay;

use std::collections::VecDeque;
use std::sync::Arc;

use journal::{Bounds, NewRecord, Offset, Partition, ReadError, Reader, Topic};
use rustc_hash::{FxHashMap, FxHashSet};
use schemas::Micros;
use state::{Applied, DeviceKey, Documents, History, StoreError, Stored, Write};

use crate::partition::Rules;
use crate::source::{Newer, SourceBatch, StateRecord, read_state};
use replay::{Replay, ReplaySlot};

/// Unconfirmed documents that are kept at most.
const UNCONFIRMED_MAX: usize = 100_000;
/// Events or state records replayed in one step.
const STEP_RECORDS_MAX: usize = 1_000;

/// Why recovery did not go on. A step that failed can be made again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// The state store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log cannot be read.
    #[error("{} cannot be read: {error}", topic.name())]
    Log {
        /// Which topic.
        topic: Topic,
        /// What the engine said.
        error: ReadError,
    },
    /// The log ends before what was applied: it was recreated or truncated.
    #[error(
        "{} partition {partition} ends at {end}, before offset {applied} that was applied from it; \
         if it was recreated on purpose, run `wakeline migrate --new-epoch`",
        topic.name()
    )]
    LogEndsEarly {
        /// Which topic.
        topic: Topic,
        /// Which partition.
        partition: Partition,
        /// Its end.
        end: Offset,
        /// What was applied.
        applied: Offset,
    },
    /// A state record cannot be read.
    #[error("the state record at offset {offset} of partition {partition} cannot be read: {reason}")]
    BadState {
        /// Which partition.
        partition: Partition,
        /// Which record.
        offset: Offset,
        /// Why.
        reason: String,
    },
    /// An event was written by a newer release.
    #[error(transparent)]
    Newer(#[from] Newer),
    /// Too many events have no state record.
    #[error("more than {UNCONFIRMED_MAX} documents have no state record; was {} emptied?", Topic::State.name())]
    Inconsistent,
}

impl RecoveryError {
    /// Whether another attempt may go better without anybody's help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Unavailable { .. })
                | Self::Log {
                    error: ReadError::Unavailable { .. },
                    ..
                }
        )
    }
}

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

/// Where documents are read and written.
pub(crate) enum Target<'a> {
    /// A store.
    Store(&'a dyn Documents),
    /// Memory, for comparisons.
    Memory(&'a mut FxHashMap<Arc<DeviceKey>, ScratchRow>),
}

/// A row in memory. A deleted device keeps its source.
#[derive(Debug, Clone)]
pub(crate) struct ScratchRow {
    pub(crate) document: Option<Arc<schemas::Document>>,
    pub(crate) source: Offset,
}

impl Target<'_> {
    async fn get(
        &self,
        partition: Partition,
        keys: &[Arc<DeviceKey>],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        match self {
            Self::Store(documents) => {
                let keys: Vec<_> = keys
                    .iter()
                    .map(|key| (partition, DeviceKey::clone(key)))
                    .collect();
                documents.get(&keys).await
            }
            Self::Memory(rows) => {
                let stored = |key: &Arc<DeviceKey>| {
                    let row = rows.get(key)?;
                    let document = Arc::clone(row.document.as_ref()?);
                    Some(Stored {
                        document,
                        source: row.source,
                    })
                };
                Ok(keys.iter().map(stored).collect())
            }
        }
    }

    async fn write(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        match self {
            Self::Store(documents) => documents.write(writes).await,
            Self::Memory(rows) => {
                for write in writes {
                    let row = ScratchRow {
                        document: write.document,
                        source: write.source,
                    };
                    let known = rows.entry(Arc::new(write.key)).or_insert_with(|| row.clone());
                    if known.source <= row.source {
                        *known = row;
                    }
                }
                Ok(())
            }
        }
    }
}

/// The ports that recovery uses.
pub(crate) struct Ports<'a> {
    pub(crate) reader: &'a dyn Reader,
    pub(crate) documents: Target<'a>,
    pub(crate) history: Option<&'a dyn History>,
}

/// What a recovery covers, beside the rules of its partition.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope {
    /// Rows of history are written for events received at or after this.
    pub(crate) history_from: Micros,
    /// From this event on the fold alone says what happened, and state records say nothing.
    pub(crate) refold_from: Option<Offset>,
    /// Only devices of this slice: number, of how many.
    pub(crate) slice: Option<(u32, u32)>,
}

impl Scope {
    pub(crate) fn covers(&self, key: &DeviceKey) -> bool {
        self.slice.is_none_or(|(number, of)| {
            let hash = xxhash_rust::xxh3::xxh3_64(crate::source::record_key(key).as_bytes());
            hash % u64::from(of.max(1)) == u64::from(number)
        })
    }
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

/// Devices by a hash of their keys that is long enough for no two to meet.
#[derive(Debug, Default)]
pub(crate) struct LiveKeys(FxHashSet<u128>);

impl LiveKeys {
    pub(crate) fn contains(&self, key: &DeviceKey) -> bool {
        self.0.contains(&Self::hash(key))
    }

    fn note(&mut self, record: &StateRecord) {
        let hash = Self::hash(&record.key);
        if record.document.is_some() {
            self.0.insert(hash);
        } else {
            self.0.remove(&hash);
        }
    }

    fn hash(key: &DeviceKey) -> u128 {
        xxhash_rust::xxh3::xxh3_128(crate::source::record_key(key).as_bytes())
    }
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
            if !refolded && self.scope.covers(&read.key) {
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
const BLOCK_BYTES: usize = 1 << 20;

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
