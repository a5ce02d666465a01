//! Who holds what within one membership. No I/O.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio_util::sync::CancellationToken;

use crate::Partition;

/// The partitions that the group assigned to this member.
#[derive(Default)]
pub(super) struct Ownership {
    table: Mutex<Table>,
    released: Condvar,
}

#[derive(Default)]
struct Table {
    owned: HashMap<Partition, Owned>,
    last_id: u64,
}

struct Owned {
    id: u64,
    /// A claim exists or is being made.
    held: bool,
    /// When to make the next claim, if none is held.
    due: Instant,
    revoked: CancellationToken,
}

/// A claim's hold on a partition: the partition is given up when the last copy is dropped.
pub(super) struct Hold {
    ownership: Arc<Ownership>,
    partition: Partition,
    id: u64,
    revoked: CancellationToken,
    reclaim_delay: Duration,
}

impl Ownership {
    /// The group assigned `partitions`.
    pub(super) fn assigned(&self, partitions: &[Partition]) {
        let mut table = self.table.lock();
        for partition in partitions {
            table.last_id += 1;
            let owned = Owned {
                id: table.last_id,
                held: false,
                due: Instant::now(),
                revoked: CancellationToken::new(),
            };
            table.owned.insert(*partition, owned);
        }
    }

    /// Holds for the partitions that have no claim and are due for one.
    pub(super) fn due(self: &Arc<Self>, reclaim_delay: Duration) -> Vec<Hold> {
        let now = Instant::now();
        let mut table = self.table.lock();
        let due = table
            .owned
            .iter_mut()
            .filter(|(_, owned)| !owned.held && owned.due <= now);
        due.map(|(partition, owned)| {
            owned.held = true;
            Hold {
                ownership: Arc::clone(self),
                partition: *partition,
                id: owned.id,
                revoked: owned.revoked.clone(),
                reclaim_delay,
            }
        })
        .collect()
    }

    /// Tells the claims of `partitions` that they are over, and waits up to `patience` until they are
    /// dropped. Those that remain are on their own: the next owner fences them.
    pub(super) fn revoke(&self, partitions: &[Partition], patience: Duration) {
        let until = Instant::now() + patience;
        let mut table = self.table.lock();
        for partition in partitions {
            if let Some(owned) = table.owned.get(partition) {
                owned.revoked.cancel();
            }
        }
        let held = |table: &Table| {
            partitions
                .iter()
                .any(|p| table.owned.get(p).is_some_and(|owned| owned.held))
        };
        while held(&table) && !self.released.wait_until(&mut table, until).timed_out() {}
        for partition in partitions {
            table.owned.remove(partition);
        }
    }

    /// Every partition assigned at present.
    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.table.lock().owned.keys().copied().collect()
    }
}

impl Hold {
    pub(super) fn partition(&self) -> Partition {
        self.partition
    }

    /// Cancelled when the group takes the partition away.
    pub(super) fn revoked(&self) -> &CancellationToken {
        &self.revoked
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut table = self.ownership.table.lock();
        if let Some(owned) = table.owned.get_mut(&self.partition)
            && owned.id == self.id
        {
            owned.held = false;
            owned.due = Instant::now() + self.reclaim_delay;
        }
        self.ownership.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_waits_for_the_hold_and_no_longer() {
        let ownership = Arc::new(Ownership::default());
        ownership.assigned(&[1, 2]);
        let mut holds = ownership.due(Duration::ZERO);
        holds.sort_by_key(Hold::partition);
        let second = holds.pop().unwrap();
        let waiter = {
            let ownership = Arc::clone(&ownership);
            std::thread::spawn(move || ownership.revoke(&[2], Duration::from_secs(60)))
        };
        while !second.revoked().is_cancelled() {
            std::thread::yield_now();
        }
        assert!(!waiter.is_finished());
        drop(second);
        waiter.join().unwrap();
        assert_eq!(ownership.partitions(), [1]);
    }

    #[test]
    fn a_hold_that_outlives_its_revocation_does_not_free_the_next_one() {
        let ownership = Arc::new(Ownership::default());
        ownership.assigned(&[1]);
        let old = ownership.due(Duration::ZERO);
        ownership.revoke(&[1], Duration::ZERO);
        ownership.assigned(&[1]);
        let new = ownership.due(Duration::ZERO);
        assert_eq!(new.len(), 1);
        drop(old);
        assert!(ownership.due(Duration::ZERO).is_empty());
        drop(new);
        assert_eq!(ownership.due(Duration::ZERO).len(), 1);
    }
}
