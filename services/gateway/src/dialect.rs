//! The dialects: one wire contract each, over the common session.
//!
//! A dialect is a pure translation in three halves that have no I/O and no clock. **Open**
//! ([`Entrance`]): from a request to what its stream shall show, or the refusal in the dialect's own
//! words. **Read** ([`Conversation`]): what a client's message, an answer of the state, or time means; one
//! value a connection, kept by the session, which does what its [`Action`]s say. **Write** ([`Dialect`]):
//! records and control frames as bytes, shared by all streams that look alike. Delivery, cursors, gaps,
//! scopes and limits are the engine's.
//!
//! Another dialect is one folder here and one line in `ALL`.

#[cfg(test)]
mod any_client;
pub mod controller;
pub mod conversation;
pub mod entrance;
pub mod filter;
pub mod frames;
pub mod native;
mod older;
pub mod realtime;
pub mod requests;
pub(crate) mod router;
pub mod telemetry;
pub(crate) mod text;
pub(crate) mod tongue;
pub mod watch;

use std::sync::Arc;
use std::time::Duration;

pub use conversation::{Action, Answer, Ask, Conversation, Message, Moment, Silent, Standing};
pub use entrance::{Admit, Asked, Cap, Entrance, Opening, Reason, Refusal, Transports};
pub use frames::{Control, Ending, Item, Look};

use access::Principal;

use crate::engine::LogRecord;
use crate::native::NativeSettings;
use crate::open::OpenSettings;
use crate::subscription::{Selection, Subscription, Transport};
use requests::Requests;
use tongue::Tongue;

/// Every dialect. One that is not listed does not exist.
const ALL: &[Parts] = &[
    native::PARTS,
    controller::PARTS,
    filter::PARTS,
    realtime::PARTS,
    telemetry::PARTS,
    watch::PARTS,
];

/// What a dialect consists of.
struct Parts {
    /// What it is called.
    name: &'static str,
    /// Its ways in for those who watch.
    entrances: fn(&OpenSettings) -> Vec<Arc<dyn Entrance>>,
    /// Its requests that are no streams.
    requests: fn(&RequestLimits<'_>) -> Vec<Arc<dyn Requests>>,
    /// What devices speak on their own sockets.
    tongue: Option<&'static dyn Tongue>,
}

/// What requests are limited by.
struct RequestLimits<'a> {
    open: &'a OpenSettings,
    native: &'a NativeSettings,
    /// Devices must be registered before they send.
    registration_required: bool,
}

/// The name of every dialect.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|parts| parts.name)
}

/// The ways in of every dialect.
#[must_use]
pub fn entrances(settings: &OpenSettings) -> Vec<Arc<dyn Entrance>> {
    ALL.iter().flat_map(|parts| (parts.entrances)(settings)).collect()
}

/// The requests of every dialect that are no streams.
#[must_use]
pub fn requests(
    open: &OpenSettings,
    native: &NativeSettings,
    registration_required: bool,
) -> Vec<Arc<dyn Requests>> {
    let limits = RequestLimits {
        open,
        native,
        registration_required,
    };
    ALL.iter().flat_map(|parts| (parts.requests)(&limits)).collect()
}

/// What a device speaks that connects at `path`.
pub(crate) fn tongue(path: &str) -> Option<&'static dyn Tongue> {
    tongues().find(|tongue| tongue.path().is(path))
}

/// All that devices speak.
pub(crate) fn tongues() -> impl Iterator<Item = &'static dyn Tongue> {
    ALL.iter().filter_map(|parts| parts.tongue)
}

/// The writing half: spells frames.
pub trait Dialect: Send + Sync + 'static {
    /// Dialects of one name write the same bytes for the same item, look and cursor: frames are shared by
    /// it.
    fn name(&self) -> &'static str;

    /// Appends the JSON text of a data frame to `out`; false (and nothing appended) when the dialect
    /// does not show the item. Over SSE the cursor stands in `id:`, over WebSocket inside the text.
    fn data(&self, look: Look<'_>, item: Item<'_>, cursor: &str, out: &mut Vec<u8>) -> bool;

    /// Appends the JSON text of a frame that says that the device of `record`, which passed the stream's
    /// filters, no longer does; false (and nothing appended) when the dialect does not tell it.
    fn left(&self, look: Look<'_>, record: &LogRecord, cursor: &str, out: &mut Vec<u8>) -> bool {
        let _ = (look, record, cursor, out);
        false
    }

    /// Appends the JSON text of a control frame to `out` and gives the name of its SSE event; `None`
    /// (and nothing appended) when the dialect does not tell it.
    fn control(
        &self,
        look: Look<'_>,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str>;

    /// Whether the engine reduces telemetry to the selection's metrics, as dotted paths with what lies
    /// below them. A dialect that means something else by a metric does it in [`Self::data`].
    fn is_reduced(&self) -> bool {
        true
    }

    /// Whether the stream may go on for its principal as it stands now. Asked on every change of the
    /// principal; what is lost of single devices the engine leaves out by itself.
    fn admits(&self, subscription: &Subscription, principal: &Principal) -> bool {
        subscription.admits(principal)
    }

    /// What the stream wants to see for its principal as it stands now, where that follows the principal
    /// beyond its devices.
    fn rescope(&self, subscription: &Subscription, principal: &Principal) -> Selection {
        let _ = principal;
        subscription.selection.clone()
    }

    /// A keep-alive comes after this long without a frame; `None`: as the setting says.
    fn keep_alive(&self, transport: Transport) -> Option<Duration> {
        let _ = transport;
        None
    }

    /// A comment before each keep-alive of SSE.
    fn comment(&self) -> Option<&'static str> {
        None
    }
}
