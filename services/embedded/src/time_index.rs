//! The first offset at or after a time, without reading the whole partition.
//!
//! Record times need not grow with offsets, but the newest time so far does. So an entry is that
//! time and the offset where it held, one for every [`RECORDS_PER_ENTRY`] records, keyed by time:
//! all records up to the last entry that is older than the time sought are older, too, and the
//! answer is the first record after it that is not. Times that go back for long make the search
//! longer, never wrong.

use fjall::OwnedWriteBatch;
use journal::{Offset, Partition, Topic};

use crate::database::Tables;
use crate::partition::StoredError;
use crate::{keys, record};

/// A partition has an entry for every so many records.
pub(crate) const RECORDS_PER_ENTRY: u32 = 256;

/// What the writer knows of the index of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeIndex {
    newest_ms: i64,
    since_entry: u32,
}

impl TimeIndex {
    /// Adds a record, and to `batch` an entry when one is due.
    pub(crate) fn add(
        &mut self,
        batch: &mut OwnedWriteBatch,
        tables: &Tables,
        (topic, number, offset): (Topic, Partition, Offset),
        time_ms: i64,
    ) {
        self.newest_ms = self.newest_ms.max(time_ms);
        self.since_entry += 1;
        if self.since_entry >= RECORDS_PER_ENTRY {
            self.since_entry = 0;
            batch.insert(
                &tables.times,
                keys::time(topic, number, self.newest_ms, offset),
                [],
            );
        }
    }
}

/// Recovers the index of a partition: its last entry, and what was appended after it.
pub(crate) fn recover(
    tables: &Tables,
    topic: Topic,
    number: Partition,
    start: Offset,
    end: Offset,
) -> Result<TimeIndex, StoredError> {
    let mut index = TimeIndex {
        newest_ms: i64::MIN,
        since_entry: 0,
    };
    let mut from = start;
    if let Some(guard) = tables.times.prefix(keys::partition(topic, number)).next_back() {
        let key = guard.key()?;
        index.newest_ms = keys::time_of(&key).ok_or(StoredError::Key)?;
        from = from.max(keys::offset_of(&key).ok_or(StoredError::Key)? + 1);
    }
    let range = keys::record(topic, number, from)..keys::record(topic, number, end.max(from));
    for guard in tables.log.range(range) {
        let (key, value) = guard.into_inner()?;
        let offset = keys::offset_of(&key).ok_or(StoredError::Key)?;
        index.newest_ms = index.newest_ms.max(record::timestamp(offset, &value)?);
        index.since_entry = (index.since_entry + 1).min(RECORDS_PER_ENTRY - 1);
    }
    Ok(index)
}

/// The first offset between `start` and `end` whose record time is at or after `time_ms`; `end` if
/// there is none.
pub(crate) fn search(
    tables: &Tables,
    topic: Topic,
    number: Partition,
    (start, end): (Offset, Offset),
    time_ms: i64,
) -> Result<Offset, StoredError> {
    let older = keys::time(topic, number, i64::MIN, 0)..keys::time(topic, number, time_ms, 0);
    let mut from = start;
    if let Some(guard) = tables.times.range(older).next_back() {
        from = from.max(keys::offset_of(&guard.key()?).ok_or(StoredError::Key)? + 1);
    }
    if from >= end {
        return Ok(end);
    }
    for guard in tables
        .log
        .range(keys::record(topic, number, from)..keys::record(topic, number, end))
    {
        let (key, value) = guard.into_inner()?;
        let offset = keys::offset_of(&key).ok_or(StoredError::Key)?;
        if record::timestamp(offset, &value)? >= time_ms {
            return Ok(offset);
        }
    }
    Ok(end)
}
