//! The engine: opening, closing, and the ports.

mod directory;
mod errors;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fjall::PersistMode;
use journal::{Admin, Clock, Epoch, Journal, Micros, Partition, Topic};
use parking_lot::{Mutex, RwLock};
use schemas::control::Layout;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::database::{Closed, Handle, Tables};
use crate::groups::GroupTable;
use crate::identity::Lock;
use crate::maintenance::{self, MaintainError, Maintained};
use crate::partition::PartitionState;
use crate::writer::{Queue, Shared, Writer};
use crate::{Settings, admin, groups, log, store};

pub(crate) use errors::Interrupted;
pub use errors::{CloseError, OpenError};

/// The journal and the state store over one directory. Clones are handles on the same engine; the
/// last one dropped closes it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

/// What all ports share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) tables: Handle,
    pub(crate) shared: Arc<Shared>,
    pub(crate) cluster_id: String,
    pub(crate) generation: AtomicU32,
    pub(crate) closed: CancellationToken,
    pub(crate) groups: GroupTable,
    /// Held while documents are read, compared and written.
    pub(crate) documents: Mutex<()>,
    /// Held by maintenance, which is one at a time.
    pub(crate) maintenance: Mutex<maintenance::Progress>,
    /// Held while topics are created, so that two calls do not disagree.
    pub(crate) creating: Mutex<()>,
    topics: RwLock<HashMap<Topic, Arc<[Arc<PartitionState>]>>>,
    reads: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<Lock>>,
}

impl Engine {
    /// Opens `dir`, creating it if need be, and recovers what is in it. Blocks; needs no runtime.
    ///
    /// # Errors
    /// When the directory is in use, not writable, of a newer version or damaged.
    pub fn open(dir: &Path, settings: Settings, clock: Clock) -> Result<Self, OpenError> {
        let opened = directory::open(dir, &settings)?;
        let tables = Arc::new(opened.tables);
        let damaged = |reason: String| OpenError::Damaged {
            dir: dir.to_owned(),
            reason,
        };
        let mut topics = HashMap::new();
        for topic in Topic::ALL {
            let count = admin::partitions(&tables, topic).map_err(|error| damaged(error.to_string()))?;
            let states = (0..count)
                .map(|number| PartitionState::recover(&tables, &settings, topic, number).map(Arc::new))
                .collect::<Result<Arc<[_]>, _>>()
                .map_err(|error| damaged(error.to_string()))?;
            if count > 0 {
                topics.insert(topic, states);
            }
        }
        let layout = admin::read_layout(&tables).map_err(damaged)?;
        let shared = Arc::new(Shared {
            queue: Queue::new(settings.writer_queue_appends_max, settings.writer_queue_bytes_max),
            failed: OnceLock::new(),
            durable: Mutex::new(opened.durable),
            #[cfg(test)]
            fail_next: false.into(),
        });
        let writer = Writer::start(
            Arc::clone(&tables),
            Arc::clone(&shared),
            settings.batch_bytes,
            opened.commit,
        )
        .map_err(|error| OpenError::Failed {
            dir: dir.to_owned(),
            reason: error.to_string(),
        })?;
        let inner = Inner {
            cluster_id: format!("embedded-{:016x}", opened.instance),
            generation: AtomicU32::new(layout.map_or(0, |layout| layout.generation)),
            tables: Handle::new(tables),
            closed: CancellationToken::new(),
            groups: GroupTable::default(),
            documents: Mutex::new(()),
            creating: Mutex::new(()),
            maintenance: Mutex::default(),
            topics: RwLock::new(topics),
            reads: Arc::new(Semaphore::new(settings.blocking_reads_max.max(1))),
            writer: Mutex::new(Some(writer)),
            lock: Mutex::new(Some(opened.lock)),
            shared,
            settings,
            clock,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Creates and describes topics, and keeps the layout record.
    #[must_use]
    pub fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(admin::EmbeddedAdmin::new(Arc::clone(&self.inner)))
    }

    /// The ports of the log, under `layout`, which is the one that [`admin`](Self::admin) gives.
    #[must_use]
    pub fn journal(&self, layout: Layout) -> Journal {
        let epoch = Epoch::new(&layout, &self.inner.cluster_id);
        let log = Arc::new(log::EmbeddedLog::new(Arc::clone(&self.inner)));
        Journal {
            appender: Arc::clone(&log) as Arc<dyn journal::Appender>,
            tails: Arc::clone(&log) as Arc<dyn journal::Tails>,
            reader: log,
            groups: Arc::new(groups::EmbeddedGroups::new(Arc::clone(&self.inner))),
            layout,
            epoch,
        }
    }

    /// The ports of the state store. Its rows belong to the layout that was written last.
    #[must_use]
    pub fn store(&self) -> state::Store {
        store::open(&self.inner)
    }

    /// Why the engine takes no more writes, if so: a write to its disk failed. Only a restart helps.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.inner.shared.failed.get().cloned()
    }

    /// Removes, as of `now`, what retention, compaction and the life time of history let go. Blocks
    /// until all of that is done, in small steps between which appends go on.
    ///
    /// # Errors
    /// When the engine is closed or its files cannot be read or written.
    pub fn maintain(&self, now: Micros) -> Result<Maintained, MaintainError> {
        maintenance::maintain(&self.inner, now)
    }

    /// Maintains the engine again and again, until `cancel`. The caller owns this future.
    pub async fn run_maintenance(&self, cancel: CancellationToken) {
        maintenance::run(&self.inner, &cancel).await;
    }

    /// Does what is queued, makes all durable, and frees the directory. The ports answer from now on
    /// that the log is closed. A second call does nothing.
    ///
    /// # Errors
    /// When reads do not end in time or the last sync fails.
    pub async fn close(&self) -> Result<(), CloseError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.shut())
            .await
            .unwrap_or_else(|error| {
                Err(CloseError::Failed {
                    reason: error.to_string(),
                })
            })
    }
}

impl Inner {
    /// The partition, if its topic exists and has it.
    pub(crate) fn partition(&self, topic: Topic, number: Partition) -> Option<Arc<PartitionState>> {
        self.topics
            .read()
            .get(&topic)?
            .get(usize::try_from(number).ok()?)
            .cloned()
    }

    /// Number of partitions of a topic; 0 if it does not exist.
    pub(crate) fn partitions(&self, topic: Topic) -> u32 {
        let count = self.topics.read().get(&topic).map_or(0, |states| states.len());
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Makes a topic known that was created.
    pub(crate) fn add_topic(&self, topic: Topic, states: Arc<[Arc<PartitionState>]>) {
        self.topics.write().entry(topic).or_insert(states);
    }

    /// The generation that rows belong to.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Runs `work` on the tables, away from the tasks of the runtime. At most so many run at once as
    /// the settings say.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tables) -> T + Send + 'static,
    ) -> Result<T, Interrupted> {
        let permit = Arc::clone(&self.reads)
            .acquire_owned()
            .await
            .map_err(|_| Interrupted::Closed(Closed))?;
        let tables = self.tables.get()?;
        let run = move || {
            // Held until the work is done, also when nobody waits for it any more.
            let _permit = permit;
            work(&tables)
        };
        Ok(tokio::task::spawn_blocking(run).await?)
    }

    fn shut(&self) -> Result<(), CloseError> {
        self.closed.cancel();
        self.shared.queue.close();
        let writer = self.writer.lock().take();
        let mut outcome = match writer.map(JoinHandle::join) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(CloseError::Failed {
                reason: "the writer had died".to_owned(),
            }),
        };
        let Some(tables) = self.tables.take() else {
            return outcome;
        };
        let failed = |error: &dyn std::fmt::Display| CloseError::Failed {
            reason: error.to_string(),
        };
        outcome = outcome
            .and(
                tables
                    .database
                    .persist(PersistMode::SyncAll)
                    .map_err(|error| failed(&error)),
            )
            .and(self.shared.durable.lock().sync().map_err(|error| failed(&error)));
        let deadline = Instant::now() + self.settings.close_wait;
        while Arc::strong_count(&tables) > 1 {
            if Instant::now() >= deadline {
                // The lock goes with the engine, once the last read has let go of the tables.
                return outcome.and(Err(CloseError::Busy {
                    waited: self.settings.close_wait,
                }));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(tables);
        self.lock.lock().take();
        outcome
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.shut() {
            tracing::warn!(%error, "the embedded engine was dropped and did not close cleanly");
        }
    }
}
