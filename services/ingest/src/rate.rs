//! How often something may happen: a bucket for each name, in bounded memory.

use std::hash::{BuildHasher as _, RandomState};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use schemas::Micros;

const SECOND: Micros = 1_000_000;

/// Buckets by name. Each holds `burst` and is filled at `per_second`.
pub(crate) struct Rate {
    per_second: f64,
    burst: f64,
    names_max: usize,
    /// Keyed at random, so that nobody finds a name that shares another's bucket.
    hasher: RandomState,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buckets: FxHashMap<u64, Bucket>,
    swept_at: Option<Micros>,
}

/// What was in it, and when.
#[derive(Clone, Copy)]
struct Bucket {
    level: f64,
    at: Micros,
}

impl Rate {
    pub(crate) fn new(per_second: u32, burst: u32, names_max: usize) -> Self {
        Self {
            per_second: f64::from(per_second),
            burst: f64::from(burst),
            names_max,
            hasher: RandomState::new(),
            state: Mutex::default(),
        }
    }

    /// Whether each of `names` may happen once at `now`, in order.
    pub(crate) fn take<'a>(
        &self,
        tenant: &str,
        names: impl Iterator<Item = &'a str>,
        now: Micros,
    ) -> Vec<bool> {
        let mut state = self.state.lock();
        names
            .map(|name| self.take_one(&mut state, self.hasher.hash_one((tenant, name)), now))
            .collect()
    }

    fn take_one(&self, state: &mut State, key: u64, now: Micros) -> bool {
        if let Some(bucket) = state.buckets.get_mut(&key) {
            bucket.level = self.level(*bucket, now);
            bucket.at = bucket.at.max(now);
            let granted = bucket.level >= 1.0;
            if granted {
                bucket.level -= 1.0;
            }
            return granted;
        }
        if state.buckets.len() >= self.names_max && !self.sweep(state, now) {
            return true;
        }
        let level = self.burst - 1.0;
        state.buckets.insert(key, Bucket { level, at: now });
        level >= 0.0
    }

    fn level(&self, bucket: Bucket, now: Micros) -> f64 {
        let filled = now.saturating_sub(bucket.at).max(0) as f64 / SECOND as f64 * self.per_second;
        (bucket.level + filled).min(self.burst)
    }

    /// Forgets full buckets, at most once a second. Whether there is room then.
    fn sweep(&self, state: &mut State, now: Micros) -> bool {
        if state.swept_at.is_some_and(|at| now.saturating_sub(at) < SECOND) {
            return false;
        }
        state.swept_at = Some(now);
        state
            .buckets
            .retain(|_, bucket| self.level(*bucket, now) < self.burst);
        state.buckets.len() < self.names_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(rate: &Rate, name: &str, count: usize, now: Micros) -> usize {
        let grants = rate.take("acme", std::iter::repeat_n(name, count), now);
        grants.into_iter().filter(|granted| *granted).count()
    }

    #[test]
    fn a_burst_is_taken_and_then_the_rate() {
        let rate = Rate::new(10, 100, 10);
        assert_eq!(granted(&rate, "d", 150, 0), 100);
        assert_eq!(granted(&rate, "d", 50, SECOND), 10);
        assert_eq!(granted(&rate, "d", 200, 60 * SECOND), 100);
    }

    #[test]
    fn names_have_buckets_of_their_own() {
        let rate = Rate::new(1, 1, 10);
        assert_eq!(granted(&rate, "a", 2, 0), 1);
        assert_eq!(granted(&rate, "b", 2, 0), 1);
        assert_eq!(rate.take("other", ["a"].into_iter(), 0), [true]);
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let rate = Rate::new(1, 1, 10);
        assert_eq!(granted(&rate, "a", 1_000, 0), 1);
        assert_eq!(granted(&rate, "a", 1, SECOND), 1);
    }

    #[test]
    fn a_clock_that_goes_back_fills_nothing() {
        let rate = Rate::new(1, 1, 10);
        assert_eq!(granted(&rate, "a", 1, 10 * SECOND), 1);
        assert_eq!(granted(&rate, "a", 1, 0), 0);
        assert_eq!(granted(&rate, "a", 1, 10 * SECOND), 0);
    }

    #[test]
    fn memory_is_bounded_and_full_buckets_make_room() {
        let rate = Rate::new(1, 1, 100);
        for name in 0..1_000 {
            assert_eq!(granted(&rate, &name.to_string(), 1, 0), 1);
        }
        assert_eq!(rate.state.lock().buckets.len(), 100);
        assert_eq!(granted(&rate, "new", 2, 2 * SECOND), 1);
        assert_eq!(rate.state.lock().buckets.len(), 1);
    }
}
