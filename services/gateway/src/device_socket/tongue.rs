//! What a device's socket speaks: the native API, or the watch dialect.

use access::events::Outcome;
use access::http::{Body, Surface};
use http::Response;
use serde_json::value::RawValue;

use super::frames::{self, Message, Step};
use crate::dialect::Refusal;
use crate::dialect::watch::device::Reply;
use crate::dialect::watch::path::{Path, Tail};
use crate::dialect::watch::{self, STREAM};

const PATH: &str = "/v1/connect";

/// A way to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tongue {
    /// Events and steps, each acknowledged.
    Native,
    /// Messages with a type, which nobody acknowledges.
    Watch,
}

/// What a message says.
#[derive(Debug)]
pub(super) enum Said {
    /// These events.
    Events(Vec<Box<RawValue>>),
    /// These events, and perhaps the answer to a command.
    Reply(Vec<Box<RawValue>>, Reply),
    /// Nothing.
    Nothing,
    /// Something that the device is told of.
    Mistake(String),
}

impl Tongue {
    /// What is spoken at a path.
    pub(super) fn of(path: &str) -> Option<Self> {
        if path == PATH {
            Some(Self::Native)
        } else {
            Path::is(path, Tail::Connect).then_some(Self::Watch)
        }
    }

    /// Where the credential may stand.
    pub(super) const fn surface(self) -> Surface {
        match self {
            Self::Native => Surface::STREAM,
            Self::Watch => STREAM,
        }
    }

    /// Whether a device comes in by this path.
    pub(super) fn is_way_of(self, path: &str, device: &str) -> bool {
        match self {
            Self::Native => true,
            Self::Watch => Path::read(path).and_then(|(path, _)| path.device()).as_deref() == Some(device),
        }
    }

    /// The answer that refuses.
    pub(super) fn refuse(self, refusal: &Refusal) -> Response<Body> {
        match self {
            Self::Native => refusal.problem.clone().into_response(),
            Self::Watch => watch::refuse(refusal),
        }
    }

    /// What a text says.
    pub(super) fn read(self, text: &str, events_max: usize) -> Said {
        match self {
            Self::Native => match Message::read(text, events_max) {
                Ok(message) => Said::Events(message.items),
                Err(bad) => Said::Mistake(bad.to_string()),
            },
            Self::Watch => match watch::device::read(text) {
                Some(watch::device::Said {
                    events,
                    answer: Some(reply),
                }) => Said::Reply(events, reply),
                Some(said) if !said.events.is_empty() => Said::Events(said.events),
                Some(_) | None => Said::Nothing,
            },
        }
    }

    /// What becomes of an event, if the device is told.
    pub(super) fn outcome(self, index: usize, outcome: &Outcome) -> Option<String> {
        (self == Self::Native).then(|| frames::outcome(index, outcome))
    }

    /// A mistake, if the device is told.
    pub(super) fn error(self, message: &str) -> Option<String> {
        (self == Self::Native).then(|| frames::error(message))
    }

    /// A command, its input in clear.
    pub(super) fn command(self, step: &Step, input: Option<&str>) -> String {
        match self {
            Self::Native => step.frame(input),
            Self::Watch => watch::device::command(&step.command_id, &step.command_type, input),
        }
    }
}
