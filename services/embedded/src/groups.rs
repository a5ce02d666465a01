//! Sharing partitions between the members of a group, each owned by one, and committing exactly once.
//!
//! All members live in this process: another cannot open the directory. What can still go wrong is
//! an owner that goes on after its partition was given to the next; so every claim has an epoch, and
//! the writer refuses commits of any but the newest. The epoch is stored with each commit, so it
//! grows across restarts, too.

mod assignment;
mod claim;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use journal::{ClaimEvent, Groups, Membership, Partition, ReadError, Topic};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::Inner;
use crate::writer::{ClaimKey, Granted, Work};
use assignment::{Assignment, ClaimId, MemberId};
use claim::EmbeddedClaim;

/// The groups that anyone has joined.
#[derive(Default)]
pub(crate) struct GroupTable(Mutex<HashMap<GroupName, Arc<Group>>>);

type GroupName = (Box<str>, Topic);

/// The group port.
pub(crate) struct EmbeddedGroups {
    inner: Arc<Inner>,
}

impl EmbeddedGroups {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

/// One group on one topic.
struct Group {
    name: Arc<str>,
    topic: Topic,
    assignment: Mutex<Assignment>,
    /// Tells members that the assignment may have changed for them.
    changed: watch::Sender<()>,
}

impl Group {
    /// Changes the assignment, and tells the members.
    fn change<T>(&self, change: impl FnOnce(&mut Assignment, Instant) -> T) -> T {
        let result = change(&mut self.assignment.lock(), Instant::now());
        self.changed.send_replace(());
        result
    }
}

#[async_trait]
impl Groups for EmbeddedGroups {
    async fn join(&self, group: &str, topic: Topic) -> Result<Box<dyn Membership>, ReadError> {
        let partitions = self.inner.partitions(topic);
        if partitions == 0 {
            return Err(ReadError::Unavailable {
                reason: format!("{} does not exist", topic.name()),
            });
        }
        let group = {
            let mut groups = self.inner.groups.0.lock();
            let new = || {
                let grace: Duration = self.inner.settings.revoke_grace;
                Arc::new(Group {
                    name: group.into(),
                    topic,
                    assignment: Mutex::new(Assignment::new(partitions, grace)),
                    changed: watch::Sender::new(()),
                })
            };
            Arc::clone(groups.entry((group.into(), topic)).or_insert_with(new))
        };
        let changed = group.changed.subscribe();
        let id = group.change(Assignment::join);
        Ok(Box::new(Member {
            inner: Arc::clone(&self.inner),
            group,
            id,
            changed,
        }))
    }
}

/// A membership.
struct Member {
    inner: Arc<Inner>,
    group: Arc<Group>,
    id: MemberId,
    changed: watch::Receiver<()>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.group
            .change(|assignment, now| assignment.leave(self.id, now));
    }
}

#[async_trait]
impl Membership for Member {
    async fn next(&mut self) -> ClaimEvent {
        loop {
            if self.inner.closed.is_cancelled() {
                return ClaimEvent::Closed { reason: None };
            }
            self.changed.borrow_and_update();
            let (taken, expiry) = {
                let mut assignment = self.group.assignment.lock();
                if assignment.expire(Instant::now()) {
                    self.group.changed.send_replace(());
                }
                (assignment.take(self.id), assignment.next_expiry())
            };
            if let Some((partition, claim, revoked)) = taken {
                return self.claim(partition, claim, revoked).await;
            }
            let expired = async {
                match expiry {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The sender lives as long as the group, which this holds.
                _ = self.changed.changed() => {}
                () = expired => {}
                () = self.inner.closed.cancelled() => {}
            }
        }
    }
}

impl Member {
    /// Has the writer fence all earlier claims of the partition. Dropping this future, or the claim,
    /// gives the partition back.
    async fn claim(&self, partition: Partition, id: ClaimId, revoked: CancellationToken) -> ClaimEvent {
        let held = Held {
            group: Arc::clone(&self.group),
            partition,
            id,
        };
        let key = ClaimKey {
            group: Arc::clone(&self.group.name),
            topic: self.group.topic,
            partition,
        };
        let (reply, answer) = oneshot::channel();
        let closed = || ClaimEvent::Closed { reason: None };
        if self
            .inner
            .shared
            .queue
            .push(Work::Claim {
                key: key.clone(),
                reply,
            })
            .is_err()
        {
            return closed();
        }
        match answer.await {
            Ok(Ok(Granted { epoch, committed })) => ClaimEvent::Claimed(Box::new(EmbeddedClaim::new(
                Arc::clone(&self.inner),
                held,
                key,
                Granted { epoch, committed },
                revoked,
            ))),
            Ok(Err(reason)) => ClaimEvent::Closed { reason: Some(reason) },
            Err(_) => closed(),
        }
    }
}

/// A partition that is held; dropping it gives it up.
struct Held {
    group: Arc<Group>,
    partition: Partition,
    id: ClaimId,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.group
            .change(|assignment, now| assignment.release(self.partition, self.id, now));
    }
}
