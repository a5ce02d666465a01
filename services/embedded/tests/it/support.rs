//! An engine in a directory of its own, with a clock that tests move.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use embedded::{Engine, Maintained, Settings};
use journal::{Clock, Headers, Journal, Micros, NewRecord, Offset, Partition, Record, Topic};
use parking_lot::Mutex;
use schemas::control::Layout;
use tempfile::TempDir;

/// Where the clock of a test begins: in 2027.
pub(crate) const EPOCH_US: Micros = 1_800_000_000_000_000;
/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Partitions of events and state.
pub(crate) const PARTITIONS: u32 = 4;

/// A clock that only moves when it is told to.
#[derive(Clone)]
pub(crate) struct Time(Arc<AtomicI64>);

impl Time {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(EPOCH_US)))
    }

    pub(crate) fn now(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0
            .fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let time = self.clone();
        Arc::new(move || time.now())
    }
}

/// An engine whose topics and layout exist.
pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) time: Time,
    pub(crate) settings: Settings,
    engine: Mutex<Engine>,
}

impl Fixture {
    pub(crate) async fn new(settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let time = Time::new();
        let engine = Engine::open(dir.path(), settings.clone(), time.clock()).unwrap();
        create(&engine, 1).await;
        Self {
            dir,
            time,
            settings,
            engine: Mutex::new(engine),
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        self.engine.lock().clone()
    }

    pub(crate) async fn journal(&self) -> Journal {
        journal(&self.engine()).await
    }

    /// Closes the engine and opens the directory again.
    pub(crate) async fn reopen(&self) {
        let engine = self.engine();
        engine.close().await.unwrap();
        *self.engine.lock() =
            Engine::open(self.dir.path(), self.settings.clone(), self.time.clock()).unwrap();
    }

    /// One whole pass of maintenance as of now.
    pub(crate) async fn maintain(&self) -> Maintained {
        let (engine, now) = (self.engine(), self.time.now());
        tokio::task::spawn_blocking(move || engine.maintain(now))
            .await
            .unwrap()
            .unwrap()
    }

    /// A record of now.
    pub(crate) fn record(&self, topic: Topic, partition: Partition, key: &str, value: &str) -> NewRecord {
        record_at(topic, partition, key, Some(value), self.time.now() / 1_000)
    }
}

/// Creates the topics and a layout of `generation`.
pub(crate) async fn create(engine: &Engine, generation: u32) {
    let admin = engine.admin();
    admin.create(PARTITIONS, 1).await.unwrap();
    admin.write_layout(&layout(generation)).await.unwrap();
}

pub(crate) fn layout(generation: u32) -> Layout {
    Layout {
        generation,
        created_at: EPOCH_US,
        epoch: 7,
        partitions: PARTITIONS,
        default_spread: 2,
        fold_version: 1,
        document_bytes_max: 65_536,
        registration_required: false,
    }
}

/// The journal under the layout that is written.
pub(crate) async fn journal(engine: &Engine) -> Journal {
    let layout = engine.admin().layout().await.unwrap().unwrap();
    engine.journal(layout)
}

pub(crate) fn open(dir: &Path) -> Engine {
    Engine::open(dir, Settings::default(), Time::new().clock()).unwrap()
}

pub(crate) fn record_at(
    topic: Topic,
    partition: Partition,
    key: &str,
    value: Option<&str>,
    timestamp_ms: i64,
) -> NewRecord {
    NewRecord {
        topic,
        partition,
        key: key.into(),
        value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
        timestamp_ms,
        headers: Headers {
            kind: "telemetry".into(),
            generation: 1,
            ..Headers::default()
        },
    }
}

/// Appends and expects that all are acknowledged; their offsets.
pub(crate) async fn append(journal: &Journal, records: Vec<NewRecord>) -> Vec<Offset> {
    let outcomes = journal.appender.append(records, PATIENCE).await;
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap().offset)
        .collect()
}

/// All records of a partition that are readable.
pub(crate) async fn read_all(journal: &Journal, topic: Topic, partition: Partition) -> Vec<Record> {
    let bounds = journal
        .reader
        .bounds(topic, &[partition])
        .await
        .remove(0)
        .unwrap();
    let mut records = Vec::new();
    let mut from = bounds.start;
    while from < bounds.end {
        let block = journal
            .reader
            .read(topic, partition, from, 64 * 1024)
            .await
            .unwrap();
        assert!(block.next > from, "a read moves on");
        from = block.next;
        records.extend(block.records);
    }
    records
}
