//! What did not hold, with evidence, and what was counted on the way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Findings of one kind that are told in full; more are only counted.
const TOLD_MAX: usize = 20;

/// Shared by everything that looks.
#[derive(Clone)]
pub struct Findings {
    begun: Instant,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    violations: Vec<String>,
    of_kind: BTreeMap<&'static str, usize>,
    counts: BTreeMap<String, u64>,
    durations: BTreeMap<String, Vec<Duration>>,
}

impl Default for Findings {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            inner: Arc::default(),
        }
    }
}

impl Findings {
    /// A promise was broken.
    pub fn violation(&self, kind: &'static str, evidence: String) {
        let number = {
            let mut inner = self.lock();
            let number = inner.of_kind.entry(kind).or_default();
            *number += 1;
            let number = *number;
            if number <= TOLD_MAX {
                inner.violations.push(format!("{kind}: {evidence}"));
            }
            number
        };
        if number <= TOLD_MAX {
            self.say(&format!("VIOLATION {kind}: {evidence}"));
        }
    }

    /// Tells what is being done.
    #[expect(clippy::print_stdout, reason = "this is what the program prints")]
    pub fn say(&self, line: &str) {
        println!("{:8.2} {line}", self.begun.elapsed().as_secs_f64());
    }

    /// Counts.
    pub fn count(&self, what: impl Into<String>, by: u64) {
        *self.lock().counts.entry(what.into()).or_default() += by;
    }

    /// What was counted under `what`.
    #[must_use]
    pub fn counted(&self, what: &str) -> u64 {
        self.lock().counts.get(what).copied().unwrap_or_default()
    }

    /// Keeps how long something took.
    pub fn took(&self, what: impl Into<String>, duration: Duration) {
        self.lock()
            .durations
            .entry(what.into())
            .or_default()
            .push(duration);
    }

    /// What took longer than `max` took too long.
    pub fn at_most(&self, what: &str, max: Duration) {
        let worst = self
            .lock()
            .durations
            .get(what)
            .and_then(|all| all.iter().max().copied());
        if let Some(worst) = worst.filter(|worst| *worst > max) {
            self.violation(
                "a recovery takes too long",
                format!("{what}: {worst:.2?}, {max:?} at most"),
            );
        }
    }

    /// Whether everything held.
    #[must_use]
    pub fn none(&self) -> bool {
        self.lock().of_kind.is_empty()
    }

    /// The whole story.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut inner = self.lock();
        let kills = inner.counts.get("kills").copied().unwrap_or_default();
        let mut lines = vec![String::new(), format!("{kills} kills"), "counts".to_owned()];
        lines.extend(
            inner
                .counts
                .iter()
                .map(|(what, count)| format!("  {what}: {count}")),
        );
        lines.push("times (median, worst, how many)".to_owned());
        for (what, durations) in &mut inner.durations {
            durations.sort_unstable();
            let median = durations[durations.len() / 2].as_secs_f64();
            let worst = durations[durations.len() - 1].as_secs_f64();
            lines.push(format!(
                "  {what}: {median:.2} s, {worst:.2} s, {}",
                durations.len()
            ));
        }
        lines.push(if inner.of_kind.is_empty() {
            "no violation".to_owned()
        } else {
            format!("VIOLATIONS {:?}", inner.of_kind)
        });
        lines.extend(inner.violations.iter().map(|line| format!("  {line}")));
        lines.join("\n")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
