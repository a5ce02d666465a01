//! The device before a change, as filters read it: what the change says of it, and where it says nothing,
//! the device after it.

use std::cell::OnceCell;
use std::cmp::Ordering;

use query::{Field, Fields, Head, Value};
use schemas::Change;
use serde_json::Value as Json;

use crate::Filterable;
use crate::filterable::below;

/// What was before a change. Making one costs nothing; the change's previous values are parsed when a
/// filter asks for one of them, once.
///
/// Previous values stand in a change as the API shows them, so times in them are in milliseconds, but for
/// `updated_at` and `last_seen_at`, which are kept in full. A part that moved only in its time (`lock.at`)
/// has not changed, and is read as it is after the change.
pub struct Before<'c> {
    change: &'c Change,
    after: Filterable<'c>,
    is_new: bool,
    values: OnceCell<Json>,
}

impl<'c> Before<'c> {
    /// The device before `change`.
    #[must_use]
    pub fn new(change: &'c Change) -> Self {
        Self {
            change,
            after: Filterable::new(&change.document),
            // Nobody's id changes: it is listed where there was no device.
            is_new: is_listed(change, "id", None),
            values: OnceCell::new(),
        }
    }

    /// Whether there was no device: then everything is absent.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// What stood at `field`, where the change says so.
    fn previous(&self, field: &Field) -> Option<&Json> {
        let values = self
            .values
            .get_or_init(|| serde_json::from_str(&self.change.before).unwrap_or_default());
        let mut at = values.get(field.head().name())?;
        for name in field.names() {
            at = at.as_object()?.get(&**name)?;
        }
        Some(at)
    }

    /// Whether the change lists the place itself, or one that it lies in.
    fn is_touched(&self, field: &Field) -> bool {
        let head = field.head().name();
        let Some(key) = field.key() else {
            return is_listed(self.change, head, None);
        };
        if is_listed(self.change, head, Some(key)) {
            return true;
        }
        // What devices report is listed value by value; of anything else a part may be listed as a whole.
        field.head() != Head::Fields
            && (is_listed(self.change, head, None)
                || schemas::fields::ancestors(key).any(|above| is_listed(self.change, head, Some(above))))
    }

    /// Whether something stood below `field` that the change did not touch.
    fn has_untouched(&self, field: &Field) -> bool {
        let document = &self.change.document;
        let is_untouched = |name: &str| !is_listed(self.change, field.head().name(), Some(name));
        match (field.head(), field.key()) {
            (Head::Fields, Some(key)) if !document.fields.0.contains_key(key) => {
                below(&document.fields.0, key).any(is_untouched)
            }
            (Head::Lock, None) => document.lock.is_some() && is_untouched("locked"),
            (Head::Location, None) => document.location.as_ref().is_some_and(|location| {
                let there = [
                    ("id", location.id.is_some()),
                    ("name", location.name.is_some()),
                    ("address", location.address.is_some()),
                    ("type", location.location_type.is_some()),
                    ("is_mobile", location.is_mobile.is_some()),
                    ("geometry", location.geometry.is_some()),
                ];
                there
                    .into_iter()
                    .any(|(name, is_there)| is_there && is_untouched(name))
            }),
            (_, _) => self.after.is_container(field) && !self.is_touched(field),
        }
    }

    /// What moves with every change, and is not listed.
    fn bookkeeping(&self, head: Head) -> Option<Value<'static>> {
        let time = |at: Option<i64>| Some(at.map_or(Value::Absent, Value::Timestamp));
        if head == Head::UpdatedAt {
            time(self.change.updated_before)
        } else if head == Head::LastSeenAt {
            time(self.change.last_seen_before)
        } else if head == Head::Version {
            let version = i64::try_from(self.change.document.version).ok();
            Some(version.map_or(Value::Absent, |version| Value::Integer(version - 1)))
        } else {
            None
        }
    }
}

impl Fields for Before<'_> {
    fn value(&self, field: &Field) -> Value<'_> {
        if self.is_new {
            return Value::Absent;
        }
        if field.names().is_empty()
            && let Some(value) = self.bookkeeping(field.head())
        {
            return value;
        }
        if !self.is_touched(field) {
            return self.after.value(field);
        }
        match self.previous(field) {
            Some(json) => value_of(field, json),
            None => Value::Absent,
        }
    }

    fn is_container(&self, field: &Field) -> bool {
        if self.is_new {
            return false;
        }
        // Lists, and what holds values by name, are there even when they are empty.
        let is_always = matches!(
            field.head(),
            Head::Tags | Head::Commands | Head::Alerts | Head::Entities | Head::Fields
        );
        if is_always && field.names().is_empty() {
            return true;
        }
        let was_container = self
            .previous(field)
            .is_some_and(|json| json.is_object() || json.is_array());
        was_container || self.has_untouched(field)
    }
}

/// A time of the document is one, not a text that says it.
fn value_of<'j>(field: &Field, json: &'j Json) -> Value<'j> {
    match json {
        Json::Null | Json::Array(_) | Json::Object(_) => Value::Absent,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Integer(integer),
            (None, Some(double)) => Value::Float(double),
            (None, None) => Value::Absent,
        },
        Json::String(text) if is_time(field) => {
            query::parse_timestamp(text).map_or(Value::Text(text), Value::Timestamp)
        }
        Json::String(text) => Value::Text(text),
    }
}

fn is_time(field: &Field) -> bool {
    match (field.head(), field.names()) {
        (Head::ConnectedSince | Head::CreatedAt, []) => true,
        (Head::Lock, [name]) | (Head::Entities, [_, name]) => **name == *"at",
        (_, _) => false,
    }
}

/// Whether `changed` has `head`, or `head.key`. It is sorted; no path is put together to search it.
fn is_listed(change: &Change, head: &str, key: Option<&str>) -> bool {
    let wanted = |path: &str| -> Ordering {
        let Some(key) = key else {
            return path.cmp(head);
        };
        let pieces = [head.as_bytes(), b".", key.as_bytes()];
        path.bytes().cmp(pieces.into_iter().flatten().copied())
    };
    change.changed.binary_search_by(|path| wanted(path)).is_ok()
}
