//! One tail and one ring for each partition that somebody needs.
//!
//! A tail fills its ring and wakes the workers; each worker reads the ring from its own position. So a
//! worker has no queue of records that could overflow, and a slow one holds up nobody: what it finds
//! evicted, its connections read from the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use journal::{Batch, Clock, Journal, Offset, Partition, Tail, TailError, Topic, Traces};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Span;

use super::ends::Ends;
use super::record::Chunk;
use super::ring::{Budget, Place, Ring};
use crate::settings::Settings;

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
    fn new(topic: Topic, partition: Partition) -> Self {
        Self {
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
        let (number, promised) = guard.as_ref().map_or((0, place), |old| (old.number + 1, old.promised));
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

struct Shared {
    settings: Settings,
    journal: Journal,
    ends: Ends,
    clock: Clock,
    budget: Budget,
    feeds: Mutex<FxHashMap<(Topic, Partition), Arc<Feed>>>,
    tasks: Mutex<JoinSet<()>>,
    runtime: Handle,
}

impl Tails {
    pub(crate) fn new(
        settings: Settings,
        journal: Journal,
        ends: Ends,
        clock: Clock,
        runtime: Handle,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                budget: Budget::new(settings.ring_bytes_max),
                settings,
                journal,
                ends,
                clock,
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
            let feed = Arc::new(Feed::new(topic, partition));
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

    /// Follows `partitions` and waits until each is open, at most for the setting `ends_timeout`.
    pub(crate) async fn ensure(&self, topic: Topic, partitions: &[Partition]) {
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
    }

    pub(crate) fn count(&self) -> usize {
        self.shared.feeds.lock().len()
    }

    pub(crate) fn ring_bytes(&self) -> usize {
        self.shared.budget.bytes()
    }

    /// Ends all tails.
    pub(crate) async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *self.shared.tasks.lock());
        tasks.shutdown().await;
        self.shared.feeds.lock().clear();
    }
}

/// The task that follows one partition.
struct Follower {
    shared: Arc<Shared>,
    feed: Arc<Feed>,
}

enum Followed {
    /// Nobody needs it, or the log is closed.
    Done,
    /// The log does not continue at the position.
    Lost,
}

impl Follower {
    async fn run(self) {
        let wanted_ms = (self.shared.clock)() / 1_000;
        while let Some(from) = self.begin(wanted_ms).await {
            let tail = self
                .shared
                .journal
                .tails
                .open(self.feed.topic, self.feed.partition, from)
                .await;
            match self.follow(tail, from).await {
                Followed::Done => return,
                Followed::Lost => self.shared.budget.release(&self.feed),
            }
            tokio::time::sleep(self.shared.settings.tail_retry).await;
        }
    }

    /// Begins the ring at the log's end. If that could not be asked soon, it begins where the log stood
    /// when the feed was first wanted: what was acknowledged since then has been promised.
    async fn begin(&self, wanted_ms: i64) -> Option<Offset> {
        let (topic, partition) = (self.feed.topic, self.feed.partition);
        let mut idle = Idle::default();
        loop {
            match self.place(wanted_ms).await {
                Ok(place) => {
                    self.feed.begin(place);
                    self.feed.set_unavailable(false);
                    return Some(place.next);
                }
                Err(error) => {
                    tracing::warn!(topic = topic.name(), partition, %error, "a partition cannot be followed yet");
                    self.feed.set_unavailable(true);
                }
            }
            tokio::time::sleep(self.shared.settings.tail_retry).await;
            if self.is_released(&mut idle) {
                return None;
            }
        }
    }

    async fn place(&self, wanted_ms: i64) -> Result<Place, journal::ReadError> {
        let unavailable = || journal::ReadError::Unavailable {
            reason: "the log gave no answer".to_owned(),
        };
        let (topic, partition) = (self.feed.topic, self.feed.partition);
        let mut bounds = self.shared.ends.bounds(topic, &[partition]).await;
        let end = bounds.pop().unwrap_or_else(|| Err(unavailable()))?.end;
        let now_ms = (self.shared.clock)() / 1_000;
        // Streams wait for `ends_timeout` before they are answered, not longer.
        let is_soon = now_ms - wanted_ms < millis(self.shared.settings.ends_timeout) / 2;
        if is_soon || self.feed.end().is_some() {
            return Ok(Place {
                next: end,
                time_ms: now_ms,
            });
        }
        let time_ms = wanted_ms.saturating_sub(millis(ACKNOWLEDGED_WITHIN));
        let mut offsets = self.shared.journal.reader.offset_at(topic, &[partition], time_ms).await;
        let next = offsets.pop().unwrap_or_else(|| Err(unavailable()))?.min(end);
        Ok(Place { next, time_ms })
    }

    async fn follow(&self, mut tail: Box<dyn Tail>, mut next: Offset) -> Followed {
        let settings = &self.shared.settings;
        let mut idle = Idle::default();
        let mut check = tokio::time::interval((settings.tail_grace / 4).max(settings.tail_retry));
        loop {
            tokio::select! {
                batch = tail.next() => match batch {
                    Ok(batch) => {
                        self.feed.set_unavailable(false);
                        if batch.next > next {
                            // They end when the records are with the workers.
                            let _spans = spans(&settings.traces, &batch);
                            let chunk = Chunk::new(self.feed.topic, self.feed.partition, next, batch);
                            next = chunk.next;
                            let bytes = chunk.bytes;
                            self.feed.push(Arc::new(chunk));
                            self.shared.budget.charge(&self.feed, bytes);
                        }
                    }
                    Err(error) => match self.failed(&error).await {
                        Some(followed) => return followed,
                        None => continue,
                    },
                },
                () = self.answers_again(), if self.feed.is_unavailable() => self.feed.set_unavailable(false),
                _ = check.tick() => if self.is_released(&mut idle) {
                    return Followed::Done;
                },
            }
        }
    }

    /// What an error means for following; `None`: go on.
    async fn failed(&self, error: &TailError) -> Option<Followed> {
        let (topic, partition) = (self.feed.topic.name(), self.feed.partition);
        match error {
            TailError::Unavailable { reason } => {
                tracing::warn!(topic, partition, reason, "a partition is unavailable");
                self.feed.set_unavailable(true);
                // The next call waits, but an engine that fails at once must not make this spin.
                tokio::time::sleep(self.shared.settings.tail_retry / 10).await;
                None
            }
            TailError::OutOfRange { start, end } => {
                tracing::error!(
                    topic,
                    partition,
                    start,
                    end,
                    "the log does not continue where its tail stands"
                );
                Some(Followed::Lost)
            }
            TailError::Closed => {
                self.feed.set_unavailable(true);
                self.shared.feeds.lock().remove(&(self.feed.topic, partition));
                Some(Followed::Done)
            }
        }
    }

    /// Resolves when the partition's leader answers: an idle partition has no records that would say so.
    async fn answers_again(&self) {
        loop {
            tokio::time::sleep(self.shared.settings.tail_retry).await;
            let answers = self
                .shared
                .ends
                .bounds(self.feed.topic, &[self.feed.partition])
                .await;
            if answers.iter().all(Result::is_ok) {
                return;
            }
        }
    }

    /// Whether nobody has needed the feed for the grace period; it is then gone from the list.
    fn is_released(&self, idle: &mut Idle) -> bool {
        let mut feeds = self.shared.feeds.lock();
        if self.feed.users.load(Ordering::Acquire) > 0 {
            idle.since = None;
            return false;
        }
        let since = *idle.since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.shared.settings.tail_grace {
            return false;
        }
        feeds.remove(&(self.feed.topic, self.feed.partition));
        drop(feeds);
        self.shared.budget.release(&self.feed);
        true
    }
}

/// Ingest answers within this of receiving an event, and record times are times of receipt.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(15);

/// Spans of the records that are traced.
fn spans(traces: &Traces, batch: &Batch) -> Vec<Span> {
    let records = batch.records.iter();
    records.filter_map(|record| traces.span("deliver", record.headers.traceparent.as_deref())).collect()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[derive(Default)]
struct Idle {
    since: Option<Instant>,
}
