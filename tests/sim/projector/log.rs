//! A log in memory that behaves as Kafka does: marks of transactions take offsets, transactions become
//! readable some time after their answer, groups hand partitions over and fence who had them before.

mod owned;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use journal::{
    AppendError, Appender, Batch, Block, Bounds, Epoch, Journal, NewRecord, Offset, Partition, Position,
    ReadError, Reader, Record, Tail, TailError, Tails, Topic,
};
use parking_lot::Mutex;
use schemas::control::Layout;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::faults::{Done, Effect, Process};
use super::group::Group;

/// A record, or the mark of a transaction.
struct Entry {
    record: Option<Record>,
    readable_from: Instant,
}

/// The log that all processes share.
pub(super) struct Log {
    partitions: Mutex<BTreeMap<(Topic, Partition), Vec<Entry>>>,
    pub(super) group: Mutex<Group>,
    pub(super) changed: Notify,
    /// How long a transaction stays unreadable after its answer.
    pub(super) readable_after: Mutex<Duration>,
    /// How long a record of `wakeline.control` takes to whoever follows it.
    pub(super) told_after: Mutex<Duration>,
    pub(super) trace: Mutex<Vec<String>>,
    begun: Instant,
}

impl Log {
    pub(super) fn new(partitions: u32) -> Arc<Self> {
        Arc::new(Self {
            partitions: Mutex::default(),
            group: Mutex::new(Group::new(partitions)),
            changed: Notify::new(),
            readable_after: Mutex::new(Duration::ZERO),
            told_after: Mutex::new(Duration::ZERO),
            trace: Mutex::default(),
            begun: Instant::now(),
        })
    }

    pub(super) fn note(&self, what: &str) {
        let at = self.begun.elapsed().as_millis();
        self.trace.lock().push(format!("{at:>8} {what}"));
    }

    pub(super) fn append(&self, records: Vec<NewRecord>) -> Vec<Position> {
        self.put(records, Instant::now())
    }

    fn put(&self, records: Vec<NewRecord>, readable_from: Instant) -> Vec<Position> {
        let mut partitions = self.partitions.lock();
        let mut positions = Vec::with_capacity(records.len());
        for new in records {
            let entries = partitions.entry((new.topic, new.partition)).or_default();
            let offset = entries.len() as Offset;
            positions.push(Position {
                partition: new.partition,
                offset,
            });
            let record = Record {
                offset,
                timestamp_ms: new.timestamp_ms,
                key: new.key,
                value: new.value,
                headers: new.headers,
            };
            entries.push(Entry {
                record: Some(record),
                readable_from,
            });
        }
        drop(partitions);
        self.changed.notify_waiters();
        positions
    }

    /// All records of a partition, readable or not.
    pub(super) fn all(&self, topic: Topic, partition: Partition) -> Vec<Record> {
        let partitions = self.partitions.lock();
        let entries = partitions.get(&(topic, partition)).map_or(&[][..], Vec::as_slice);
        entries.iter().filter_map(|entry| entry.record.clone()).collect()
    }

    /// Offset after the last readable entry.
    pub(super) fn end(&self, topic: Topic, partition: Partition) -> Offset {
        let partitions = self.partitions.lock();
        let entries = partitions.get(&(topic, partition)).map_or(&[][..], Vec::as_slice);
        let now = Instant::now();
        // What is not readable hides all that follows it.
        entries
            .iter()
            .take_while(|entry| entry.readable_from <= now)
            .count() as Offset
    }

    fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        records_max: usize,
    ) -> Result<Batch, Bounds> {
        let end = self.end(topic, partition);
        if from > end {
            return Err(Bounds { start: 0, end });
        }
        let partitions = self.partitions.lock();
        let entries = partitions.get(&(topic, partition)).map_or(&[][..], Vec::as_slice);
        let mut batch = Batch {
            records: Vec::new(),
            next: from,
        };
        for entry in entries.get(from as usize..end as usize).unwrap_or_default() {
            if batch.records.len() == records_max {
                break;
            }
            batch.next += 1;
            batch.records.extend(entry.record.clone());
        }
        Ok(batch)
    }

    /// The ports as `process` sees them.
    pub(super) fn journal(self: &Arc<Self>, process: &Arc<Process>, layout: Layout) -> Journal {
        let port = Arc::new(Port {
            log: Arc::clone(self),
            process: Arc::clone(process),
        });
        Journal {
            appender: Arc::clone(&port) as Arc<dyn Appender>,
            tails: Arc::clone(&port) as Arc<dyn Tails>,
            reader: Arc::clone(&port) as Arc<dyn Reader>,
            groups: port,
            epoch: Epoch::new(&layout, "simulated"),
            layout,
        }
    }
}

struct Port {
    log: Arc<Log>,
    process: Arc<Process>,
}

fn away() -> ReadError {
    ReadError::Unavailable {
        reason: "as planned".to_owned(),
    }
}

#[async_trait]
impl Appender for Port {
    async fn append(&self, mut records: Vec<NewRecord>, _: Duration) -> Vec<Result<Position, AppendError>> {
        let fate = self.process.begin(Effect::Append).await;
        let count = records.len();
        records.truncate(self.process.share(fate.done, count));
        self.log.note(&format!(
            "process {} appends {} of {count}",
            self.process.name,
            records.len()
        ));
        let positions = self.log.append(records);
        self.process.end(fate).await;
        let error = if fate.done == Done::Nothing {
            AppendError::Full
        } else {
            AppendError::Unknown
        };
        if fate.fails {
            // It does not know how far it came.
            return vec![Err(error); count];
        }
        positions.into_iter().map(Ok).collect()
    }
}

#[async_trait]
impl Reader for Port {
    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Block, ReadError> {
        let fate = self.process.begin(Effect::Read).await;
        self.process.end(fate).await;
        if fate.fails {
            return Err(away());
        }
        // Small blocks, so that recovery takes several.
        let records_max = bytes_max.min(5);
        self.log
            .read(topic, partition, from, records_max)
            .map_err(|Bounds { start, end }| ReadError::OutOfRange { start, end })
    }

    async fn bounds(&self, topic: Topic, partitions: &[Partition]) -> Vec<Result<Bounds, ReadError>> {
        let fate = self.process.begin(Effect::Read).await;
        self.process.end(fate).await;
        let bounds = |partition: &Partition| {
            if fate.fails {
                Err(away())
            } else {
                Ok(Bounds {
                    start: 0,
                    end: self.log.end(topic, *partition),
                })
            }
        };
        partitions.iter().map(bounds).collect()
    }

    async fn offset_at(
        &self,
        topic: Topic,
        partitions: &[Partition],
        time_ms: i64,
    ) -> Vec<Result<Offset, ReadError>> {
        let first = |partition: &Partition| {
            let records = self.log.all(topic, *partition);
            let found = records.iter().find(|record| record.timestamp_ms >= time_ms);
            Ok(found.map_or_else(|| self.log.end(topic, *partition), |record| record.offset))
        };
        partitions.iter().map(first).collect()
    }
}

/// Follows a partition without owning it: what a projector does with `wakeline.control`.
struct Following {
    log: Arc<Log>,
    process: Arc<Process>,
    topic: Topic,
    partition: Partition,
    next: Offset,
}

#[async_trait]
impl Tail for Following {
    async fn next(&mut self) -> Result<Batch, TailError> {
        loop {
            let changed = self.log.changed.notified();
            if self.process.is_dead() {
                std::future::pending::<()>().await;
            }
            let read = self.log.read(self.topic, self.partition, self.next, 5);
            let batch = read.map_err(|Bounds { start, end }| TailError::OutOfRange { start, end })?;
            if batch.next > self.next {
                let told_after = *self.log.told_after.lock();
                tokio::time::sleep(told_after).await;
                self.next = batch.next;
                return Ok(batch);
            }
            changed.await;
        }
    }
}

#[async_trait]
impl Tails for Port {
    async fn open(&self, topic: Topic, partition: Partition, from: Offset) -> Box<dyn Tail> {
        Box::new(Following {
            log: Arc::clone(&self.log),
            process: Arc::clone(&self.process),
            topic,
            partition,
            next: from,
        })
    }
}

impl Log {
    fn mark(&self, topic: Topic, partition: Partition, readable_from: Instant) {
        let mut partitions = self.partitions.lock();
        partitions.entry((topic, partition)).or_default().push(Entry {
            record: None,
            readable_from,
        });
    }
}
