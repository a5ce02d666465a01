//! The record `Event`. Members stand in the order of the schema, so that nothing is buffered.

use serde::{Deserialize, Serialize};

use super::DecodeError;
use super::body::{
    AlertRecord, CommandRecord, DeviceRecord, EntityRecord, LockRecord, LogRecord, PresenceRecord,
    TelemetryRecord,
};
use super::location::LocationRecord;
use super::word;
use crate::event::{Alert, Command, Device, Entity, Location, Lock, Log, Presence, Telemetry};
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
            Body::Telemetry(it) => Self {
                telemetry: Some(it.into()),
                ..none
            },
            Body::Presence(it) => Self {
                presence: Some(it.into()),
                ..none
            },
            Body::Lock(it) => Self {
                lock: Some(it.into()),
                ..none
            },
            Body::Log(it) => Self {
                log: Some(it.into()),
                ..none
            },
            Body::Entity(it) => Self {
                entity: Some(it.into()),
                ..none
            },
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
            Kind::Telemetry => self.telemetry.map(Telemetry::from).map(Body::Telemetry),
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
