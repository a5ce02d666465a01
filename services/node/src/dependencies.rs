//! Whether the servers that a node works on answer: asked every few seconds, told by `/ready` and by a
//! metric. Nobody acts on it: every part waits for what it needs by itself, and nothing restarts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use journal::{Journal, Topic};
use prometheus::{IntGaugeVec, Opts, Registry};
use state::Store;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// The one partition of `wakeline.control`, which every node reads.
const CONTROL_PARTITION: journal::Partition = 0;
/// Any partition that every layout has.
const PROGRESS_PARTITION: journal::Partition = 0;

/// How the servers are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How often.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            timeout: Duration::from_secs(4),
        }
    }
}

/// A server that the node works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependency {
    /// The log.
    Kafka,
    /// The state store.
    Cql,
}

impl Dependency {
    /// Its name in `/ready` and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Cql => "cql",
        }
    }
}

/// What is known of the servers. Clones are the same.
#[derive(Clone)]
pub struct Dependencies {
    settings: Settings,
    away: Arc<Mutex<BTreeMap<Dependency, Away>>>,
    up: IntGaugeVec,
}

/// A server that did not answer.
struct Away {
    since: Instant,
    reason: String,
}

impl Dependencies {
    /// Both servers count as answering until they were asked: a node starts only when they did.
    ///
    /// # Errors
    /// When `registry` has the metric already.
    pub fn new(settings: Settings, registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new(
            "wakeline_dependency_up",
            "1 while the server answers, 0 while it is away",
        );
        let up = IntGaugeVec::new(options, &["dependency"])?;
        registry.register(Box::new(up.clone()))?;
        for dependency in [Dependency::Kafka, Dependency::Cql] {
            up.with_label_values(&[dependency.name()]).set(1);
        }
        Ok(Self {
            settings,
            away: Arc::default(),
            up,
        })
    }

    /// Why `dependency` does not answer, and for how long; `Ok` while it does.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn check(&self, dependency: Dependency) -> Result<(), String> {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        match away.get(&dependency) {
            None => Ok(()),
            Some(away) => Err(format!(
                "away for {} s: {}",
                away.since.elapsed().as_secs(),
                away.reason
            )),
        }
    }

    /// Asks both until `cancel`.
    pub async fn watch(&self, journal: &Journal, store: &Store, cancel: CancellationToken) {
        let kafka = self.ask(Dependency::Kafka, || log_answers(journal));
        let cql = self.ask(Dependency::Cql, || store_answers(store));
        cancel
            .run_until_cancelled(async { tokio::join!(kafka, cql) })
            .await;
    }

    async fn ask<F>(&self, dependency: Dependency, question: impl Fn() -> F)
    where
        F: Future<Output = Result<(), String>>,
    {
        let mut turn = interval(self.settings.every);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            let answer = timeout(self.settings.timeout, question()).await;
            self.take(
                dependency,
                answer.unwrap_or_else(|_| Err("no answer in time".to_owned())),
            );
        }
    }

    fn take(&self, dependency: Dependency, answer: Result<(), String>) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        let name = dependency.name();
        self.up.with_label_values(&[name]).set(i64::from(answer.is_ok()));
        match (answer, away.remove(&dependency)) {
            (Ok(()), None) => {}
            (Ok(()), Some(was)) => {
                tracing::info!(
                    dependency = name,
                    away_s = was.since.elapsed().as_secs(),
                    "answers again"
                );
            }
            (Err(reason), was) => {
                if was.is_none() {
                    tracing::warn!(dependency = name, reason, "does not answer");
                }
                let since = was.map_or_else(Instant::now, |was| was.since);
                away.insert(dependency, Away { since, reason });
            }
        }
    }
}

async fn log_answers(journal: &Journal) -> Result<(), String> {
    let bounds = journal.reader.bounds(Topic::Control, &[CONTROL_PARTITION]).await;
    match bounds.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("no answer".to_owned()),
    }
}

async fn store_answers(store: &Store) -> Result<(), String> {
    match store.progress.applied(PROGRESS_PARTITION).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_is_named_with_the_time_since_and_the_reason_until_it_answers() {
        let known = Dependencies::new(Settings::default(), &Registry::new()).unwrap();
        let gauge = |dependency: Dependency| known.up.with_label_values(&[dependency.name()]).get();
        known.take(Dependency::Cql, Err("refused".to_owned()));
        tokio::time::advance(Duration::from_secs(7)).await;
        known.take(Dependency::Cql, Err("still refused".to_owned()));
        assert_eq!(
            known.check(Dependency::Cql),
            Err("away for 7 s: still refused".to_owned())
        );
        assert_eq!(known.check(Dependency::Kafka), Ok(()));
        assert_eq!((gauge(Dependency::Cql), gauge(Dependency::Kafka)), (0, 1));
        known.take(Dependency::Cql, Ok(()));
        assert_eq!(known.check(Dependency::Cql), Ok(()));
        assert_eq!(gauge(Dependency::Cql), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_without_an_answer_counts_as_away() {
        let known = Dependencies::new(Settings::default(), &Registry::new()).unwrap();
        let asked = known.ask(Dependency::Kafka, std::future::pending);
        let patience = known.settings.timeout + Duration::from_millis(1);
        assert!(timeout(patience, asked).await.is_err());
        assert!(known.check(Dependency::Kafka).is_err());
    }
}
