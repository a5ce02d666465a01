//! A feed: one consumer of assigned partitions that all tails of a process share.
//!
//! Partitions come and go by incremental assignment, each with a queue of its own. The feed is never
//! sought or paused: librdkafka would drop what it prefetched and stall the neighbours. One thread
//! owns the consumer; tails take records straight from their queues.
//!
//! Position over holes: nothing tells a consumer that it passed a transaction marker, except the
//! statistics, whose `eof_offset` says up to where the broker had nothing more. librdkafka resets it
//! when it *starts* a partition, so a partition that was given up is opened again only after the
//! statistics showed it stopped: what they say then is about the present assignment.

mod driver;
mod statistics;
mod tail;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use async_trait::async_trait;
use parking_lot::{Condvar, Mutex};
use rdkafka::consumer::base_consumer::PartitionQueue;
use tokio::sync::Notify;

pub(super) use self::tail::FeedTail;

use self::driver::Driver;
use super::metrics::Metrics;
use super::read::KafkaReader;
use super::settings::Settings;
use crate::{Offset, Partition, Tail, TailError, Tails, Topic};

/// The tails port: a feed for topics with transactions and one for those without, and one for each tail of
/// `wakeline.control`.
pub(super) struct KafkaTails {
    settings: Arc<Settings>,
    reader: Arc<KafkaReader>,
    metrics: Arc<Metrics>,
    committed: Mutex<Option<Arc<Feed>>>,
    uncommitted: Mutex<Option<Arc<Feed>>>,
}

impl KafkaTails {
    pub(super) fn new(settings: Arc<Settings>, reader: Arc<KafkaReader>, metrics: Arc<Metrics>) -> Self {
        Self {
            settings,
            reader,
            metrics,
            committed: Mutex::default(),
            uncommitted: Mutex::default(),
        }
    }

    fn feed(&self, topic: Topic) -> Result<Arc<Feed>, String> {
        let committed = topic.is_transactional();
        let mut slot = if committed {
            self.committed.lock()
        } else {
            self.uncommitted.lock()
        };
        if let Some(feed) = slot.as_ref() {
            return Ok(Arc::clone(feed));
        }
        let feed = Arc::new(Feed::start(&self.settings, committed, &self.metrics)?);
        *slot = Some(Arc::clone(&feed));
        Ok(feed)
    }
}

#[async_trait]
impl Tails for KafkaTails {
    async fn open(&self, topic: Topic, partition: Partition, from: Offset) -> Box<dyn Tail> {
        // A feed gives a partition to one tail. This one several follow, each for itself and for good: who may
        // do what, and which alert rules there are.
        let has_its_own = topic == Topic::Control;
        let feed = if has_its_own {
            Feed::start(&self.settings, topic.is_transactional(), &self.metrics).map(Arc::new)
        } else {
            self.feed(topic)
        };
        let feed = match feed {
            Ok(feed) => feed,
            Err(reason) => return Box::new(Failed(Some(reason))),
        };
        let tail = FeedTail::open(&feed, &self.settings, &self.reader, topic, partition, from);
        Box::new(if has_its_own {
            tail.with_its_own(feed)
        } else {
            tail
        })
    }
}

/// A tail that could not be made: says why, then that it is closed.
struct Failed(Option<String>);

#[async_trait]
impl Tail for Failed {
    async fn next(&mut self) -> Result<crate::Batch, TailError> {
        match self.0.take() {
            Some(reason) => Err(TailError::Unavailable { reason }),
            None => Err(TailError::Closed),
        }
    }
}

/// A running feed. Dropping it closes its tails.
pub(super) struct Feed {
    shared: Arc<Shared>,
}

/// What tails and the thread share.
struct Shared {
    commands: Mutex<Commands>,
    wake: Condvar,
}

#[derive(Default)]
struct Commands {
    queue: VecDeque<Command>,
    stopping: bool,
}

enum Command {
    Open(Arc<Slot>),
    Close(Arc<Slot>),
}

/// One partition of a feed, as its tail sees it.
struct Slot {
    topic: String,
    partition: Partition,
    from: Offset,
    /// Set by the thread once the partition is assigned.
    queue: Mutex<Option<PartitionQueue<statistics::Context>>>,
    /// The broker had nothing more up to here; negative when not known.
    end: AtomicI64,
    /// The partition's leader has not been reachable for a while.
    down: AtomicBool,
    /// Another tail of this process holds the partition.
    taken: AtomicBool,
    closed: AtomicBool,
    notify: Arc<Notify>,
}

impl Feed {
    pub(super) fn start(
        settings: &Settings,
        committed: bool,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            commands: Mutex::default(),
            wake: Condvar::new(),
        });
        let driver = Driver::new(settings, committed, Arc::clone(&shared), Arc::clone(metrics))
            .map_err(|error| error.to_string())?;
        std::thread::Builder::new()
            .name("kafka-feed".to_owned())
            .spawn(move || driver.run())
            .map_err(|error| error.to_string())?;
        Ok(Self { shared })
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.commands.lock().stopping = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    /// Bounded by the number of tails: each opens once and closes once.
    fn send(&self, command: Command) {
        self.commands.lock().queue.push_back(command);
        self.wake.notify_one();
    }
}

impl Slot {
    fn new(topic: String, partition: Partition, from: Offset) -> Self {
        Self {
            topic,
            partition,
            from,
            queue: Mutex::default(),
            end: AtomicI64::new(-1),
            down: AtomicBool::new(false),
            taken: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            notify: Arc::new(Notify::new()),
        }
    }

    /// Stores and wakes the tail if that is news.
    fn tell(&self, flag: &AtomicBool, value: bool) {
        if flag.swap(value, Ordering::AcqRel) != value {
            self.notify.notify_one();
        }
    }
}
