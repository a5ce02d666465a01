//! Where a stream goes on whose position lies outside the log.

use journal::{Offset, Partition, Topic};

use super::{LookupAnswer, Sources};
use crate::subscription::{Reset, ResetReason};

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
    let mut reset = Reset {
        reason: ResetReason::Ahead,
        requested: Vec::new(),
        available: Vec::new(),
        duplicates: false,
    };
    let mut moved = Vec::new();
    for ((partition, position), bounds) in positions.iter().zip(bounds) {
        let bounds = bounds.ok()?;
        if *position < bounds.start {
            reset.reason = ResetReason::Trimmed;
            reset.requested.push((*partition, time_ms));
            if let Some(first_ms) = first_time(sources, topic, *partition, bounds.start).await? {
                reset.available.push((*partition, first_ms));
            }
            moved.push((*partition, bounds.start));
        } else if *position > bounds.end {
            let from_ms = time_ms.saturating_sub(sources.reset_slack_ms);
            let offsets = sources
                .journal
                .reader
                .offset_at(topic, &[*partition], from_ms)
                .await;
            let offset = offsets.into_iter().next()?.ok()?;
            reset.requested.push((*partition, time_ms));
            reset.duplicates = true;
            moved.push((*partition, offset));
        }
    }
    let reset = (!moved.is_empty()).then_some(reset);
    Some(LookupAnswer::Reset {
        positions: moved,
        reset,
    })
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
