//! A log in memory whose tails, reads and holes a test controls, and a store of documents.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use access::{Denied, Principal};
use async_trait::async_trait;
use journal::{
    AppendError, Appender, Batch, Block, Bounds, Epoch, Groups, Headers, Journal, Membership, Micros,
    NewRecord, Offset, Partition, Position, ReadError, Reader, Record, Tail, TailError, Tails, Topic,
};
use parking_lot::Mutex;
use schemas::Document;
use schemas::control::Layout;
use state::{
    Applied, DeviceKey, Documents, History, HistoryPage, HistoryQuery, HistoryRow, Page, Progress, Store,
    StoreError, Stored, Write,
};
use tokio::sync::watch;

use crate::engine::Access;

/// Partitions of either topic.
pub(super) const PARTITIONS: u32 = 3;

#[derive(Default, Clone)]
pub(super) struct Part {
    pub(super) records: Vec<Record>,
    pub(super) start: Offset,
    pub(super) end: Offset,
    /// How far tails see.
    pub(super) revealed: Offset,
    pub(super) unavailable: bool,
}

impl Part {
    fn since(&self, offset: Offset) -> impl Iterator<Item = &Record> {
        self.records[self.records.partition_point(|record| record.offset < offset)..].iter()
    }
}

pub(super) struct Log {
    parts: Mutex<BTreeMap<(Topic, Partition), Part>>,
    changed: watch::Sender<u64>,
    pub(super) read_delay: Duration,
    pub(super) reads: Mutex<usize>,
    /// Record times are this.
    pub(super) now_ms: AtomicI64,
}

impl Log {
    pub(super) fn new(read_delay: Duration) -> Arc<Self> {
        Arc::new(Self {
            parts: Mutex::default(),
            changed: watch::Sender::new(0),
            read_delay,
            reads: Mutex::new(0),
            now_ms: AtomicI64::new(0),
        })
    }

    pub(super) fn edit<R>(&self, topic: Topic, partition: Partition, edit: impl FnOnce(&mut Part) -> R) -> R {
        let result = edit(self.parts.lock().entry((topic, partition)).or_default());
        self.changed.send_modify(|version| *version += 1);
        result
    }

    fn with<R>(&self, topic: Topic, partition: Partition, see: impl FnOnce(&Part) -> R) -> R {
        see(self.parts.lock().entry((topic, partition)).or_default())
    }

    pub(super) fn part(&self, topic: Topic, partition: Partition) -> Part {
        self.parts
            .lock()
            .get(&(topic, partition))
            .cloned()
            .unwrap_or_default()
    }

    /// Appends a tombstone-shaped record: the tests' dialect shows places, not values.
    pub(super) fn append(
        &self,
        topic: Topic,
        partition: Partition,
        key: &str,
        kind: &str,
        source: Option<Offset>,
    ) -> Offset {
        self.append_value(topic, partition, key, kind, source, None)
    }

    pub(super) fn append_value(
        &self,
        topic: Topic,
        partition: Partition,
        key: &str,
        kind: &str,
        source: Option<Offset>,
        value: Option<bytes::Bytes>,
    ) -> Offset {
        self.edit(topic, partition, |part| {
            let offset = part.end;
            part.records.push(Record {
                offset,
                timestamp_ms: self.now_ms.load(Ordering::Relaxed),
                key: key.into(),
                value,
                headers: Headers {
                    kind: kind.into(),
                    source_offset: source,
                    ..Headers::default()
                },
            });
            part.end += 1;
            offset
        })
    }

    pub(super) fn reveal(&self, topic: Topic, partition: Partition) {
        self.edit(topic, partition, |part| part.revealed = part.end);
    }

    pub(super) fn journal(self: &Arc<Self>) -> Journal {
        Journal {
            appender: Arc::new(Nothing),
            tails: Arc::new(FakeTails(Arc::clone(self))),
            reader: Arc::new(FakeReader(Arc::clone(self))),
            groups: Arc::new(Nothing),
            layout: layout(),
            epoch: Epoch(7),
        }
    }
}

pub(super) fn layout() -> Layout {
    Layout {
        generation: 1,
        created_at: 0,
        epoch: 7,
        partitions: PARTITIONS,
        default_spread: PARTITIONS,
        fold_version: 1,
        document_bytes_max: 65_536,
        registration_required: false,
    }
}

struct FakeTails(Arc<Log>);

struct FakeTail {
    log: Arc<Log>,
    topic: Topic,
    partition: Partition,
    next: Offset,
    changed: watch::Receiver<u64>,
}

#[async_trait]
impl Tails for FakeTails {
    async fn open(&self, topic: Topic, partition: Partition, from: Offset) -> Box<dyn Tail> {
        Box::new(FakeTail {
            log: Arc::clone(&self.0),
            topic,
            partition,
            next: from,
            changed: self.0.changed.subscribe(),
        })
    }
}

#[async_trait]
impl Tail for FakeTail {
    async fn next(&mut self) -> Result<Batch, TailError> {
        loop {
            self.changed.mark_unchanged();
            let next = self.next;
            let seen = self.log.with(self.topic, self.partition, |part| {
                if part.unavailable {
                    return Err(TailError::Unavailable {
                        reason: "scripted".to_owned(),
                    });
                }
                if next < part.start || next > part.end {
                    return Err(TailError::OutOfRange {
                        start: part.start,
                        end: part.end,
                    });
                }
                Ok(part
                    .since(next)
                    .take_while(|record| record.offset < part.revealed)
                    .take(5)
                    .cloned()
                    .collect())
            });
            if matches!(seen, Err(TailError::Unavailable { .. })) {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            let records: Vec<Record> = seen?;
            // A hole is not noticed before the record behind it.
            if let Some(last) = records.last() {
                self.next = last.offset + 1;
                return Ok(Batch {
                    records,
                    next: self.next,
                });
            }
            self.changed.changed().await.map_err(|_| TailError::Closed)?;
        }
    }
}

struct FakeReader(Arc<Log>);

/// What a record counts for in a read.
const RECORD_BYTES: usize = 100;

#[async_trait]
impl Reader for FakeReader {
    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Block, ReadError> {
        tokio::time::sleep(self.0.read_delay).await;
        *self.0.reads.lock() += 1;
        self.0.with(topic, partition, |part| {
            if part.unavailable {
                return Err(ReadError::Unavailable {
                    reason: "scripted".to_owned(),
                });
            }
            if from < part.start || from > part.end {
                return Err(ReadError::OutOfRange {
                    start: part.start,
                    end: part.end,
                });
            }
            let count = (bytes_max / RECORD_BYTES).max(1);
            let records: Vec<Record> = part.since(from).take(count).cloned().collect();
            let next = records.last().map_or(part.end, |record| record.offset + 1);
            Ok(Block { records, next })
        })
    }

    async fn bounds(&self, topic: Topic, partitions: &[Partition]) -> Vec<Result<Bounds, ReadError>> {
        tokio::time::sleep(self.0.read_delay).await;
        let bounds = |partition: &Partition| {
            let part = self.0.part(topic, *partition);
            if part.unavailable {
                return Err(ReadError::Unavailable {
                    reason: "scripted".to_owned(),
                });
            }
            Ok(Bounds {
                start: part.start,
                end: part.end,
            })
        };
        partitions.iter().map(bounds).collect()
    }

    async fn offset_at(
        &self,
        topic: Topic,
        partitions: &[Partition],
        time_ms: i64,
    ) -> Vec<Result<Offset, ReadError>> {
        let at = |partition: &Partition| {
            let part = self.0.part(topic, *partition);
            let found = part.records.iter().find(|record| record.timestamp_ms >= time_ms);
            Ok(found.map_or(part.end, |record| record.offset.max(part.start)))
        };
        partitions.iter().map(at).collect()
    }
}

/// Documents, and how far they are materialised.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) documents: BTreeMap<String, Stored>,
    pub(super) applied: BTreeMap<Partition, Applied>,
    /// A tenant whose pages do not come.
    pub(super) stuck: Option<Box<str>>,
    pub(super) pages_read: usize,
}

pub(super) struct FakeStore(pub(super) Mutex<Shelf>);

pub(super) fn store(shelf: &Arc<FakeStore>) -> Store {
    Store {
        documents: Arc::clone(shelf) as Arc<dyn Documents>,
        progress: Arc::clone(shelf) as Arc<dyn Progress>,
        history: Arc::new(Nothing),
    }
}

pub(super) fn document(tenant: &str, device: &str, source: Offset) -> Stored {
    Stored {
        document: Arc::new(Document {
            tenant: tenant.into(),
            id: device.into(),
            version: source,
            ..Document::default()
        }),
        source,
    }
}

#[async_trait]
impl Documents for FakeStore {
    async fn get(&self, keys: &[(Partition, DeviceKey)]) -> Result<Vec<Option<Stored>>, StoreError> {
        let shelf = self.0.lock();
        Ok(keys
            .iter()
            .map(|(_, key)| {
                shelf
                    .documents
                    .get(&format!("{}/{}", key.tenant, key.device))
                    .cloned()
            })
            .collect())
    }

    async fn write(&self, _: Vec<Write>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn page(
        &self,
        tenant: &str,
        _: &[Partition],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        while self.0.lock().stuck.as_deref() == Some(tenant) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut shelf = self.0.lock();
        shelf.pages_read += 1;
        let shelf = &*shelf;
        let after = after.unwrap_or_default();
        let mut found: Vec<(&String, &Stored)> = shelf
            .documents
            .range(after.to_owned()..)
            .filter(|(key, stored)| key.as_str() > after && *stored.document.tenant == *tenant)
            .take(limit + 1)
            .collect();
        let more = found.len() > limit;
        found.truncate(limit);
        Ok(Page {
            next: found.last().filter(|_| more).map(|(key, _)| key.as_str().into()),
            documents: found.into_iter().map(|(_, stored)| stored.clone()).collect(),
        })
    }

    async fn page_of_partition(&self, _: Partition, _: Option<&str>, _: usize) -> Result<Page, StoreError> {
        Ok(Page::default())
    }

    async fn tenants_of(&self, _: &str) -> Result<Vec<Box<str>>, StoreError> {
        Ok(Vec::new())
    }

    async fn devices_at(&self, _: Option<&str>, _: &str, _: usize) -> Result<Vec<DeviceKey>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Progress for FakeStore {
    async fn applied(&self, partition: Partition) -> Result<Option<Applied>, StoreError> {
        Ok(self.0.lock().applied.get(&partition).cloned())
    }

    async fn set_applied(&self, _: Partition, _: &Applied) -> Result<(), StoreError> {
        Ok(())
    }

    async fn rules_applied(&self, _: Partition) -> Result<Offset, StoreError> {
        Ok(0)
    }

    async fn set_rules_applied(&self, _: Partition, _: Offset) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Ports that the engine never calls.
struct Nothing;

#[async_trait]
impl Appender for Nothing {
    async fn append(&self, records: Vec<NewRecord>, _: Duration) -> Vec<Result<Position, AppendError>> {
        records.iter().map(|_| Err(AppendError::Full)).collect()
    }
}

#[async_trait]
impl Groups for Nothing {
    async fn join(&self, _: &str, _: Topic) -> Result<Box<dyn Membership>, ReadError> {
        Err(ReadError::Unavailable {
            reason: "none".to_owned(),
        })
    }
}

#[async_trait]
impl History for Nothing {
    async fn append(&self, _: Vec<HistoryRow>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn read(&self, _: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        Ok(HistoryPage::default())
    }
}

/// A directory that answers as a test says.
#[derive(Default)]
pub(super) struct FakeAccess(pub(super) Mutex<Answers>);

/// What is said of a principal, by its id.
type Answers = BTreeMap<Box<str>, Result<Arc<Principal>, Denied>>;

impl Access for FakeAccess {
    fn recheck(&self, principal: &Principal, now: Micros) -> Result<Arc<Principal>, Denied> {
        if principal.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Denied::Expired);
        }
        let known = self.0.lock().get(&principal.id).cloned();
        known.unwrap_or_else(|| Ok(Arc::new(principal.clone())))
    }

    fn spread(&self, _: &str) -> Option<u32> {
        None
    }
}
