//! What happened, read from the members of an event.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::hardware::hardware_entity;
use super::members::{InvalidEvent, Members, required, wrong};
use crate::event::{
    Alert, AlertStatus, Command, CommandStatus, Device, Entity, Level, Location, Lock, LockSource, Log,
    Point, Presence, PresenceReason, Status, Telemetry,
};
use crate::fields::FlattenError;
use crate::{Body, Fields, Kind, Micros, Scalar};

/// A raw message of a device's hardware; becomes an `entity` event.
const HARDWARE: &str = "hardware";

/// The body, and the names of the members of a command's input that the sender calls secret.
pub(super) fn read(
    members: &mut Members<'_>,
    occurred_at: Micros,
) -> Result<(Body, Vec<Box<str>>), InvalidEvent> {
    let kind = required(
        "kind",
        members.text("kind")?,
        &format!("say one of {}", known_kinds()),
    )?;
    let body = match Kind::from_name(&kind) {
        Some(Kind::Telemetry) => Body::Telemetry(telemetry(members)?),
        Some(Kind::Presence) => Body::Presence(presence(members)?),
        Some(Kind::Lock) => Body::Lock(lock(members)?),
        Some(Kind::Log) => Body::Log(log(members)?),
        Some(Kind::Entity) => Body::Entity(entity(members)?),
        Some(Kind::Location) => Body::Location(location(members)?),
        Some(Kind::Command) => {
            let secrets = members.texts("secret")?.unwrap_or_default();
            return Ok((Body::Command(command(members, occurred_at)?), secrets));
        }
        Some(Kind::Alert) => Body::Alert(alert(members)?),
        Some(Kind::Device) => Body::Device(device(members)?),
        Some(Kind::Deleted) => Body::Deleted,
        None if &*kind == HARDWARE => Body::Entity(hardware(members)?),
        None => {
            let (known, found) = (known_kinds(), super::members::shorten(&kind));
            return Err(InvalidEvent::at(
                "kind",
                format!("\"kind\" must be one of {known}, not {found:?}"),
            ));
        }
    };
    Ok((body, Vec::new()))
}

fn known_kinds() -> String {
    let mut names = Kind::ALL.map(Kind::name).to_vec();
    names.push(HARDWARE);
    names.join(", ")
}

fn telemetry(members: &mut Members<'_>) -> Result<Telemetry, InvalidEvent> {
    let object = members.object("fields")?.unwrap_or_default();
    let fields = Fields::flatten(&object, &members.limits.fields).map_err(|error| {
        let member = match &error {
            FlattenError::Depth { path, .. } => format!("fields.{path}"),
            FlattenError::Fields { .. } => "fields".to_owned(),
            FlattenError::Path { start, .. } => format!("fields.{start}"),
        };
        let message = format!("\"{}\": {error}", super::members::shorten(&member));
        InvalidEvent::at(member, message)
    })?;
    Ok(Telemetry { fields })
}

fn presence(members: &mut Members<'_>) -> Result<Presence, InvalidEvent> {
    let presence = Presence {
        connected: members.boolean("connected")?,
        status: members.word("status", Status::WORDS, Status::from_word)?,
        previous: members.word("previous", Status::WORDS, Status::from_word)?,
        reason: members
            .word("reason", PresenceReason::WORDS, PresenceReason::from_word)?
            .unwrap_or(PresenceReason::Report),
        session: members.id("session")?,
    };
    if presence.connected.is_none() && presence.status.is_none() {
        let message = "\"status\" or \"connected\" is missing: a presence event says at least one of them";
        return Err(InvalidEvent::at("status", message));
    }
    Ok(presence)
}

fn lock(members: &mut Members<'_>) -> Result<Lock, InvalidEvent> {
    let source = members.word("source", LockSource::WORDS, LockSource::from_word)?;
    let sources = format!("say one of {}", LockSource::WORDS.join(", "));
    Ok(Lock {
        locked: required("locked", members.boolean("locked")?, "say true or false")?,
        source: required("source", source, &sources)?,
        code: members.text("code")?,
        metadata: members.object_text("metadata")?,
    })
}

fn log(members: &mut Members<'_>) -> Result<Log, InvalidEvent> {
    let message = required("message", members.text("message")?, "say what was logged")?;
    let message = match cut_message(&message, members.limits.message_chars_max) {
        Cow::Borrowed(_) => message,
        Cow::Owned(cut) => cut.into_boxed_str(),
    };
    let level = members
        .word("level", Level::WORDS, Level::from_word)?
        .unwrap_or(Level::Log);
    Ok(Log { level, message })
}

/// Cuts a log message so that it has at most `chars_max` characters, the last of which say how many
/// were cut.
#[must_use]
pub fn cut_message(message: &str, chars_max: usize) -> Cow<'_, str> {
    if message.len() <= chars_max {
        return Cow::Borrowed(message);
    }
    let chars = message.chars().count();
    if chars <= chars_max {
        return Cow::Borrowed(message);
    }
    let note = |kept: usize| format!("… [{} of {chars} characters cut]", chars - kept);
    // The number of digits may fall by one when the note itself is counted: room for the longest.
    let kept = chars_max.saturating_sub(note(0).chars().count());
    let end = message
        .char_indices()
        .nth(kept)
        .map_or(message.len(), |(end, _)| end);
    Cow::Owned(format!("{}{}", &message[..end], note(kept)))
}

fn entity(members: &mut Members<'_>) -> Result<Entity, InvalidEvent> {
    let entity_id = required("entity_id", members.id("entity_id")?, "name the entity")?;
    let value = required(
        "value",
        members.take_nullable("value"),
        "say its value; null is one",
    )?;
    let source = members.id("source")?.unwrap_or_else(|| "user".into());
    Ok(Entity {
        entity_id,
        value: Scalar::from_json(&value),
        source,
    })
}

fn hardware(members: &mut Members<'_>) -> Result<Entity, InvalidEvent> {
    let message_type = required("type", members.text("type")?, "name the hardware message")?;
    let payload = members.object("payload")?.unwrap_or_default();
    hardware_entity(&message_type, &payload)
}

fn location(members: &mut Members<'_>) -> Result<Location, InvalidEvent> {
    Ok(Location {
        id: members.id("location_id")?,
        name: members.text("name")?,
        address: members.text("address")?,
        location_type: members.text("type")?,
        is_mobile: members.boolean("is_mobile")?,
        geometry: members
            .object("geometry")?
            .map(|geometry| point(&geometry))
            .transpose()?,
    })
}

/// A GeoJSON Point.
fn point(geometry: &Map<String, Value>) -> Result<Point, InvalidEvent> {
    let found = geometry.get("type").unwrap_or(&Value::Null);
    if found.as_str() != Some("Point") {
        return Err(wrong("geometry.type", "\"Point\"", found));
    }
    let member = "geometry.coordinates";
    let found = geometry.get("coordinates").unwrap_or(&Value::Null);
    let expected = "[longitude, latitude] or [longitude, latitude, altitude], all numbers";
    let numbers: Option<Vec<f64>> = found
        .as_array()
        .and_then(|items| items.iter().map(Value::as_f64).collect());
    let (longitude, latitude, altitude) = match numbers.as_deref() {
        Some(&[longitude, latitude]) => (longitude, latitude, None),
        Some(&[longitude, latitude, altitude]) => (longitude, latitude, Some(altitude)),
        _ => return Err(wrong(member, expected, found)),
    };
    let out_of_range = |which: &str, place: &str, value: f64, most: f64| {
        let message = format!(
            "\"{member}\": the {which} ({place}) must lie between -{most} and {most}, not {value}; \
             GeoJSON puts the longitude first"
        );
        Err(InvalidEvent::at(member, message))
    };
    if !(-180.0..=180.0).contains(&longitude) {
        return out_of_range("longitude", "first", longitude, 180.0);
    }
    if !(-90.0..=90.0).contains(&latitude) {
        return out_of_range("latitude", "second", latitude, 90.0);
    }
    Ok(Point {
        longitude,
        latitude,
        altitude,
    })
}

fn command(members: &mut Members<'_>, occurred_at: Micros) -> Result<Command, InvalidEvent> {
    let status = members.word("status", CommandStatus::WORDS, CommandStatus::from_word)?;
    let statuses = format!("say one of {}", CommandStatus::WORDS.join(", "));
    Ok(Command {
        command_id: required("command_id", members.id("command_id")?, "name the command")?,
        command_type: required("type", members.id("type")?, "say what to do, such as \"reboot\"")?,
        input: members
            .take("input")
            .map(|input| input.to_string().into_boxed_str()),
        connection: members.text("connection")?,
        status: required("status", status, &statuses)?,
        output: members.text("output")?,
        created: members.time("created")?.unwrap_or(occurred_at),
        by: members.text("by")?,
        expires_at: members.time("expires_at")?,
    })
}

fn alert(members: &mut Members<'_>) -> Result<Alert, InvalidEvent> {
    let status = members.word("status", AlertStatus::WORDS, AlertStatus::from_word)?;
    let statuses = format!("say one of {}", AlertStatus::WORDS.join(", "));
    let confidence = members.number("confidence")?;
    if let Some(confidence) = confidence.filter(|confidence| !(0.0..=1.0).contains(confidence)) {
        let message = format!("\"confidence\" must lie between 0 and 1, not {confidence}");
        return Err(InvalidEvent::at("confidence", message));
    }
    Ok(Alert {
        alert_id: required("alert_id", members.id("alert_id")?, "name the alert")?,
        alert_type: required("alert_type", members.id("alert_type")?, "say what it is about")?,
        severity: required(
            "severity",
            members.integer("severity")?,
            "say how grave it is, as a whole number",
        )?,
        confidence,
        summary: required(
            "summary",
            members.text("summary")?,
            "say what happened, for people",
        )?,
        status: required("status", status, &statuses)?,
        site_id: members.text("site_id")?,
    })
}

fn device(members: &mut Members<'_>) -> Result<Device, InvalidEvent> {
    Ok(Device {
        name: members.text("name")?,
        device_type: members.text("type")?,
        site_id: members.text("site_id")?,
        tags: members.texts("tags")?,
        attributes: members.object_text("attributes")?,
    })
}
