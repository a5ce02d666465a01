//! Keeps a [`Directory`] at the end of `wakeline.control`.

use std::time::Duration;

use journal::{Batch, Headers, Journal, NewRecord, Offset, ReadError, Record, TailError, Topic};
use schemas::Control;
use schemas::control::Tenant;
use tokio_util::sync::CancellationToken;

use super::fold::{Effect, Fold, Repair};
use super::{Directory, Health};

/// The one partition of the topic.
const PARTITION: journal::Partition = 0;
/// Between attempts to read a log that does not answer.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How long an append of a contested tenant may take.
const REPAIR_WITHIN: Duration = Duration::from_secs(10);

/// Why following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was asked to, or the log is closed.
    Over,
    /// The log does not reach back to the position any more: what was removed is not known.
    Lost,
}

impl Directory {
    /// Folds the topic from its start and follows it until `cancel`. To run once per directory.
    pub async fn follow(&self, journal: &Journal, cancel: CancellationToken) {
        let work = async {
            loop {
                let next = self.fold_to_end(journal).await;
                if self.tail(journal, next).await == End::Over {
                    return;
                }
            }
        };
        cancel.run_until_cancelled(work).await;
    }

    /// Folds everything up to the end seen now into a fresh fold, then takes it: until then the old
    /// one goes on answering.
    async fn fold_to_end(&self, journal: &Journal) -> Offset {
        loop {
            match self.try_fold_to_end(journal).await {
                Ok(next) => return next,
                Err(error) => {
                    self.stalled(&error);
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    async fn try_fold_to_end(&self, journal: &Journal) -> Result<Offset, ReadError> {
        let mut bounds = journal.reader.bounds(Topic::Control, &[PARTITION]).await;
        let bounds = bounds.pop().unwrap_or_else(|| {
            Err(ReadError::Unavailable {
                reason: "no answer".to_owned(),
            })
        })?;
        let mut fold = Fold::new(self.partitions);
        let mut next = bounds.start;
        while next < bounds.end {
            let block = journal
                .reader
                .read(Topic::Control, PARTITION, next, self.settings.read_bytes_max)
                .await?;
            for record in &block.records {
                self.apply(&mut fold, record);
            }
            if block.next <= next {
                return Err(ReadError::Unavailable {
                    reason: format!(
                        "reading does not move past {next}, though the end is {}",
                        bounds.end
                    ),
                });
            }
            next = block.next;
        }
        let (tokens, tenants) = (fold.tokens.len(), fold.tenants.len());
        *self.fold.write() = fold;
        self.folded_to(next);
        self.changes.send_modify(|changes| *changes += 1);
        self.health.send_replace(Health {
            ready: true,
            current: true,
        });
        self.metrics.current.set(1);
        tracing::info!(tokens, tenants, next, "control topic folded");
        Ok(next)
    }

    async fn tail(&self, journal: &Journal, from: Offset) -> End {
        let mut tail = journal.tails.open(Topic::Control, PARTITION, from).await;
        let mut check = tokio::time::interval(self.settings.check_every);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut expected = from;
        loop {
            self.repair(journal).await;
            let batch = tokio::select! {
                batch = tail.next() => batch,
                _ = check.tick() => {
                    expected = self.check(journal, expected).await;
                    continue;
                }
            };
            match batch {
                Ok(batch) => self.take(&batch),
                Err(TailError::Unavailable { reason }) => self.stalled(&reason),
                Err(TailError::OutOfRange { start, end }) => {
                    self.stalled(&TailError::OutOfRange { start, end });
                    return End::Lost;
                }
                Err(TailError::Closed) => return End::Over,
            }
        }
    }

    fn take(&self, batch: &Batch) {
        let mut changed = false;
        {
            let mut fold = self.fold.write();
            for record in &batch.records {
                changed |= self.apply(&mut fold, record) == Effect::Changed;
            }
        }
        self.folded_to(batch.next);
        if changed {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    fn apply(&self, fold: &mut Fold, record: &Record) -> Effect {
        let effect = fold.apply(record);
        self.metrics.folded(effect);
        if effect == Effect::Unreadable {
            tracing::warn!(
                offset = record.offset,
                kind = %record.headers.kind,
                "control record skipped: it cannot be read, or its key does not fit"
            );
        }
        effect
    }

    fn folded_to(&self, next: Offset) {
        {
            let fold = self.fold.read();
            self.metrics.tokens.set(fold.tokens.len() as i64);
            self.metrics.tenants.set(fold.tenants.len() as i64);
        }
        self.position.send_replace(next);
    }

    /// Compares the position with the log's end. The fold is behind when it has not reached the end
    /// that the check before saw; answers with the end that it sees.
    async fn check(&self, journal: &Journal, expected: Offset) -> Offset {
        let bounds = tokio::time::timeout(
            self.settings.check_every,
            journal.reader.bounds(Topic::Control, &[PARTITION]),
        )
        .await
        .ok()
        .and_then(|mut bounds| bounds.pop());
        let end = match bounds {
            Some(Ok(bounds)) => bounds.end,
            Some(Err(error)) => {
                self.stalled(&error);
                return expected;
            }
            None => {
                self.stalled(&"the log does not answer");
                return expected;
            }
        };
        let next = *self.position.borrow();
        self.metrics.lag.set(end.saturating_sub(next) as i64);
        if next < expected {
            self.stalled(&"records do not arrive");
        } else {
            self.current();
        }
        end
    }

    /// Alarms, once, that the fold may be behind; it goes on answering.
    fn stalled(&self, reason: &dyn std::fmt::Display) {
        self.metrics.current.set(0);
        let news = self
            .health
            .send_if_modified(|health| std::mem::replace(&mut health.current, false));
        if news {
            tracing::warn!(%reason, "the control topic stalls: changes of tokens and tenants are not seen");
        }
    }

    fn current(&self) {
        self.metrics.current.set(1);
        let news = self
            .health
            .send_if_modified(|health| !std::mem::replace(&mut health.current, true));
        if news {
            tracing::info!("the control topic is followed again");
        }
    }

    /// Appends again what holds where the newest record says something else. Every node that sees it
    /// does so; the copies are equal, so they contest nothing.
    async fn repair(&self, journal: &Journal) {
        let repairs = self.fold.write().take_repairs();
        if repairs.is_empty() {
            return;
        }
        let generation = journal.layout.generation;
        let records = repairs
            .into_iter()
            .map(|repair| match repair {
                Repair::Tenant(tenant) => {
                    let at = tenant.created_at;
                    record(&Control::Tenant(Tenant::clone(&tenant)), generation, at)
                }
                Repair::Token { id, at } => tombstone(&format!("token/{id}"), "token", generation, at),
            })
            .collect();
        for outcome in journal.appender.append(records, REPAIR_WITHIN).await {
            if let Err(error) = outcome {
                tracing::warn!(%error, "a contested control record could not be put right");
            }
        }
    }
}

/// The record of `control`, made at `now`.
pub(crate) fn record(control: &Control, generation: u32, now: schemas::Micros) -> NewRecord {
    NewRecord {
        value: Some(control.encode()),
        ..tombstone(&control.key(), control.kind(), generation, now)
    }
}

/// The record that removes what `key` names.
pub(crate) fn tombstone(key: &str, kind: &str, generation: u32, now: schemas::Micros) -> NewRecord {
    NewRecord {
        topic: Topic::Control,
        partition: PARTITION,
        key: key.into(),
        value: None,
        timestamp_ms: now.div_euclid(1_000),
        headers: Headers {
            kind: kind.into(),
            generation,
            ..Headers::default()
        },
    }
}
