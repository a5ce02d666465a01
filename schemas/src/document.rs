//! The current state of a device, and the change that an event made: the value of a
//! `wakeline.state` record and of a row of `devices`.

use std::collections::BTreeMap;

use crate::Micros;
use crate::event::{AlertStatus, CommandStatus, LockSource, Point, Status};
use crate::fields::{Fields, Scalar};

/// The current state of one device: a pure fold of its events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// Owner.
    pub tenant: Box<str>,
    /// The device.
    pub id: Box<str>,
    /// Display name.
    pub name: Option<Box<str>>,
    /// Kind of device.
    pub device_type: Option<Box<str>>,
    /// Site.
    pub site_id: Option<Box<str>>,
    /// Labels.
    pub tags: Vec<Box<str>>,
    /// JSON text of an object.
    pub attributes: Option<Box<str>>,
    /// Liveness, once known.
    pub status: Option<Status>,
    /// Whether a connection is open, once known.
    pub connected: Option<bool>,
    /// Since when it has been connected.
    pub connected_since: Option<Micros>,
    /// Receipt of the event that created it.
    pub created_at: Micros,
    /// Receipt of the last event that changed it.
    pub updated_at: Micros,
    /// Receipt of the last event that the device itself sent.
    pub last_seen_at: Option<Micros>,
    /// Where it is.
    pub location: Option<DeviceLocation>,
    /// Its lock.
    pub lock: Option<DeviceLock>,
    /// Entities by id.
    pub entities: BTreeMap<Box<str>, DeviceEntity>,
    /// Open commands, oldest first.
    pub commands: Vec<DeviceCommand>,
    /// Alerts that are not closed, oldest first.
    pub alerts: Vec<DeviceAlert>,
    /// Reported fields.
    pub fields: Fields,
    /// Grows by one with each event that changed the document.
    pub version: u64,
    /// What only the fold reads; not part of the public document.
    pub fold: FoldState,
}

/// What the fold must remember to be pure and idempotent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoldState {
    /// `occurred_at` of the newest telemetry folded.
    pub newest_telemetry_at: Option<Micros>,
    /// The session that connected last.
    pub session: Option<Box<str>>,
    /// xxh3-64 of the ids of the last 64 events, oldest first.
    pub recent: Vec<u64>,
    /// xxh3-64 of `alert/<id>` and `command/<id>` of the last 64 that ended, oldest first: a late step
    /// must not open them again.
    pub ended: Vec<u64>,
    /// Since when the device has its status.
    pub status_since: Option<Micros>,
    /// When a connection opened last or, without one, the device became ONLINE.
    pub last_connected_at: Option<Micros>,
    /// Its connection was closed, and it has not been silent since: that it is ONLINE comes of what it said
    /// before.
    pub has_left: bool,
}

/// Where a device is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeviceLocation {
    /// Its id.
    pub id: Option<Box<str>>,
    /// Its name.
    pub name: Option<Box<str>>,
    /// Its postal address.
    pub address: Option<Box<str>>,
    /// `outdoor`, `indoor`, …
    pub location_type: Option<Box<str>>,
    /// Whether it moves.
    pub is_mobile: Option<bool>,
    /// The position.
    pub geometry: Option<Point>,
}

/// A lock's state.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceLock {
    /// Locked or not.
    pub locked: bool,
    /// What moved it last.
    pub source: LockSource,
    /// Code of the card or keypad.
    pub code: Option<Box<str>>,
    /// JSON text of an object.
    pub metadata: Option<Box<str>>,
    /// `occurred_at` of the move.
    pub at: Micros,
}

/// An entity's state.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceEntity {
    /// Its value.
    pub value: Scalar,
    /// Who said so.
    pub source: Box<str>,
    /// `occurred_at` of the report.
    pub at: Micros,
}

/// An open command.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceCommand {
    /// Its id.
    pub command_id: Box<str>,
    /// Its type.
    pub command_type: Box<str>,
    /// JSON text of the input; secrets are encrypted.
    pub input: Option<Box<str>>,
    /// The connection that it runs over.
    pub connection: Option<Box<str>>,
    /// Progress.
    pub status: CommandStatus,
    /// Output so far.
    pub output: Option<Box<str>>,
    /// When it was made.
    pub created: Micros,
    /// When it last moved.
    pub modified: Micros,
    /// Who made it.
    pub by: Option<Box<str>>,
    /// When it expires.
    pub expires_at: Option<Micros>,
}

/// An alert that is not closed.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceAlert {
    /// Its id.
    pub alert_id: Box<str>,
    /// Its type.
    pub alert_type: Box<str>,
    /// Higher is graver.
    pub severity: i64,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// For people.
    pub summary: Box<str>,
    /// Progress.
    pub status: AlertStatus,
    /// The site that it concerns.
    pub site_id: Option<Box<str>>,
    /// When it opened.
    pub created_at: Micros,
}

/// The value of a `wakeline.state` record that is no tombstone.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The device after the event.
    pub document: Document,
    /// Dotted paths from the document's root (`fields.speed`), sorted.
    pub changed: Vec<Box<str>>,
    /// JSON text: the previous values of `changed`, nested like the document; `{}` for a new device.
    pub before: Box<str>,
    /// The event that made the change.
    pub event_id: Box<str>,
    /// `updated_at` before it; `None` for a new device, and in records of schema version 1.
    pub updated_before: Option<Micros>,
    /// `last_seen_at` before it, where there was one.
    pub last_seen_before: Option<Micros>,
}
