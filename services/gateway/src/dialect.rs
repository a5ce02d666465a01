//! How frames are spelled. A dialect is a pure translation: it sees nouns and gives bytes, keeps no
//! state and does no I/O. The engine does all that is about delivery.

pub mod native;

use std::time::Duration;

use access::Principal;
use bytes::Bytes;
use journal::Partition;
use schemas::{Change, Document, Event};

use crate::engine::LogRecord;
use crate::subscription::{Reset, Selection, Subscription, Transport};

/// What a data frame shows.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    /// A record as it stands: an event, a change, or a deletion.
    Record(&'a LogRecord),
    /// An event of which the selection left out fields.
    Event(&'a Event),
    /// Several changes of one device in one.
    Change(&'a Change),
    /// A device of a snapshot.
    Document(&'a Document),
}

/// What a control frame says.
#[derive(Debug, Clone, Copy)]
pub enum Control<'a> {
    /// The stream is open; SSE only, where it carries `retry:`.
    Hello,
    /// The stream has a gap, or may repeat.
    Reset(&'a Reset),
    /// All that the log held when the connection opened was sent.
    CaughtUp {
        /// Partitions that started by time because the cursor lacked them.
        from_time: &'a [Partition],
    },
    /// These partitions cannot be read at present; none: all is well again.
    Degraded {
        /// Which.
        partitions: &'a [Partition],
    },
    /// Nothing happened, and the cursor moves on.
    KeepAlive,
    /// A new selection holds from the cursor on.
    Updated,
    /// The stream ends because of this.
    Fault {
        /// Why.
        ending: Ending,
    },
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The credential was revoked or has expired.
    Credential,
    /// The scope lost the device that the stream is bound to.
    Scope,
    /// This gateway drains.
    Draining,
    /// The client broke the WebSocket protocol.
    Protocol,
    /// The client sent a message that is too long.
    TooLong,
    /// The client closed, or is gone.
    Client,
    /// The client took no byte for too long, or does not answer pings.
    Stalled,
    /// The dialect asked for it.
    Code(u16),
}

impl Ending {
    /// A close code of WebSocket (RFC 6455, 7.4) that says it.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Credential => 4401,
            Self::Scope => 4403,
            Self::Draining => 1012,
            Self::Protocol => 1002,
            Self::TooLong => 1009,
            Self::Client => 1000,
            Self::Stalled => 1001,
            Self::Code(code) => code,
        }
    }

    /// The same for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Scope => "scope",
            Self::Draining => "draining",
            Self::Protocol => "protocol",
            Self::TooLong => "too_long",
            Self::Client => "client",
            Self::Stalled => "stalled",
            Self::Code(_) => "dialect",
        }
    }

    /// The same for people.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Credential => "the credential was revoked or has expired",
            Self::Scope => "the device is no longer in scope",
            Self::Draining => "this gateway restarts; connect again",
            Self::Protocol => "the client broke the WebSocket protocol",
            Self::TooLong => "the message is too long",
            Self::Client => "closed by the client",
            Self::Stalled => "the client does not answer",
            Self::Code(_) => "closed",
        }
    }
}

/// What a dialect makes of a message from a client.
#[derive(Debug)]
pub enum Action {
    /// The stream shows this from now on; answered by [`Control::Updated`].
    Select(Selection),
    /// Goes back to the client: one text message.
    Send(Bytes),
    /// The stream ends.
    Close(Ending),
}

/// Spells frames and reads what clients send.
pub trait Dialect: Send + Sync + 'static {
    /// Dialects of one name write the same bytes for the same item and cursor: frames are shared by it.
    fn name(&self) -> &'static str;

    /// Appends the JSON text of a data frame to `out`; false (and nothing appended) when the dialect
    /// does not show the item. Over SSE the cursor stands in `id:`, over WebSocket inside the text.
    fn data(&self, transport: Transport, item: Item<'_>, cursor: &str, out: &mut Vec<u8>) -> bool;

    /// Appends the JSON text of a control frame to `out` and gives the name of its SSE event; `None`
    /// (and nothing appended) when the dialect does not tell it.
    fn control(
        &self,
        transport: Transport,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str>;

    /// What a text message of the client means for its stream.
    fn text(&self, text: &str, subscription: &Subscription) -> Vec<Action>;

    /// What tells a client that its message cannot be acted on, if anything does.
    fn refusal(&self, reason: &str) -> Option<Bytes> {
        let _ = reason;
        None
    }

    /// What a binary message means: nothing, unless the dialect has an answer.
    fn binary(&self, subscription: &Subscription) -> Vec<Action> {
        let _ = subscription;
        Vec::new()
    }

    /// Whether the stream may go on for its principal as it stands now. Asked on every change of the
    /// principal; what is lost of single devices the engine leaves out by itself.
    fn admits(&self, subscription: &Subscription, principal: &Principal) -> bool {
        subscription.admits(principal)
    }

    /// A keep-alive comes after this long without a frame; `None`: as the setting says.
    fn keep_alive(&self, transport: Transport) -> Option<Duration> {
        let _ = transport;
        None
    }
}
