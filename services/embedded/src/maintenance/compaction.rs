//! Compaction: of each key, the newest record is kept, and what it replaced is removed.
//!
//! A record passes compaction when it is older than the lag. Then the record of its key that passed
//! before it, remembered in the table `kept`, is removed. So a record goes once its successor is past
//! the lag, as in Kafka, and each record is looked at once, however large the partition.
//! A second look, a tombstone's retention later, removes tombstones that are still the newest.

use std::collections::{HashMap, HashSet};

use journal::{Offset, Topic};

use super::{MaintainError, go_on, removal};
use crate::database::Tables;
use crate::engine::Inner;
use crate::partition::{PartitionState, StoredError};
use crate::settings::millis;
use crate::{keys, record, time_index};

/// Compacts `partition` as far as its lag allows. The number of records removed.
pub(super) fn compact(
    inner: &Inner,
    tables: &Tables,
    partition: &PartitionState,
    now_ms: i64,
) -> Result<u64, MaintainError> {
    let settings = &inner.settings;
    let lag = match partition.topic {
        Topic::Control => settings.control_compaction_lag,
        Topic::State | Topic::Events | Topic::Rejected => settings.state_compaction_lag,
    };
    let passed_ms = now_ms.saturating_sub(millis(lag));
    let buried_ms = passed_ms.saturating_sub(millis(settings.tombstone_retention));
    let superseded = advance(inner, tables, partition, Look::First, passed_ms)?;
    let tombstones = advance(inner, tables, partition, Look::Second, buried_ms)?;
    Ok(superseded + tombstones)
}

/// Which time a record is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Removes what it replaced.
    First,
    /// Removes it if it is a tombstone and still the newest.
    Second,
}

impl Look {
    const fn progress(self) -> u8 {
        match self {
            Self::First => keys::meta::COMPACTED,
            Self::Second => keys::meta::BURIED,
        }
    }
}

/// Looks at all records up to the first one that is of `until_ms` or younger.
fn advance(
    inner: &Inner,
    tables: &Tables,
    partition: &PartitionState,
    look: Look,
    until_ms: i64,
) -> Result<u64, MaintainError> {
    let (topic, number) = (partition.topic, partition.number);
    let progress = keys::meta_of(look.progress(), topic, number);
    let mut from = tables.number(&progress)?.unwrap_or(0);
    let end = partition.bounds().end;
    // A record of exactly that age is old enough.
    let until = time_index::search(tables, topic, number, (from, end), until_ms.saturating_add(1))?;
    let mut removed = 0;
    while from < until {
        go_on(inner)?;
        let (next, step) = advance_step(inner, tables, partition, look, (from, until))?;
        from = next;
        removed += step;
    }
    Ok(removed)
}

/// Looks at some records from `from` on. Where to go on, and how many were removed.
fn advance_step(
    inner: &Inner,
    tables: &Tables,
    partition: &PartitionState,
    look: Look,
    (from, until): (Offset, Offset),
) -> Result<(Offset, u64), MaintainError> {
    let (topic, number) = (partition.topic, partition.number);
    let mut batch = removal(tables, partition);
    let mut removed: HashSet<Offset> = HashSet::new();
    let mut next = until;
    // What this step has put into the batch, which the table does not show yet.
    let mut fresh: HashMap<Vec<u8>, Offset> = HashMap::new();
    let range = keys::record(topic, number, from)..keys::record(topic, number, until);
    for (looked, guard) in tables.log.range(range).enumerate() {
        let (key, value) = guard.into_inner()?;
        let offset = keys::offset_of(&key).ok_or(StoredError::Key)?;
        if looked == inner.settings.maintenance_step_rows.max(1) {
            next = offset;
            break;
        }
        let (record_key, tombstone) = record::key(offset, &value).map_err(StoredError::from)?;
        let kept_key = keys::kept(topic, number, record_key);
        let kept = match fresh.get(&kept_key) {
            Some(kept) => Some(*kept),
            None => tables.kept.get(&kept_key)?.and_then(|bytes| keys::u64_at(&bytes)),
        };
        match look {
            Look::First => {
                if let Some(kept) = kept.filter(|kept| *kept < offset) {
                    batch.remove(&tables.log, keys::record(topic, number, kept));
                    removed.insert(kept);
                }
                batch.insert(&tables.kept, kept_key.clone(), offset.to_be_bytes());
                fresh.insert(kept_key, offset);
            }
            Look::Second if tombstone && kept == Some(offset) => {
                batch.remove(&tables.log, key);
                batch.remove(&tables.kept, kept_key);
                removed.insert(offset);
            }
            Look::Second => {}
        }
    }
    if look == Look::First {
        forget_times(tables, partition, &mut batch, from)?;
    }
    batch.insert(
        &tables.meta,
        keys::meta_of(look.progress(), topic, number),
        next.to_be_bytes(),
    );
    batch.commit()?;
    partition.forget(&removed);
    Ok((next, removed.len() as u64))
}

/// Removes the entries of the time index before `from`, but the newest: a search by a time so long
/// ago reads what compaction has left, which is little.
fn forget_times(
    tables: &Tables,
    partition: &PartitionState,
    batch: &mut fjall::OwnedWriteBatch,
    from: Offset,
) -> Result<(), MaintainError> {
    let mut entry_before = None;
    for guard in tables
        .times
        .prefix(keys::partition(partition.topic, partition.number))
    {
        let key = guard.key()?;
        if keys::offset_of(&key).ok_or(StoredError::Key)? >= from {
            break;
        }
        if let Some(before) = entry_before.replace(key) {
            batch.remove(&tables.times, before);
        }
    }
    Ok(())
}
