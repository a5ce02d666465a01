//! The JSON in which the native API speaks of events, devices and changes.
//!
//! Coming in, everything is checked and the first mistake is named. Going out, everything is written
//! straight into a buffer: absent rather than null, on one line, secrets masked.

mod body;
mod document;
mod event;
mod hardware;
mod mask;
mod members;
mod object;

use serde_json::Value;

pub use body::cut_message;
pub use document::{
    MERGED_NAMES, write_alert, write_change, write_command, write_document, write_entity, write_location,
    write_lock, write_merged_document,
};
pub use event::write_event;
pub(crate) use event::{Head, write_telemetry};
pub use hardware::hardware_entity;
pub use mask::{MASK, SEALED, masked, replace_secrets, sealed};
pub use members::InvalidEvent;

use crate::event::Event;
use crate::fields::FlattenLimits;
use crate::{Micros, Scalar, token};
use members::Members;

/// Longest device id, in bytes.
pub const DEVICE_BYTES_MAX: usize = 200;

/// Longest tenant id, in bytes.
pub const TENANT_BYTES_MAX: usize = 64;

/// Bounds on an event that comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bounds on `fields`.
    pub fields: FlattenLimits,
    /// A time further ahead of receipt than this is not believed, in microseconds.
    pub ahead_us_max: i64,
    /// Characters of a log message; more are cut.
    pub message_chars_max: usize,
    /// Bytes of an id: of the event, an entity, a command, an alert, a location, a session.
    pub id_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fields: FlattenLimits::default(),
            ahead_us_max: 300_000_000,
            message_chars_max: 10_000,
            id_bytes_max: 200,
        }
    }
}

/// What is known of an event before it is read.
#[derive(Debug, Clone, Copy)]
pub struct Intake<'a> {
    /// The tenant, where the event names none; without either the event is refused.
    pub tenant: Option<&'a str>,
    /// The device, where the event names none; without either the event is refused.
    pub device: Option<&'a str>,
    /// When it came.
    pub received_at: Micros,
    /// Bounds.
    pub limits: &'a Limits,
}

/// An event as it was read; the caller still judges who may send it.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedEvent {
    /// The event.
    pub event: Event,
    /// Whether the event itself named `event.tenant`.
    pub named_tenant: bool,
    /// Names of the members of a command's `input` that the sender calls secret.
    pub secrets: Vec<Box<str>>,
}

/// Reads one event from JSON text (an item of an array as `&RawValue`, or a line of NDJSON).
///
/// # Errors
/// The first mistake found.
pub fn parse_event(
    text: &str,
    intake: &Intake<'_>,
    new_id: &mut dyn FnMut() -> Box<str>,
) -> Result<ParsedEvent, InvalidEvent> {
    let value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    parse_event_value(value, intake, new_id)
}

/// Reads one event from a value that is parsed already.
///
/// # Errors
/// The first mistake found.
pub fn parse_event_value(
    value: Value,
    intake: &Intake<'_>,
    new_id: &mut dyn FnMut() -> Box<str>,
) -> Result<ParsedEvent, InvalidEvent> {
    let Value::Object(object) = value else {
        let found = members::describe(&value);
        return Err(InvalidEvent::whole(format!(
            "an event is a JSON object, not {found}"
        )));
    };
    let mut members = Members::new(object, intake.limits);
    let device = members.text("device")?;
    let device = device.as_deref().or(intake.device).ok_or_else(|| {
        InvalidEvent::at(
            "device",
            "\"device\" is missing: name the device that sent the event",
        )
    })?;
    check_device(device)?;
    let device = Box::from(device);

    let tenant = members.text("tenant")?;
    let named_tenant = tenant.is_some();
    let tenant = tenant.as_deref().or(intake.tenant).ok_or_else(|| {
        InvalidEvent::at(
            "tenant",
            "\"tenant\" is missing: name the tenant in the event or as ?tenant=",
        )
    })?;
    check_tenant(tenant)?;
    let tenant = Box::from(tenant);

    let claimed = members.time("time")?;
    let believed_until = intake.received_at.saturating_add(intake.limits.ahead_us_max);
    let (occurred_at, claimed_at) = match claimed {
        Some(claimed) if claimed > believed_until => (intake.received_at, Some(claimed)),
        Some(claimed) => (claimed, None),
        None => (intake.received_at, None),
    };
    let id = members.id("id")?;
    let seq = members.integer("seq")?;
    let (body, secrets) = body::read(&mut members, occurred_at)?;
    let id = id.unwrap_or_else(new_id);
    let event = Event {
        id,
        tenant,
        device,
        occurred_at,
        received_at: intake.received_at,
        claimed_at,
        seq,
        body,
    };
    Ok(ParsedEvent {
        event,
        named_tenant,
        secrets,
    })
}

fn not_json(error: &serde_json::Error) -> InvalidEvent {
    let found = error.to_string();
    InvalidEvent::whole(if found.starts_with("recursion limit") {
        "nested more than 127 levels deep; flatten it or send it as text".to_owned()
    } else if error.is_eof() {
        format!("not JSON: it is cut off ({found})")
    } else {
        format!("not JSON: {found} (NaN and Infinity are not JSON either)")
    })
}

/// Whether this can name a device: 1 to 200 bytes without control characters or commas, and not below
/// `default/`, which means devices without a project.
///
/// # Errors
/// What is wrong with it.
pub fn check_device(device: &str) -> Result<(), InvalidEvent> {
    let refuse = |reason: String| Err(InvalidEvent::at("device", format!("\"device\" {reason}")));
    if device.is_empty() || device.len() > DEVICE_BYTES_MAX {
        return refuse(format!(
            "must have 1 to {DEVICE_BYTES_MAX} bytes, not {}",
            device.len()
        ));
    }
    if device.chars().any(char::is_control) {
        return refuse("must not contain control characters".to_owned());
    }
    if device.contains(',') {
        return refuse("must not contain commas, because lists of devices are separated by them".to_owned());
    }
    if device.starts_with("default/") {
        return refuse("must not start with \"default/\": that project means devices without one".to_owned());
    }
    Ok(())
}

/// Whether this can name a tenant: `[A-Za-z0-9._-]{1,64}`.
///
/// # Errors
/// What is wrong with it.
pub fn check_tenant(tenant: &str) -> Result<(), InvalidEvent> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if tenant.is_empty() || tenant.len() > TENANT_BYTES_MAX || !tenant.bytes().all(good) {
        let message = format!("\"tenant\" must have 1 to {TENANT_BYTES_MAX} of A-Z a-z 0-9 . _ -");
        return Err(InvalidEvent::at("tenant", message));
    }
    Ok(())
}

/// RFC 3339 in UTC with milliseconds, quoted.
pub fn write_time(at: Micros, out: &mut Vec<u8>) {
    token::time(at, out);
}

/// One value as JSON.
pub fn write_scalar(value: &Scalar, out: &mut Vec<u8>) {
    value.write_json(out);
}

/// A quoted, escaped string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    token::string(text, out);
}

#[cfg(test)]
mod tests;
