//! Presence: which connection is current, since when, and how alive the device is.

use schemas::event::{Presence, PresenceReason};
use schemas::{Document, Event};

pub(super) fn apply(document: &mut Document, event: &Event, presence: &Presence) {
    if is_void(document, event, presence) {
        return;
    }
    match connection(presence) {
        Some(true) => open(document, event, presence),
        Some(false) => {
            document.connected = Some(false);
            document.connected_since = None;
        }
        None => {}
    }
    if presence.status.is_some() {
        document.status = presence.status;
    }
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

/// A newer connection has taken its place, so its end says nothing of the device. The session is kept
/// after its end, so that the end of an older one is still told from it.
fn is_of_another_session(document: &Document, presence: &Presence) -> bool {
    match (&presence.session, &document.fold.session) {
        (Some(session), Some(current)) => session != current,
        (Some(_) | None, None) | (None, Some(_)) => false,
    }
}
