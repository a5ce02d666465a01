//! The records within `Body`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::fields::{FieldsRecord, ValueRecord};
use super::{DecodeError, finite, json_text, owned, word};
use crate::Micros;
use crate::event::{
    Alert, AlertStatus, Command, CommandStatus, Device, Entity, Level, Lock, LockSource, Log, Presence,
    PresenceReason, Status, Telemetry,
};

#[derive(Serialize, Deserialize)]
pub(super) struct TelemetryRecord<'a> {
    #[serde(default)]
    fields: FieldsRecord<'a>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PresenceRecord<'a> {
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
pub(super) struct LockRecord<'a> {
    locked: bool,
    source: &'a str,
    #[serde(default, borrow)]
    code: Option<&'a str>,
    #[serde(default)]
    metadata: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct LogRecord<'a> {
    #[serde(default = "log")]
    level: &'a str,
    message: &'a str,
}

const fn log() -> &'static str {
    Level::Log.word()
}

#[derive(Serialize, Deserialize)]
pub(super) struct EntityRecord<'a> {
    entity_id: &'a str,
    #[serde(default, borrow)]
    value: ValueRecord<'a>,
    #[serde(default = "user")]
    source: &'a str,
}

pub(super) const fn user() -> &'static str {
    "user"
}

#[derive(Serialize, Deserialize)]
pub(super) struct CommandRecord<'a> {
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
pub(super) struct AlertRecord<'a> {
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
pub(super) struct DeviceRecord<'a> {
    #[serde(borrow)]
    name: Option<&'a str>,
    r#type: Option<&'a str>,
    site_id: Option<&'a str>,
    tags: Option<Cow<'a, [Box<str>]>>,
    attributes: Option<&'a str>,
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

impl<'a> From<&'a Telemetry> for TelemetryRecord<'a> {
    fn from(it: &'a Telemetry) -> Self {
        Self {
            fields: FieldsRecord(Cow::Borrowed(&it.fields)),
        }
    }
}

impl From<TelemetryRecord<'_>> for Telemetry {
    fn from(it: TelemetryRecord<'_>) -> Self {
        Self {
            fields: it.fields.0.into_owned(),
        }
    }
}

impl<'a> From<&'a Log> for LogRecord<'a> {
    fn from(it: &'a Log) -> Self {
        Self {
            level: it.level.word(),
            message: &it.message,
        }
    }
}

impl<'a> From<&'a Entity> for EntityRecord<'a> {
    fn from(it: &'a Entity) -> Self {
        Self {
            entity_id: &it.entity_id,
            value: ValueRecord::from(&it.value),
            source: &it.source,
        }
    }
}
