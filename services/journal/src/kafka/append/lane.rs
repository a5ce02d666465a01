//! What is on its way to each partition: a partition that takes nothing must not fill the queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::{AppendError, Partition, Topic};

/// Every lane, by partition.
pub(super) struct Lanes {
    stall: Duration,
    started: Instant,
    by_partition: RwLock<HashMap<(Topic, Partition), Arc<Lane>>>,
}

/// Records on their way to one partition.
pub(super) struct Lane {
    started: Instant,
    open: AtomicU64,
    /// Milliseconds from `started` to the last answer, or to the first record of an idle lane.
    moved_ms: AtomicU64,
}

impl Lanes {
    pub(super) fn new(stall: Duration) -> Self {
        Self {
            stall,
            started: Instant::now(),
            by_partition: RwLock::default(),
        }
    }

    pub(super) fn of(&self, topic: Topic, partition: Partition) -> Arc<Lane> {
        if let Some(lane) = self.by_partition.read().get(&(topic, partition)) {
            return Arc::clone(lane);
        }
        let fresh = || {
            Arc::new(Lane {
                started: self.started,
                open: AtomicU64::new(0),
                moved_ms: AtomicU64::new(0),
            })
        };
        Arc::clone(
            self.by_partition
                .write()
                .entry((topic, partition))
                .or_insert_with(fresh),
        )
    }

    /// Takes one more record, unless the lane stands still.
    pub(super) fn enter(&self, lane: &Lane) -> Result<(), AppendError> {
        let now = lane.now_ms();
        if lane.open.fetch_add(1, Ordering::AcqRel) == 0 {
            lane.moved_ms.store(now, Ordering::Release);
            return Ok(());
        }
        let still = Duration::from_millis(now.saturating_sub(lane.moved_ms.load(Ordering::Acquire)));
        if still <= self.stall {
            return Ok(());
        }
        lane.open.fetch_sub(1, Ordering::AcqRel);
        let reason = format!("the partition has acknowledged nothing for {} s", still.as_secs());
        Err(AppendError::Unavailable { reason })
    }
}

impl Lane {
    /// One record was answered for.
    pub(super) fn leave(&self) {
        self.moved_ms.store(self.now_ms(), Ordering::Release);
        self.withdraw();
    }

    /// One record was not taken after all.
    pub(super) fn withdraw(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_stands_still_takes_no_more_and_opens_with_the_next_answer() {
        let lanes = Lanes::new(Duration::ZERO);
        let lane = lanes.of(Topic::Events, 3);
        assert_eq!(lanes.enter(&lane), Ok(()));
        while lane.now_ms() == lane.moved_ms.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        assert!(matches!(lanes.enter(&lane), Err(AppendError::Unavailable { .. })));
        lane.leave();
        assert_eq!(lanes.enter(&lane), Ok(()));
    }
}
