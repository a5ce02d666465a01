//! What the projector can say of itself: for `/ready` and for people.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use journal::{Offset, Partition};

/// What a partition's task is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Bringing the tables level with the log.
    Recovering,
    /// Folding.
    Following,
    /// Cannot go on at present, and tries again.
    Waiting {
        /// What it waits for.
        reason: String,
    },
}

/// One assigned partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionHealth {
    /// What its task is doing.
    pub phase: Phase,
    /// Events behind the log's end, when last measured; `None` before the first time.
    pub lag: Option<Offset>,
}

/// The projector as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether it is a member of the group.
    pub joined: bool,
    /// Why it is not, where something went wrong; it tries again.
    pub trouble: Option<String>,
    /// The partitions assigned to this process.
    pub partitions: BTreeMap<Partition, PartitionHealth>,
}

impl Health {
    /// Whether it is at work: joined, with no partition that waits for something.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.joined
            && self
                .partitions
                .values()
                .all(|partition| !matches!(partition.phase, Phase::Waiting { .. }))
    }
}

/// The shared, current health.
#[derive(Default)]
pub(crate) struct Status(Mutex<Health>);

impl Status {
    pub(crate) fn health(&self) -> Health {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn joined(&self) {
        self.change(|health| {
            *health = Health {
                joined: true,
                ..Health::default()
            }
        });
    }

    pub(crate) fn left(&self, trouble: Option<String>) {
        self.change(|health| {
            *health = Health {
                trouble,
                ..Health::default()
            }
        });
    }

    pub(crate) fn phase(&self, partition: Partition, phase: Phase) {
        self.change(|health| match health.partitions.get_mut(&partition) {
            Some(known) => known.phase = phase,
            None => {
                health
                    .partitions
                    .insert(partition, PartitionHealth { phase, lag: None });
            }
        });
    }

    pub(crate) fn lag(&self, partition: Partition, lag: Offset) {
        self.change(|health| {
            if let Some(known) = health.partitions.get_mut(&partition) {
                known.lag = Some(lag);
            }
        });
    }

    pub(crate) fn released(&self, partition: Partition) {
        self.change(|health| {
            health.partitions.remove(&partition);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
