//! One partition of one topic, as the process knows it: its bounds, its newest records, and what the
//! writer needs to append to it.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use journal::{Bounds, Offset, Partition, Record, Topic};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::database::Tables;
use crate::time_index::{self, TimeIndex};
use crate::{Settings, keys, record};

/// What a partition's records cost in memory beside their texts and values.
const RECORD_OVERHEAD_BYTES: usize = 128;

/// State of one partition. Only the writer appends; anyone reads.
pub(crate) struct PartitionState {
    pub(crate) topic: Topic,
    pub(crate) number: Partition,
    /// First offset kept.
    start: AtomicU64,
    /// Offset after the last record that is durable and therefore visible.
    end: watch::Sender<Offset>,
    ring: RwLock<Ring>,
    /// Used by the writer alone; the lock is never contended.
    pub(crate) appending: Mutex<Appending>,
}

/// What the writer knows beyond what is visible.
pub(crate) struct Appending {
    /// The next offset to give.
    pub(crate) next: Offset,
    /// Decides which records get an entry in the time index.
    pub(crate) times: TimeIndex,
}

/// The newest records: all up to the end that are still in the log.
struct Ring {
    records: VecDeque<Record>,
    bytes: usize,
    bytes_max: usize,
}

/// Why stored records cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoredError {
    #[error("{0}")]
    Engine(#[from] fjall::Error),
    #[error(transparent)]
    Record(#[from] record::BadRecord),
    #[error("a key of the log has no offset")]
    Key,
}

impl PartitionState {
    /// Recovers the partition from what is stored. Its end is never below what it ever was: every
    /// batch that removes records notes it.
    pub(crate) fn recover(
        tables: &Tables,
        settings: &Settings,
        topic: Topic,
        number: Partition,
    ) -> Result<Self, StoredError> {
        let start = tables
            .number(&keys::meta_of(keys::meta::START, topic, number))?
            .unwrap_or(0);
        let noted = tables
            .number(&keys::meta_of(keys::meta::END, topic, number))?
            .unwrap_or(0);
        let newest = match tables.log.prefix(keys::partition(topic, number)).next_back() {
            Some(guard) => keys::offset_of(&guard.key()?).ok_or(StoredError::Key)? + 1,
            None => 0,
        };
        let end = newest.max(noted).max(start);
        let times = time_index::recover(tables, topic, number, start, end)?;
        Ok(Self {
            topic,
            number,
            start: AtomicU64::new(start),
            end: watch::Sender::new(end),
            ring: RwLock::new(Ring {
                records: VecDeque::new(),
                bytes: 0,
                bytes_max: settings.ring_bytes,
            }),
            appending: Mutex::new(Appending { next: end, times }),
        })
    }

    /// What is readable now.
    pub(crate) fn bounds(&self) -> Bounds {
        let start = self.start.load(Ordering::Acquire);
        // Read after the start, which never passes the end.
        let end = *self.end.borrow();
        Bounds { start, end }
    }

    /// Tells when the end has moved.
    pub(crate) fn watch_end(&self) -> watch::Receiver<Offset> {
        self.end.subscribe()
    }

    /// Makes durable records visible, and `end` the new end.
    pub(crate) fn publish(&self, records: Vec<Record>, end: Offset) {
        let mut ring = self.ring.write();
        ring.push(records);
        // Under the lock, so that nobody who got a record from the ring finds an older end.
        self.end.send_replace(end);
    }

    /// Moves the start up: what lies before it is not readable any more.
    pub(crate) fn raise_start(&self, start: Offset) {
        self.start.fetch_max(start, Ordering::AcqRel);
    }

    /// Takes records out of memory that compaction has removed.
    pub(crate) fn forget(&self, removed: &HashSet<Offset>) {
        let mut ring = self.ring.write();
        let Some(first) = ring.records.front().map(|record| record.offset) else {
            return;
        };
        if removed.iter().all(|offset| *offset < first) {
            return;
        }
        ring.records.retain(|record| !removed.contains(&record.offset));
        ring.bytes = ring.records.iter().map(weight).sum();
    }

    /// Records from `from` on, if memory holds all of them that follow.
    pub(crate) fn recent(&self, from: Offset, records_max: usize, bytes_max: usize) -> Option<Vec<Record>> {
        let ring = self.ring.read();
        let first = ring.records.front()?.offset;
        if from < first {
            return None;
        }
        let skip = ring.records.partition_point(|record| record.offset < from);
        let mut bytes = 0;
        let fits = |record: &&Record| {
            let before = bytes;
            bytes += record.value.as_ref().map_or(0, bytes::Bytes::len);
            before < bytes_max
        };
        Some(
            ring.records
                .range(skip..)
                .take(records_max.max(1))
                .take_while(fits)
                .cloned()
                .collect(),
        )
    }
}

impl Ring {
    fn push(&mut self, records: Vec<Record>) {
        for record in records {
            self.bytes += weight(&record);
            self.records.push_back(record);
        }
        while self.bytes > self.bytes_max {
            let Some(record) = self.records.pop_front() else {
                break;
            };
            self.bytes -= weight(&record);
        }
    }
}

fn weight(record: &Record) -> usize {
    let value = record.value.as_ref().map_or(0, bytes::Bytes::len);
    RECORD_OVERHEAD_BYTES + record.key.len() + value
}
