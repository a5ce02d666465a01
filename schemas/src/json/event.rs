//! An event going out, in the names in which it came in.

use super::object::Object;
use crate::event::{Alert, Command, Device, Location, Presence, Status};
use crate::fields::{ScalarRef, write_nested};
use crate::{Body, Event, Micros};

/// What every event begins with.
pub(crate) struct Head<'a> {
    pub(crate) id: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) device: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) occurred_at: Micros,
    pub(crate) received_at: Micros,
    pub(crate) claimed_at: Option<Micros>,
    pub(crate) seq: Option<i64>,
}

impl Head<'_> {
    fn write<'o>(&self, out: &'o mut Vec<u8>) -> Object<'o> {
        let mut object = Object::start(out);
        object.text("id", self.id);
        object.text("tenant", self.tenant);
        object.text("device", self.device);
        object.text("kind", self.kind);
        object.time("time", self.occurred_at);
        object.time("received_at", self.received_at);
        object.time("claimed_at", self.claimed_at);
        object.integer("seq", self.seq);
        object
    }
}

/// Writes a telemetry event whose fields are ordered paths.
pub(crate) fn write_telemetry(head: &Head<'_>, paths: &[(&str, ScalarRef<'_>)], out: &mut Vec<u8>) {
    let mut object = head.write(out);
    write_nested(paths, object.name("fields"));
    object.end();
}

/// Writes an event as streams and history give it. Secrets in a command's input are masked.
pub fn write_event(event: &Event, out: &mut Vec<u8>) {
    let head = Head {
        id: &event.id,
        tenant: &event.tenant,
        device: &event.device,
        kind: event.body.kind().name(),
        occurred_at: event.occurred_at,
        received_at: event.received_at,
        claimed_at: event.claimed_at,
        seq: event.seq,
    };
    let mut object = head.write(out);
    match &event.body {
        Body::Telemetry(telemetry) => telemetry.fields.write_json(object.name("fields")),
        Body::Presence(presence) => write_presence(presence, &mut object),
        Body::Lock(lock) => {
            object.boolean("locked", lock.locked);
            object.text("source", lock.source.word());
            object.text("code", lock.code.as_deref());
            object.json("metadata", lock.metadata.as_deref());
        }
        Body::Log(log) => {
            object.text("level", log.level.word());
            object.text("message", &*log.message);
        }
        Body::Entity(entity) => {
            object.text("entity_id", &*entity.entity_id);
            entity.value.write_json(object.name("value"));
            object.text("source", &*entity.source);
        }
        Body::Location(location) => write_location(location, &mut object),
        Body::Command(command) => write_command(command, &mut object),
        Body::Alert(alert) => write_alert(alert, &mut object),
        Body::Device(device) => write_device(device, &mut object),
        Body::Deleted => {}
    }
    object.end();
}

fn write_presence(presence: &Presence, object: &mut Object<'_>) {
    object.boolean("connected", presence.connected);
    object.text("status", presence.status.map(Status::word));
    object.text("previous", presence.previous.map(Status::word));
    object.text("reason", presence.reason.word());
    object.text("session", presence.session.as_deref());
}

fn write_location(location: &Location, object: &mut Object<'_>) {
    object.text("location_id", location.id.as_deref());
    object.text("name", location.name.as_deref());
    object.text("address", location.address.as_deref());
    object.text("type", location.location_type.as_deref());
    object.boolean("is_mobile", location.is_mobile);
    object.point("geometry", location.geometry.as_ref());
}

fn write_command(command: &Command, object: &mut Object<'_>) {
    object.text("command_id", &*command.command_id);
    object.text("type", &*command.command_type);
    object.json("input", command.input.as_deref());
    object.text("connection", command.connection.as_deref());
    object.text("status", command.status.word());
    object.text("output", command.output.as_deref());
    object.time("created", command.created);
    object.text("by", command.by.as_deref());
    object.time("expires_at", command.expires_at);
}

fn write_alert(alert: &Alert, object: &mut Object<'_>) {
    object.text("alert_id", &*alert.alert_id);
    object.text("alert_type", &*alert.alert_type);
    object.integer("severity", alert.severity);
    object.number("confidence", alert.confidence);
    object.text("summary", &*alert.summary);
    object.text("status", alert.status.word());
    object.text("site_id", alert.site_id.as_deref());
}

fn write_device(device: &Device, object: &mut Object<'_>) {
    object.text("name", device.name.as_deref());
    object.text("type", device.device_type.as_deref());
    object.text("site_id", device.site_id.as_deref());
    if let Some(tags) = &device.tags {
        object.texts("tags", tags);
    }
    object.json("attributes", device.attributes.as_deref());
}
