//! The fold: what an event means for the document of its device.
//!
//! Pure, total and deterministic: no clock, no randomness, no I/O. An event folded twice is folded
//! once. Each kind's rules stand in one file below; none of them writes `version`, `updated_at` or the
//! list of changes, which are worked out here from the documents before and after.

mod alert;
mod change;
mod command;
mod entity;
mod fields;
mod head;
mod location;
mod lock;
mod memory;
mod presence;
mod size;
mod telemetry;
#[cfg(test)]
mod tests;

use schemas::control::Layout;
use schemas::event::{PresenceReason, Status};
use schemas::{Body, Change, Document, Event};

pub use location::default_id as default_location_id;
pub use size::size;

/// Version of the meaning of events; grows when a replay would give another state.
pub const FOLD_VERSION: u32 = 1;

/// Limits that are part of the meaning of events; they stand in the layout record, because a replay
/// under other limits would give another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The content of a document, as [`size()`] measures it, is at most this long; an event that would
    /// pass it is refused. What the fold itself remembers (at most 2 KiB) is not counted.
    pub document_bytes_max: u32,
    /// Only `device` events create a device; events of an unknown one fold to nothing.
    pub registration_required: bool,
}

impl Limits {
    /// The limits that `layout` fixes.
    #[must_use]
    pub const fn of(layout: &Layout) -> Self {
        Self {
            document_bytes_max: layout.document_bytes_max,
            registration_required: layout.registration_required,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes_max: 65_536,
            registration_required: false,
        }
    }
}

/// What an event did to the document of its device.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Nothing: folded before, or meaningless for a device that does not exist.
    Nothing,
    /// Only times (and what the fold remembers) moved: no state record, persisted lazily.
    Times(Document),
    /// The document changed.
    Changed(Box<Change>),
    /// The device is gone.
    Deleted,
    /// The event cannot be folded: the document would pass its limit.
    Refused {
        /// Why, for people.
        reason: String,
        /// The document with what the fold remembers of the event; persisted as after `Times`.
        document: Option<Document>,
    },
}

/// Folds `event` into `document` (`None`: the device is not known).
#[must_use]
pub fn fold(document: Option<&Document>, event: &Event, limits: &Limits) -> Outcome {
    if document.is_some_and(|document| memory::knows(document, event)) {
        return Outcome::Nothing;
    }
    let mut after = match document {
        Some(_) if event.body == Body::Deleted => return Outcome::Deleted,
        Some(document) => remember(document.clone(), event),
        None if creates(&event.body, limits) => remember(created(event), event),
        None => return Outcome::Nothing,
    };
    apply(&mut after, event);
    let Some(difference) = change::between(document, &after) else {
        return Outcome::Times(after);
    };
    let bytes = size(&after);
    if bytes > limits.document_bytes_max as usize && bytes > document.map_or(0, size) {
        return Outcome::Refused {
            reason: format!(
                "the device's document would grow to {bytes} bytes, and may have {}; remove fields with null",
                limits.document_bytes_max
            ),
            document: document.map(|document| remember(document.clone(), event)),
        };
    }
    after.version = after.version.saturating_add(1);
    after.updated_at = event.received_at;
    Outcome::Changed(Box::new(Change {
        document: after,
        changed: difference.changed,
        before: difference.before,
        event_id: event.id.clone(),
        updated_before: document.map(|document| document.updated_at),
        last_seen_before: document.and_then(|document| document.last_seen_at),
    }))
}

/// Whether `event` is telemetry that is older than the newest folded into `document`: it goes to
/// streams and history, and fills only fields that are absent.
#[must_use]
pub fn is_late(document: Option<&Document>, event: &Event) -> bool {
    matches!(event.body, Body::Telemetry(_))
        && document
            .and_then(|document| document.fold.newest_telemetry_at)
            .is_some_and(|newest| event.occurred_at < newest)
}

/// Whether `event` proves that its device is alive: one that the device itself sends. Of presence,
/// only a connect or a report of ONLINE does; what a timer, a will or a closed socket says does not.
#[must_use]
pub fn is_sign_of_life(event: &Event) -> bool {
    match &event.body {
        Body::Telemetry(_) | Body::Lock(_) | Body::Log(_) | Body::Entity(_) | Body::Location(_) => true,
        Body::Presence(presence) => match presence.reason {
            PresenceReason::Connect => true,
            // A report that names a session is the word of whoever holds that connection, not the device's.
            PresenceReason::Report | PresenceReason::Replaced => {
                let is_there = presence.connected == Some(true) && presence.session.is_none();
                is_there || presence.status == Some(Status::Online)
            }
            PresenceReason::Disconnect | PresenceReason::Will | PresenceReason::Silence => false,
        },
        Body::Command(_) | Body::Alert(_) | Body::Device(_) | Body::Deleted => false,
    }
}

/// Whether `event` says what the status of its device is, and `document`, as it is before it or after, takes its word.
#[must_use]
pub fn says_status(document: &Document, event: &Event) -> bool {
    matches!(&event.body, Body::Presence(presence)
        if presence.status.is_some() && !presence::is_void(document, event, presence))
}

/// Whether an event of that body makes a device that is not known. Presence, commands and alerts never
/// do, so that a late timer cannot bring a deleted device back.
#[must_use]
pub const fn creates(body: &Body, limits: &Limits) -> bool {
    match body {
        Body::Device(_) => true,
        Body::Telemetry(_) | Body::Lock(_) | Body::Log(_) | Body::Entity(_) | Body::Location(_) => {
            !limits.registration_required
        }
        Body::Presence(_) | Body::Command(_) | Body::Alert(_) | Body::Deleted => false,
    }
}

fn created(event: &Event) -> Document {
    Document {
        tenant: event.tenant.clone(),
        id: event.device.clone(),
        created_at: event.received_at,
        updated_at: event.received_at,
        ..Document::default()
    }
}

/// What every event leaves behind, whatever it changes.
fn remember(mut document: Document, event: &Event) -> Document {
    memory::remember(&mut document, event);
    if is_sign_of_life(event) {
        // Receipt times of several ingest nodes need not grow; the last sign of life is the newest.
        document.last_seen_at = document.last_seen_at.max(Some(event.received_at));
    }
    document
}

fn apply(document: &mut Document, event: &Event) {
    match &event.body {
        Body::Telemetry(telemetry) => telemetry::apply(document, event, telemetry),
        Body::Presence(presence) => presence::apply(document, event, presence),
        Body::Lock(lock) => lock::apply(document, event, lock),
        Body::Entity(entity) => entity::apply(document, event, entity),
        Body::Location(location) => location::apply(document, location),
        Body::Command(command) => command::apply(document, event, command),
        Body::Alert(alert) => alert::apply(document, event, alert),
        Body::Device(device) => head::apply(document, device),
        Body::Log(_) | Body::Deleted => {}
    }
}
