//! Sole ownership of one partition.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use journal::{Batch, Bounds, Claim, CommitError, NewRecord, Offset, Partition, Position, TailError};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Held;
use crate::engine::Inner;
use crate::log::{self, Follower};
use crate::writer::{ClaimKey, Granted, Work};

/// A claim. Its partition is given up when it is dropped.
pub(super) struct EmbeddedClaim {
    inner: Arc<Inner>,
    held: Held,
    key: ClaimKey,
    granted: Granted,
    revoked: CancellationToken,
    follower: Option<Follower>,
}

impl EmbeddedClaim {
    pub(super) fn new(
        inner: Arc<Inner>,
        held: Held,
        key: ClaimKey,
        granted: Granted,
        revoked: CancellationToken,
    ) -> Self {
        Self {
            inner,
            held,
            key,
            granted,
            revoked,
            follower: None,
        }
    }
}

#[async_trait]
impl Claim for EmbeddedClaim {
    fn partition(&self) -> Partition {
        self.held.partition
    }

    fn committed(&self) -> Option<Offset> {
        self.granted.committed
    }

    async fn start(&mut self, from: Offset) -> Result<(), TailError> {
        let state = self.inner.partition(self.key.topic, self.held.partition);
        let Some(Bounds { start, end }) = state.map(|state| state.bounds()) else {
            return Err(TailError::Closed);
        };
        if from < start || from > end {
            return Err(TailError::OutOfRange { start, end });
        }
        self.follower = Follower::new(&self.inner, self.key.topic, self.held.partition, from);
        Ok(())
    }

    async fn next(&mut self, records_max: usize, wait: Duration) -> Result<Batch, TailError> {
        let Some(follower) = &mut self.follower else {
            let reason = "the claim was not started".to_owned();
            return Err(TailError::Unavailable { reason });
        };
        // Only the wait at the end is timed: a read that is under way is finished.
        match tokio::time::timeout(wait, follower.wait()).await {
            Ok(waited) => waited?,
            Err(_) => {
                return Ok(Batch {
                    records: Vec::new(),
                    next: follower.position(),
                });
            }
        }
        follower.next(records_max).await
    }

    async fn commit(&mut self, records: Vec<NewRecord>, next: Offset) -> Result<Vec<Position>, CommitError> {
        let prepared = records
            .into_iter()
            .map(|record| log::prepare(&self.inner, record))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|reason| CommitError::Aborted { reason })?;
        let (reply, answer) = oneshot::channel();
        let work = Work::Commit {
            key: self.key.clone(),
            epoch: self.granted.epoch,
            records: prepared,
            next,
            reply,
        };
        let unknown = || CommitError::Unknown {
            reason: "the embedded engine is closed".to_owned(),
        };
        self.inner.shared.queue.push(work).map_err(|_| unknown())?;
        answer.await.unwrap_or_else(|_| Err(unknown()))
    }

    async fn revoked(&mut self) {
        tokio::select! {
            () = self.revoked.cancelled() => {}
            () = self.inner.closed.cancelled() => {}
        }
    }
}
