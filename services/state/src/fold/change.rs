//! What changed between two documents: the paths, and the values that stood there.
//!
//! Bookkeeping (`version`, `updated_at`, `last_seen_at`, what the fold remembers) is never listed, and
//! a part that moved only in its time (`lock.at`, an entity's or a command's) has not changed.

use schemas::document::{DeviceCommand, DeviceEntity, DeviceLocation, DeviceLock};
use schemas::event::{Point, Status};
use schemas::fields::escape;
use schemas::{Document, Fields, Micros, json};

/// Changed paths and their previous values.
pub(super) struct Difference {
    /// Dotted, escaped paths from the document's root, sorted.
    pub(super) changed: Vec<Box<str>>,
    /// JSON text: the previous values, nested like the document.
    pub(super) before: Box<str>,
}

/// What changed from `before` (`None`: there was no device) to `after`; `None` when nothing did.
pub(super) fn between(before: Option<&Document>, after: &Document) -> Option<Difference> {
    let mut difference = Walk::default();
    let mut root = Members::default();
    head(&mut difference, &mut root, before, after);
    location(
        &mut difference,
        &mut root,
        before.and_then(|b| b.location.as_ref()),
        after.location.as_ref(),
    );
    lock(
        &mut difference,
        &mut root,
        before.and_then(|b| b.lock.as_ref()),
        after.lock.as_ref(),
    );
    entities(&mut difference, &mut root, before, after);
    lists(&mut difference, &mut root, before, after);
    fields(
        &mut difference,
        &mut root,
        before.map(|b| &b.fields),
        &after.fields,
    );
    if difference.changed.is_empty() {
        return None;
    }
    difference.changed.sort_unstable();
    Some(Difference {
        changed: difference.changed,
        before: root.into_text(),
    })
}

/// The paths found so far.
#[derive(Default)]
struct Walk {
    changed: Vec<Box<str>>,
}

impl Walk {
    /// Lists member `name` of the object at `prefix` (empty, or with its dot) if it differs.
    fn member<T: PartialEq + ?Sized>(
        &mut self,
        object: &mut Members,
        (prefix, name): (&str, &str),
        (old, new): (Option<&T>, Option<&T>),
        write: impl FnOnce(&T, &mut Vec<u8>),
    ) {
        if old == new {
            return;
        }
        self.changed.push(format!("{prefix}{}", escape(name)).into());
        if let Some(old) = old {
            object.put(name, |out| write(old, out));
        }
    }
}

/// A JSON object being written.
#[derive(Default)]
struct Members {
    out: Vec<u8>,
}

impl Members {
    fn put(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.push(if self.out.is_empty() { b'{' } else { b',' });
        json::write_string(name, &mut self.out);
        self.out.push(b':');
        write(&mut self.out);
    }

    /// Puts `object`, unless it is empty.
    fn put_object(&mut self, name: &str, object: Self) {
        if !object.out.is_empty() {
            self.put(name, |out| {
                out.extend_from_slice(&object.out);
                out.push(b'}');
            });
        }
    }

    fn into_text(mut self) -> Box<str> {
        if self.out.is_empty() {
            self.out.push(b'{');
        }
        self.out.push(b'}');
        String::from_utf8_lossy(&self.out).into()
    }
}

fn head(walk: &mut Walk, root: &mut Members, old: Option<&Document>, new: &Document) {
    let mut text = |name: &str, member: fn(&Document) -> Option<&str>| {
        walk.member(
            root,
            ("", name),
            (old.and_then(member), member(new)),
            json::write_string,
        );
    };
    text("tenant", |d| Some(&d.tenant));
    text("id", |d| Some(&d.id));
    text("name", |d| d.name.as_deref());
    text("type", |d| d.device_type.as_deref());
    text("site_id", |d| d.site_id.as_deref());
    text("status", |d| d.status.map(Status::word));
    let tags = (
        old.map(|d| &d.tags[..]).filter(|t| !t.is_empty()),
        Some(&new.tags[..]).filter(|t| !t.is_empty()),
    );
    walk.member(root, ("", "tags"), tags, |tags, out| {
        array(tags, out, |tag, out| json::write_string(tag, out))
    });
    let attributes = (
        old.and_then(|d| d.attributes.as_deref()),
        new.attributes.as_deref(),
    );
    walk.member(root, ("", "attributes"), attributes, |text: &str, out| {
        out.extend_from_slice(text.as_bytes())
    });
    let connected = (old.and_then(|d| d.connected.as_ref()), new.connected.as_ref());
    walk.member(root, ("", "connected"), connected, write_bool);
    let since = (
        old.and_then(|d| d.connected_since.as_ref()),
        new.connected_since.as_ref(),
    );
    walk.member(root, ("", "connected_since"), since, write_time);
    walk.member(
        root,
        ("", "created_at"),
        (old.map(|d| &d.created_at), Some(&new.created_at)),
        write_time,
    );
}

fn location(walk: &mut Walk, root: &mut Members, old: Option<&DeviceLocation>, new: Option<&DeviceLocation>) {
    let mut object = Members::default();
    let mut text = |name: &str, member: fn(&DeviceLocation) -> Option<&str>| {
        let pair = (old.and_then(member), new.and_then(member));
        walk.member(&mut object, ("location.", name), pair, json::write_string);
    };
    text("id", |l| l.id.as_deref());
    text("name", |l| l.name.as_deref());
    text("address", |l| l.address.as_deref());
    text("type", |l| l.location_type.as_deref());
    let mobile = (
        old.and_then(|l| l.is_mobile.as_ref()),
        new.and_then(|l| l.is_mobile.as_ref()),
    );
    walk.member(&mut object, ("location.", "is_mobile"), mobile, write_bool);
    let geometry = (
        old.and_then(|l| l.geometry.as_ref()),
        new.and_then(|l| l.geometry.as_ref()),
    );
    walk.member(&mut object, ("location.", "geometry"), geometry, write_point);
    root.put_object("location", object);
}

fn lock(walk: &mut Walk, root: &mut Members, old: Option<&DeviceLock>, new: Option<&DeviceLock>) {
    let moved = match (old, new) {
        (Some(old), Some(new)) => {
            (old.locked, old.source, &old.code, &old.metadata)
                != (new.locked, new.source, &new.code, &new.metadata)
        }
        (old, new) => old.is_some() != new.is_some(),
    };
    if !moved {
        return;
    }
    let mut object = Members::default();
    let (mut was, mut is) = (old.map(members_of_lock), new.map(members_of_lock));
    for name in ["locked", "source", "code", "metadata", "at"] {
        let take =
            |members: &mut Option<serde_json::Map<_, _>>| members.as_mut().and_then(|m| m.remove(name));
        let (was, is): (Option<serde_json::Value>, _) = (take(&mut was), take(&mut is));
        walk.member(
            &mut object,
            ("lock.", name),
            (was.as_ref(), is.as_ref()),
            |value, out| {
                out.extend_from_slice(value.to_string().as_bytes());
            },
        );
    }
    root.put_object("lock", object);
}

/// Locks move rarely: their members are compared as the API writes them.
fn members_of_lock(lock: &DeviceLock) -> serde_json::Map<String, serde_json::Value> {
    let mut text = Vec::new();
    json::write_lock(lock, &mut text);
    serde_json::from_slice(&text).unwrap_or_default()
}

fn entities(walk: &mut Walk, root: &mut Members, old: Option<&Document>, new: &Document) {
    let same = |a: &DeviceEntity, b: &DeviceEntity| a.value == b.value && a.source == b.source;
    let mut object = Members::default();
    for (id, entity) in &new.entities {
        let known = old.and_then(|d| d.entities.get(id));
        if !known.is_some_and(|known| same(known, entity)) {
            walk.changed.push(format!("entities.{}", escape(id)).into());
            if let Some(known) = known {
                object.put(id, |out| json::write_entity(known, out));
            }
        }
    }
    root.put_object("entities", object);
}

/// Commands and alerts: each list is one value.
fn lists(walk: &mut Walk, root: &mut Members, old: Option<&Document>, new: &Document) {
    let was = old.map_or(&[][..], |d| &d.commands);
    let same = |a: &DeviceCommand, b: &DeviceCommand| {
        a == b
            || *a
                == DeviceCommand {
                    modified: a.modified,
                    ..b.clone()
                }
    };
    if was.len() != new.commands.len() || was.iter().zip(&new.commands).any(|(a, b)| !same(a, b)) {
        walk.changed.push("commands".into());
        if !was.is_empty() {
            root.put("commands", |out| array(was, out, json::write_command));
        }
    }
    let was = old.map(|d| &d.alerts[..]).filter(|alerts| !alerts.is_empty());
    let is = Some(&new.alerts[..]).filter(|alerts| !alerts.is_empty());
    walk.member(root, ("", "alerts"), (was, is), |alerts, out| {
        array(alerts, out, json::write_alert)
    });
}

fn fields(walk: &mut Walk, root: &mut Members, old: Option<&Fields>, new: &Fields) {
    let mut previous = Fields::default();
    let mut list = |path: &str| walk.changed.push(format!("fields.{path}").into());
    if let Some(old) = old {
        for (path, value) in &old.0 {
            if new.0.get(path) != Some(value) {
                list(path);
                previous.0.insert(path.clone(), value.clone());
            }
        }
    }
    for path in new.0.keys() {
        if !old.is_some_and(|old| old.0.contains_key(path)) {
            list(path);
        }
    }
    if !previous.0.is_empty() {
        root.put("fields", |out| previous.write_json(out));
    }
}

fn array<T>(items: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

fn write_bool(value: &bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if *value { b"true" } else { b"false" });
}

fn write_time(at: &Micros, out: &mut Vec<u8>) {
    json::write_time(*at, out);
}

fn write_point(point: &Point, out: &mut Vec<u8>) {
    let coordinates = match point.altitude {
        Some(altitude) => serde_json::json!([point.longitude, point.latitude, altitude]),
        None => serde_json::json!([point.longitude, point.latitude]),
    };
    out.extend_from_slice(format!(r#"{{"type":"Point","coordinates":{coordinates}}}"#).as_bytes());
}
