//! Whether a device is connected: by its socket; one that only posts over HTTP is connected while it is
//! ONLINE. Follows presence as the fold does.

use journal::Micros;
use schemas::event::{Presence, PresenceReason, Status};
use schemas::{Body, Document, Event};

/// What clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connected {
    pub(super) is_connected: bool,
    pub(super) since: Option<Micros>,
}

const NOT: Connected = Connected {
    is_connected: false,
    since: None,
};

/// A device's connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// The session that connected last.
    session: Option<Box<str>>,
    /// Since when its socket is open.
    socket: Option<Micros>,
    is_online: bool,
    /// Since when it has been ONLINE, where that is known.
    online_since: Option<Micros>,
    /// It closed a socket and has not been silent since: that it is still ONLINE means nothing yet.
    has_left: bool,
    /// Its socket is open, and it was called OFFLINE by its silence, which ends its connection in the state.
    is_in_doubt: bool,
}

/// What an event means beyond itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    Done,
    /// A verdict of silence, which a sign of life may have made void: the state tells.
    Silence,
}

impl Link {
    /// As a document says.
    pub(super) fn of(document: &Document) -> Self {
        let is_open = document.connected == Some(true);
        let is_online = document.status == Some(Status::Online);
        let fold = &document.fold;
        Self {
            session: fold.session.clone(),
            socket: document.connected_since.filter(|_| is_open),
            is_online,
            online_since: fold.status_since.filter(|_| is_online),
            has_left: fold.has_left,
            is_in_doubt: false,
        }
    }

    /// What clients are told.
    pub(super) fn connected(&self) -> Connected {
        match self.socket {
            Some(since) => Connected {
                is_connected: true,
                since: Some(since),
            },
            None if self.is_online && !self.has_left => Connected {
                is_connected: true,
                since: self.online_since,
            },
            None => NOT,
        }
    }

    /// Follows an event of the device.
    pub(super) fn follow(&mut self, event: &Event) -> Effect {
        match &event.body {
            Body::Presence(presence) => self.presence(event, presence),
            Body::Deleted => {
                *self = Self::default();
                Effect::Done
            }
            Body::Telemetry(_)
            | Body::Lock(_)
            | Body::Log(_)
            | Body::Entity(_)
            | Body::Location(_)
            | Body::Command(_)
            | Body::Alert(_)
            | Body::Device(_) => Effect::Done,
        }
    }

    fn presence(&mut self, event: &Event, presence: &Presence) -> Effect {
        self.is_in_doubt &= connection(presence) != Some(true);
        match connection(presence) {
            Some(true) if self.socket.is_none() || self.is_new(presence) => {
                self.socket = Some(event.occurred_at);
                self.session.clone_from(&presence.session);
                self.has_left = false;
            }
            Some(false) if self.is_of_another(presence) => return Effect::Done,
            Some(false) if presence.reason == PresenceReason::Replaced => return Effect::Done,
            Some(false) => {
                self.socket = None;
                self.has_left = true;
            }
            Some(true) | None => {}
        }
        match presence.status {
            Some(Status::Online) if !self.is_online => {
                self.is_online = true;
                self.online_since = Some(event.occurred_at);
            }
            Some(Status::Stale | Status::Offline) if presence.reason == PresenceReason::Silence => {
                self.is_in_doubt = self.socket.is_some() && presence.status == Some(Status::Offline);
                if self.is_in_doubt || (self.connected().is_connected && self.socket.is_none()) {
                    return Effect::Silence;
                }
                self.silent();
            }
            Some(Status::Stale | Status::Offline) => self.silent(),
            Some(Status::Online) | None => {}
        }
        Effect::Done
    }

    /// The state has no connection of it, as far as it has followed.
    pub(super) fn has_no_socket(&mut self) {
        if std::mem::take(&mut self.is_in_doubt) {
            self.socket = None;
        }
    }

    /// It is silent.
    pub(super) fn silent(&mut self) {
        self.is_online = false;
        self.online_since = None;
        self.has_left = false;
    }

    fn is_new(&self, presence: &Presence) -> bool {
        match (&presence.session, &self.session) {
            (Some(session), Some(current)) => session != current,
            (Some(_), None) => true,
            (None, Some(_)) => presence.reason != PresenceReason::Report,
            (None, None) => false,
        }
    }

    fn is_of_another(&self, presence: &Presence) -> bool {
        match (&presence.session, &self.session) {
            (Some(session), Some(current)) => session != current,
            (Some(_) | None, None) | (None, Some(_)) => false,
        }
    }
}

/// Whether a connection is open after it; `None` where it does not say.
fn connection(presence: &Presence) -> Option<bool> {
    presence.connected.or(match presence.reason {
        PresenceReason::Connect => Some(true),
        PresenceReason::Disconnect | PresenceReason::Will => Some(false),
        PresenceReason::Silence | PresenceReason::Replaced | PresenceReason::Report => None,
    })
}
