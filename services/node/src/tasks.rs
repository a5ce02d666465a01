//! The one place that spawns long-lived tasks: each has a name, ends when the process drains, and
//! what it ends with is not lost.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How a task ended.
type Ended = (&'static str, Result<(), String>);

/// The tasks of a process.
pub struct Tasks {
    set: JoinSet<Ended>,
    cancel: CancellationToken,
}

impl Tasks {
    /// No tasks yet; all of them end when `cancel` fires.
    #[must_use]
    pub fn new(cancel: CancellationToken) -> Self {
        Self {
            set: JoinSet::new(),
            cancel,
        }
    }

    /// The token that ends them.
    #[must_use]
    pub fn cancelled(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Runs `task` until it ends. One that ends with an error takes the process down: every task
    /// here is one that the process cannot do without.
    pub fn spawn<F, E>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display,
    {
        self.set
            .spawn(async move { (name, task.await.map_err(|error| error.to_string())) });
    }

    /// Waits for the first task that ends although the process is not draining; its error, if any.
    pub async fn first_failure(&mut self) -> String {
        loop {
            match self.set.join_next().await {
                None => std::future::pending::<()>().await,
                Some(Ok((name, Ok(())))) if self.cancel.is_cancelled() => info!(task = name, "ended"),
                Some(Ok((name, Ok(())))) => return format!("{name} ended by itself"),
                Some(Ok((name, Err(error)))) => return format!("{name}: {error}"),
                Some(Err(panic)) => return format!("a task panicked: {panic}"),
            }
        }
    }

    /// Ends every task and waits for them, at most `deadline`; what is left then is aborted.
    pub async fn drain(mut self, deadline: Duration) {
        self.cancel.cancel();
        let all = async {
            while let Some(ended) = self.set.join_next().await {
                match ended {
                    Ok((name, Ok(()))) => info!(task = name, "ended"),
                    Ok((name, Err(error))) => error!(task = name, error, "ended with an error"),
                    Err(panic) => error!(%panic, "a task panicked"),
                }
            }
        };
        if tokio::time::timeout(deadline, all).await.is_err() {
            warn!(?deadline, "tasks did not end in time and were aborted");
        }
    }
}
