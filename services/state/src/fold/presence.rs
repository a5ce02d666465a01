//! Presence: which connection is current, since when, and how alive the device is.
//!
//! Whoever holds a connection says when it ends, unless it died before; so a device that is OFFLINE by its silence
//! counts as not connected. A connection that is open all the same says so again, under its session.

use schemas::event::{Presence, PresenceReason, Status};
use schemas::{Document, Event};

pub(super) fn apply(document: &mut Document, event: &Event, presence: &Presence) {
    if is_void(document, event, presence) {
        return;
    }
    match connection(presence) {
        // What an older connection says of itself is not that it is the current one.
        Some(true) if presence.reason == PresenceReason::Report && is_of_another(document, presence) => {}
        Some(true) => open(document, event, presence),
        Some(false) => {
            document.connected = Some(false);
            document.connected_since = None;
            document.fold.has_left = true;
        }
        None => {}
    }
    let is_gone = presence.reason == PresenceReason::Silence && presence.status == Some(Status::Offline);
    if is_gone && document.connected == Some(true) {
        document.connected = Some(false);
        document.connected_since = None;
    }
    if presence.status.is_some() {
        be(document, event, presence.status);
    }
}

/// How alive the device is. One without a connection that becomes ONLINE is connected by what it posts.
fn be(document: &mut Document, event: &Event, status: Option<Status>) {
    let is_online = status == Some(Status::Online);
    if status != document.status {
        document.fold.status_since = Some(event.occurred_at);
        if is_online && document.connected != Some(true) && !document.fold.has_left {
            document.fold.last_connected_at = Some(event.occurred_at);
        }
    }
    if !is_online {
        document.fold.has_left = false;
    }
    document.status = status;
}

/// Whether it says nothing of the device as it is; the same before and after it was folded.
pub(super) fn is_void(document: &Document, event: &Event, presence: &Presence) -> bool {
    if presence.reason == PresenceReason::Silence {
        let heard_since = document.last_seen_at.is_some_and(|seen| seen > event.occurred_at);
        // It was made again after a verdict on the device of that name before it.
        let was_never_there = document.last_seen_at.is_none() && document.status.is_none();
        return heard_since || was_never_there;
    }
    // The connection that took its place speaks for the device.
    let is_replaced = presence.reason == PresenceReason::Replaced;
    connection(presence) == Some(false) && (is_replaced || is_of_another_session(document, presence))
}

/// Whether a connection is open after it; `None` where it does not say.
fn connection(presence: &Presence) -> Option<bool> {
    presence.connected.or(match presence.reason {
        PresenceReason::Connect => Some(true),
        PresenceReason::Disconnect | PresenceReason::Will => Some(false),
        PresenceReason::Silence | PresenceReason::Replaced | PresenceReason::Report => None,
    })
}

fn open(document: &mut Document, event: &Event, presence: &Presence) {
    if document.connected != Some(true) || is_new_connection(document, presence) {
        document.connected = Some(true);
        document.connected_since = Some(event.occurred_at);
        document.fold.last_connected_at = Some(event.occurred_at);
        document.fold.has_left = false;
        document.fold.session.clone_from(&presence.session);
    }
}

fn is_new_connection(document: &Document, presence: &Presence) -> bool {
    match (&presence.session, &document.fold.session) {
        (Some(session), Some(current)) => session != current,
        (Some(_), None) => true,
        // A mere report does not know by which connection the device is there.
        (None, Some(_)) => presence.reason != PresenceReason::Report,
        (None, None) => false,
    }
}

/// Whether it speaks of one connection while another is open.
fn is_of_another(document: &Document, presence: &Presence) -> bool {
    document.connected == Some(true) && is_of_another_session(document, presence)
}

/// A newer connection has taken its place, so its end says nothing of the device. The session is kept
/// after its end, so that the end of an older one is still told from it.
fn is_of_another_session(document: &Document, presence: &Presence) -> bool {
    match (&presence.session, &document.fold.session) {
        (Some(session), Some(current)) => session != current,
        (Some(_) | None, None) | (None, Some(_)) => false,
    }
}
