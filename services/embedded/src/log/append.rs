//! Appending: checked and encoded here, in the caller's task, so that the writer only gives offsets.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use journal::{AppendError, Appender, NewRecord, Position, Record, Topic};
use tokio::sync::oneshot;

use super::EmbeddedLog;
use crate::engine::Inner;
use crate::record;
use crate::settings::millis;
use crate::writer::{Prepared, PushError, Ticket, Work};

#[async_trait]
impl Appender for EmbeddedLog {
    async fn append(
        &self,
        records: Vec<NewRecord>,
        deadline: Duration,
    ) -> Vec<Result<Position, AppendError>> {
        append(&self.inner, records, deadline).await
    }
}

/// Appends `records`: all that are fit, as one unit. Once one is refused, so are the later ones of
/// its key.
pub(crate) async fn append(
    inner: &Inner,
    records: Vec<NewRecord>,
    deadline: Duration,
) -> Vec<Result<Position, AppendError>> {
    let count = records.len();
    let mut refused: Vec<Option<AppendError>> = Vec::with_capacity(count);
    let mut refused_keys: HashSet<(Topic, Box<str>)> = HashSet::new();
    let mut prepared = Vec::with_capacity(count);
    for record in records {
        let name = (record.topic, record.key.clone());
        let outcome = if refused_keys.contains(&name) {
            Err("an earlier record of the same key was refused".to_owned())
        } else {
            prepare(inner, record)
        };
        match outcome {
            Ok(ready) => {
                prepared.push(ready);
                refused.push(None);
            }
            Err(reason) => {
                refused_keys.insert(name);
                refused.push(Some(AppendError::Refused { reason }));
            }
        }
    }
    let appended = if prepared.is_empty() {
        Ok(Vec::new())
    } else {
        queue(inner, prepared, deadline).await
    };
    let mut positions = appended.map(Vec::into_iter);
    let answers = refused
        .into_iter()
        .map(|refusal| match (refusal, &mut positions) {
            (Some(error), _) => Err(error),
            (None, Ok(positions)) => positions.next().ok_or(AppendError::Unknown),
            (None, Err(error)) => Err(error.clone()),
        });
    answers.collect()
}

/// Checks and encodes a record; otherwise says why it is refused.
pub(crate) fn prepare(inner: &Inner, new: NewRecord) -> Result<Prepared, String> {
    let NewRecord {
        topic,
        partition,
        key,
        value,
        timestamp_ms,
        headers,
    } = new;
    let Some(partition) = inner.partition(topic, partition) else {
        return Err(format!("there is no partition {partition} of {}", topic.name()));
    };
    let ahead_ms = timestamp_ms.saturating_sub((inner.clock)() / 1_000);
    if ahead_ms > millis(inner.settings.timestamp_ahead_max) {
        return Err(format!("its time is {ahead_ms} ms ahead of this node's clock"));
    }
    let record = Record {
        offset: 0,
        timestamp_ms,
        key,
        value,
        headers,
    };
    let stored = record::encode(&record);
    if stored.len() > inner.settings.record_bytes_max {
        return Err(format!(
            "it has {} bytes, {} are allowed",
            stored.len(),
            inner.settings.record_bytes_max
        ));
    }
    Ok(Prepared {
        partition,
        record,
        stored,
    })
}

async fn queue(
    inner: &Inner,
    records: Vec<Prepared>,
    deadline: Duration,
) -> Result<Vec<Position>, AppendError> {
    let unavailable = |reason: &str| AppendError::Unavailable {
        reason: reason.to_owned(),
    };
    let ticket = Arc::new(Ticket::default());
    let (reply, answer) = oneshot::channel();
    let work = Work::Append {
        records,
        ticket: Arc::clone(&ticket),
        reply,
    };
    inner.shared.queue.push(work).map_err(|error| match error {
        PushError::Full => AppendError::Full,
        PushError::Closed => unavailable("the embedded engine is closed"),
    })?;
    match tokio::time::timeout(deadline, answer).await {
        Ok(Ok(outcome)) => outcome,
        // The writer died, or took nothing more: what it had taken may be on the disk.
        Ok(Err(_)) | Err(_) if ticket.withdraw() => {
            Err(unavailable("the log's writer did not come to the record in time"))
        }
        Ok(Err(_)) | Err(_) => Err(AppendError::Unknown),
    }
}
