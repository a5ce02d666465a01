//! The task that follows one partition: opens its tail, fills its ring, and ends when nobody needs it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use journal::{Batch, Offset, Tail, TailError, Traces};
use tokio::time::Instant;
use tracing::Span;

use super::{Feed, Shared};
use crate::engine::record::Chunk;
use crate::engine::ring::Place;

/// The task that follows one partition.
pub(super) struct Follower {
    pub(super) shared: Arc<Shared>,
    pub(super) feed: Arc<Feed>,
}

enum Followed {
    /// Nobody needs it, or the log is closed.
    Done,
    /// The log does not continue at the position.
    Lost,
}

impl Follower {
    pub(super) async fn run(self) {
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
        let mut offsets = self
            .shared
            .journal
            .reader
            .offset_at(topic, &[partition], time_ms)
            .await;
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
                self.shared.forget(&mut self.shared.feeds.lock(), &self.feed);
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
        self.shared.forget(&mut feeds, &self.feed);
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
    records
        .filter_map(|record| traces.span("deliver", record.headers.traceparent.as_deref()))
        .collect()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[derive(Default)]
struct Idle {
    since: Option<Instant>,
}
