//! Memberships and claims.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use journal::{
    Batch, Bounds, Claim, ClaimEvent, CommitError, Groups, Membership, NewRecord, Offset, Partition,
    Position, ReadError, TailError, Topic,
};
use tokio::time::{Instant, timeout};

use super::{Log, Port};
use crate::projector::faults::{Done, Effect, Process};
use crate::projector::group::Grant;

#[async_trait]
impl Groups for Port {
    async fn join(&self, _: &str, _: Topic) -> Result<Box<dyn Membership>, ReadError> {
        let member = self.log.group.lock().join(&self.process);
        self.log.changed.notify_waiters();
        Ok(Box::new(Member {
            log: Arc::clone(&self.log),
            process: Arc::clone(&self.process),
            member,
        }))
    }
}

struct Member {
    log: Arc<Log>,
    process: Arc<Process>,
    member: u64,
}

/// How often somebody who waits looks whether time alone has changed something.
const LOOK: Duration = Duration::from_millis(500);

#[async_trait]
impl Membership for Member {
    async fn next(&mut self) -> ClaimEvent {
        loop {
            let granted = self.log.group.lock().take(self.member);
            if let Some(grant) = granted {
                self.log.note(&format!(
                    "process {} is given partition {} after {:?}",
                    self.process.name, grant.partition, grant.committed
                ));
                return ClaimEvent::Claimed(Box::new(Owned {
                    log: Arc::clone(&self.log),
                    process: Arc::clone(&self.process),
                    grant,
                    position: 0,
                }));
            }
            // Woken or not, it looks again.
            drop(timeout(LOOK, self.log.changed.notified()).await);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.log.group.lock().leave(self.member, self.process.is_dead());
        self.log.changed.notify_waiters();
    }
}

struct Owned {
    log: Arc<Log>,
    process: Arc<Process>,
    grant: Grant,
    position: Offset,
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.log.group.lock().release(&self.grant, self.process.is_dead());
        self.log.changed.notify_waiters();
    }
}

#[async_trait]
impl Claim for Owned {
    fn partition(&self) -> Partition {
        self.grant.partition
    }

    fn committed(&self) -> Option<Offset> {
        self.grant.committed
    }

    async fn start(&mut self, from: Offset) -> Result<(), TailError> {
        let end = self.log.end(Topic::Events, self.grant.partition);
        if from > end {
            return Err(TailError::OutOfRange { start: 0, end });
        }
        self.position = from;
        Ok(())
    }

    async fn next(&mut self, records_max: usize, wait: Duration) -> Result<Batch, TailError> {
        let deadline = Instant::now() + wait;
        loop {
            let batch = self
                .log
                .read(Topic::Events, self.grant.partition, self.position, records_max)
                .map_err(|Bounds { start, end }| TailError::OutOfRange { start, end })?;
            if batch.next > self.position || Instant::now() >= deadline {
                self.position = batch.next;
                return Ok(batch);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            drop(timeout(left, self.log.changed.notified()).await);
        }
    }

    async fn commit(
        &mut self,
        mut records: Vec<NewRecord>,
        next: Offset,
    ) -> Result<Vec<Position>, CommitError> {
        let fate = self.process.begin(Effect::Commit).await;
        // All or nothing: that is what a transaction is.
        let done = fate.done == Done::All;
        let fenced = !self.log.group.lock().owns(&self.grant);
        let mut positions = Vec::new();
        if done && !fenced {
            let readable_from = Instant::now() + *self.log.readable_after.lock();
            self.log.note(&format!(
                "process {} commits {} of partition {} with {} records",
                self.process.name,
                next,
                self.grant.partition,
                records.len()
            ));
            if !records.is_empty() {
                positions = self.log.put(std::mem::take(&mut records), readable_from);
                self.log.mark(Topic::State, self.grant.partition, readable_from);
            }
            self.log.group.lock().commit(&self.grant, next);
        }
        self.process.end(fate).await;
        match fate {
            _ if fenced => Err(CommitError::Fenced),
            fate if !fate.fails => Ok(positions),
            fate if fate.done == Done::Nothing => Err(CommitError::Aborted {
                reason: "as planned".to_owned(),
            }),
            _ => Err(CommitError::Unknown {
                reason: "as planned".to_owned(),
            }),
        }
    }

    async fn revoked(&mut self) {
        while !self.log.group.lock().is_revoked(&self.grant) {
            drop(timeout(LOOK, self.log.changed.notified()).await);
        }
    }
}
