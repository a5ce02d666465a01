//! Waiting for what is away, without losing the claim and without missing the call to give it up.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use futures::FutureExt as _;
use state::StoreError;

use super::{Ended, Task};
use crate::settings::Settings;
use crate::status::Phase;

/// Growing waits between attempts.
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            min: settings.retry_min,
            max: settings.retry_max,
            next: settings.retry_min,
        }
    }

    pub(super) fn reset(&mut self) {
        self.next = self.min;
    }

    fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (self.next * 2).min(self.max);
        wait
    }
}

impl Task {
    /// Ends the task when it was asked to give up the partition.
    pub(super) fn check(&mut self) -> Result<(), Ended> {
        if self.cancel.is_cancelled() || self.claim.revoked().now_or_never().is_some() {
            return Err(Ended::Released);
        }
        Ok(())
    }

    /// Waits, unless the partition is to be given up.
    pub(super) async fn pause(&mut self, wait: Duration) -> Result<(), Ended> {
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.claim.revoked() => Err(Ended::Released),
            () = self.cancel.cancelled() => Err(Ended::Released),
        }
    }

    /// Waits after a failure, and says so until [`Self::goes_on`].
    pub(super) async fn wait_out(
        &mut self,
        what: &'static str,
        reason: &(impl Display + ?Sized),
        backoff: &mut Backoff,
    ) -> Result<(), Ended> {
        self.metrics.retried(what);
        self.metrics.waits(Some(what));
        // Who waits before it has read anything does not know since when events wait: at least since now.
        let now = (self.shared.clock)();
        self.open_since.get_or_insert(now);
        self.tell_lag();
        self.waits = true;
        tracing::warn!(partition = self.number, what, %reason, "trying again");
        self.shared.status.phase(
            self.number,
            Phase::Waiting {
                reason: format!("{what}: {reason}"),
            },
        );
        self.pause(backoff.wait()).await
    }

    /// What was waited for has come. Not before: an attempt may take seconds to fail again.
    pub(super) fn goes_on(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.metrics.waits(None);
            self.shared.status.phase(self.number, self.phase.clone());
        }
    }

    /// Folds no further until the partition is given up: a later release may take it then.
    pub(super) async fn stand_still(&mut self, reason: &(impl Display + ?Sized)) -> Ended {
        let mut backoff = Backoff::new(&self.shared.settings);
        loop {
            if let Err(ended) = self.wait_out("schema", reason, &mut backoff).await {
                return ended;
            }
        }
    }

    /// Does `operation` until the store has done it.
    pub(super) async fn insist_on_store<T, F, Done>(
        &mut self,
        what: &'static str,
        mut operation: F,
    ) -> Result<T, Ended>
    where
        F: FnMut() -> Done,
        Done: Future<Output = Result<T, StoreError>>,
    {
        let mut backoff = Backoff::new(&self.shared.settings);
        loop {
            match operation().await {
                Ok(done) => {
                    self.goes_on();
                    return Ok(done);
                }
                // A row that cannot be read needs an operator; nothing is gained by giving up the claim.
                Err(error) => self.wait_out(what, &error, &mut backoff).await?,
            }
        }
    }
}
