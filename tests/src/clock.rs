//! A wall clock that tests move: the time of the machine, and what was added to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Time that a test can pass.
#[derive(Debug, Clone, Default)]
pub struct MovedClock(Arc<AtomicI64>);

impl MovedClock {
    /// What the parts of a node read.
    #[must_use]
    pub fn clock(&self) -> journal::Clock {
        let (system, added) = (node::system_clock(), Arc::clone(&self.0));
        Arc::new(move || system() + added.load(Ordering::SeqCst))
    }

    /// Lets `duration` pass at once.
    pub fn advance(&self, duration: Duration) {
        let added = i64::try_from(duration.as_micros()).expect("within range");
        self.0.fetch_add(added, Ordering::SeqCst);
    }
}
