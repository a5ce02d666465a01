//! Frames of the watch dialect.

use journal::Micros;
use schemas::event::{Entity, Log};
use schemas::{Body, Event};

use super::link::Connected;
use crate::dialect::text::{quoted, reset_members};
use crate::dialect::{Control, Dialect, Item, Look, Message};
use crate::subscription::Transport;

/// Writes logs and states for the socket, and logs for the event stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Frames;

impl Dialect for Frames {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn data(&self, look: Look<'_>, item: Item<'_>, cursor: &str, out: &mut Vec<u8>) -> bool {
        let event = match item {
            Item::Record(record) => record.event(),
            Item::Event(event) => Some(event),
            Item::Change(_) | Item::Document(_) => None,
        };
        let Some(event) = event else {
            return false;
        };
        let text = match (&event.body, look.transport) {
            (Body::Log(log), Transport::Sse) => self::log(event, log),
            (Body::Log(log), Transport::WebSocket) => {
                frame("log", &self::log(event, log), "", look.cursors.then_some(cursor))
            }
            (Body::Entity(entity), Transport::WebSocket) => {
                frame("state", &state(entity), "", look.cursors.then_some(cursor))
            }
            (
                Body::Entity(_)
                | Body::Telemetry(_)
                | Body::Presence(_)
                | Body::Lock(_)
                | Body::Location(_)
                | Body::Command(_)
                | Body::Alert(_)
                | Body::Device(_)
                | Body::Deleted,
                _,
            ) => return false,
        };
        out.extend_from_slice(text.as_bytes());
        true
    }

    fn control(
        &self,
        look: Look<'_>,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str> {
        let (name, text) = match (control, look.transport) {
            (Control::Reset(reset), Transport::WebSocket) if look.cursors => {
                let data = format!("{{\"cursor\":\"{cursor}\",{}}}", reset_members(reset));
                ("reset", frame("reset", &data, "", Some(cursor)))
            }
            (Control::Reset(reset), Transport::Sse) => (
                "reset",
                format!("{{\"cursor\":\"{cursor}\",{}}}", reset_members(reset)),
            ),
            (Control::KeepAlive { .. }, Transport::Sse) => ("keepalive", "{}".to_owned()),
            (Control::Fault { ending }, Transport::Sse) => {
                ("fault", format!("{{\"reason\":\"{}\"}}", ending.reason()))
            }
            (
                Control::Hello
                | Control::Reset(_)
                | Control::CaughtUp { .. }
                | Control::Degraded { .. }
                | Control::KeepAlive { .. }
                | Control::Updated
                | Control::Fault { .. },
                _,
            ) => return None,
        };
        out.extend_from_slice(text.as_bytes());
        Some(name)
    }

    fn comment(&self) -> Option<&'static str> {
        Some("keepalive")
    }
}

/// `{"event":…,"data":…}` with more members, which begin with a comma.
fn frame(event: &str, data: &str, more: &str, cursor: Option<&str>) -> String {
    let cursor = cursor.map_or_else(String::new, |cursor| format!(",\"cursor\":\"{cursor}\""));
    format!("{{\"event\":\"{event}\",\"data\":{data}{more}{cursor}}}")
}

/// A log that was there before the stream.
pub(super) fn replay(log: &str, cursor: Option<&str>) -> String {
    frame("log", log, ",\"replay\":true", cursor)
}

/// After the last of them.
pub(super) const HISTORY_COMPLETE: &str = "{\"event\":\"history_complete\"}";

/// The status.
pub(super) fn status(transport: Transport, connected: Connected, cursor: Option<&str>) -> Message {
    let since = since(connected.since);
    let data = format!(
        "{{\"connected\":{},\"connectedSince\":{since}}}",
        connected.is_connected
    );
    match transport {
        Transport::WebSocket => Message {
            event: None,
            text: frame("status", &data, "", cursor).into(),
            cursor: None,
        },
        Transport::Sse => Message {
            event: Some("status"),
            text: data.into(),
            cursor: cursor.map(Into::into),
        },
    }
}

/// Milliseconds, or null.
pub(super) fn since(at: Option<Micros>) -> String {
    at.map_or_else(|| "null".to_owned(), |at| millis(at).to_string())
}

/// What a log is for clients.
pub(super) fn log(event: &Event, log: &Log) -> String {
    format!(
        "{{\"id\":{},\"level\":\"{}\",\"message\":{},\"created_at\":{}}}",
        quoted(&event.id),
        log.level.word(),
        quoted(&log.message),
        millis(event.occurred_at),
    )
}

fn state(entity: &Entity) -> String {
    let mut value = Vec::with_capacity(24);
    entity.value.write_json(&mut value);
    format!(
        "{{\"entity_id\":{},\"value\":{},\"source\":{}}}",
        quoted(&entity.entity_id),
        String::from_utf8_lossy(&value),
        quoted(&entity.source),
    )
}

/// Milliseconds since the Unix epoch.
pub(super) const fn millis(at: Micros) -> Micros {
    at.div_euclid(1_000)
}
