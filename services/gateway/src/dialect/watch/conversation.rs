//! The status of the device, told when it changes. What clients send is ignored.

use journal::Offset;
use schemas::event::Status;
use state::Stored;

use super::frames;
use super::link::{Connected, Effect, Link};
use crate::dialect::{Action, Answer, Ask, Conversation, Moment};
use crate::engine::LogRecord;
use crate::subscription::Transport;

/// One client.
pub(super) struct Watching {
    transport: Transport,
    device: Box<str>,
    /// The last event of the device that `link` began with.
    source: Option<Offset>,
    link: Link,
    told: Connected,
    /// The state is being asked whether the device is silent.
    is_asking: bool,
}

impl Watching {
    /// A client that was told what `link` says.
    pub(super) fn new(transport: Transport, device: Box<str>, source: Option<Offset>, link: Link) -> Self {
        Self {
            transport,
            device,
            source,
            told: link.connected(),
            link,
            is_asking: false,
        }
    }

    fn tell(&mut self, at: &Moment<'_>) -> Vec<Action> {
        let connected = self.link.connected();
        if connected == self.told {
            return Vec::new();
        }
        self.told = connected;
        vec![Action::Send(frames::status(self.transport, connected, at.cursor))]
    }
}

impl Conversation for Watching {
    fn text(&mut self, _: &str, _: &Moment<'_>) -> Vec<Action> {
        Vec::new()
    }

    fn record(&mut self, record: &LogRecord, at: &Moment<'_>) -> Vec<Action> {
        if self.source.is_some_and(|source| record.offset <= source) {
            return Vec::new();
        }
        let Some(event) = record.event() else {
            return Vec::new();
        };
        let effect = self.link.follow(event);
        let mut actions = self.tell(at);
        if effect == Effect::Silence && !self.is_asking {
            self.is_asking = true;
            actions.push(Action::Ask(Ask::Device(self.device.clone())));
        }
        actions
    }

    fn answer(&mut self, answer: Answer, at: &Moment<'_>) -> Vec<Action> {
        self.is_asking = false;
        // Without an answer the verdict stands: whoever decided knew what is known.
        let Answer::Device(standing) = answer else {
            self.link.silent();
            return self.tell(at);
        };
        let is_heard = |stored: &Stored| stored.document.status == Some(Status::Online);
        let is_open = |stored: &Stored| stored.document.connected == Some(true);
        if !standing.stored.as_ref().is_some_and(is_open) {
            self.link.has_no_socket();
        }
        if !standing.stored.as_ref().is_some_and(is_heard) {
            self.link.silent();
        }
        self.tell(at)
    }
}
