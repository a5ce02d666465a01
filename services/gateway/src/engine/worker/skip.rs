//! Changes that a stream of devices must not show: those that its snapshot showed already, and those
//! whose event lies before the position from which it came. Pure.

use journal::{Offset, Partition};
use rustc_hash::FxHashMap;

use crate::engine::record::LogRecord;

#[derive(Default)]
pub(crate) struct Skip {
    floors: Vec<(Partition, Offset)>,
    /// Documents of the snapshot that are newer than its pin: key → source offset.
    shown: FxHashMap<Box<str>, Offset>,
    /// Greatest source offset in `shown` by partition, and whether the stream has read past it.
    greatest: Vec<(Partition, Offset, bool)>,
}

impl Skip {
    pub(crate) fn with_floors(floors: &[(Partition, Offset)]) -> Option<Self> {
        (!floors.is_empty()).then(|| Self {
            floors: floors.to_vec(),
            ..Self::default()
        })
    }

    /// Remembers that the snapshot showed a device as of `source`. Beyond `shown_max` it does not:
    /// then changes come that the document showed already, and the client converges.
    pub(crate) fn show(&mut self, partition: Partition, key: &str, source: Offset, shown_max: usize) {
        if self.shown.len() >= shown_max {
            return;
        }
        let shown = self.shown.entry(key.into()).or_insert(source);
        *shown = source.max(*shown);
        match self.greatest.iter_mut().find(|(other, ..)| *other == partition) {
            Some((_, greatest, _)) => *greatest = source.max(*greatest),
            None => self.greatest.push((partition, source, false)),
        }
    }

    /// Whether the stream must not show a record.
    pub(crate) fn skips(&mut self, record: &LogRecord) -> bool {
        let Some(source) = record.source_offset else {
            return false;
        };
        if let Some((_, greatest, passed)) = self
            .greatest
            .iter_mut()
            .find(|(partition, ..)| *partition == record.partition)
        {
            *passed |= source > *greatest;
        }
        let below =
            |(partition, floor): &(Partition, Offset)| *partition == record.partition && source < *floor;
        self.floors.iter().any(below) || self.shown.get(record.key()).is_some_and(|shown| source <= *shown)
    }

    /// What was read will be read again.
    pub(crate) fn take_back(&mut self) {
        for (_, _, passed) in &mut self.greatest {
            *passed = false;
        }
    }

    /// What was read is out: forgets what no record can ask for any more. True when nothing is left.
    pub(crate) fn tidy(&mut self) -> bool {
        self.greatest.retain(|(_, _, passed)| !passed);
        if self.greatest.is_empty() {
            self.shown = FxHashMap::default();
        }
        self.shown.is_empty() && self.floors.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use journal::{Headers, Record, Topic};

    use super::*;

    fn record(key: &str, source: Offset) -> LogRecord {
        let record = Record {
            offset: source * 2,
            timestamp_ms: 0,
            key: key.into(),
            value: None,
            headers: Headers {
                source_offset: Some(source),
                ..Headers::default()
            },
        };
        LogRecord::new(Topic::State, 3, record)
    }

    #[test]
    fn changes_that_the_snapshot_showed_are_skipped_and_later_ones_are_not() {
        let mut skip = Skip::default();
        skip.show(3, "a/x", 10, 100);
        assert!(skip.skips(&record("a/x", 9)));
        assert!(skip.skips(&record("a/x", 10)));
        assert!(!skip.skips(&record("a/y", 9)));
        assert!(!skip.skips(&record("a/x", 11)));
    }

    #[test]
    fn what_is_read_again_is_skipped_again() {
        let mut skip = Skip::default();
        skip.show(3, "a/x", 10, 100);
        assert!(!skip.skips(&record("a/y", 11)));
        skip.take_back();
        assert!(!skip.tidy());
        assert!(skip.skips(&record("a/x", 10)));
        assert!(!skip.skips(&record("a/y", 11)));
        assert!(skip.tidy());
    }

    #[test]
    fn changes_below_the_floor_are_skipped() {
        let mut skip = Skip::with_floors(&[(3, 20)]).unwrap();
        assert!(skip.skips(&record("a/x", 19)));
        assert!(!skip.skips(&record("a/x", 20)));
        assert!(!skip.tidy());
    }
}
