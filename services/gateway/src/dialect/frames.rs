//! What frames are made of: the nouns that the writing half of a dialect is given.

use std::collections::BTreeSet;

use journal::{Micros, Partition};
use schemas::{Change, Document, Event};

use crate::engine::LogRecord;
use crate::subscription::{Reset, Transport};

/// What frames of the same item differ in. Streams that look alike share their frames.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What they travel in.
    pub transport: Transport,
    /// Whether the client asked for cursors (`?cursor=1`): over WebSocket each data frame carries its own,
    /// and gaps are told. Over SSE the cursor always stands in `id:`.
    pub cursors: bool,
    /// The metrics that the selection keeps, for a dialect that reduces telemetry itself.
    pub metrics: Option<&'a BTreeSet<Box<str>>>,
}

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
    KeepAlive {
        /// The wall clock.
        now: Micros,
    },
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
    /// The client sent a text that is not UTF-8.
    NotText,
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
            Self::NotText => 1007,
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
            Self::NotText => "not_text",
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
            Self::NotText => "a text of the client is not UTF-8",
            Self::Client => "closed by the client",
            Self::Stalled => "the client does not answer",
            Self::Code(_) => "closed",
        }
    }
}
