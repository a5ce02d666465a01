//! The records `Change` and `Document`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::document::{AlertRecord, CommandRecord, Entities, EntityRecord, FoldRecord, LockRecord};
use super::fields::FieldsRecord;
use super::location::LocationRecord;
use super::{DecodeError, json_text, owned, word};
use crate::document::{DeviceAlert, DeviceCommand, DeviceLocation, DeviceLock};
use crate::event::Status;
use crate::{Change, Document, Micros};

#[derive(Serialize, Deserialize)]
pub(super) struct ChangeRecord<'a> {
    #[serde(borrow)]
    document: DocumentRecord<'a>,
    #[serde(default)]
    changed: Cow<'a, [Box<str>]>,
    #[serde(default = "empty_object")]
    before: &'a str,
    #[serde(default)]
    event_id: &'a str,
    #[serde(default)]
    updated_before: Option<Micros>,
    #[serde(default)]
    last_seen_before: Option<Micros>,
}

const fn empty_object() -> &'static str {
    "{}"
}

#[derive(Serialize, Deserialize)]
pub(super) struct DocumentRecord<'a> {
    tenant: &'a str,
    id: &'a str,
    #[serde(default, borrow)]
    name: Option<&'a str>,
    #[serde(default)]
    r#type: Option<&'a str>,
    #[serde(default)]
    site_id: Option<&'a str>,
    #[serde(default)]
    tags: Cow<'a, [Box<str>]>,
    #[serde(default)]
    attributes: Option<&'a str>,
    #[serde(default)]
    status: Option<&'a str>,
    #[serde(default)]
    connected: Option<bool>,
    #[serde(default)]
    connected_since: Option<Micros>,
    created_at: Micros,
    updated_at: Micros,
    #[serde(default)]
    last_seen_at: Option<Micros>,
    #[serde(default)]
    location: Option<LocationRecord<'a>>,
    #[serde(default)]
    lock: Option<LockRecord<'a>>,
    #[serde(default)]
    entities: Entities<'a>,
    #[serde(default)]
    commands: Vec<CommandRecord<'a>>,
    #[serde(default)]
    alerts: Vec<AlertRecord<'a>>,
    #[serde(default)]
    fields: FieldsRecord<'a>,
    version: i64,
    #[serde(default)]
    fold: FoldRecord<'a>,
}

impl<'a> From<&'a Change> for ChangeRecord<'a> {
    fn from(it: &'a Change) -> Self {
        Self {
            document: DocumentRecord::from(&it.document),
            changed: Cow::Borrowed(&it.changed),
            before: &it.before,
            event_id: &it.event_id,
            updated_before: it.updated_before,
            last_seen_before: it.last_seen_before,
        }
    }
}

impl TryFrom<ChangeRecord<'_>> for Change {
    type Error = DecodeError;

    fn try_from(it: ChangeRecord<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            document: it.document.try_into()?,
            changed: it.changed.into_owned(),
            before: json_text::checked("before", it.before)?,
            event_id: it.event_id.into(),
            updated_before: it.updated_before,
            last_seen_before: it.last_seen_before,
        })
    }
}

impl<'a> From<&'a Document> for DocumentRecord<'a> {
    fn from(it: &'a Document) -> Self {
        Self {
            tenant: &it.tenant,
            id: &it.id,
            name: it.name.as_deref(),
            r#type: it.device_type.as_deref(),
            site_id: it.site_id.as_deref(),
            tags: Cow::Borrowed(&it.tags),
            attributes: it.attributes.as_deref(),
            status: it.status.map(Status::word),
            connected: it.connected,
            connected_since: it.connected_since,
            created_at: it.created_at,
            updated_at: it.updated_at,
            last_seen_at: it.last_seen_at,
            location: it.location.as_ref().map(LocationRecord::from),
            lock: it.lock.as_ref().map(LockRecord::from),
            entities: Entities(
                it.entities
                    .iter()
                    .map(|(id, it)| (&**id, EntityRecord::from(it)))
                    .collect(),
            ),
            commands: it.commands.iter().map(CommandRecord::from).collect(),
            alerts: it.alerts.iter().map(AlertRecord::from).collect(),
            fields: FieldsRecord(Cow::Borrowed(&it.fields)),
            version: it.version.cast_signed(),
            fold: FoldRecord::from(&it.fold),
        }
    }
}

impl TryFrom<DocumentRecord<'_>> for Document {
    type Error = DecodeError;

    fn try_from(it: DocumentRecord<'_>) -> Result<Self, DecodeError> {
        let status = |found| word("status", found, Status::WORDS, Status::from_word);
        let entity = |(id, record): (&str, EntityRecord<'_>)| Ok((Box::from(id), record.try_into()?));
        Ok(Self {
            tenant: it.tenant.into(),
            id: it.id.into(),
            name: owned(it.name),
            device_type: owned(it.r#type),
            site_id: owned(it.site_id),
            tags: it.tags.into_owned(),
            attributes: json_text::checked_option("attributes", it.attributes)?,
            status: it.status.map(status).transpose()?,
            connected: it.connected,
            connected_since: it.connected_since,
            created_at: it.created_at,
            updated_at: it.updated_at,
            last_seen_at: it.last_seen_at,
            location: it.location.map(DeviceLocation::try_from).transpose()?,
            lock: it.lock.map(DeviceLock::try_from).transpose()?,
            entities: it
                .entities
                .0
                .into_iter()
                .map(entity)
                .collect::<Result<_, DecodeError>>()?,
            commands: it
                .commands
                .into_iter()
                .map(DeviceCommand::try_from)
                .collect::<Result<_, _>>()?,
            alerts: it
                .alerts
                .into_iter()
                .map(DeviceAlert::try_from)
                .collect::<Result<_, _>>()?,
            fields: it.fields.0.into_owned(),
            version: it.version.cast_unsigned(),
            fold: it.fold.into(),
        })
    }
}
