//! Why recovery does not go on.

use journal::{Offset, Partition, ReadError, Topic};
use state::StoreError;

use super::UNCONFIRMED_MAX;
use crate::source::Newer;

/// Why recovery did not go on. A step that failed can be made again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// The state store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log cannot be read.
    #[error("{} cannot be read: {error}", topic.name())]
    Log {
        /// Which topic.
        topic: Topic,
        /// What the engine said.
        error: ReadError,
    },
    /// The log ends before what was applied: it was recreated or truncated.
    #[error(
        "{} partition {partition} ends at {end}, before offset {applied} that was applied from it; \
         if it was recreated on purpose, run `wakeline migrate --new-epoch`",
        topic.name()
    )]
    LogEndsEarly {
        /// Which topic.
        topic: Topic,
        /// Which partition.
        partition: Partition,
        /// Its end.
        end: Offset,
        /// What was applied.
        applied: Offset,
    },
    /// A state record cannot be read.
    #[error("the state record at offset {offset} of partition {partition} cannot be read: {reason}")]
    BadState {
        /// Which partition.
        partition: Partition,
        /// Which record.
        offset: Offset,
        /// Why.
        reason: String,
    },
    /// An event was written by a newer release.
    #[error(transparent)]
    Newer(#[from] Newer),
    /// Too many events have no state record.
    #[error("more than {UNCONFIRMED_MAX} documents have no state record; was {} emptied?", Topic::State.name())]
    Inconsistent,
}

impl RecoveryError {
    /// Whether another attempt may go better without anybody's help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Unavailable { .. })
                | Self::Log {
                    error: ReadError::Unavailable { .. },
                    ..
                }
        )
    }
}
