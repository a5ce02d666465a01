//! The records within `Document`.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::body::{alert_status, command_status, user};
use super::fields::ValueRecord;
use super::{DecodeError, finite, json_text, owned, word};
use crate::Micros;
use crate::document::{DeviceAlert, DeviceCommand, DeviceEntity, DeviceLock, FoldState};
use crate::event::LockSource;

#[derive(Serialize, Deserialize)]
pub(super) struct LockRecord<'a> {
    locked: bool,
    source: &'a str,
    #[serde(default, borrow)]
    code: Option<&'a str>,
    #[serde(default)]
    metadata: Option<&'a str>,
    at: Micros,
}

/// A map as pairs: read once, in the order of the log, and sorted by the noun.
#[derive(Default)]
pub(super) struct Entities<'a>(pub(super) Vec<(&'a str, EntityRecord<'a>)>);

#[derive(Serialize, Deserialize)]
pub(super) struct EntityRecord<'a> {
    #[serde(default, borrow)]
    value: ValueRecord<'a>,
    #[serde(default = "user")]
    source: &'a str,
    at: Micros,
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
    modified: Micros,
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
    created_at: Micros,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FoldRecord<'a> {
    newest_telemetry_at: Option<Micros>,
    #[serde(borrow)]
    session: Option<&'a str>,
    recent: Vec<i64>,
    ended: Vec<i64>,
    status_since: Option<Micros>,
    last_connected_at: Option<Micros>,
    has_left: bool,
}

impl Serialize for Entities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(id, entity)| (id, entity)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entities<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Entities<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map of entities")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Entities(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl<'a> From<&'a DeviceLock> for LockRecord<'a> {
    fn from(it: &'a DeviceLock) -> Self {
        Self {
            locked: it.locked,
            source: it.source.word(),
            code: it.code.as_deref(),
            metadata: it.metadata.as_deref(),
            at: it.at,
        }
    }
}

impl TryFrom<LockRecord<'_>> for DeviceLock {
    type Error = DecodeError;

    fn try_from(it: LockRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            locked: it.locked,
            source: word("lock.source", it.source, LockSource::WORDS, LockSource::from_word)?,
            code: owned(it.code),
            metadata: json_text::checked_option("lock.metadata", it.metadata)?,
            at: it.at,
        })
    }
}

impl<'a> From<&'a DeviceEntity> for EntityRecord<'a> {
    fn from(it: &'a DeviceEntity) -> Self {
        Self {
            value: ValueRecord::from(&it.value),
            source: &it.source,
            at: it.at,
        }
    }
}

impl TryFrom<EntityRecord<'_>> for DeviceEntity {
    type Error = DecodeError;

    fn try_from(it: EntityRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            value: it.value.try_into()?,
            source: it.source.into(),
            at: it.at,
        })
    }
}

impl<'a> From<&'a DeviceCommand> for CommandRecord<'a> {
    fn from(it: &'a DeviceCommand) -> Self {
        Self {
            command_id: &it.command_id,
            r#type: &it.command_type,
            input: it.input.as_deref(),
            connection: it.connection.as_deref(),
            status: it.status.word(),
            output: it.output.as_deref(),
            created: it.created,
            modified: it.modified,
            by: it.by.as_deref(),
            expires_at: it.expires_at,
        }
    }
}

impl TryFrom<CommandRecord<'_>> for DeviceCommand {
    type Error = DecodeError;

    fn try_from(it: CommandRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            command_id: it.command_id.into(),
            command_type: it.r#type.into(),
            input: json_text::checked_option("commands.input", it.input)?,
            connection: owned(it.connection),
            status: command_status("commands.status", it.status)?,
            output: owned(it.output),
            created: it.created,
            modified: it.modified,
            by: owned(it.by),
            expires_at: it.expires_at,
        })
    }
}

impl<'a> From<&'a DeviceAlert> for AlertRecord<'a> {
    fn from(it: &'a DeviceAlert) -> Self {
        Self {
            alert_id: &it.alert_id,
            alert_type: &it.alert_type,
            severity: it.severity,
            confidence: it.confidence,
            summary: &it.summary,
            status: it.status.word(),
            site_id: it.site_id.as_deref(),
            created_at: it.created_at,
        }
    }
}

impl TryFrom<AlertRecord<'_>> for DeviceAlert {
    type Error = DecodeError;

    fn try_from(it: AlertRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            alert_id: it.alert_id.into(),
            alert_type: it.alert_type.into(),
            severity: it.severity,
            confidence: it
                .confidence
                .map(|value| finite("alerts.confidence", value))
                .transpose()?,
            summary: it.summary.into(),
            status: alert_status("alerts.status", it.status)?,
            site_id: owned(it.site_id),
            created_at: it.created_at,
        })
    }
}

impl<'a> From<&'a FoldState> for FoldRecord<'a> {
    fn from(it: &'a FoldState) -> Self {
        let signed = |hashes: &[u64]| hashes.iter().map(|hash| hash.cast_signed()).collect();
        Self {
            newest_telemetry_at: it.newest_telemetry_at,
            session: it.session.as_deref(),
            recent: signed(&it.recent),
            ended: signed(&it.ended),
            status_since: it.status_since,
            last_connected_at: it.last_connected_at,
            has_left: it.has_left,
        }
    }
}

impl From<FoldRecord<'_>> for FoldState {
    fn from(it: FoldRecord<'_>) -> Self {
        let unsigned = |hashes: Vec<i64>| hashes.into_iter().map(i64::cast_unsigned).collect();
        Self {
            newest_telemetry_at: it.newest_telemetry_at,
            session: owned(it.session),
            recent: unsigned(it.recent),
            ended: unsigned(it.ended),
            status_since: it.status_since,
            last_connected_at: it.last_connected_at,
            has_left: it.has_left,
        }
    }
}
