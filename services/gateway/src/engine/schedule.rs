//! Who is served next: round-robin by tenant, each within its own byte rate. Pure.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

/// Work that waits, by tenant.
pub(crate) struct Schedule<T> {
    rate_per_s: u64,
    rotation: VecDeque<Box<str>>,
    tenants: FxHashMap<Box<str>, Waiting<T>>,
}

struct Waiting<T> {
    queue: VecDeque<T>,
    /// Bytes that it may still have read; negative while it owes.
    allowance: i64,
    refilled_ms: u64,
}

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn<T> {
    /// This.
    Now(T),
    /// Something, at this time.
    At(u64),
    /// Nothing.
    Idle,
}

impl<T> Schedule<T> {
    /// Each tenant may have `rate_per_s` bytes read a second, and as much at once.
    pub(crate) fn new(rate_per_s: u64) -> Self {
        Self {
            rate_per_s: rate_per_s.max(1),
            rotation: VecDeque::new(),
            tenants: FxHashMap::default(),
        }
    }

    pub(crate) fn push(&mut self, tenant: &str, work: T, now_ms: u64) {
        let burst = self.burst();
        let waiting = self.tenants.entry(tenant.into()).or_insert_with(|| Waiting {
            queue: VecDeque::new(),
            allowance: burst,
            refilled_ms: now_ms,
        });
        if waiting.queue.is_empty() {
            self.rotation.push_back(tenant.into());
        }
        waiting.queue.push_back(work);
    }

    /// Takes what is next.
    pub(crate) fn next(&mut self, now_ms: u64) -> Turn<T> {
        self.next_of(now_ms, |_| true)
    }

    /// What waits of a tenant, in its order.
    pub(crate) fn waiting(&mut self, tenant: &str) -> impl Iterator<Item = &mut T> {
        let waiting = self.tenants.get_mut(tenant);
        waiting.into_iter().flat_map(|waiting| &mut waiting.queue)
    }

    /// Takes what is next of the tenants that `may` have something; of others nothing is next.
    pub(crate) fn next_of(&mut self, now_ms: u64, may: impl Fn(&str) -> bool) -> Turn<T> {
        let burst = self.burst();
        let mut earliest = None;
        for _ in 0..self.rotation.len() {
            let Some(tenant) = self.rotation.pop_front() else {
                break;
            };
            if !may(&tenant) {
                self.rotation.push_back(tenant);
                continue;
            }
            let Some(waiting) = self.tenants.get_mut(&tenant) else {
                continue;
            };
            waiting.refill(self.rate_per_s, burst, now_ms);
            if waiting.allowance < 0 {
                let wait_ms = waiting.allowance.unsigned_abs() * 1_000 / self.rate_per_s + 1;
                earliest = Some(earliest.unwrap_or(u64::MAX).min(now_ms + wait_ms));
                self.rotation.push_back(tenant);
                continue;
            }
            let work = waiting.queue.pop_front();
            if !waiting.queue.is_empty() {
                self.rotation.push_back(tenant);
            }
            if let Some(work) = work {
                return Turn::Now(work);
            }
        }
        earliest.map_or(Turn::Idle, Turn::At)
    }

    /// Counts what was read for a tenant, and forgets tenants that owe nothing and want nothing.
    pub(crate) fn charge(&mut self, tenant: &str, bytes: usize, now_ms: u64) {
        let burst = self.burst();
        if let Some(waiting) = self.tenants.get_mut(tenant) {
            waiting.allowance -= i64::try_from(bytes).unwrap_or(i64::MAX);
        }
        let rate = self.rate_per_s;
        self.tenants.retain(|_, waiting| {
            waiting.refill(rate, burst, now_ms);
            !waiting.queue.is_empty() || waiting.allowance < burst
        });
    }

    fn burst(&self) -> i64 {
        i64::try_from(self.rate_per_s).unwrap_or(i64::MAX)
    }
}

impl<T> Waiting<T> {
    fn refill(&mut self, rate_per_s: u64, burst: i64, now_ms: u64) {
        let elapsed_ms = now_ms.saturating_sub(self.refilled_ms);
        let gained =
            i64::try_from(u128::from(rate_per_s) * u128::from(elapsed_ms) / 1_000).unwrap_or(i64::MAX);
        if gained > 0 {
            self.allowance = self.allowance.saturating_add(gained).min(burst);
            self.refilled_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_take_turns() {
        let mut schedule = Schedule::new(1_000);
        for (tenant, work) in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5)] {
            schedule.push(tenant, work, 0);
        }
        let mut order = Vec::new();
        while let Turn::Now(work) = schedule.next(0) {
            order.push(work);
        }
        assert_eq!(order, [1, 4, 5, 2, 3]);
    }

    #[test]
    fn a_tenant_beyond_its_rate_waits_and_others_do_not() {
        let mut schedule = Schedule::new(1_000);
        schedule.push("a", 1, 0);
        assert_eq!(schedule.next(0), Turn::Now(1));
        schedule.charge("a", 3_000, 0);
        schedule.push("a", 2, 0);
        schedule.push("b", 3, 0);
        assert_eq!(schedule.next(0), Turn::Now(3));
        assert_eq!(schedule.next(0), Turn::At(2_001));
        assert_eq!(schedule.next(2_001), Turn::Now(2));
    }

    #[test]
    fn a_tenant_that_may_not_keeps_its_place_and_others_go_on() {
        let mut schedule = Schedule::new(1_000);
        for (tenant, work) in [("a", 1), ("a", 2), ("b", 3)] {
            schedule.push(tenant, work, 0);
        }
        let not_a = |tenant: &str| tenant != "a";
        assert_eq!(schedule.next_of(0, not_a), Turn::Now(3));
        assert_eq!(schedule.next_of(0, not_a), Turn::Idle);
        assert_eq!((schedule.next(0), schedule.next(0)), (Turn::Now(1), Turn::Now(2)));
    }

    #[test]
    fn a_tenant_that_owes_nothing_is_forgotten() {
        let mut schedule = Schedule::new(1_000);
        schedule.push("a", 1, 0);
        assert_eq!(schedule.next(0), Turn::Now(1));
        schedule.charge("a", 500, 0);
        assert_eq!(schedule.tenants.len(), 1);
        schedule.charge("b", 0, 600);
        assert!(schedule.tenants.is_empty());
    }
}
