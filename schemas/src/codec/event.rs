//! The record `Event`. Members stand in the order of the schema, so that nothing is buffered.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::fields::{FieldsRecord, ValueRecord};
use super::{DecodeError, finite, json_text, owned, word};
use crate::event::{
    Alert, AlertStatus, Command, CommandStatus, Device, Entity, Level, Location, Lock, LockSource, Log,
    Point, Presence, PresenceReason, Status, Telemetry,
};
use crate::{Body, Event, Kind, Micros};

#[derive(Serialize, Deserialize)]
pub(super) struct EventRecord<'a> {
    id: &'a str,
    tenant: &'a str,
    device: &'a str,
    occurred_at: Micros,
    received_at: Micros,
    #[serde(default)]
    claimed_at: Option<Micros>,
    #[serde(default)]
    seq: Option<i64>,
    kind: &'a str,
    #[serde(borrow)]
    body: BodyRecord<'a>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct BodyRecord<'a> {
    telemetry: Option<TelemetryRecord<'a>>,
    #[serde(borrow)]
    presence: Option<PresenceRecord<'a>>,
    lock: Option<LockRecord<'a>>,
    log: Option<LogRecord<'a>>,
    entity: Option<EntityRecord<'a>>,
    location: Option<LocationRecord<'a>>,
    command: Option<CommandRecord<'a>>,
    alert: Option<AlertRecord<'a>>,
    device: Option<DeviceRecord<'a>>,
    deleted: Option<bool>,
}

#[derive(Serialize, Deserialize)]
struct TelemetryRecord<'a> {
    #[serde(default)]
    fields: FieldsRecord<'a>,
}

#[derive(Serialize, Deserialize)]
struct PresenceRecord<'a> {
    #[serde(default)]
    connected: Option<bool>,
    #[serde(default)]
    status: Option<&'a str>,
    #[serde(default)]
    previous: Option<&'a str>,
    #[serde(default = "report")]
    reason: &'a str,
    #[serde(default)]
    session: Option<&'a str>,
}

const fn report() -> &'static str {
    PresenceReason::Report.word()
}

#[derive(Serialize, Deserialize)]
struct LockRecord<'a> {
    locked: bool,
    source: &'a str,
    #[serde(default, borrow)]
    code: Option<&'a str>,
    #[serde(default)]
    metadata: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct LogRecord<'a> {
    #[serde(default = "log")]
    level: &'a str,
    message: &'a str,
}

const fn log() -> &'static str {
    Level::Log.word()
}

#[derive(Serialize, Deserialize)]
struct EntityRecord<'a> {
    entity_id: &'a str,
    #[serde(default, borrow)]
    value: ValueRecord<'a>,
    #[serde(default = "user")]
    source: &'a str,
}

pub(super) const fn user() -> &'static str {
    "user"
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct PointRecord {
    longitude: f64,
    latitude: f64,
    #[serde(default)]
    altitude: Option<f64>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct LocationRecord<'a> {
    #[serde(borrow)]
    id: Option<&'a str>,
    name: Option<&'a str>,
    address: Option<&'a str>,
    r#type: Option<&'a str>,
    is_mobile: Option<bool>,
    geometry: Option<PointRecord>,
}

#[derive(Serialize, Deserialize)]
struct CommandRecord<'a> {
    command_id: &'a str,
    r#type: &'a str,
    #[serde(default, borrow)]
    input: Option<&'a str>,
    #[serde(default)]
    connection: Option<&'a str>,
    status: &'a str,
    #[serde(default)]
    output: Option<&'a str>,
    created: Micros,
    #[serde(default)]
    by: Option<&'a str>,
    #[serde(default)]
    expires_at: Option<Micros>,
}

#[derive(Serialize, Deserialize)]
struct AlertRecord<'a> {
    alert_id: &'a str,
    alert_type: &'a str,
    #[serde(default)]
    severity: i64,
    #[serde(default)]
    confidence: Option<f64>,
    #[serde(default)]
    summary: &'a str,
    status: &'a str,
    #[serde(default, borrow)]
    site_id: Option<&'a str>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct DeviceRecord<'a> {
    #[serde(borrow)]
    name: Option<&'a str>,
    r#type: Option<&'a str>,
    site_id: Option<&'a str>,
    tags: Option<Cow<'a, [Box<str>]>>,
    attributes: Option<&'a str>,
}

impl<'a> From<&'a Event> for EventRecord<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            id: &event.id,
            tenant: &event.tenant,
            device: &event.device,
            occurred_at: event.occurred_at,
            received_at: event.received_at,
            claimed_at: event.claimed_at,
            seq: event.seq,
            kind: event.body.kind().name(),
            body: BodyRecord::from(&event.body),
        }
    }
}

impl<'a> From<&'a Body> for BodyRecord<'a> {
    fn from(body: &'a Body) -> Self {
        let none = Self::default();
        match body {
            Body::Telemetry(it) => {
                let fields = FieldsRecord(Cow::Borrowed(&it.fields));
                Self {
                    telemetry: Some(TelemetryRecord { fields }),
                    ..none
                }
            }
            Body::Presence(it) => Self {
                presence: Some(it.into()),
                ..none
            },
            Body::Lock(it) => Self {
                lock: Some(it.into()),
                ..none
            },
            Body::Log(it) => Self {
                log: Some(LogRecord {
                    level: it.level.word(),
                    message: &it.message,
                }),
                ..none
            },
            Body::Entity(it) => {
                let value = ValueRecord::from(&it.value);
                let record = EntityRecord {
                    entity_id: &it.entity_id,
                    value,
                    source: &it.source,
                };
                Self {
                    entity: Some(record),
                    ..none
                }
            }
            Body::Location(it) => Self {
                location: Some(it.into()),
                ..none
            },
            Body::Command(it) => Self {
                command: Some(it.into()),
                ..none
            },
            Body::Alert(it) => Self {
                alert: Some(it.into()),
                ..none
            },
            Body::Device(it) => Self {
                device: Some(it.into()),
                ..none
            },
            Body::Deleted => Self {
                deleted: Some(true),
                ..none
            },
        }
    }
}

impl TryFrom<EventRecord<'_>> for Event {
    type Error = DecodeError;

    fn try_from(record: EventRecord<'_>) -> Result<Self, DecodeError> {
        let known = Kind::ALL.map(Kind::name);
        let kind = word("kind", record.kind, &known, Kind::from_name)?;
        Ok(Self {
            id: record.id.into(),
            tenant: record.tenant.into(),
            device: record.device.into(),
            occurred_at: record.occurred_at,
            received_at: record.received_at,
            claimed_at: record.claimed_at,
            seq: record.seq,
            body: record.body.read(kind)?,
        })
    }
}

impl BodyRecord<'_> {
    fn read(self, kind: Kind) -> Result<Body, DecodeError> {
        let body = match kind {
            Kind::Telemetry => self.telemetry.map(|it| {
                Body::Telemetry(Telemetry {
                    fields: it.fields.0.into_owned(),
                })
            }),
            Kind::Presence => self
                .presence
                .map(Presence::try_from)
                .transpose()?
                .map(Body::Presence),
            Kind::Lock => self.lock.map(Lock::try_from).transpose()?.map(Body::Lock),
            Kind::Log => self.log.map(Log::try_from).transpose()?.map(Body::Log),
            Kind::Entity => self.entity.map(Entity::try_from).transpose()?.map(Body::Entity),
            Kind::Location => self
                .location
                .map(Location::try_from)
                .transpose()?
                .map(Body::Location),
            Kind::Command => self
                .command
                .map(Command::try_from)
                .transpose()?
                .map(Body::Command),
            Kind::Alert => self.alert.map(Alert::try_from).transpose()?.map(Body::Alert),
            Kind::Device => self.device.map(Device::try_from).transpose()?.map(Body::Device),
            Kind::Deleted => Some(Body::Deleted),
        };
        body.ok_or_else(|| {
            DecodeError::member(
                "body",
                format!("kind is {:?} but that member is null", kind.name()),
            )
        })
    }
}

impl<'a> From<&'a Presence> for PresenceRecord<'a> {
    fn from(it: &'a Presence) -> Self {
        Self {
            connected: it.connected,
            status: it.status.map(Status::word),
            previous: it.previous.map(Status::word),
            reason: it.reason.word(),
            session: it.session.as_deref(),
        }
    }
}

impl TryFrom<PresenceRecord<'_>> for Presence {
    type Error = DecodeError;

    fn try_from(it: PresenceRecord<'_>) -> Result<Self, DecodeError> {
        let status = |found: Option<&str>| {
            found
                .map(|found| word("body.presence.status", found, Status::WORDS, Status::from_word))
                .transpose()
        };
        Ok(Self {
            connected: it.connected,
            status: status(it.status)?,
            previous: status(it.previous)?,
            reason: word(
                "body.presence.reason",
                it.reason,
                PresenceReason::WORDS,
                PresenceReason::from_word,
            )?,
            session: owned(it.session),
        })
    }
}

impl<'a> From<&'a Lock> for LockRecord<'a> {
    fn from(it: &'a Lock) -> Self {
        Self {
            locked: it.locked,
            source: it.source.word(),
            code: it.code.as_deref(),
            metadata: it.metadata.as_deref(),
        }
    }
}

impl TryFrom<LockRecord<'_>> for Lock {
    type Error = DecodeError;

    fn try_from(it: LockRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            locked: it.locked,
            source: word(
                "body.lock.source",
                it.source,
                LockSource::WORDS,
                LockSource::from_word,
            )?,
            code: owned(it.code),
            metadata: json_text::checked_option("body.lock.metadata", it.metadata)?,
        })
    }
}

impl TryFrom<LogRecord<'_>> for Log {
    type Error = DecodeError;

    fn try_from(it: LogRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            level: word("body.log.level", it.level, Level::WORDS, Level::from_word)?,
            message: it.message.into(),
        })
    }
}

impl TryFrom<EntityRecord<'_>> for Entity {
    type Error = DecodeError;

    fn try_from(it: EntityRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            entity_id: it.entity_id.into(),
            value: it.value.try_into()?,
            source: it.source.into(),
        })
    }
}

impl From<&Point> for PointRecord {
    fn from(it: &Point) -> Self {
        Self {
            longitude: it.longitude,
            latitude: it.latitude,
            altitude: it.altitude,
        }
    }
}

impl TryFrom<PointRecord> for Point {
    type Error = DecodeError;

    fn try_from(it: PointRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            longitude: finite("geometry.longitude", it.longitude)?,
            latitude: finite("geometry.latitude", it.latitude)?,
            altitude: it
                .altitude
                .map(|altitude| finite("geometry.altitude", altitude))
                .transpose()?,
        })
    }
}

impl<'a> From<&'a Location> for LocationRecord<'a> {
    fn from(it: &'a Location) -> Self {
        Self {
            id: it.id.as_deref(),
            name: it.name.as_deref(),
            address: it.address.as_deref(),
            r#type: it.location_type.as_deref(),
            is_mobile: it.is_mobile,
            geometry: it.geometry.as_ref().map(PointRecord::from),
        }
    }
}

impl TryFrom<LocationRecord<'_>> for Location {
    type Error = DecodeError;

    fn try_from(it: LocationRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: owned(it.id),
            name: owned(it.name),
            address: owned(it.address),
            location_type: owned(it.r#type),
            is_mobile: it.is_mobile,
            geometry: it.geometry.map(Point::try_from).transpose()?,
        })
    }
}

impl<'a> From<&'a Command> for CommandRecord<'a> {
    fn from(it: &'a Command) -> Self {
        Self {
            command_id: &it.command_id,
            r#type: &it.command_type,
            input: it.input.as_deref(),
            connection: it.connection.as_deref(),
            status: it.status.word(),
            output: it.output.as_deref(),
            created: it.created,
            by: it.by.as_deref(),
            expires_at: it.expires_at,
        }
    }
}

impl TryFrom<CommandRecord<'_>> for Command {
    type Error = DecodeError;

    fn try_from(it: CommandRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            command_id: it.command_id.into(),
            command_type: it.r#type.into(),
            input: json_text::checked_option("body.command.input", it.input)?,
            connection: owned(it.connection),
            status: command_status("body.command.status", it.status)?,
            output: owned(it.output),
            created: it.created,
            by: owned(it.by),
            expires_at: it.expires_at,
        })
    }
}

pub(super) fn command_status(member: &'static str, found: &str) -> Result<CommandStatus, DecodeError> {
    word(member, found, CommandStatus::WORDS, CommandStatus::from_word)
}

impl<'a> From<&'a Alert> for AlertRecord<'a> {
    fn from(it: &'a Alert) -> Self {
        Self {
            alert_id: &it.alert_id,
            alert_type: &it.alert_type,
            severity: it.severity,
            confidence: it.confidence,
            summary: &it.summary,
            status: it.status.word(),
            site_id: it.site_id.as_deref(),
        }
    }
}

impl TryFrom<AlertRecord<'_>> for Alert {
    type Error = DecodeError;

    fn try_from(it: AlertRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            alert_id: it.alert_id.into(),
            alert_type: it.alert_type.into(),
            severity: it.severity,
            confidence: it
                .confidence
                .map(|value| finite("body.alert.confidence", value))
                .transpose()?,
            summary: it.summary.into(),
            status: alert_status("body.alert.status", it.status)?,
            site_id: owned(it.site_id),
        })
    }
}

pub(super) fn alert_status(member: &'static str, found: &str) -> Result<AlertStatus, DecodeError> {
    word(member, found, AlertStatus::WORDS, AlertStatus::from_word)
}

impl<'a> From<&'a Device> for DeviceRecord<'a> {
    fn from(it: &'a Device) -> Self {
        Self {
            name: it.name.as_deref(),
            r#type: it.device_type.as_deref(),
            site_id: it.site_id.as_deref(),
            tags: it.tags.as_deref().map(Cow::Borrowed),
            attributes: it.attributes.as_deref(),
        }
    }
}

impl TryFrom<DeviceRecord<'_>> for Device {
    type Error = DecodeError;

    fn try_from(it: DeviceRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: owned(it.name),
            device_type: owned(it.r#type),
            site_id: owned(it.site_id),
            tags: it.tags.map(Cow::into_owned),
            attributes: json_text::checked_option("body.device.attributes", it.attributes)?,
        })
    }
}
