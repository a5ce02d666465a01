//! Where a stream goes on whose position lies outside the log.

use journal::{Offset, Partition, Topic};

use super::{LookupAnswer, Moved, Sources};
use crate::subscription::ResetReason;

/// A position before the log goes to its start; one after its end to the time of the cursor, some
/// slack before it. `None` when the log does not answer.
pub(super) async fn resolve(
    sources: &Sources,
    topic: Topic,
    positions: &[(Partition, Offset)],
    time_ms: i64,
) -> Option<LookupAnswer> {
    let partitions: Vec<Partition> = positions.iter().map(|(partition, _)| *partition).collect();
    let bounds = sources.ends.bounds(topic, &partitions).await;
    let mut moved = Vec::new();
    for ((partition, from), bounds) in positions.iter().copied().zip(bounds) {
        let bounds = bounds.ok()?;
        if from < bounds.start {
            moved.push(Moved {
                partition,
                from,
                to: bounds.start,
                reason: ResetReason::Trimmed,
                available_ms: first_time(sources, topic, partition, bounds.start).await?,
            });
        } else if from > bounds.end {
            let since_ms = time_ms.saturating_sub(sources.reset_slack_ms);
            let offsets = sources
                .journal
                .reader
                .offset_at(topic, &[partition], since_ms)
                .await;
            moved.push(Moved {
                partition,
                from,
                to: offsets.into_iter().next()?.ok()?,
                reason: ResetReason::Ahead,
                available_ms: None,
            });
        }
    }
    Some(LookupAnswer::Reset(moved))
}

async fn first_time(
    sources: &Sources,
    topic: Topic,
    partition: Partition,
    start: Offset,
) -> Option<Option<i64>> {
    let block = sources
        .journal
        .reader
        .read(topic, partition, start, 1)
        .await
        .ok()?;
    Some(block.records.first().map(|record| record.timestamp_ms))
}
