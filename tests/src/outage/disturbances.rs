//! When servers, and the connections to them, are disturbed: what fails because of that coincides with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What is done to brokers, to the CQL server, and to the connections between them and nodes. Clones are the same.
#[derive(Clone, Default)]
pub struct Disturbances {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    under_way: usize,
    /// When the last one ended.
    ended: Option<Instant>,
    /// There are none any more, and what was is no excuse.
    is_over: bool,
}

impl Disturbances {
    /// One lasts until what is returned is dropped.
    pub fn begin(&self) -> Disturbance {
        self.lock().under_way += 1;
        Disturbance(self.clone())
    }

    /// From now on nothing is excused.
    pub fn end_for_good(&self) {
        self.lock().is_over = true;
    }

    /// Whether one excuses what began at `begun` and has failed now: they overlap, or `after` it at most.
    #[must_use]
    pub fn excuse(&self, begun: Instant, after: Duration) -> bool {
        let inner = self.lock();
        let overlaps = inner.under_way > 0 || inner.ended.is_some_and(|ended| ended + after >= begun);
        overlaps && !inner.is_over
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that is under way.
#[must_use = "it ends when this is dropped"]
pub struct Disturbance(Disturbances);

impl Drop for Disturbance {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.under_way -= 1;
        inner.ended = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(10);

    #[test]
    fn only_what_coincides_is_an_excuse() {
        let disturbances = Disturbances::default();
        let begun = Instant::now();
        assert!(!disturbances.excuse(begun, AFTER));
        let under_way = disturbances.begin();
        assert!(disturbances.excuse(begun, AFTER));
        drop(under_way);
        assert!(disturbances.excuse(begun, AFTER));
        assert!(disturbances.excuse(Instant::now() + AFTER / 2, AFTER));
        assert!(!disturbances.excuse(Instant::now() + AFTER * 2, AFTER));
    }

    #[test]
    fn nothing_is_excused_once_they_are_over() {
        let disturbances = Disturbances::default();
        let begun = Instant::now();
        drop(disturbances.begin());
        disturbances.end_for_good();
        assert!(!disturbances.excuse(begun, AFTER));
    }
}
