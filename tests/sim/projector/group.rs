//! Who owns which partition, as a broker decides it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use journal::{Offset, Partition};
use tokio::time::Instant;

use super::faults::Process;

/// The broker notices so late that a process has died.
const SESSION: Duration = Duration::from_secs(6);

/// One group on one topic.
pub(super) struct Group {
    partitions: u32,
    members: BTreeMap<u64, Membership>,
    joined: u64,
    owned: BTreeMap<Partition, Ownership>,
}

struct Membership {
    process: Arc<Process>,
    /// The broker does not hear of it until then.
    isolated_until: Option<Instant>,
    /// It is dead, and the broker does not know it before then.
    dead_from: Option<Instant>,
}

/// What a partition's owner may do, and for how long.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) partition: Partition,
    pub(super) committed: Option<Offset>,
    member: u64,
    epoch: u64,
}

#[derive(Default)]
struct Ownership {
    epoch: u64,
    committed: Option<Offset>,
    /// Who holds it, and from when on another may.
    holder: Option<(u64, Option<Instant>)>,
}

impl Group {
    pub(super) fn new(partitions: u32) -> Self {
        let owned = (0..partitions)
            .map(|partition| (partition, Ownership::default()))
            .collect();
        Self {
            partitions,
            members: BTreeMap::new(),
            joined: 0,
            owned,
        }
    }

    pub(super) fn join(&mut self, process: &Arc<Process>) -> u64 {
        self.joined += 1;
        let member = Membership {
            process: Arc::clone(process),
            isolated_until: None,
            dead_from: None,
        };
        self.members.insert(self.joined, member);
        self.joined
    }

    pub(super) fn leave(&mut self, member: u64, died: bool) {
        if died {
            if let Some(member) = self.members.get_mut(&member) {
                member.dead_from = Some(Instant::now() + SESSION);
            }
        } else {
            self.members.remove(&member);
        }
    }

    /// The broker and `process` do not hear of each other for `time`.
    pub(super) fn isolate(&mut self, process: usize, time: Duration) {
        for member in self
            .members
            .values_mut()
            .filter(|member| member.process.name == process)
        {
            member.isolated_until = Some(Instant::now() + time);
        }
    }

    pub(super) fn heal(&mut self) {
        for member in self.members.values_mut() {
            member.isolated_until = None;
        }
    }

    /// A partition for `member`, if it is due one and nobody else may have it.
    pub(super) fn take(&mut self, member: u64) -> Option<Grant> {
        let now = Instant::now();
        if self.is_isolated(member) {
            return None;
        }
        for partition in 0..self.partitions {
            if self.desired(partition) != Some(member) {
                continue;
            }
            let isolated: Vec<u64> = self
                .members
                .keys()
                .copied()
                .filter(|id| self.is_isolated(*id))
                .collect();
            let ownership = self.owned.entry(partition).or_default();
            let is_free = match ownership.holder {
                None => true,
                Some((holder, until)) => {
                    holder != member
                        && (until.is_some_and(|until| until <= now) || isolated.contains(&holder))
                }
            };
            if is_free {
                ownership.epoch += 1;
                ownership.holder = Some((member, None));
                let (committed, epoch) = (ownership.committed, ownership.epoch);
                return Some(Grant {
                    partition,
                    committed,
                    member,
                    epoch,
                });
            }
        }
        None
    }

    pub(super) fn release(&mut self, grant: &Grant, died: bool) {
        let Some(ownership) = self.owned.get_mut(&grant.partition) else {
            return;
        };
        if ownership.epoch == grant.epoch {
            let until = died.then(|| Instant::now() + SESSION);
            ownership.holder = until.map(|until| (grant.member, Some(until)));
        }
    }

    /// Whether the owner has been told to give it up.
    pub(super) fn is_revoked(&self, grant: &Grant) -> bool {
        !self.is_isolated(grant.member) && self.desired(grant.partition) != Some(grant.member)
    }

    /// Whether nobody owned it since.
    pub(super) fn owns(&self, grant: &Grant) -> bool {
        self.owned
            .get(&grant.partition)
            .is_some_and(|ownership| ownership.epoch == grant.epoch)
    }

    pub(super) fn commit(&mut self, grant: &Grant, next: Offset) {
        if let Some(ownership) = self.owned.get_mut(&grant.partition) {
            ownership.committed = Some(next);
        }
    }

    pub(super) fn committed(&self, partition: Partition) -> Option<Offset> {
        self.owned.get(&partition)?.committed
    }

    fn is_isolated(&self, member: u64) -> bool {
        let now = Instant::now();
        self.members
            .get(&member)
            .is_some_and(|member| member.isolated_until.is_some_and(|until| until > now))
    }

    fn desired(&self, partition: Partition) -> Option<u64> {
        let now = Instant::now();
        let live: Vec<u64> = self
            .members
            .iter()
            .filter(|(id, member)| {
                member.dead_from.is_none_or(|dead_from| dead_from > now) && !self.is_isolated(**id)
            })
            .map(|(id, _)| *id)
            .collect();
        live.get(partition as usize % live.len().max(1)).copied()
    }
}
