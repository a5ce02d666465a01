//! Reading ranges, ends and the time index.

use std::sync::Arc;

use async_trait::async_trait;
use journal::{Block, Bounds, Offset, Partition, ReadError, Reader, Topic};
use tokio::task::coop::consume_budget;

use super::EmbeddedLog;
use crate::database::Tables;
use crate::partition::{PartitionState, StoredError};
use crate::{keys, record, time_index};

#[async_trait]
impl Reader for EmbeddedLog {
    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Block, ReadError> {
        // An answer from memory must not keep a loop of reads from giving way.
        consume_budget().await;
        let state = self
            .inner
            .partition(topic, partition)
            .ok_or_else(|| missing(topic, partition))?;
        if self.inner.closed.is_cancelled() {
            return Err(unavailable(&crate::database::Closed));
        }
        let Bounds { start, end } = state.bounds();
        if from < start || from > end {
            return Err(ReadError::OutOfRange { start, end });
        }
        if let Some(records) = state.recent(from, usize::MAX, bytes_max.max(1))
            && let Some(last) = records.last()
        {
            let next = last.offset + 1;
            return Ok(Block { records, next });
        }
        let scanned = Arc::clone(&state);
        let work = move |tables: &Tables| scan(tables, &scanned, from, usize::MAX, bytes_max);
        let read = self.inner.blocking(work).await;
        let block = read
            .map_err(|error| unavailable(&error))?
            .map_err(|error| unavailable(&error))?;
        // Retention may have begun to remove what was being read: then the block has holes.
        let Bounds { start, end } = state.bounds();
        if from < start {
            return Err(ReadError::OutOfRange { start, end });
        }
        Ok(block)
    }

    async fn bounds(&self, topic: Topic, partitions: &[Partition]) -> Vec<Result<Bounds, ReadError>> {
        consume_budget().await;
        let bounds = |number: &Partition| {
            let state = self
                .inner
                .partition(topic, *number)
                .ok_or_else(|| missing(topic, *number))?;
            if self.inner.closed.is_cancelled() {
                return Err(unavailable(&crate::database::Closed));
            }
            Ok(state.bounds())
        };
        partitions.iter().map(bounds).collect()
    }

    async fn offset_at(
        &self,
        topic: Topic,
        partitions: &[Partition],
        time_ms: i64,
    ) -> Vec<Result<Offset, ReadError>> {
        let searches = partitions.iter().map(|number| async move {
            let state = self
                .inner
                .partition(topic, *number)
                .ok_or_else(|| missing(topic, *number))?;
            let Bounds { start, end } = state.bounds();
            let number = state.number;
            let search =
                move |tables: &Tables| time_index::search(tables, topic, number, (start, end), time_ms);
            let found = self.inner.blocking(search).await;
            found
                .map_err(|error| unavailable(&error))?
                .map_err(|error| unavailable(&error))
        });
        futures::future::join_all(searches).await
    }
}

/// Reads records of `state` from `from` to its end: until enough records or about enough bytes of
/// values, at least one record where there is one.
pub(crate) fn scan(
    tables: &Tables,
    state: &PartitionState,
    from: Offset,
    records_max: usize,
    bytes_max: usize,
) -> Result<Block, StoredError> {
    let (topic, number, end) = (state.topic, state.number, state.bounds().end);
    let mut records = Vec::new();
    let mut bytes = 0;
    if from >= end {
        return Ok(Block { records, next: from });
    }
    for guard in tables
        .log
        .range(keys::record(topic, number, from)..keys::record(topic, number, end))
    {
        let (key, value) = guard.into_inner()?;
        let record = record::decode(keys::offset_of(&key).ok_or(StoredError::Key)?, &value)?;
        bytes += record.value.as_ref().map_or(0, bytes::Bytes::len);
        let next = record.offset + 1;
        records.push(record);
        if bytes >= bytes_max || records.len() >= records_max {
            return Ok(Block { records, next });
        }
    }
    Ok(Block { records, next: end })
}

/// No such partition: nothing was created, or not so many.
pub(crate) fn missing(topic: Topic, partition: Partition) -> ReadError {
    ReadError::Unavailable {
        reason: format!("there is no partition {partition} of {}", topic.name()),
    }
}

fn unavailable(error: &dyn std::fmt::Display) -> ReadError {
    ReadError::Unavailable {
        reason: error.to_string(),
    }
}
