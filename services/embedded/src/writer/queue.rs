//! The bounded queue before the writer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use journal::{AppendError, CommitError, Offset, Partition, Position, Record, Topic};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::partition::PartitionState;

/// A record that is ready but for its offset.
pub(crate) struct Prepared {
    pub(crate) partition: Arc<PartitionState>,
    pub(crate) record: Record,
    pub(crate) stored: Vec<u8>,
}

/// Names the progress of a group in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClaimKey {
    pub(crate) group: Arc<str>,
    pub(crate) topic: Topic,
    pub(crate) partition: Partition,
}

/// What a new claim is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Granted {
    /// A commit with a lower one is fenced.
    pub(crate) epoch: u64,
    /// Offset that was committed last.
    pub(crate) committed: Option<Offset>,
}

/// Answer to an append: one outcome for all of its records.
pub(crate) type AppendReply = oneshot::Sender<Result<Vec<Position>, AppendError>>;
/// Answer to a commit.
pub(crate) type CommitReply = oneshot::Sender<Result<Vec<Position>, CommitError>>;
/// Answer to a claim.
pub(crate) type ClaimReply = oneshot::Sender<Result<Granted, String>>;

/// What the writer does.
pub(crate) enum Work {
    /// Appends records.
    Append {
        records: Vec<Prepared>,
        ticket: Arc<Ticket>,
        reply: AppendReply,
    },
    /// Appends records and moves a group's position, if the claim still holds.
    Commit {
        key: ClaimKey,
        epoch: u64,
        records: Vec<Prepared>,
        next: Offset,
        reply: CommitReply,
    },
    /// Fences all earlier claims of a partition.
    Claim { key: ClaimKey, reply: ClaimReply },
}

impl Work {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { records, .. } | Self::Commit { records, .. } => {
                records.iter().map(|prepared| prepared.stored.len()).sum()
            }
            Self::Claim { .. } => 0,
        }
    }
}

/// Decides whether an append that waits was withdrawn or taken: whichever comes first.
#[derive(Default)]
pub(crate) struct Ticket(AtomicU8);

const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    /// Takes the append back; false if the writer has it already.
    pub(crate) fn withdraw(&self) -> bool {
        self.decide(WITHDRAWN)
    }

    /// Takes the append on; false if it was withdrawn.
    pub(crate) fn take(&self) -> bool {
        self.decide(TAKEN)
    }

    fn decide(&self, outcome: u8) -> bool {
        self.0
            .compare_exchange(0, outcome, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// Why work was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushError {
    /// Too much waits.
    Full,
    /// The writer has ended.
    Closed,
}

/// Work that waits for the writer.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    appends_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Waiting {
    work: VecDeque<(Work, usize)>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(appends_max: usize, bytes_max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            appends_max,
            bytes_max,
        }
    }

    /// Queues `work`. Only appends are refused for want of room: claims and commits are as few as
    /// there are partitions, and a projector must not starve behind a flood of events.
    pub(crate) fn push(&self, work: Work) -> Result<(), PushError> {
        let bytes = work.bytes();
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(PushError::Closed);
        }
        let full = waiting.work.len() >= self.appends_max
            || (waiting.bytes > 0 && waiting.bytes + bytes > self.bytes_max);
        if full && matches!(work, Work::Append { .. }) {
            return Err(PushError::Full);
        }
        waiting.bytes += bytes;
        waiting.work.push_back((work, bytes));
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for work and takes about `bytes_max` of it; `None` once closed and empty.
    pub(crate) fn take(&self, bytes_max: usize) -> Option<Vec<Work>> {
        let mut waiting = self.waiting.lock();
        while waiting.work.is_empty() {
            if waiting.closed {
                return None;
            }
            self.arrived.wait(&mut waiting);
        }
        let mut taken = Vec::new();
        let mut taken_bytes = 0;
        while let Some((_, bytes)) = waiting.work.front() {
            if !taken.is_empty() && taken_bytes + bytes > bytes_max {
                break;
            }
            let Some((work, bytes)) = waiting.work.pop_front() else {
                break;
            };
            taken_bytes += bytes;
            waiting.bytes -= bytes;
            taken.push(work);
        }
        Some(taken)
    }

    /// Refuses further work; what waits is still done.
    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Drops what waits, so that whoever waits for an answer learns that there is none.
    pub(crate) fn abandon(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        waiting.bytes = 0;
        let work = std::mem::take(&mut waiting.work);
        drop(waiting);
        drop(work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Work {
        let key = ClaimKey {
            group: "g".into(),
            topic: Topic::Events,
            partition: 0,
        };
        Work::Claim {
            key,
            reply: oneshot::channel().0,
        }
    }

    fn append() -> Work {
        let reply = oneshot::channel().0;
        Work::Append {
            records: Vec::new(),
            ticket: Arc::default(),
            reply,
        }
    }

    #[test]
    fn appends_beyond_the_limit_are_refused_and_claims_are_not() {
        let queue = Queue::new(1, 100);
        queue.push(append()).unwrap();
        assert_eq!(queue.push(append()), Err(PushError::Full));
        queue.push(claim()).unwrap();
    }

    #[test]
    fn what_waits_when_the_queue_closes_is_still_taken() {
        let queue = Queue::new(4, 100);
        queue.push(append()).unwrap();
        queue.close();
        assert_eq!(queue.push(append()), Err(PushError::Closed));
        assert_eq!(queue.take(100).map(|work| work.len()), Some(1));
        assert!(queue.take(100).is_none());
    }

    #[test]
    fn a_ticket_is_withdrawn_or_taken_never_both() {
        let ticket = Ticket::default();
        assert!(ticket.take());
        assert!(!ticket.withdraw());
    }
}
