//! One tail and one ring for each partition that somebody needs.
//!
//! A tail fills its ring and wakes the workers; each worker reads the ring from its own position. So a
//! worker has no queue of records that could overflow, and a slow one holds up nobody: what it finds
//! evicted, its connections read from the log.

mod follow;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use journal::{Clock, Journal, Offset, Partition, Topic};
use parking_lot::{Mutex, RwLock};
use prometheus::{IntGauge, IntGaugeVec};
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ends::Ends;
use super::record::Chunk;
use super::ring::{Budget, Place, Ring};
use crate::settings::Settings;
use crate::subscription::LiveEnds;
use follow::Follower;

/// Can be told that there is something to do.
pub(crate) trait Wake: Send + Sync {
    fn wake(&self);
}

/// A partition that is followed, and its ring.
pub(crate) struct Feed {
    pub(crate) topic: Topic,
    pub(crate) partition: Partition,
    ring: RwLock<Option<Generation>>,
    /// Grows whenever the ring has changed: a worker looks closer only then.
    version: AtomicU64,
    unavailable: AtomicBool,
    opened: watch::Sender<bool>,
    users: AtomicUsize,
    wakers: RwLock<Vec<Arc<dyn Wake>>>,
    degraded: IntGauge,
}

/// A ring, and which one: it is replaced when the log does not continue where it ended.
struct Generation {
    number: u64,
    /// Where the first one began.
    promised: Place,
    ring: Ring,
}

/// A reader's position in a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeedPosition {
    pub(crate) generation: u64,
    pub(crate) place: Place,
}

/// What a feed has for a position.
pub(crate) enum Pulled {
    /// The chunk that covers it.
    Chunk(Arc<Chunk>),
    /// Nothing yet.
    Nothing,
    /// The ring does not cover it any more, and begins here.
    Gap(FeedPosition),
}

impl Feed {
    fn new(topic: Topic, partition: Partition, degraded: IntGauge) -> Self {
        degraded.set(0);
        Self {
            degraded,
            topic,
            partition,
            ring: RwLock::new(None),
            version: AtomicU64::new(0),
            unavailable: AtomicBool::new(false),
            opened: watch::Sender::new(false),
            users: AtomicUsize::new(0),
            wakers: RwLock::default(),
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn is_unavailable(&self) -> bool {
        self.unavailable.load(Ordering::Acquire)
    }

    /// The end of the ring, once it is open.
    pub(crate) fn end(&self) -> Option<FeedPosition> {
        self.ring.read().as_ref().map(|current| FeedPosition {
            generation: current.number,
            place: current.ring.end(),
        })
    }

    /// Where the ring begins, once it is open, and the live end of whoever wanted it before.
    pub(crate) fn begun(&self) -> Option<(FeedPosition, Place)> {
        self.ring.read().as_ref().map(|current| {
            let start = FeedPosition {
                generation: current.number,
                place: current.ring.start(),
            };
            (start, current.promised)
        })
    }

    /// What follows `at`.
    pub(crate) fn pull(&self, at: FeedPosition) -> Pulled {
        let guard = self.ring.read();
        let Some(current) = &*guard else {
            return Pulled::Nothing;
        };
        if at.generation != current.number || at.place.next < current.ring.start().next {
            return Pulled::Gap(FeedPosition {
                generation: current.number,
                place: current.ring.start(),
            });
        }
        current
            .ring
            .chunk_at(at.place.next)
            .map_or(Pulled::Nothing, Pulled::Chunk)
    }

    /// The chunk of the ring that covers `offset`.
    pub(crate) fn chunk_at(&self, offset: Offset) -> Option<Arc<Chunk>> {
        self.ring
            .read()
            .as_ref()
            .and_then(|current| current.ring.chunk_at(offset))
    }

    pub(crate) fn evict(&self) {
        if let Some(current) = &mut *self.ring.write() {
            current.ring.evict();
        }
    }

    fn push(&self, chunk: Arc<Chunk>) {
        if let Some(current) = &mut *self.ring.write() {
            current.ring.push(chunk);
        }
        self.changed();
    }

    /// Begins a new ring at `place`.
    fn begin(&self, place: Place) {
        let mut guard = self.ring.write();
        let (number, promised) = guard
            .as_ref()
            .map_or((0, place), |old| (old.number + 1, old.promised));
        *guard = Some(Generation {
            number,
            promised,
            ring: Ring::new(place),
        });
        drop(guard);
        self.opened.send_replace(true);
        self.changed();
    }

    fn set_unavailable(&self, unavailable: bool) {
        if self.unavailable.swap(unavailable, Ordering::AcqRel) != unavailable {
            self.degraded.set(i64::from(unavailable));
            self.changed();
        }
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        for waker in &*self.wakers.read() {
            waker.wake();
        }
    }
}

/// Keeps a feed followed as long as it lives.
pub(crate) struct FeedUse {
    feed: Arc<Feed>,
    waker: Option<Arc<dyn Wake>>,
}

impl FeedUse {
    /// Takes a use that is already counted.
    fn new(feed: Arc<Feed>, waker: Option<Arc<dyn Wake>>) -> Self {
        if let Some(waker) = &waker {
            feed.wakers.write().push(Arc::clone(waker));
        }
        Self { feed, waker }
    }
}

impl std::ops::Deref for FeedUse {
    type Target = Feed;

    fn deref(&self) -> &Feed {
        &self.feed
    }
}

impl Drop for FeedUse {
    fn drop(&mut self) {
        if let Some(waker) = &self.waker {
            let mut wakers = self.feed.wakers.write();
            if let Some(index) = wakers.iter().position(|other| Arc::ptr_eq(other, waker)) {
                wakers.swap_remove(index);
            }
        }
        self.feed.users.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The feeds of the process.
#[derive(Clone)]
pub(crate) struct Tails {
    shared: Arc<Shared>,
}

/// Who is followed.
type Feeds = FxHashMap<(Topic, Partition), Arc<Feed>>;

struct Shared {
    settings: Settings,
    journal: Journal,
    ends: Ends,
    clock: Clock,
    budget: Budget,
    degraded: IntGaugeVec,
    feeds: Mutex<Feeds>,
    tasks: Mutex<JoinSet<()>>,
    runtime: Handle,
}

impl Shared {
    /// Takes `feed` from the list, with its metric. Under the lock: it may be wanted again at once.
    fn forget(&self, feeds: &mut Feeds, feed: &Feed) {
        feeds.remove(&(feed.topic, feed.partition));
        let labels = [feed.topic.name(), &feed.partition.to_string()];
        // It is there: the feed made it.
        drop(self.degraded.remove_label_values(&labels));
    }
}

impl Tails {
    pub(crate) fn new(
        settings: Settings,
        journal: Journal,
        ends: Ends,
        clock: Clock,
        degraded: IntGaugeVec,
        runtime: Handle,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                budget: Budget::new(settings.ring_bytes_max),
                settings,
                journal,
                ends,
                clock,
                degraded,
                feeds: Mutex::default(),
                tasks: Mutex::default(),
                runtime,
            }),
        }
    }

    /// Follows a partition, or joins those who do. Returns at once.
    pub(crate) fn acquire(
        &self,
        topic: Topic,
        partition: Partition,
        waker: Option<Arc<dyn Wake>>,
    ) -> FeedUse {
        let mut feeds = self.shared.feeds.lock();
        let feed = feeds.entry((topic, partition)).or_insert_with(|| {
            let labels = [topic.name(), &partition.to_string()];
            let degraded = self.shared.degraded.with_label_values(&labels);
            let feed = Arc::new(Feed::new(topic, partition, degraded));
            let follower = Follower {
                shared: Arc::clone(&self.shared),
                feed: Arc::clone(&feed),
            };
            let mut tasks = self.shared.tasks.lock();
            while tasks.try_join_next().is_some() {}
            tasks.spawn_on(follower.run(), &self.shared.runtime);
            feed
        });
        let feed = Arc::clone(feed);
        feed.users.fetch_add(1, Ordering::AcqRel);
        drop(feeds);
        FeedUse::new(feed, waker)
    }

    /// Follows `partitions`, waits until each is open, at most for the setting `ends_timeout`, and tells
    /// where each ends then.
    pub(crate) async fn live_ends(&self, topic: Topic, partitions: &[Partition]) -> LiveEnds {
        let uses: Vec<FeedUse> = partitions
            .iter()
            .map(|partition| self.acquire(topic, *partition, None))
            .collect();
        let opened = futures::future::join_all(uses.iter().map(|feed| {
            let mut opened = feed.opened.subscribe();
            async move { opened.wait_for(|opened| *opened).await.map(|_| ()) }
        }));
        if tokio::time::timeout(self.shared.settings.ends_timeout, opened)
            .await
            .is_err()
        {
            tracing::debug!(
                topic = topic.name(),
                ?partitions,
                "not all partitions are followed yet"
            );
        }
        LiveEnds(uses.iter().map(|feed| feed.end().map(|end| end.place)).collect())
    }

    pub(crate) fn count(&self) -> usize {
        self.shared.feeds.lock().len()
    }

    pub(crate) fn ring_bytes(&self) -> usize {
        self.shared.budget.bytes()
    }

    /// Ends all tails, without waiting for them.
    pub(crate) fn abort(&self) {
        self.shared.tasks.lock().abort_all();
    }

    /// Ends all tails.
    pub(crate) async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *self.shared.tasks.lock());
        tasks.shutdown().await;
        self.shared.feeds.lock().clear();
    }
}
