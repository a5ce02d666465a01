//! What a device speaks on a socket of its own: what its messages mean, and what it is sent. Pure; the
//! socket is [`device_socket`](crate::device_socket)'s.

use access::events::Outcome;
use access::http::{Body, Path, Surface};
use http::Response;
use serde_json::value::RawValue;

use super::Refusal;
use crate::device_socket::Step;

/// A way to speak with devices.
pub(crate) trait Tongue: Send + Sync + 'static {
    /// Where it is spoken.
    fn path(&self) -> Path;

    /// Where the credential may stand.
    fn surface(&self) -> Surface;

    /// Whether `device` comes in by `path`.
    fn is_way_of(&self, path: &str, device: &str) -> bool {
        let _ = (path, device);
        true
    }

    /// The answer that refuses.
    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refusal.problem.clone().into_response()
    }

    /// Whether a message may hold many events, and be as long as that takes.
    fn has_batches(&self) -> bool {
        false
    }

    /// What a text says; at most so many events.
    fn read(&self, text: &str, events_max: usize) -> Said;

    /// What became of an event, if the device is told; `index` is its place in its message.
    fn outcome(&self, index: usize, outcome: &Outcome) -> Option<String>;

    /// A mistake, if the device is told.
    fn error(&self, message: &str) -> Option<String>;

    /// A command, its input in clear.
    fn command(&self, step: &Step, input: Option<&str>) -> String;
}

/// What a message says.
#[derive(Debug)]
pub(crate) enum Said {
    /// These events, and perhaps the answer to a command; or neither.
    Events(Vec<Box<RawValue>>, Option<Reply>),
    /// Something that the device is told of.
    Mistake(String),
}

/// An answer to a command, unless no command has that id.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The command.
    pub(crate) command_id: Box<str>,
    /// The event that ends it.
    pub(crate) event: Box<RawValue>,
    /// Whether it is nothing else, so that it is worth looking for its command.
    pub(crate) is_only_that: bool,
}
