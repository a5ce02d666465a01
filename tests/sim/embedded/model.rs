//! What was acknowledged, and what may have become of it.

use std::collections::BTreeMap;

use journal::{Micros, NewRecord, Offset, Partition, Position, Record, Topic};

/// Names one partition of one topic.
pub(super) type Place = (Topic, Partition);

/// How long things are kept in these simulations.
pub(super) const RETENTION_S: i64 = 3_600;
pub(super) const COMPACTION_LAG_S: i64 = 600;
pub(super) const TOMBSTONES_S: i64 = 1_200;

/// A record whose offset is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    pub(super) key: Box<str>,
    pub(super) value: Option<bytes::Bytes>,
    pub(super) timestamp_ms: i64,
    pub(super) source: Option<Offset>,
}

impl From<&NewRecord> for Known {
    fn from(new: &NewRecord) -> Self {
        Self {
            key: new.key.clone(),
            value: new.value.clone(),
            timestamp_ms: new.timestamp_ms,
            source: new.headers.source_offset,
        }
    }
}

impl From<&Record> for Known {
    fn from(record: &Record) -> Self {
        Self {
            key: record.key.clone(),
            value: record.value.clone(),
            timestamp_ms: record.timestamp_ms,
            source: record.headers.source_offset,
        }
    }
}

/// The log as it must be.
#[derive(Default)]
pub(super) struct Model {
    pub(super) records: BTreeMap<Place, BTreeMap<Offset, Known>>,
    /// Records that were there before and are not any more.
    gone: BTreeMap<Place, Offset>,
    /// When maintenance ran last, by the clock of the engine.
    pub(super) maintained_us: Option<Micros>,
}

impl Model {
    pub(super) fn end(&self, place: Place) -> Offset {
        let known = self
            .records
            .get(&place)
            .and_then(|records| records.last_key_value());
        known
            .map_or(0, |(offset, _)| offset + 1)
            .max(self.gone.get(&place).copied().unwrap_or(0))
    }

    /// Notes what an append was told. Offsets follow what was there, one by one for each partition.
    pub(super) fn acknowledge(
        &mut self,
        records: &[NewRecord],
        positions: &[Position],
    ) -> Result<(), String> {
        for (new, position) in records.iter().zip(positions) {
            let place = (new.topic, new.partition);
            let due = self.end(place);
            if position.partition != new.partition || position.offset < due {
                return Err(format!(
                    "{place:?}: {} was given after {due} was",
                    position.offset
                ));
            }
            self.records
                .entry(place)
                .or_default()
                .insert(position.offset, Known::from(new));
        }
        Ok(())
    }

    /// Compares a partition with what is there now, and learns from what stands behind the end that was
    /// known: those records are answered for by the caller.
    pub(super) fn compare(
        &mut self,
        place: Place,
        found: &[Record],
        start: Offset,
        end: Offset,
    ) -> Result<Vec<Known>, String> {
        let known_end = self.end(place);
        if end < known_end {
            return Err(format!("{place:?}: the end went back from {known_end} to {end}"));
        }
        let there: BTreeMap<Offset, Known> = found
            .iter()
            .map(|record| (record.offset, Known::from(record)))
            .collect();
        if let Some(outside) = there.keys().find(|offset| **offset < start || **offset >= end) {
            return Err(format!(
                "{place:?}: record {outside} lies outside {start} to {end}"
            ));
        }
        let known = self.records.entry(place).or_default();
        let mut gone = Vec::new();
        for (offset, record) in known.iter() {
            match there.get(offset) {
                Some(found) if found == record => {}
                Some(found) => {
                    return Err(format!("{place:?}: record {offset} is {found:?}, was {record:?}"));
                }
                None => gone.push(*offset),
            }
        }
        for offset in gone {
            if !may_be_gone(place, known, offset, self.maintained_us) {
                return Err(format!(
                    "{place:?}: record {offset} was acknowledged and is gone: {:?}",
                    known[&offset]
                ));
            }
        }
        self.gone.insert(place, end);
        let new = there
            .range(known_end..)
            .map(|(_, record)| record.clone())
            .collect();
        // What was removed may be needed to say why another may be.
        self.records.insert(place, there);
        Ok(new)
    }
}

/// Whether retention or compaction could remove the record.
fn may_be_gone(
    (topic, _): Place,
    known: &BTreeMap<Offset, Known>,
    offset: Offset,
    maintained_us: Option<Micros>,
) -> bool {
    let (Some(now_us), Some(record)) = (maintained_us, known.get(&offset)) else {
        return false;
    };
    let age_s = now_us / 1_000_000 - record.timestamp_ms.div_euclid(1_000);
    if !topic.is_compacted() {
        return age_s >= RETENTION_S;
    }
    let is_superseded = known
        .range(offset + 1..)
        .any(|(_, later)| later.key == record.key);
    let is_old_tombstone = record.value.is_none() && age_s >= COMPACTION_LAG_S + TOMBSTONES_S;
    age_s >= COMPACTION_LAG_S && (is_superseded || is_old_tombstone)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = (Topic::Events, 0);

    fn record(offset: Offset, key: &str) -> Record {
        Record {
            offset,
            timestamp_ms: 0,
            key: key.into(),
            value: None,
            headers: journal::Headers::default(),
        }
    }

    fn compared(found: &[Record], end: Offset, maintained_us: Option<Micros>) -> Result<Vec<Known>, String> {
        let mut model = Model {
            maintained_us,
            ..Model::default()
        };
        let known = [record(0, "a"), record(1, "b")];
        model.records.insert(
            PLACE,
            known
                .iter()
                .map(|record| (record.offset, Known::from(record)))
                .collect(),
        );
        model.compare(PLACE, found, 0, end)
    }

    #[test]
    fn what_was_acknowledged_and_is_gone_is_seen() {
        assert!(compared(&[record(0, "a"), record(1, "b")], 2, None).is_ok());
        assert!(compared(&[record(0, "a")], 2, None).is_err(), "lost");
        assert!(compared(&[record(0, "a")], 1, None).is_err(), "the end went back");
        assert!(
            compared(&[record(0, "a"), record(1, "c")], 2, None).is_err(),
            "another record"
        );
        assert!(
            compared(&[record(1, "b")], 2, Some(RETENTION_S * 1_000_000)).is_ok(),
            "retention"
        );
        assert!(
            compared(&[record(1, "b")], 2, Some(1_000_000)).is_err(),
            "too early"
        );
    }
}
