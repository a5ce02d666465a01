//! Reported values: a flat map from dotted path to scalar, and its nesting.
//!
//! Nested JSON objects are flattened on the way in (`{"a":{"b":1}}` → `a.b`), a dot or a backslash
//! inside a name is escaped with a backslash, and the way out nests again. Arrays and empty objects
//! are kept as JSON text.

use std::collections::BTreeMap;

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
