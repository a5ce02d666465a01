//! A log, a store, a clock that tests move, and projectors that are started and stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use embedded::Engine;
use journal::{Clock, Headers, Journal, Micros, NewRecord, Offset, Partition, Placement, Record, Topic};
use projector::{Health, Projector, Settings};
use schemas::Event;
use schemas::control::Layout;
use state::Store;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where the clock of a test begins: in 2027.
pub(crate) const START: Micros = 1_800_000_000_000_000;
pub(crate) const SECOND: Micros = 1_000_000;
/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const PARTITIONS: u32 = 2;

#[derive(Clone)]
pub(crate) struct Time(Arc<AtomicI64>);

impl Time {
    pub(crate) fn now(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn advance(&self, by: Micros) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let time = self.clone();
        Arc::new(move || time.now())
    }
}

/// One log with its store.
pub(crate) struct World {
    _dir: TempDir,
    pub(crate) time: Time,
    pub(crate) journal: Journal,
    pub(crate) store: Store,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let time = Time(Arc::new(AtomicI64::new(START)));
        let settings = embedded::Settings {
            revoke_grace: Duration::ZERO,
            ..embedded::Settings::default()
        };
        let engine = Engine::open(dir.path(), settings, time.clock()).unwrap();
        let layout = Layout {
            generation: 1,
            created_at: START,
            epoch: 7,
            partitions: PARTITIONS,
            default_spread: PARTITIONS,
            fold_version: 1,
            document_bytes_max: 65_536,
            registration_required: false,
        };
        engine.admin().create(PARTITIONS, 1).await.unwrap();
        engine.admin().write_layout(&layout).await.unwrap();
        Self {
            time,
            journal: engine.journal(layout),
            store: engine.store(),
            _dir: dir,
        }
    }

    /// A store of another world: empty.
    pub(crate) async fn empty_store() -> (Self, Store) {
        let other = Self::new().await;
        let store = other.store.clone();
        (other, store)
    }

    pub(crate) async fn append(&self, events: &[Event]) {
        let records = events.iter().map(record).collect();
        for answer in self.journal.appender.append(records, PATIENCE).await {
            answer.unwrap();
        }
    }

    pub(crate) async fn read_all(&self, topic: Topic) -> Vec<(Partition, Record)> {
        let mut all = Vec::new();
        for partition in 0..PARTITIONS {
            let mut from = 0;
            loop {
                let block = self
                    .journal
                    .reader
                    .read(topic, partition, from, 1 << 20)
                    .await
                    .unwrap();
                if block.records.is_empty() {
                    break;
                }
                from = block.next;
                all.extend(block.records.into_iter().map(|record| (partition, record)));
            }
        }
        all
    }

    pub(crate) async fn end(&self, topic: Topic, partition: Partition) -> Offset {
        self.journal
            .reader
            .bounds(topic, &[partition])
            .await
            .remove(0)
            .unwrap()
            .end
    }

    /// Starts a projector with the log's own store.
    pub(crate) fn start(&self, settings: Settings) -> Running {
        self.start_with(settings, self.journal.clone(), self.store.clone())
    }

    pub(crate) fn start_with(&self, settings: Settings, journal: Journal, store: Store) -> Running {
        let registry = prometheus::Registry::new();
        let projector =
            Arc::new(Projector::new(settings, journal, store, self.time.clock(), &registry).unwrap());
        let cancel = CancellationToken::new();
        let (running, stop) = (Arc::clone(&projector), cancel.clone());
        let task = tokio::spawn(async move { running.run(stop).await });
        Running {
            projector,
            registry,
            cancel,
            task,
        }
    }

    /// Waits until `store` is level with everything in the log, whatever the reactor appends.
    pub(crate) async fn settled(&self, store: &Store) {
        for partition in 0..PARTITIONS {
            until("applied is level with the log", async || {
                let end = self.end(Topic::Events, partition).await;
                let applied = store.progress.applied(partition).await.ok().flatten();
                applied.map_or(0, |applied| applied.source) == end
            })
            .await;
        }
    }

    /// Has the projectors fold all that there is, the reactions to it included.
    pub(crate) async fn quiet(&self, store: &Store) {
        // A reaction comes before the commit of its cause, so one more look is enough.
        self.settled(store).await;
        self.settled(store).await;
    }
}

/// A projector at work.
pub(crate) struct Running {
    projector: Arc<Projector>,
    registry: prometheus::Registry,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    pub(crate) fn health(&self) -> Health {
        self.projector.health()
    }

    /// The values of a gauge, over all its labels; none where it tells of nothing.
    pub(crate) fn gauge(&self, name: &str) -> Vec<i64> {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        metrics
            .iter()
            .map(|metric| metric.get_gauge().get_value() as i64)
            .collect()
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == name)
            .expect("a metric of that name");
        family
            .get_metric()
            .iter()
            .map(|metric| metric.get_counter().get_value() as u64)
            .sum()
    }
}

/// Settings that do not wait.
pub(crate) fn quick() -> Settings {
    Settings {
        poll: Duration::from_millis(5),
        retry_min: Duration::from_millis(5),
        retry_max: Duration::from_millis(50),
        recovery_patience: Duration::from_secs(20),
        ..Settings::default()
    }
}

pub(crate) fn partition_of(event: &Event) -> Partition {
    Placement::new(&event.tenant, PARTITIONS, PARTITIONS).of(&event.device)
}

pub(crate) fn record(event: &Event) -> NewRecord {
    NewRecord {
        topic: Topic::Events,
        partition: partition_of(event),
        key: format!("{}/{}", event.tenant, event.device).into(),
        value: Some(event.encode()),
        timestamp_ms: event.received_at / 1_000,
        headers: Headers {
            kind: event.body.kind().name().into(),
            generation: 1,
            ..Headers::default()
        },
    }
}

/// Waits for a condition, with a deadline.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// A device of `acme` that lies in `partition`.
pub(crate) fn device_in(partition: Partition) -> String {
    let placement = Placement::new("acme", PARTITIONS, PARTITIONS);
    (0..)
        .map(|n| format!("device-{n}"))
        .find(|device| placement.of(device) == partition)
        .unwrap()
}
