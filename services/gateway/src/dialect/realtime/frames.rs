//! Frames of the realtime dialect.

use std::sync::Arc;

use access::Principal;
use schemas::event::{Lock, LockSource};
use schemas::{Body, Event, Micros};

use super::is_scoped;
use crate::dialect::text::{quoted, reset_members, time};
use crate::dialect::{Control, Dialect, Item, Look};
use crate::subscription::{DeviceSet, Selection, Subscription, Transport};

/// Writes telemetry and locks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Frames;

impl Dialect for Frames {
    fn name(&self) -> &'static str {
        "realtime"
    }

    fn data(&self, look: Look<'_>, item: Item<'_>, cursor: &str, out: &mut Vec<u8>) -> bool {
        let event = match item {
            Item::Record(record) => record.event(),
            Item::Event(event) => Some(event),
            Item::Change(_) | Item::Document(_) => None,
        };
        let Some((kind, members)) = event.and_then(|event| Some((event, members(event)?))) else {
            return false;
        };
        let cursor = look.cursors.then_some(cursor);
        out.extend_from_slice(frame(kind, &members, cursor).as_bytes());
        true
    }

    /// A user who has no list of devices any more has none here.
    fn rescope(&self, subscription: &Subscription, principal: &Principal) -> Selection {
        let mut selection = subscription.selection.clone();
        if let DeviceSet::Set(devices) = &selection.devices
            && !is_scoped(principal)
            && !devices.is_empty()
        {
            selection.devices = DeviceSet::Set(Arc::default());
        }
        selection
    }

    fn control(
        &self,
        look: Look<'_>,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str> {
        let Control::Reset(reset) = control else {
            return None;
        };
        if !look.cursors || look.transport != Transport::WebSocket {
            return None;
        }
        let members = reset_members(reset);
        out.extend_from_slice(format!("{{\"type\":\"reset\",\"cursor\":\"{cursor}\",{members}}}").as_bytes());
        Some("reset")
    }
}

/// Type and members between the device and the time.
struct Members {
    kind: &'static str,
    text: String,
}

fn members(event: &Event) -> Option<Members> {
    match &event.body {
        Body::Telemetry(telemetry) if !telemetry.fields.0.is_empty() => {
            let mut payload = Vec::with_capacity(256);
            telemetry.fields.write_json(&mut payload);
            Some(Members {
                kind: "device_data",
                text: format!("\"payload\":{}", String::from_utf8_lossy(&payload)),
            })
        }
        Body::Lock(lock) => Some(Members {
            kind: if lock.locked {
                "device_locked"
            } else {
                "device_unlocked"
            },
            text: format!("\"eventId\":{},{}", quoted(&event.id), lock_members(lock)),
        }),
        Body::Telemetry(_)
        | Body::Presence(_)
        | Body::Log(_)
        | Body::Entity(_)
        | Body::Location(_)
        | Body::Command(_)
        | Body::Alert(_)
        | Body::Device(_)
        | Body::Deleted => None,
    }
}

/// A code only of what has one, metadata only of a remote command.
pub(super) fn lock_members(lock: &Lock) -> String {
    let mut text = format!("\"source\":\"{}\"", lock.source.word());
    let has_code = matches!(lock.source, LockSource::Rfid | LockSource::Keypad);
    if let Some(code) = lock.code.as_deref().filter(|_| has_code) {
        text.push_str(&format!(",\"code\":{}", quoted(code)));
    }
    let is_remote = lock.source == LockSource::Remote;
    if let Some(metadata) = lock.metadata.as_deref().filter(|_| is_remote) {
        text.push_str(&format!(",\"metadata\":{metadata}"));
    }
    text
}

fn frame(event: &Event, members: &Members, cursor: Option<&str>) -> String {
    let Members { kind, text } = members;
    envelope(kind, &event.device, text, event.occurred_at, cursor)
}

/// `device_status`.
pub(super) fn status(device: &str, is_online: bool, at: Micros, cursor: Option<&str>) -> String {
    let payload = format!("\"payload\":{{\"is_online\":{is_online}}}");
    envelope("device_status", device, &payload, at, cursor)
}

fn envelope(kind: &str, device: &str, members: &str, at: Micros, cursor: Option<&str>) -> String {
    let cursor = cursor.map_or_else(String::new, |cursor| format!(",\"cursor\":\"{cursor}\""));
    format!(
        "{{\"type\":\"{kind}\",\"hardwareId\":{},{members},\"timestamp\":{}{cursor}}}",
        quoted(device),
        time(at),
    )
}
