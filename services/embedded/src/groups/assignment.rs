//! Which member has which partition: evenly, moving as few as possible. Pure; time is an argument.

use std::collections::BTreeSet;
use std::time::Duration;

use journal::Partition;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Names a member of one group.
pub(super) type MemberId = u64;
/// Names one ownership of a partition.
pub(super) type ClaimId = u64;

/// The partitions of a group's topic and who has them.
pub(super) struct Assignment {
    slots: Vec<Option<Owner>>,
    members: BTreeSet<MemberId>,
    last_id: u64,
    grace: Duration,
}

struct Owner {
    member: MemberId,
    phase: Phase,
}

enum Phase {
    /// Given, and not yet taken up.
    Assigned,
    /// Taken up.
    Held {
        claim: ClaimId,
        revoked: CancellationToken,
    },
    /// To be given up; from `until` on it is taken without asking.
    Revoking { claim: ClaimId, until: Instant },
}

impl Assignment {
    pub(super) fn new(partitions: u32, grace: Duration) -> Self {
        let slots = (0..partitions).map(|_| None).collect();
        Self {
            slots,
            members: BTreeSet::new(),
            last_id: 0,
            grace,
        }
    }

    /// Adds a member.
    pub(super) fn join(&mut self, now: Instant) -> MemberId {
        let id = self.new_id();
        self.members.insert(id);
        self.rebalance(now);
        id
    }

    /// Removes a member; what it holds is to be given up.
    pub(super) fn leave(&mut self, member: MemberId, now: Instant) {
        self.members.remove(&member);
        self.rebalance(now);
    }

    /// Gives up a partition, if that claim still has it.
    pub(super) fn release(&mut self, partition: Partition, id: ClaimId, now: Instant) {
        let Some(slot) = self.slot(partition) else { return };
        let owned = slot.as_ref().is_some_and(|owner| match &owner.phase {
            Phase::Held { claim, .. } | Phase::Revoking { claim, .. } => *claim == id,
            Phase::Assigned => false,
        });
        if owned {
            *slot = None;
            self.rebalance(now);
        }
    }

    /// A partition that was assigned to `member`, now held by it; with what tells of its end.
    pub(super) fn take(&mut self, member: MemberId) -> Option<(Partition, ClaimId, CancellationToken)> {
        let claim = self.new_id();
        let (index, owner) = self.slots.iter_mut().enumerate().find_map(|(index, slot)| {
            let owner = slot.as_mut()?;
            (owner.member == member && matches!(owner.phase, Phase::Assigned)).then_some((index, owner))
        })?;
        let revoked = CancellationToken::new();
        owner.phase = Phase::Held {
            claim,
            revoked: revoked.clone(),
        };
        Some((Partition::try_from(index).ok()?, claim, revoked))
    }

    /// Takes away what was not given up in time; true if there was any.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let mut any = false;
        for slot in &mut self.slots {
            let late = slot
                .as_ref()
                .is_some_and(|owner| matches!(owner.phase, Phase::Revoking { until, .. } if until <= now));
            if late {
                *slot = None;
                any = true;
            }
        }
        if any {
            self.rebalance(now);
        }
        any
    }

    /// When [`expire`](Self::expire) will have something to do.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let ends = self.slots.iter().flatten().filter_map(|owner| match owner.phase {
            Phase::Revoking { until, .. } => Some(until),
            Phase::Assigned | Phase::Held { .. } => None,
        });
        ends.min()
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn slot(&mut self, partition: Partition) -> Option<&mut Option<Owner>> {
        self.slots.get_mut(usize::try_from(partition).ok()?)
    }

    fn count(&self, member: MemberId) -> usize {
        let kept = |owner: &&Owner| owner.member == member && !matches!(owner.phase, Phase::Revoking { .. });
        self.slots.iter().flatten().filter(kept).count()
    }

    fn rebalance(&mut self, now: Instant) {
        let mut quotas: Vec<(MemberId, usize)> = self
            .members
            .iter()
            .map(|member| (*member, self.count(*member)))
            .collect();
        // Those who have most keep one more, where the partitions do not divide evenly.
        quotas.sort_by_key(|(member, count)| (std::cmp::Reverse(*count), *member));
        let members = quotas.len().max(1);
        let (each, more) = (self.slots.len() / members, self.slots.len() % members);
        for (index, (_, quota)) in quotas.iter_mut().enumerate() {
            *quota = each + usize::from(index < more);
        }
        for slot in &mut self.slots {
            let Some(owner) = slot else { continue };
            if matches!(owner.phase, Phase::Revoking { .. }) {
                continue;
            }
            let quota = quotas
                .iter_mut()
                .find(|(member, quota)| *member == owner.member && *quota > 0);
            match quota {
                Some((_, left)) => *left -= 1,
                None => revoke(slot, now + self.grace),
            }
        }
        let mut free = self.slots.iter_mut().filter(|slot| slot.is_none());
        for (member, left) in quotas {
            for slot in free.by_ref().take(left) {
                *slot = Some(Owner {
                    member,
                    phase: Phase::Assigned,
                });
            }
        }
    }
}

/// Takes a partition away: at once if it was not taken up, else by asking.
fn revoke(slot: &mut Option<Owner>, until: Instant) {
    *slot = slot.take().and_then(|owner| match owner.phase {
        Phase::Assigned => None,
        Phase::Held { claim, revoked } => {
            revoked.cancel();
            Some(Owner {
                member: owner.member,
                phase: Phase::Revoking { claim, until },
            })
        }
        Phase::Revoking { .. } => Some(owner),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(
        assignment: &mut Assignment,
        member: MemberId,
    ) -> Vec<(Partition, ClaimId, CancellationToken)> {
        std::iter::from_fn(|| assignment.take(member)).collect()
    }

    #[test]
    fn one_member_gets_every_partition() {
        let mut assignment = Assignment::new(5, Duration::ZERO);
        let member = assignment.join(Instant::now());
        assert_eq!(take_all(&mut assignment, member).len(), 5);
    }

    #[test]
    fn a_second_member_gets_half_once_the_first_gives_it_up() {
        let now = Instant::now();
        let mut assignment = Assignment::new(5, Duration::from_secs(5));
        let first = assignment.join(now);
        let held = take_all(&mut assignment, first);
        let second = assignment.join(now);
        assert!(take_all(&mut assignment, second).is_empty());
        let revoked: Vec<_> = held
            .iter()
            .filter(|(_, _, revoked)| revoked.is_cancelled())
            .collect();
        assert_eq!(revoked.len(), 2);
        for (partition, claim, _) in revoked {
            assignment.release(*partition, *claim, now);
        }
        assert_eq!(take_all(&mut assignment, second).len(), 2);
        assert!(take_all(&mut assignment, first).is_empty());
    }

    #[test]
    fn what_is_not_given_up_in_time_is_taken() {
        let now = Instant::now();
        let grace = Duration::from_secs(5);
        let mut assignment = Assignment::new(2, grace);
        let first = assignment.join(now);
        let held = take_all(&mut assignment, first);
        let second = assignment.join(now);
        assert!(!assignment.expire(now));
        assert_eq!(assignment.next_expiry(), Some(now + grace));
        assert!(assignment.expire(now + grace));
        let [(partition, _, _)] = take_all(&mut assignment, second)[..] else {
            panic!("one")
        };
        // Giving it up late must not take it from its new owner.
        let late = held.iter().find(|(number, _, _)| *number == partition).unwrap();
        assignment.release(late.0, late.1, now + grace);
        assert!(take_all(&mut assignment, first).is_empty());
    }

    #[test]
    fn who_leaves_leaves_its_partitions_to_the_others() {
        let now = Instant::now();
        let mut assignment = Assignment::new(4, Duration::ZERO);
        let first = assignment.join(now);
        let second = assignment.join(now);
        let held = take_all(&mut assignment, first);
        assert_eq!((held.len(), take_all(&mut assignment, second).len()), (2, 2));
        assignment.leave(first, now);
        for (partition, claim, revoked) in &held {
            assert!(revoked.is_cancelled());
            assignment.release(*partition, *claim, now);
        }
        assert_eq!(take_all(&mut assignment, second).len(), 2);
    }

    #[test]
    fn more_members_than_partitions_leaves_some_waiting() {
        let now = Instant::now();
        let mut assignment = Assignment::new(1, Duration::ZERO);
        let first = assignment.join(now);
        let second = assignment.join(now);
        assert_eq!(take_all(&mut assignment, first).len(), 1);
        assert!(take_all(&mut assignment, second).is_empty());
        assert_eq!(assignment.next_expiry(), None);
    }
}
