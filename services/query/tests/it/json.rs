//! A device document as JSON, behind the port.

use query::{Field, Fields, Filter, Head, Value, parse_timestamp};
use serde_json::Value as Json;

/// A document; `null` is none.
#[derive(Debug, Clone)]
pub(crate) struct Document(pub(crate) Json);

impl Document {
    pub(crate) fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}")))
    }

    /// A document with these reported fields.
    pub(crate) fn of(fields: Json) -> Self {
        Self(serde_json::json!({ "fields": fields }))
    }

    fn at(&self, field: &Field) -> Option<&Json> {
        let head = self.0.get(field.head().name())?;
        let mut names = field.names().iter();
        names.try_fold(head, |value, name| value.get(&**name))
    }
}

impl Fields for Document {
    fn value(&self, field: &Field) -> Value<'_> {
        let is_time = matches!(
            field.head(),
            Head::ConnectedSince | Head::CreatedAt | Head::UpdatedAt | Head::LastSeenAt
        );
        match self.at(field) {
            None | Some(Json::Null | Json::Array(_) | Json::Object(_)) => Value::Absent,
            Some(Json::Bool(value)) => Value::Boolean(*value),
            Some(Json::Number(number)) => match number.as_i64() {
                Some(value) => Value::Integer(value),
                None => Value::Float(number.as_f64().expect("a double")),
            },
            Some(Json::String(text)) if is_time => {
                parse_timestamp(text).map_or(Value::Absent, Value::Timestamp)
            }
            Some(Json::String(text)) => Value::Text(text),
        }
    }

    fn is_container(&self, field: &Field) -> bool {
        matches!(self.at(field), Some(Json::Array(_) | Json::Object(_)))
    }
}

/// Parses `filter` and runs it on a change from `before` to `after`.
pub(crate) fn matches(filter: &str, before: &Document, after: &Document) -> bool {
    let filter: Filter = filter.parse().unwrap_or_else(|error| panic!("{filter}: {error}"));
    filter.matches(after, before)
}
