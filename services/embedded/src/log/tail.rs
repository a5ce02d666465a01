//! Following a partition: from memory while the reader keeps up, from the store while it does not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use journal::{Batch, Bounds, Offset, Partition, Tail, TailError, Tails, Topic};
use tokio::sync::watch;
use tokio::task::coop::consume_budget;

use super::{EmbeddedLog, read};
use crate::engine::Inner;
use crate::partition::PartitionState;

/// A tail of a partition that does not exist looks again after so long.
const MISSING_RETRY: Duration = Duration::from_millis(200);

#[async_trait]
impl Tails for EmbeddedLog {
    async fn open(&self, topic: Topic, partition: Partition, from: Offset) -> Box<dyn Tail> {
        Box::new(EmbeddedTail {
            inner: Arc::clone(&self.inner),
            topic,
            partition,
            from,
            follower: None,
        })
    }
}

/// A tail; what it follows is looked up when it is first asked, because it may not exist yet.
struct EmbeddedTail {
    inner: Arc<Inner>,
    topic: Topic,
    partition: Partition,
    from: Offset,
    follower: Option<Follower>,
}

#[async_trait]
impl Tail for EmbeddedTail {
    async fn next(&mut self) -> Result<Batch, TailError> {
        if self.follower.is_none() {
            self.follower = Follower::new(&self.inner, self.topic, self.partition, self.from);
        }
        let Some(follower) = &mut self.follower else {
            tokio::time::sleep(MISSING_RETRY).await;
            let reason = read::missing(self.topic, self.partition).to_string();
            return Err(TailError::Unavailable { reason });
        };
        follower.next(self.inner.settings.tail_batch_records_max).await
    }
}

/// A position that moves along a partition.
pub(crate) struct Follower {
    inner: Arc<Inner>,
    state: Arc<PartitionState>,
    end: watch::Receiver<Offset>,
    position: Offset,
}

impl Follower {
    /// Follows the partition, if it exists.
    pub(crate) fn new(inner: &Arc<Inner>, topic: Topic, partition: Partition, from: Offset) -> Option<Self> {
        let state = inner.partition(topic, partition)?;
        let end = state.watch_end();
        Some(Self {
            inner: Arc::clone(inner),
            state,
            end,
            position: from,
        })
    }

    /// The next offset to read.
    pub(crate) fn position(&self) -> Offset {
        self.position
    }

    /// The next records, waiting for them. Cancel-safe: the position moves only with the answer.
    pub(crate) async fn next(&mut self, records_max: usize) -> Result<Batch, TailError> {
        self.wait().await?;
        let batch = self.read(records_max).await?;
        self.position = batch.next;
        Ok(batch)
    }

    /// Waits until there is something to read.
    pub(crate) async fn wait(&mut self) -> Result<(), TailError> {
        loop {
            if self.inner.closed.is_cancelled() {
                return Err(TailError::Closed);
            }
            // Seen before the bounds are read, so that no later change is missed.
            self.end.borrow_and_update();
            let Bounds { start, end } = self.state.bounds();
            if self.position < start || self.position > end {
                return Err(TailError::OutOfRange { start, end });
            }
            if self.position < end {
                return Ok(());
            }
            tokio::select! {
                changed = self.end.changed() => changed.map_err(|_| TailError::Closed)?,
                () = self.inner.closed.cancelled() => return Err(TailError::Closed),
            }
        }
    }

    async fn read(&self, records_max: usize) -> Result<Batch, TailError> {
        // An answer from memory must not keep a loop of reads from giving way.
        consume_budget().await;
        let (from, bytes_max) = (self.position, self.inner.settings.tail_batch_bytes_max);
        if let Some(records) = self.state.recent(from, records_max, bytes_max)
            && let Some(last) = records.last()
        {
            let next = last.offset + 1;
            return Ok(Batch { records, next });
        }
        let state = Arc::clone(&self.state);
        let unavailable = |error: &dyn std::fmt::Display| TailError::Unavailable {
            reason: error.to_string(),
        };
        let scan = self
            .inner
            .blocking(move |tables| read::scan(tables, &state, from, records_max, bytes_max))
            .await;
        let batch = scan
            .map_err(|error| unavailable(&error))?
            .map_err(|error| unavailable(&error))?;
        // Retention may have begun to remove what was just read: then the answer has holes.
        let Bounds { start, end } = self.state.bounds();
        if from < start {
            return Err(TailError::OutOfRange { start, end });
        }
        Ok(batch)
    }
}
