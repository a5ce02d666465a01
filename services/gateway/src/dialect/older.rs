//! What lies before a stream, of what the history has of one device. Pure.

use journal::{Micros, Offset, Partition};
use state::HistoryRow;

use crate::open::parameters::From;

/// Which events lie before a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Older {
    /// Those of the partition before this offset.
    Than(Partition, Offset),
    /// Those received before this time.
    ThanTime(Micros),
}

impl Older {
    /// Before a stream that runs from there, over a device's partition that is applied up to `applied`: a
    /// live one is to begin there.
    pub(super) fn than(from: &From, partition: Partition, applied: Offset) -> Self {
        match from {
            From::Live => Self::Than(partition, applied),
            From::Cursor(cursor) => Self::Than(partition, cursor.position(partition).unwrap_or(applied)),
            From::Position(_, offset) => Self::Than(partition, *offset),
            From::Earliest => Self::Than(partition, 0),
            From::Time(time_ms) => Self::ThanTime(time_ms.saturating_mul(1_000)),
            From::Unreadable => Self::Than(partition, Offset::MAX),
        }
    }

    /// Whether a row is one of them.
    pub(super) fn has(self, row: &HistoryRow) -> bool {
        match self {
            Self::Than(partition, offset) => row.partition == partition && row.offset < offset,
            Self::ThanTime(time) => row.event.received_at < time,
        }
    }
}
