//! Documents as filters read them: the value at each place is what the API shows there.
//!
//! It stands here because whoever filters holds documents through this crate (the projector for alert
//! rules, the gateway for streams and lists), and because neither the language nor the nouns of the topics
//! should know the other.

#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Bound;

use query::{Field, Fields, Head, Value};
use schemas::document::{DeviceLocation, DeviceLock};
use schemas::event::Status;
use schemas::{Document, Micros, Scalar};
use serde_json::Value as Json;

/// A document that a filter can read. Making one costs nothing; JSON texts in the document are parsed when
/// a filter asks for something in them, once.
pub struct Filterable<'d> {
    document: &'d Document,
    attributes: OnceCell<Json>,
    lock_metadata: OnceCell<Json>,
    /// Values of entities that are JSON texts.
    entities: OnceCell<BTreeMap<&'d str, Json>>,
}

/// What stands at a place.
enum Found<'a> {
    Value(Value<'a>),
    /// An object or an array.
    Container,
}

impl<'d> Filterable<'d> {
    /// `document` for filters.
    #[must_use]
    #[inline]
    pub const fn new(document: &'d Document) -> Self {
        Self {
            document,
            attributes: OnceCell::new(),
            lock_metadata: OnceCell::new(),
            entities: OnceCell::new(),
        }
    }

    fn in_head(&self, field: &Field) -> Option<Found<'_>> {
        let document = self.document;
        let names = field.names();
        let text = |text: Option<&'d str>| leaf(text.map(Value::Text), names);
        let time = |at: Option<Micros>| leaf(at.map(Value::Timestamp), names);
        match field.head() {
            Head::Id => text(Some(&document.id)),
            Head::Tenant => text(Some(&document.tenant)),
            Head::Name => text(document.name.as_deref()),
            Head::Type => text(document.device_type.as_deref()),
            Head::SiteId => text(document.site_id.as_deref()),
            Head::Status => text(document.status.map(Status::word)),
            Head::Connected => leaf(document.connected.map(Value::Boolean), names),
            Head::ConnectedSince => time(document.connected_since),
            Head::CreatedAt => time(Some(document.created_at)),
            Head::UpdatedAt => time(Some(document.updated_at)),
            Head::LastSeenAt => time(document.last_seen_at),
            Head::Version => leaf(Some(unsigned(document.version)), names),
            // Lists are there even when they are empty, and nothing below them has a name.
            Head::Tags | Head::Commands | Head::Alerts => names.is_empty().then_some(Found::Container),
            Head::Attributes => {
                let text = document.attributes.as_deref()?;
                in_json(self.attributes.get_or_init(|| parsed(text)), names)
            }
            Head::Location => in_location(document.location.as_ref()?, names),
            Head::Lock => self.in_lock(document.lock.as_ref()?, names),
            Head::Entities => self.in_entities(names),
            Head::Fields => self.in_fields(field),
        }
    }

    fn in_fields(&self, field: &Field) -> Option<Found<'_>> {
        let fields = &self.document.fields.0;
        let Some(key) = field.key() else {
            return Some(Found::Container);
        };
        if let Some(value) = fields.get(key) {
            return of_scalar(value);
        }
        let is_container = below(fields, key).next().is_some();
        is_container.then_some(Found::Container)
    }

    fn in_lock(&self, lock: &'d DeviceLock, names: &[Box<str>]) -> Option<Found<'_>> {
        let Some((name, below)) = names.split_first() else {
            return Some(Found::Container);
        };
        let value = match &**name {
            "locked" => Value::Boolean(lock.locked),
            "source" => Value::Text(lock.source.word()),
            "code" => Value::Text(lock.code.as_deref()?),
            "at" => Value::Timestamp(lock.at),
            "metadata" => {
                let text = lock.metadata.as_deref()?;
                return in_json(self.lock_metadata.get_or_init(|| parsed(text)), below);
            }
            _ => return None,
        };
        leaf(Some(value), below)
    }

    fn in_entities(&self, names: &[Box<str>]) -> Option<Found<'_>> {
        let Some((id, below)) = names.split_first() else {
            return Some(Found::Container);
        };
        let (id, entity) = self.document.entities.get_key_value(id)?;
        let Some((name, below)) = below.split_first() else {
            return Some(Found::Container);
        };
        let value = match &**name {
            "value" if matches!(entity.value, Scalar::Json(_)) => {
                return in_json(self.json_entities().get(&**id)?, below);
            }
            "value" => return of_scalar(&entity.value).filter(|_| below.is_empty()),
            "source" => Value::Text(&entity.source),
            "at" => Value::Timestamp(entity.at),
            _ => return None,
        };
        leaf(Some(value), below)
    }

    fn json_entities(&self) -> &BTreeMap<&'d str, Json> {
        self.entities.get_or_init(|| {
            let entities = self.document.entities.iter();
            let json = entities.filter_map(|(id, entity)| match &entity.value {
                Scalar::Json(text) => Some((&**id, parsed(text))),
                Scalar::Null
                | Scalar::Boolean(_)
                | Scalar::Integer(_)
                | Scalar::Number(_)
                | Scalar::String(_) => None,
            });
            json.collect()
        })
    }
}

impl Fields for Filterable<'_> {
    #[inline]
    fn value(&self, field: &Field) -> Value<'_> {
        // What devices report is what filters ask for most, and needs one look.
        if field.head() == Head::Fields
            && let Some(key) = field.key()
        {
            let value = self.document.fields.0.get(key);
            return match value.and_then(of_scalar) {
                Some(Found::Value(value)) => value,
                Some(Found::Container) | None => Value::Absent,
            };
        }
        match self.in_head(field) {
            Some(Found::Value(value)) => value,
            Some(Found::Container) | None => Value::Absent,
        }
    }

    fn is_container(&self, field: &Field) -> bool {
        matches!(self.in_head(field), Some(Found::Container))
    }
}

/// A value that has nothing below it.
fn leaf<'a>(value: Option<Value<'a>>, names: &[Box<str>]) -> Option<Found<'a>> {
    value.filter(|_| names.is_empty()).map(Found::Value)
}

fn of_scalar(scalar: &Scalar) -> Option<Found<'_>> {
    Some(match scalar {
        Scalar::Null => return None,
        Scalar::Boolean(value) => Found::Value(Value::Boolean(*value)),
        Scalar::Integer(value) => Found::Value(Value::Integer(*value)),
        Scalar::Number(value) => Found::Value(Value::Float(*value)),
        Scalar::String(text) => Found::Value(Value::Text(text)),
        Scalar::Json(_) => Found::Container,
    })
}

fn in_location<'d>(location: &'d DeviceLocation, names: &[Box<str>]) -> Option<Found<'d>> {
    let Some((name, below)) = names.split_first() else {
        return Some(Found::Container);
    };
    let value = match &**name {
        "id" => Value::Text(location.id.as_deref()?),
        "name" => Value::Text(location.name.as_deref()?),
        "address" => Value::Text(location.address.as_deref()?),
        "type" => Value::Text(location.location_type.as_deref()?),
        "is_mobile" => Value::Boolean(location.is_mobile?),
        "geometry" if location.geometry.is_some() => return in_point(below),
        _ => return None,
    };
    leaf(Some(value), below)
}

/// GeoJSON, as the API writes it.
fn in_point(names: &[Box<str>]) -> Option<Found<'static>> {
    let Some((name, below)) = names.split_first() else {
        return Some(Found::Container);
    };
    match &**name {
        "type" => leaf(Some(Value::Text("Point")), below),
        "coordinates" => below.is_empty().then_some(Found::Container),
        _ => None,
    }
}

fn in_json<'j>(json: &'j Json, names: &[Box<str>]) -> Option<Found<'j>> {
    let mut at = json;
    for name in names {
        at = at.as_object()?.get(&**name)?;
    }
    Some(match at {
        Json::Null => return None,
        Json::Bool(value) => Found::Value(Value::Boolean(*value)),
        Json::Number(number) => Found::Value(match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Float(number.as_f64()?),
        }),
        Json::String(text) => Found::Value(Value::Text(text)),
        Json::Array(_) | Json::Object(_) => Found::Container,
    })
}

fn unsigned(value: u64) -> Value<'static> {
    i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer)
}

/// What is no JSON is nothing.
fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_default()
}

/// The paths of values below `key`; no text is built for it, since filters ask with every event.
pub(crate) fn below<'f>(
    fields: &'f BTreeMap<Box<str>, Scalar>,
    key: &'f str,
) -> impl Iterator<Item = &'f str> + 'f {
    let from = (Bound::Excluded(key), Bound::Unbounded);
    let after = fields.range::<str, _>(from).map_while(move |(path, _)| {
        let next = path.strip_prefix(key)?.bytes().next()?;
        // `a-1` comes before `a.b`, and `a/1` after it.
        (next <= b'.').then_some((next, &**path))
    });
    after.filter(|(next, _)| *next == b'.').map(|(_, path)| path)
}
