//! Drives one claim: recovery, then batch after batch, until the claim is given up.
//!
//! One batch is in flight at a time. Whatever fails for a while is tried again with the claim kept and
//! nothing read; only a lost claim, or an outcome that nobody knows, ends the task. Whoever owns the
//! partition next begins with recovery, so the task may stop after any effect.

mod batch;
mod effects;
mod patience;
mod sweep;

use std::sync::Arc;

use journal::{Claim, Clock, Journal, Offset, Partition as PartitionNumber, TailError, Topic};
use state::{Applied, Limits, Store};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::{Metrics, PartitionMetrics};
use crate::partition::{Partition, Rules};
use crate::reactor::{Heartbeat, Silence};
use crate::recovery::{Ports, Recovery, RecoveryError, Scope, Step, Target, bounds};
use crate::rulebook::follow::Known;
use crate::settings::{Point, Settings, micros};
use crate::source::SourceBatch;
use crate::status::{Phase, Status};
use batch::BatchSize;
use patience::Backoff;
use sweep::Sweeps;

/// What all tasks of a projector share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) journal: Journal,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) status: Status,
    /// The alert rules, kept by the projector.
    pub(crate) rules: watch::Sender<Known>,
}

/// Why a task ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ended {
    /// Asked to, by the group or by a shutdown.
    #[error("the partition was given up")]
    Released,
    /// Another process owns the partition.
    #[error("another process owns the partition")]
    Fenced,
    /// It cannot go on with this claim.
    #[error("{0}")]
    Failed(String),
}

/// The task of one claim.
pub(crate) struct Task {
    claim: Box<dyn Claim>,
    number: PartitionNumber,
    shared: Arc<Shared>,
    metrics: PartitionMetrics,
    cancel: CancellationToken,
    partition: Partition,
    rules: Rules,
    size: BatchSize,
    /// Next event to fold.
    source: Offset,
    /// Next state record to apply.
    state: Offset,
    lag_measured: Option<Instant>,
    /// What it does when it waits for nothing.
    phase: Phase,
    /// It waits for something that is away.
    waits: bool,
    /// Time of the oldest event that may not be in the tables yet; `None` at the end of the log.
    open_since: Option<schemas::Micros>,
    sweeps: Sweeps,
}

impl Task {
    pub(crate) fn new(claim: Box<dyn Claim>, shared: Arc<Shared>, cancel: CancellationToken) -> Self {
        let number = claim.partition();
        let settings = &shared.settings;
        let rules = Rules {
            partition: number,
            generation: shared.journal.layout.generation,
            limits: Limits::of(&shared.journal.layout),
            history_kinds: settings.history_kinds.clone(),
            rejected_per_batch_max: settings.rejected_per_batch_max,
            cached_document_bytes_max: settings.cached_document_bytes_max,
            silence: Silence::of(settings),
            heartbeat: Heartbeat::of(settings),
        };
        Self {
            claim,
            number,
            metrics: shared.metrics.partition(number),
            cancel,
            partition: Partition::new(rules.clone()),
            rules,
            size: BatchSize::new(settings),
            source: 0,
            state: 0,
            lag_measured: None,
            phase: Phase::Recovering,
            waits: false,
            open_since: None,
            sweeps: Sweeps::new(),
            shared,
        }
    }

    /// Runs until the claim is given up; dropping the task gives it up too.
    pub(crate) async fn run(mut self) -> Ended {
        let ended = match self.drive().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        self.shared.status.released(self.number);
        ended
    }

    async fn drive(&mut self) -> Result<std::convert::Infallible, Ended> {
        self.enter(Phase::Recovering);
        self.recover().await?;
        self.learn_rules().await?;
        self.restore().await?;
        // The counts are those of the documents themselves, and stand from here on. Where the tables keep another
        // answer for the same source (in CQL the one whose bytes are greater), the next batch puts it right.
        self.record_applied().await?;
        self.claim
            .start(self.source)
            .await
            .map_err(|error| Ended::Failed(error.to_string()))?;
        self.enter(Phase::Following);
        tracing::info!(
            partition = self.number,
            source = self.source,
            state = self.state,
            "partition followed"
        );
        loop {
            self.check()?;
            self.turn().await?;
        }
    }

    /// Brings the documents level with the state records, and finds where to fold on.
    async fn recover(&mut self) -> Result<(), Ended> {
        let began = Instant::now();
        let mut backoff = Backoff::new(&self.shared.settings);
        let mut recovery = None;
        let mut unconfirmed_since: Option<Instant> = None;
        loop {
            self.check()?;
            match self.recovery_step(&mut recovery).await {
                Ok(Step::More) => {
                    self.goes_on();
                    backoff.reset();
                    continue;
                }
                Ok(Step::Done) => {
                    self.goes_on();
                    break;
                }
                Ok(Step::Unconfirmed) => {
                    let since = *unconfirmed_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.shared.settings.recovery_patience {
                        break;
                    }
                    self.pause(self.shared.settings.retry_min).await?;
                }
                // Some errors need an operator, or another release. Holding the claim meanwhile leaves
                // the other partitions in peace; giving it up would make all of them move, again and again.
                Err(error) => self.wait_out("recovery", &error, &mut backoff).await?,
            }
        }
        let Some(mut recovery) = recovery else {
            return Ok(());
        };
        (self.source, self.state) = (recovery.source(), recovery.state());
        self.repair(&mut recovery).await?;
        let took_ms = began.elapsed().as_millis();
        tracing::info!(
            partition = self.number,
            source = self.source,
            took_ms,
            "documents are level with the log"
        );
        Ok(())
    }

    async fn recovery_step(&mut self, recovery: &mut Option<Recovery>) -> Result<Step, RecoveryError> {
        let shared = Arc::clone(&self.shared);
        let store = &shared.store;
        let mut ports = Ports {
            reader: &*shared.journal.reader,
            documents: Target::Store(&*store.documents),
            history: Some(&*store.history),
        };
        if let Some(recovery) = recovery {
            return recovery.step(&mut ports).await;
        }
        let applied = store.progress.applied(self.number).await?;
        let committed = self.claim.committed();
        let folded = committed.max(applied.as_ref().map(|applied| applied.source));
        self.report_lost(folded).await?;
        let age = micros(self.shared.settings.history_recovery_max);
        let scope = Scope {
            history_from: (self.shared.clock)().saturating_sub(age),
            ..Scope::default()
        };
        *recovery =
            Some(Recovery::begin(&ports, self.rules.clone(), scope, applied.as_ref(), committed).await?);
        Ok(Step::More)
    }

    /// Events that retention removed before they were folded are lost, and somebody must know.
    async fn report_lost(&mut self, folded: Option<Offset>) -> Result<(), RecoveryError> {
        let Some(folded) = folded else { return Ok(()) };
        let start = bounds(&*self.shared.journal.reader, Topic::Events, self.number)
            .await?
            .start;
        let lost = start.saturating_sub(folded);
        if lost > 0 {
            self.shared.metrics.lost.inc_by(lost);
            tracing::error!(
                partition = self.number,
                lost,
                folded,
                start,
                "retention removed events before they were folded; documents go on without them"
            );
        }
        Ok(())
    }

    /// Rebuilds timers and counts from the documents.
    async fn restore(&mut self) -> Result<(), Ended> {
        let mut after: Option<state::PageKey> = None;
        loop {
            let (documents, number) = (Arc::clone(&self.shared.store.documents), self.number);
            let (limit, from) = (self.shared.settings.page_size, after.clone());
            let page = self
                .insist_on_store("restore", move || {
                    let (documents, from) = (Arc::clone(&documents), from.clone());
                    async move { documents.page_of_partition(number, from.as_deref(), limit).await }
                })
                .await?;
            for stored in &page.documents {
                self.partition.restore(stored);
            }
            after = page.next;
            if after.is_none() {
                self.metrics
                    .pending_timers
                    .set(gauge(self.partition.pending_timers() as u64));
                return Ok(());
            }
        }
    }

    /// One look at the partition: a batch, if there is one, and what time has brought.
    async fn turn(&mut self) -> Result<(), Ended> {
        let next = self.claim.next(self.size.records(), self.shared.settings.poll);
        let next = tokio::select! {
            next = next => next,
            // A log that is away keeps it waiting.
            () = self.cancel.cancelled() => return Err(Ended::Released),
        };
        let batch = match next {
            Ok(batch) => batch,
            Err(TailError::Unavailable { reason }) => {
                let mut backoff = Backoff::new(&self.shared.settings);
                return self.wait_out("read", &reason, &mut backoff).await;
            }
            Err(error @ (TailError::OutOfRange { .. } | TailError::Closed)) => {
                return Err(Ended::Failed(error.to_string()));
            }
        };
        self.goes_on();
        self.take_rules();
        let now = (self.shared.clock)();
        if batch.records.is_empty() {
            if batch.next == self.source {
                self.partition.reached_end(now);
                self.set_lag(0);
                self.open_since = None;
                self.tell_lag();
            }
            self.source = self.source.max(batch.next);
        } else {
            self.open_since = batch.records.first().map(|record| record.timestamp_ms * 1_000);
            self.tell_lag();
            let batch = SourceBatch::read(&batch.records, batch.next);
            self.process(&batch, now).await?;
            if let Some(newer) = batch.stopped {
                return Err(self.stand_still(&newer).await);
            }
            self.measure_lag().await;
        }
        let due = self.partition.due(now, self.shared.settings.reactions_max);
        self.append_reactions(due).await?;
        self.sweep().await?;
        self.metrics
            .pending_timers
            .set(gauge(self.partition.pending_timers() as u64));
        Ok(())
    }

    async fn measure_lag(&mut self) {
        let every = self.shared.settings.lag_every;
        if self.lag_measured.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.lag_measured = Some(Instant::now());
        if let Ok(bounds) = bounds(&*self.shared.journal.reader, Topic::Events, self.number).await {
            self.set_lag(bounds.end.saturating_sub(self.source));
        }
    }

    fn set_lag(&self, lag: Offset) {
        self.metrics.lag.set(gauge(lag));
        self.shared.status.lag(self.number, lag);
    }

    /// How late the tables are, as far as this task knows.
    fn tell_lag(&self) {
        let late = |since| (self.shared.clock)().saturating_sub(since).max(0) / 1_000_000;
        self.metrics.lag_seconds.set(self.open_since.map_or(0, late));
    }

    fn applied(&self) -> Applied {
        Applied {
            source: self.source,
            state: self.state,
            counts: self.partition.counts().clone(),
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.shared.status.phase(self.number, phase.clone());
        self.phase = phase;
    }

    fn fault(&self, point: Point) {
        if let Some(hook) = &self.shared.settings.fault {
            hook.call(point);
        }
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
