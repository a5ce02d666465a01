//! The tasks of a front door: all end when it is dropped, and can be waited for.

use std::future::Future;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Spawns tasks that [`Owner`] owns.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    abort: CancellationToken,
}

/// Ends the tasks when it is dropped.
pub(crate) struct Owner {
    tasks: Tasks,
    _guard: DropGuard,
}

impl Owner {
    pub(crate) fn new() -> Self {
        let abort = CancellationToken::new();
        Self {
            tasks: Tasks {
                tracker: TaskTracker::new(),
                abort: abort.clone(),
            },
            _guard: abort.drop_guard(),
        }
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Waits until every task has ended.
    pub(crate) async fn join(self) {
        self.tasks.tracker.close();
        self.tasks.tracker.wait().await;
    }
}

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        self.tracker.spawn(async move {
            abort.run_until_cancelled(task).await;
        });
    }
}

/// hyper's own tasks: the requests of an HTTP/2 connection.
impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        self.spawn(async move {
            task.await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_end_with_their_owner() {
        let owner = Owner::new();
        let (kept, mut gone) = tokio::sync::oneshot::channel::<()>();
        owner.tasks().spawn(async move {
            let _kept = kept;
            std::future::pending::<()>().await;
        });
        assert!(gone.try_recv().is_err());
        drop(owner);
        assert!(gone.await.is_err());
    }
}
