//! Reported values: a flat map from dotted path to scalar, and its nesting.
//!
//! Nested JSON objects are flattened on the way in (`{"a":{"b":1}}` → `a.b`), a dot or a backslash
//! inside a name is escaped with a backslash, and the way out nests again. Arrays and empty objects
//! are kept as JSON text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::token;

mod flatten;
mod nest;
mod path;

pub(crate) use nest::write_nested;

pub use flatten::{FlattenError, FlattenLimits};
pub use path::{ancestors, escape, is_descendant, segments, unescape};

/// One reported value. There is no object: objects are flattened.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Explicit `null`: removes the subtree when folded.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number that fits 63 bits and a sign.
    Integer(i64),
    /// Any other finite number.
    Number(f64),
    /// Text.
    String(Box<str>),
    /// Compact JSON text of an array or of an empty object.
    Json(Box<str>),
}

/// Dotted, escaped path → value; ordered by path, so that equal maps have equal bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(pub BTreeMap<Box<str>, Scalar>);

impl Scalar {
    /// A number, unless it is not finite: then there is no such JSON.
    #[must_use]
    pub const fn number(value: f64) -> Option<Self> {
        if value.is_finite() {
            Some(Self::Number(value))
        } else {
            None
        }
    }

    /// Any JSON as one value: arrays and objects become their compact text, whole numbers beyond 63
    /// bits become doubles.
    #[must_use]
    pub fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Boolean(*value),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Self::Integer(integer),
                (None, Some(double)) => Self::number(double).unwrap_or(Self::Null),
                (None, None) => Self::Null,
            },
            Value::String(text) => Self::String(text.as_str().into()),
            Value::Array(_) | Value::Object(_) => Self::Json(value.to_string().into_boxed_str()),
        }
    }

    /// The JSON that it stands for; JSON text becomes what it says.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::from(*value),
            Self::Integer(value) => Value::from(*value),
            Self::Number(value) => Value::from(*value),
            Self::String(text) => Value::from(&**text),
            // Text nested beyond what the parser follows stays text.
            Self::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(&**text)),
        }
    }

    /// Writes the JSON that it stands for.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.borrowed().write_json(out);
    }

    pub(crate) fn borrowed(&self) -> ScalarRef<'_> {
        match self {
            Self::Null => ScalarRef::Null,
            Self::Boolean(value) => ScalarRef::Boolean(*value),
            Self::Integer(value) => ScalarRef::Integer(*value),
            Self::Number(value) => ScalarRef::Number(*value),
            Self::String(text) => ScalarRef::String(text),
            Self::Json(text) => ScalarRef::Json(Cow::Borrowed(text)),
        }
    }
}

/// A [`Scalar`] that is somebody else's.
pub(crate) enum ScalarRef<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    String(&'a str),
    Json(Cow<'a, str>),
}

impl ScalarRef<'_> {
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Boolean(value) => token::boolean(*value, out),
            Self::Integer(value) => token::integer(*value, out),
            Self::Number(value) => token::number(*value, out),
            Self::String(text) => token::string(text, out),
            Self::Json(text) => out.extend_from_slice(text.as_bytes()),
        }
    }
}

impl From<ScalarRef<'_>> for Scalar {
    fn from(value: ScalarRef<'_>) -> Self {
        match value {
            ScalarRef::Null => Self::Null,
            ScalarRef::Boolean(value) => Self::Boolean(value),
            ScalarRef::Integer(value) => Self::Integer(value),
            ScalarRef::Number(value) => Self::Number(value),
            ScalarRef::String(text) => Self::String(text.into()),
            ScalarRef::Json(text) => Self::Json(text.into()),
        }
    }
}

#[cfg(test)]
mod tests;
