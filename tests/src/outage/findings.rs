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

    /// What was counted under all that begins with `what`.
    #[must_use]
    pub fn counted_from(&self, what: &str) -> u64 {
        let inner = self.lock();
        let counts = inner.counts.iter().filter(|(name, _)| name.starts_with(what));
        counts.map(|(_, count)| count).sum()
    }

    /// Keeps how long something took.
    pub fn took(&self, what: impl Into<String>, duration: Duration) {
        self.lock()
            .durations
            .entry(what.into())
            .or_default()
            .push(duration);
    }

    /// How often it was told how long `what` took.
    #[must_use]
    pub fn samples(&self, what: &str) -> usize {
        self.lock().durations.get(what).map_or(0, Vec::len)
    }

    /// What took longer than `max` took too long; that it took `what` at all must have been seen since there were
    /// `before` samples.
    pub fn at_most(&self, what: &str, max: Duration, before: usize) {
        let new: Vec<Duration> = {
            let inner = self.lock();
            let all = inner.durations.get(what).into_iter().flatten();
            all.skip(before).copied().collect()
        };
        match new.into_iter().max() {
            None => self.violation("not shown", what.to_owned()),
            Some(worst) if worst > max => {
                let evidence = format!("{what}: {worst:.2?}, {max:?} at most");
                self.violation("a recovery takes too long", evidence);
            }
            Some(_) => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(3);

    #[test]
    fn a_recovery_that_nobody_saw_is_a_finding() {
        let findings = Findings::default();
        findings.took("a", MAX);
        findings.at_most("a", MAX, 0);
        assert!(findings.none());
        findings.at_most("a", MAX, 1);
        assert!(!findings.none());
    }

    #[test]
    fn a_recovery_that_takes_too_long_is_a_finding() {
        let findings = Findings::default();
        findings.took("a", MAX * 2);
        findings.at_most("a", MAX, 0);
        assert!(!findings.none());
    }

    #[test]
    fn what_begins_the_same_is_counted_together() {
        let findings = Findings::default();
        findings.count("kills of kafka-1", 2);
        findings.count("kills of kafka-3", 1);
        findings.count("kills", 7);
        assert_eq!(findings.counted_from("kills of kafka-"), 3);
    }
}
