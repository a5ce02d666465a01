//! The reading half of a dialect: what a client's messages, answers of the state, and time mean for one
//! connection. Pure: it says what to do, and the session does it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use access::Principal;
use bytes::Bytes;
use journal::{Micros, Offset, Partition};
use schemas::document::DeviceAlert;
use schemas::{Document, Kind};
use state::{Counts, DeviceKey, HistoryPage, Stored};

use super::Ending;
use crate::engine::LogRecord;
use crate::filters::Filters;
use crate::subscription::{Selection, Subscription};

/// What a conversation sees beside what it is told.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// The wall clock.
    pub now: Micros,
    /// The stream as it stands.
    pub subscription: &'a Subscription,
    /// Devices that one stream may name.
    pub devices_max: usize,
    /// The client does not take what is sent: whatever repeats itself can wait.
    pub is_blocked: bool,
    /// Where a client that has what is said now goes on; where the client asked for cursors, and one is
    /// known.
    pub cursor: Option<&'a str>,
}

/// One client's side of a stream. The session keeps it and calls it, in the order in which things happen.
pub trait Conversation: Send {
    /// The client sent a text message.
    fn text(&mut self, text: &str, at: &Moment<'_>) -> Vec<Action>;

    /// The client sent a binary message, which no dialect has: ignored, unless it has an answer.
    fn binary(&mut self, at: &Moment<'_>) -> Vec<Action> {
        let _ = at;
        Vec::new()
    }

    /// A record of a kind that the selection has told to the conversation, each once and in order.
    fn record(&mut self, record: &LogRecord, at: &Moment<'_>) -> Vec<Action> {
        let _ = (record, at);
        Vec::new()
    }

    /// The answer to what was asked.
    fn answer(&mut self, answer: Answer, at: &Moment<'_>) -> Vec<Action> {
        let _ = (answer, at);
        Vec::new()
    }

    /// The timer has run out.
    fn timer(&mut self, at: &Moment<'_>) -> Vec<Action> {
        let _ = at;
        Vec::new()
    }

    /// Whether a document is shown that a snapshot has.
    fn shows(&self, document: &Document) -> bool {
        let _ = document;
        true
    }

    /// On a conflated stream: whether the client was told something newer than what a record shows, so that it
    /// is not shown.
    fn is_old(&self, record: &LogRecord) -> bool {
        let _ = record;
        false
    }

    /// On a conflated stream: the client has what a record shows, or something newer.
    fn has(&mut self, record: &LogRecord) {
        let _ = record;
    }

    /// What tells a client that its message cannot be acted on, if anything does.
    fn refusal(&self, reason: &str) -> Option<Bytes> {
        let _ = reason;
        None
    }
}

/// Ignores everything: what a stream has whose clients only listen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Conversation for Silent {
    fn text(&mut self, _: &str, _: &Moment<'_>) -> Vec<Action> {
        Vec::new()
    }
}

/// A frame of the conversation itself, in its order and with no cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Name of its event over SSE; unnamed without.
    pub event: Option<&'static str>,
    /// JSON text.
    pub text: Bytes,
    /// Over SSE: where to go on after it. Over WebSocket a cursor stands in the text.
    pub cursor: Option<Box<str>>,
}

/// What a conversation has the session do.
#[derive(Debug)]
pub enum Action {
    /// The stream shows this from now on, and [`Control::Updated`](super::Control) is told.
    Select(Selection),
    /// The same for devices alone, of a selection that names its devices: at the cost of these.
    Choose {
        /// Shown too from now on.
        add: Vec<Box<str>>,
        /// Shown no more.
        remove: Vec<Box<str>>,
    },
    /// Goes to the client.
    Send(Message),
    /// Is looked up; the answer comes to [`Conversation::answer`]. One question at a time: the next is
    /// asked after the answer.
    Ask(Ask),
    /// [`Conversation::timer`] is called after this long, and not at the time set before.
    Timer(Duration),
    /// The stream ends.
    Close(Ending),
}

impl Action {
    /// Sends an unnamed message.
    #[must_use]
    pub fn send(text: impl Into<Bytes>) -> Self {
        Self::Send(Message {
            event: None,
            text: text.into(),
            cursor: None,
        })
    }
}

/// A question about the state of the stream's tenant, answered within the principal's scope, or something
/// to append to its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The documents of these devices.
    Documents(Vec<Box<str>>),
    /// The same, with what the log holds of them now, where that does not take long.
    Settled(Vec<Box<str>>),
    /// How many devices are in which status, and how many alerts stand.
    Counts,
    /// Events of the recent past, newest first.
    History {
        /// Of one device, or (locks, alerts and commands only) of all.
        device: Option<Box<str>>,
        /// Of these kinds.
        kinds: Vec<Kind>,
        /// Received at or after.
        from: Micros,
        /// From the `next` of the page before.
        page: Option<Box<str>>,
        /// At most so many.
        limit: usize,
    },
    /// Send a command, which expires as any that does not say when. It may have waited: whether its
    /// sender may is looked at again when it is sent.
    Command {
        /// To which device.
        device: Box<str>,
        /// What to do.
        command_type: Box<str>,
        /// JSON text of its input.
        input: Option<Box<str>>,
        /// Who sends it.
        principal: Arc<Principal>,
    },
    /// One device, and from where its events go on: a little is waited until what the log holds now is
    /// in its document.
    Device(Box<str>),
    /// Whether there is a device whose id begins like this and goes on.
    HasAny(Box<str>),
    /// A question of one of the stream's tenants, where it has several.
    Within {
        /// Which.
        tenant: Box<str>,
        /// The question.
        ask: Box<Ask>,
    },
    /// The tenants that have a device of that id, whoever asks: no more of it than that may be told to
    /// whom the tenants concern.
    TenantsOf(Box<str>),
    /// The devices whose location has that id, with what the log holds of them now where that does not take
    /// long; of tenants that do not concern whoever asks as with
    /// [`Self::TenantsOf`].
    DevicesAt {
        /// The location.
        location: Box<str>,
        /// Of these tenants; without, of all.
        tenants: Option<Arc<BTreeSet<Box<str>>>>,
        /// Devices that are looked at, of each tenant that is named, or of all.
        limit: usize,
    },
    /// The devices in scope, page by page; with filters those that pass one of them as they stand. One page is
    /// read at least.
    Devices(Search),
    /// The alerts that are open, and that nobody has acknowledged, newest first, at most so many.
    Alerts {
        /// How many.
        limit: usize,
    },
}

impl Ask {
    /// Whether asking it again does nothing but look again.
    pub(crate) fn only_looks(&self) -> bool {
        match self {
            Self::Command { .. } => false,
            Self::Within { ask, .. } => ask.only_looks(),
            Self::Documents(_)
            | Self::Settled(_)
            | Self::Counts
            | Self::History { .. }
            | Self::Device(_)
            | Self::HasAny(_)
            | Self::TenantsOf(_)
            | Self::DevicesAt { .. }
            | Self::Devices(_)
            | Self::Alerts { .. } => true,
        }
    }
}

/// An alert and the device that it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct StandingAlert {
    /// The device.
    pub device: Box<str>,
    /// The alert.
    pub alert: DeviceAlert,
}

/// Which devices are looked for, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Those that pass one of these; without, all.
    pub filters: Option<Filters>,
    /// From the `next` of the page before.
    pub page: Option<Box<str>>,
    /// Documents that are read together: all of them may be found.
    pub limit: usize,
    /// No more are read where they might make it more that are found.
    pub enough: usize,
    /// Nor where they might make it more that are looked at.
    pub looks: usize,
}

/// Devices that were found.
#[derive(Debug, Default)]
pub struct Looked {
    /// Those.
    pub documents: Vec<Stored>,
    /// Where to look on; `None`: that was all.
    pub next: Option<Box<str>>,
    /// Documents that were looked at.
    pub looks: usize,
}

/// A device, and from where its events go on.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Its partition.
    pub partition: Partition,
    /// Everything of the partition before this is in the document and the history; some of what follows
    /// may be too.
    pub applied: Offset,
    /// The document, if the device is there.
    pub stored: Option<Stored>,
}

/// What the state says.
#[derive(Debug)]
pub enum Answer {
    /// To [`Ask::Documents`] and [`Ask::Settled`]: those there are, in the order asked for.
    Documents(Vec<Stored>),
    /// To [`Ask::Counts`].
    Counts(Counts),
    /// To [`Ask::History`].
    History(HistoryPage),
    /// To [`Ask::Command`]: its id, once the command is durable.
    Commanded(Box<str>),
    /// To [`Ask::Command`]: why it was not taken.
    Refused(Box<str>),
    /// To [`Ask::Device`].
    Device(Standing),
    /// To [`Ask::HasAny`].
    HasAny(bool),
    /// To [`Ask::TenantsOf`].
    Tenants(Vec<Box<str>>),
    /// To [`Ask::DevicesAt`].
    Places(Vec<DeviceKey>),
    /// To [`Ask::Devices`]; `None`: there is no such page.
    Devices(Option<Looked>),
    /// To [`Ask::Alerts`].
    Alerts(Vec<StandingAlert>),
    /// The state does not answer at present.
    Unavailable,
}
