//! Makes the decisions of the state machine true, in the order that a crash cannot harm.

use std::sync::Arc;
use std::time::Instant;

use journal::{AppendError, CommitError, NewRecord, Offset};
use state::{HistoryRow, Write};
use tracing::Span;

use super::patience::Backoff;
use super::{Ended, Task};
use crate::partition::Decision;
use crate::reactor::Reaction;
use crate::recovery::Recovery;
use crate::settings::Point;
use crate::source::SourceBatch;

impl Task {
    /// One batch, from its documents to `applied`.
    pub(super) async fn process(&mut self, batch: &SourceBatch, now: schemas::Micros) -> Result<(), Ended> {
        let _spans = self.spans(batch);
        let fetched = self.prefetch(batch).await?;
        let began = Instant::now();
        let decision = self.partition.handle(batch, fetched, now);
        self.metrics.folded(batch.len(), began.elapsed());
        self.size.observe(batch.len(), batch.bytes + decision.bytes);
        self.count_events(&decision);
        let Decision {
            state,
            next,
            writes,
            history,
            reactions,
            rejected,
            ..
        } = decision;
        self.append_rejected(rejected).await;
        if !reactions.is_empty() {
            // Before the commit: a cause that is committed is not looked at again.
            self.append_reactions(reactions).await?;
            self.fault(Point::BetweenReactorAppendAndCommit);
        }
        self.commit(state, next).await?;
        self.source = next;
        self.fault(Point::AfterTransaction);
        let began = Instant::now();
        self.append_history(history).await?;
        self.fault(Point::BeforeRows);
        self.write_documents(writes).await?;
        self.fault(Point::BetweenRowsAndApplied);
        self.record_applied().await?;
        self.metrics.written(began.elapsed());
        Ok(())
    }

    /// Makes the state records that recovery missed, for good.
    pub(super) async fn repair(&mut self, recovery: &mut Recovery) -> Result<(), Ended> {
        let (records, writes) = recovery.repair();
        if records.is_empty() {
            return Ok(());
        }
        tracing::error!(
            partition = self.number,
            records = records.len(),
            "events that the group has committed left no state records, though the fold gives some; made now"
        );
        self.commit(records, self.source).await?;
        self.write_documents(writes).await
    }

    pub(super) async fn record_applied(&mut self) -> Result<(), Ended> {
        let (progress, number, applied) = (
            Arc::clone(&self.shared.store.progress),
            self.number,
            Arc::new(self.applied()),
        );
        self.insist_on_store("applied", move || {
            let (progress, applied) = (Arc::clone(&progress), Arc::clone(&applied));
            async move { progress.set_applied(number, &applied).await }
        })
        .await
    }

    /// Appends until all are in the log.
    pub(super) async fn append_reactions(&mut self, mut reactions: Vec<Reaction>) -> Result<(), Ended> {
        let mut backoff = Backoff::new(&self.shared.settings);
        while !reactions.is_empty() {
            let generation = self.rules.generation;
            let records = reactions
                .iter()
                .map(|reaction| reaction.record(self.number, generation))
                .collect();
            let deadline = self.shared.settings.append_deadline;
            let answers = self.shared.journal.appender.append(records, deadline).await;
            let mut failed = Vec::new();
            let mut reason = None;
            for (reaction, answer) in reactions.into_iter().zip(answers) {
                match answer {
                    Ok(_) => self.metrics.reacted(reaction.rule().name()),
                    Err(AppendError::Refused { reason }) => {
                        tracing::error!(partition = self.number, %reason, "the log refuses a reaction");
                        self.partition.give_up(&reaction);
                    }
                    Err(
                        error @ (AppendError::Full | AppendError::Unknown | AppendError::Unavailable { .. }),
                    ) => {
                        failed.push(reaction);
                        reason = Some(error);
                    }
                }
            }
            reactions = failed;
            if let Some(reason) = reason {
                self.wait_out("reactions", &reason, &mut backoff).await?;
            } else {
                self.goes_on();
            }
        }
        Ok(())
    }

    /// Spans of the events that are traced; they end with the batch.
    fn spans(&self, batch: &SourceBatch) -> Vec<Span> {
        let traces = &self.shared.settings.traces;
        batch
            .events
            .iter()
            .filter_map(|event| traces.span("project", event.traceparent.as_deref()))
            .collect()
    }

    async fn prefetch(&mut self, batch: &SourceBatch) -> Result<Fetched, Ended> {
        let missing = self.partition.missing(&batch.events);
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Arc<Vec<_>> = Arc::new(
            missing
                .iter()
                .map(|key| (self.number, state::DeviceKey::clone(key)))
                .collect(),
        );
        let documents = Arc::clone(&self.shared.store.documents);
        let found = self
            .insist_on_store("prefetch", move || {
                let (documents, keys) = (Arc::clone(&documents), Arc::clone(&keys));
                async move { documents.get(&keys).await }
            })
            .await?;
        Ok(missing.into_iter().zip(found).collect())
    }

    /// What is refused is told once, if it can be told: it decides nothing.
    async fn append_rejected(&mut self, rejected: Vec<NewRecord>) {
        if rejected.is_empty() {
            return;
        }
        let answers = self
            .shared
            .journal
            .appender
            .append(rejected, self.shared.settings.append_deadline)
            .await;
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        if failed > 0 {
            tracing::warn!(
                partition = self.number,
                failed,
                "rejected records were not confirmed"
            );
        }
    }

    async fn commit(&mut self, records: Vec<NewRecord>, next: Offset) -> Result<(), Ended> {
        let mut backoff = Backoff::new(&self.shared.settings);
        loop {
            let began = Instant::now();
            match self.claim.commit(records.clone(), next).await {
                Ok(positions) => {
                    self.goes_on();
                    self.metrics.committed(began.elapsed());
                    let last = positions.iter().map(|position| position.offset + 1).max();
                    self.state = self.state.max(last.unwrap_or(0));
                    return Ok(());
                }
                Err(error @ CommitError::Aborted { .. }) => {
                    self.wait_out("transaction", &error, &mut backoff).await?;
                }
                Err(CommitError::Fenced) => return Err(Ended::Fenced),
                Err(error @ CommitError::Unknown { .. }) => return Err(Ended::Failed(error.to_string())),
            }
        }
    }

    async fn append_history(&mut self, rows: Vec<HistoryRow>) -> Result<(), Ended> {
        if rows.is_empty() {
            return Ok(());
        }
        let history = Arc::clone(&self.shared.store.history);
        self.insist_on_store("history", move || {
            let (history, rows) = (Arc::clone(&history), rows.clone());
            async move { history.append(rows).await }
        })
        .await
    }

    async fn write_documents(&mut self, writes: Vec<Write>) -> Result<(), Ended> {
        if writes.is_empty() {
            return Ok(());
        }
        let documents = Arc::clone(&self.shared.store.documents);
        self.insist_on_store("documents", move || {
            let (documents, writes) = (Arc::clone(&documents), writes.clone());
            async move { documents.write(writes).await }
        })
        .await
    }

    fn count_events(&self, decision: &Decision) {
        let tally = &decision.tally;
        for (outcome, count) in [
            ("nothing", tally.nothing),
            ("times", tally.times),
            ("changed", tally.changed),
            ("deleted", tally.deleted),
            ("refused", tally.refused),
            ("unreadable", tally.unreadable),
        ] {
            if count > 0 {
                self.metrics.events(outcome, count);
            }
        }
        if tally.refused + tally.unreadable > 0 {
            tracing::warn!(
                partition = self.number,
                refused = tally.refused,
                unreadable = tally.unreadable,
                "events that cannot be folded; see wakeline.rejected"
            );
        }
    }
}

/// Documents read for a batch.
type Fetched = Vec<(Arc<state::DeviceKey>, Option<state::Stored>)>;
