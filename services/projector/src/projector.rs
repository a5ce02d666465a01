//! The projector of one process: a member of the group, with a task for each partition it is given.

use std::sync::Arc;
use std::time::Duration;

use journal::{ClaimEvent, Clock, Journal, Membership, Partition, Topic};
use prometheus::Registry;
use state::Store;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::rulebook::follow;
use crate::settings::Settings;
use crate::status::{Health, Status};
use crate::task::{Ended, Shared, Task};

/// Folds the partitions that its group gives it.
pub struct Projector {
    shared: Arc<Shared>,
}

/// Why a membership ended.
enum Left {
    Cancelled,
    Trouble(String),
}

type Tasks = JoinSet<(Partition, Ended)>;

impl Projector {
    /// A projector over one log and one store.
    ///
    /// # Errors
    /// When `registry` has its metrics already.
    pub fn new(
        settings: Settings,
        journal: Journal,
        store: Store,
        clock: Clock,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(registry)?;
        let shared = Shared {
            settings,
            journal,
            store,
            clock,
            metrics,
            status: Status::default(),
            rules: watch::Sender::new(None),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// What it is doing, for `/ready` and for people.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.status.health()
    }

    /// Works until `cancel`; then gives up its partitions, each after the batch in flight, and leaves.
    /// Trouble with the group is met by joining again, after a wait that grows up to `retry_max`.
    pub async fn run(&self, cancel: CancellationToken) {
        let Shared {
            journal,
            settings,
            rules,
            ..
        } = &*self.shared;
        tokio::select! {
            biased;
            () = self.memberships(&cancel) => {}
            never = follow::follow(journal, settings, rules) => match never {},
        }
    }

    async fn memberships(&self, cancel: &CancellationToken) {
        let settings = &self.shared.settings;
        let mut wait = settings.retry_min;
        while !cancel.is_cancelled() {
            let joined = tokio::time::Instant::now();
            let Left::Trouble(reason) = self.membership(cancel).await else {
                break;
            };
            self.shared.metrics.restarts.inc();
            self.shared.status.left(Some(reason.clone()));
            // Trouble after a long time of peace is new trouble.
            wait = if joined.elapsed() > settings.retry_max * 2 {
                settings.retry_min
            } else {
                wait
            };
            tracing::warn!(%reason, wait_ms = wait.as_millis(), "joining the group again");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = cancel.cancelled() => {}
            }
            wait = (wait * 2).min(settings.retry_max);
        }
    }

    /// One membership, from joining to leaving.
    async fn membership(&self, cancel: &CancellationToken) -> Left {
        let groups = &self.shared.journal.groups;
        let joining = groups.join(&self.shared.settings.group, Topic::Events);
        let membership = tokio::select! {
            joined = joining => joined,
            () = cancel.cancelled() => return Left::Cancelled,
        };
        let mut membership = match membership {
            Ok(membership) => membership,
            Err(error) => return Left::Trouble(error.to_string()),
        };
        self.shared.status.joined();
        let stop = cancel.child_token();
        let mut tasks = Tasks::new();
        let left = self.serve(membership.as_mut(), &mut tasks, &stop).await;
        stop.cancel();
        drain(tasks, self.shared.settings.drain_max).await;
        drop(membership);
        self.shared.status.left(None);
        if cancel.is_cancelled() {
            Left::Cancelled
        } else {
            left
        }
    }

    async fn serve(
        &self,
        membership: &mut dyn Membership,
        tasks: &mut Tasks,
        stop: &CancellationToken,
    ) -> Left {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Left::Cancelled,
                event = membership.next() => match event {
                    ClaimEvent::Claimed(claim) => {
                        let number = claim.partition();
                        let task = Task::new(claim, Arc::clone(&self.shared), stop.clone());
                        tasks.spawn(async move { (number, task.run().await) });
                    }
                    ClaimEvent::Closed { reason } => {
                        return Left::Trouble(reason.unwrap_or_else(|| "the log is closed".to_owned()));
                    }
                },
                Some(ended) = tasks.join_next() => {
                    if let Some(trouble) = trouble(ended) {
                        return Left::Trouble(trouble);
                    }
                }
            }
        }
    }
}

/// A task that gave up its claim for good reason leaves the membership whole. Any other's partition comes
/// back to this process, or goes to another, only by joining again.
fn trouble(ended: Result<(Partition, Ended), JoinError>) -> Option<String> {
    match ended {
        Ok((partition, Ended::Released)) => {
            tracing::info!(partition, "partition given up");
            None
        }
        Ok((partition, Ended::Fenced)) => {
            tracing::info!(partition, "partition taken by another process");
            None
        }
        Ok((partition, Ended::Failed(reason))) => Some(format!("partition {partition}: {reason}")),
        Err(error) => Some(format!("a partition's task died: {error}")),
    }
}

/// Waits for the batches in flight. What is not done in time is dropped: recovery finishes it.
async fn drain(mut tasks: Tasks, drain_max: Duration) {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            if let Some(reason) = trouble(ended) {
                tracing::warn!(%reason, "while giving up partitions");
            }
        }
    };
    if tokio::time::timeout(drain_max, all).await.is_err() {
        tracing::warn!("batches in flight were dropped; the next owner finishes them");
    }
    tasks.shutdown().await;
}
