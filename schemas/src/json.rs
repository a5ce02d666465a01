//! The native API's JSON.

use crate::document::{DeviceAlert, DeviceCommand, DeviceEntity, DeviceLocation, DeviceLock};
use crate::{Change, Document, Event, Micros, Scalar};

/// Bounds on an event that comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bounds on `fields`.
    pub fields: crate::fields::FlattenLimits,
    /// A time further ahead of receipt than this is not believed, in microseconds.
    pub ahead_us_max: i64,
    /// Characters of a log message.
    pub message_chars_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fields: Default::default(), ahead_us_max: 300_000_000, message_chars_max: 10_000 }
    }
}

/// What is known of an event before it is read.
#[derive(Debug, Clone)]
pub struct Intake<'a> {
    /// The tenant, where the event names none.
    pub tenant: Option<&'a str>,
    /// The device, where the event names none.
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

/// Why an event is refused; the message names the member and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidEvent {
    /// The member, `fields.a.b` style; empty when it is the whole.
    pub member: String,
    /// For people.
    pub message: String,
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
    let _unused = (text, intake, new_id);
    todo!()
}

/// Reads one event from a value that is parsed already.
///
/// # Errors
/// The first mistake found.
pub fn parse_event_value(
    value: serde_json::Value,
    intake: &Intake<'_>,
    new_id: &mut dyn FnMut() -> Box<str>,
) -> Result<ParsedEvent, InvalidEvent> {
    let _unused = (value, intake, new_id);
    todo!()
}

/// Whether this can name a device.
///
/// # Errors
/// What is wrong with it.
pub fn check_device(device: &str) -> Result<(), InvalidEvent> {
    let _unused = device;
    todo!()
}

/// Whether this can name a tenant.
///
/// # Errors
/// What is wrong with it.
pub fn check_tenant(tenant: &str) -> Result<(), InvalidEvent> {
    let _unused = tenant;
    todo!()
}

macro_rules! writers { ($($(#[$doc:meta])* $name:ident($what:ty);)+) => {$(
    $(#[$doc])*
    pub fn $name(value: $what, out: &mut Vec<u8>) { let _unused = (value, out); todo!() }
)+} }
writers! {
    /// An event as streams and history give it.
    write_event(&Event);
    /// A device document as the API gives it.
    write_document(&Document);
    /// `{"device":{…},"changed":[…],"before":{…}}`.
    write_change(&Change);
    /// Member `location` of a document.
    write_location(&DeviceLocation);
    /// Member `lock` of a document.
    write_lock(&DeviceLock);
    /// One value of member `entities` of a document.
    write_entity(&DeviceEntity);
    /// One item of member `commands` of a document, secrets masked.
    write_command(&DeviceCommand);
    /// One item of member `alerts` of a document.
    write_alert(&DeviceAlert);
    /// One value.
    write_scalar(&Scalar);
    /// RFC 3339 in UTC with milliseconds, quoted.
    write_time(Micros);
    /// A quoted, escaped string.
    write_string(&str);
}
