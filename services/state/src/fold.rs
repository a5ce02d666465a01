//! The fold: what an event means for the document of its device. Pure: no clock, no randomness.

use schemas::{Change, Document, Event};

/// Limits that are part of the meaning of events; they stand in the layout record, because a replay
/// under other limits would give another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// An encoded document is at most this long; an event that would pass it is refused.
    pub document_bytes_max: u32,
}

/// What an event did to the document of its device.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Nothing: folded before, or meaningless for a device that does not exist.
    Nothing,
    /// Only times (and what the fold remembers) moved: no state record, persisted lazily.
    Times(Document),
    /// The document changed.
    Changed(Box<Change>),
    /// The device is gone.
    Deleted,
    /// The event cannot be folded: the document would pass its limit.
    Refused {
        /// Why, for people.
        reason: String,
        /// The document with what the fold remembers of the event.
        document: Option<Document>,
    },
}

/// Folds `event` into `document` (`None`: the device is not known).
#[must_use]
pub fn fold(document: Option<&Document>, event: &Event, limits: &Limits) -> Outcome {
    let _ = (document, event, limits);
    Outcome::Nothing
}
