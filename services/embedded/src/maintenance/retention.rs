//! Retention: records older than their time are removed from the front of a partition.

use journal::Offset;

use super::{MaintainError, go_on, removal};
use crate::database::Tables;
use crate::engine::Inner;
use crate::partition::{PartitionState, StoredError};
use crate::settings::millis;
use crate::{keys, time_index};

/// Removes what is before the first record that is younger than the retention. The number removed.
/// `cleared` is the offset before which nothing is left, so that no pass steps again over what fjall
/// has marked as removed.
pub(super) fn trim(
    inner: &Inner,
    tables: &Tables,
    partition: &PartitionState,
    now_ms: i64,
    cleared: &mut Offset,
) -> Result<u64, MaintainError> {
    let bounds = partition.bounds();
    let cutoff_ms = now_ms.saturating_sub(millis(inner.settings.retention));
    let (topic, number) = (partition.topic, partition.number);
    let start = time_index::search(tables, topic, number, (bounds.start, bounds.end), cutoff_ms)?;
    if start > bounds.start {
        // First the new start, so that a reader gets an answer, never a hole.
        let mut batch = removal(tables, partition);
        let key = keys::meta_of(keys::meta::START, topic, number);
        batch.insert(&tables.meta, key, start.to_be_bytes());
        batch.commit()?;
        partition.raise_start(start);
    }
    // Also what an earlier pass left behind when it was cut off.
    let mut removed = 0;
    while *cleared < start {
        go_on(inner)?;
        let step = remove_step(inner, tables, partition, (*cleared, start))?;
        if step == 0 {
            *cleared = start;
        }
        removed += step;
    }
    Ok(removed)
}

/// Removes some of the records before `start`, and the entries of the time index that are for them.
fn remove_step(
    inner: &Inner,
    tables: &Tables,
    partition: &PartitionState,
    (from, start): (Offset, Offset),
) -> Result<u64, MaintainError> {
    let (topic, number) = (partition.topic, partition.number);
    let range = keys::record(topic, number, from)..keys::record(topic, number, start);
    let mut batch = removal(tables, partition);
    let mut removed = 0;
    for guard in tables.log.range(range).take(inner.settings.maintenance_step_rows) {
        batch.remove(&tables.log, guard.key()?);
        removed += 1;
    }
    if removed == 0 {
        return Ok(0);
    }
    // Entries stand in the order of offsets, too.
    for guard in tables.times.prefix(keys::partition(topic, number)) {
        let key = guard.key()?;
        if keys::offset_of(&key).ok_or(StoredError::Key)? >= start {
            break;
        }
        batch.remove(&tables.times, key);
    }
    batch.commit()?;
    Ok(removed)
}
