//! A device document going out, whole, in its parts, and in a change.

use super::object::Object;
use crate::document::{DeviceAlert, DeviceCommand, DeviceEntity, DeviceLocation, DeviceLock};
use crate::event::Status;
use crate::{Change, Document, token};

/// Writes a device document as the API gives it; what only the fold reads is left out.
pub fn write_document(document: &Document, out: &mut Vec<u8>) {
    let mut object = Object::start(out);
    write_head(document, &mut object);
    document.fields.write_json(object.name("fields"));
    token::unsigned(document.version, object.name("version"));
    object.end();
}

/// Names that no reported field has in [`write_merged_document`]: of a document's members, and the other name
/// of `updated_at`.
pub const MERGED_NAMES: [&str; 21] = [
    "id",
    "tenant",
    "name",
    "type",
    "site_id",
    "tags",
    "attributes",
    "status",
    "connected",
    "connected_since",
    "created_at",
    "updated_at",
    "update_time",
    "last_seen_at",
    "location",
    "lock",
    "entities",
    "commands",
    "alerts",
    "fields",
    "version",
];

/// Writes a document as one object: the members of its head, `update_time` (which is `updated_at`), and beside
/// them what the device reports. A reported field of one of [`MERGED_NAMES`] is left out, also where this
/// device has no such member: a name means the same in all documents.
pub fn write_merged_document(document: &Document, out: &mut Vec<u8>) {
    let mut object = Object::start(out);
    write_head(document, &mut object);
    token::unsigned(document.version, object.name("version"));
    object.time("update_time", document.updated_at);
    let is_field = |name: &str| !MERGED_NAMES.contains(&name);
    document.fields.write_members(object.out, is_field, false);
    object.end();
}

fn write_head(document: &Document, object: &mut Object<'_>) {
    object.text("id", &*document.id);
    object.text("tenant", &*document.tenant);
    object.text("name", document.name.as_deref());
    object.text("type", document.device_type.as_deref());
    object.text("site_id", document.site_id.as_deref());
    object.texts("tags", &document.tags);
    object.json("attributes", document.attributes.as_deref());
    object.text("status", document.status.map(Status::word));
    object.boolean("connected", document.connected);
    object.time("connected_since", document.connected_since);
    object.time("created_at", document.created_at);
    object.time("updated_at", document.updated_at);
    object.time("last_seen_at", document.last_seen_at);
    if let Some(location) = &document.location {
        write_location(location, object.name("location"));
    }
    if let Some(lock) = &document.lock {
        write_lock(lock, object.name("lock"));
    }
    let mut entities = Object::start(object.name("entities"));
    for (id, entity) in &document.entities {
        write_entity(entity, entities.any_name(id));
    }
    entities.end();
    object.array("commands", &document.commands, write_command);
    object.array("alerts", &document.alerts, write_alert);
}

/// Writes `{"device":{…},"changed":[…],"before":{…}}`.
pub fn write_change(change: &Change, out: &mut Vec<u8>) {
    let mut object = Object::start(out);
    write_document(&change.document, object.name("device"));
    object.texts("changed", &change.changed);
    object.json("before", &*change.before);
    object.end();
}

/// Writes member `location` of a document.
pub fn write_location(location: &DeviceLocation, out: &mut Vec<u8>) {
    let mut object = Object::start(out);
    object.text("id", location.id.as_deref());
    object.text("name", location.name.as_deref());
    object.text("address", location.address.as_deref());
    object.text("type", location.location_type.as_deref());
    object.boolean("is_mobile", location.is_mobile);
    object.point("geometry", location.geometry.as_ref());
    object.end();
}

/// Writes member `lock` of a document.
pub fn write_lock(lock: &DeviceLock, out: &mut Vec<u8>) {
    let mut object = Object::start(out);
    object.boolean("locked", lock.locked);
    object.text("source", lock.source.word());
    object.text("code", lock.code.as_deref());
    object.json("metadata", lock.metadata.as_deref());
    object.time("at", lock.at);
    object.end();
}

/// Writes one value of member `entities` of a document.
pub fn write_entity(entity: &DeviceEntity, out: &mut Vec<u8>) {
    let mut object = Object::start(out);
    entity.value.write_json(object.name("value"));
    object.text("source", &*entity.source);
    object.time("at", entity.at);
    object.end();
}

/// Writes one item of member `commands` of a document, secrets masked.
pub fn write_command(command: &DeviceCommand, out: &mut Vec<u8>) {
    let mut object = Object::start(out);
    object.text("command_id", &*command.command_id);
    object.text("type", &*command.command_type);
    object.json("input", command.input.as_deref());
    object.text("connection", command.connection.as_deref());
    object.text("status", command.status.word());
    object.text("output", command.output.as_deref());
    object.time("created", command.created);
    object.time("modified", command.modified);
    object.text("by", command.by.as_deref());
    object.time("expires_at", command.expires_at);
    object.end();
}

/// Writes one item of member `alerts` of a document.
pub fn write_alert(alert: &DeviceAlert, out: &mut Vec<u8>) {
    let mut object = Object::start(out);
    object.text("alert_id", &*alert.alert_id);
    object.text("alert_type", &*alert.alert_type);
    object.integer("severity", alert.severity);
    object.number("confidence", alert.confidence);
    object.text("summary", &*alert.summary);
    object.text("status", alert.status.word());
    object.text("site_id", alert.site_id.as_deref());
    object.time("created_at", alert.created_at);
    object.end();
}
