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

/// Bounds on a nested object that is flattened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlattenLimits {
    /// Objects and arrays within one another, the outermost included.
    pub depth_max: usize,
    /// Values in the flat map.
    pub fields_max: usize,
    /// Length of an escaped path.
    pub path_bytes_max: usize,
}

impl Default for FlattenLimits {
    fn default() -> Self {
        Self { depth_max: 32, fields_max: 1_000, path_bytes_max: 512 }
    }
}

/// Why an object cannot be flattened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlattenError {
    /// Nested too deeply.
    #[error("{path} is nested more than {max} levels deep; flatten it or send it as text")]
    Depth {
        /// Where.
        path: String,
        /// The limit.
        max: usize,
    },
    /// Too many values.
    #[error("more than {max} values in one update; send them in several events")]
    Fields {
        /// The limit.
        max: usize,
    },
    /// A path that is too long.
    #[error("the path that starts {start:?} is longer than {max} bytes")]
    Path {
        /// Its first characters.
        start: String,
        /// The limit.
        max: usize,
    },
}

impl Fields {
    /// Flattens a nested object.
    ///
    /// # Errors
    /// The limit that it passes.
    pub fn flatten(
        object: &serde_json::Map<String, serde_json::Value>,
        limits: &FlattenLimits,
    ) -> Result<Self, FlattenError> {
        let _unused = (object, limits);
        todo!()
    }

    /// The nested object again.
    #[must_use]
    pub fn nest(&self) -> serde_json::Value {
        todo!()
    }

    /// Writes the nested object as compact JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let _unused = out;
        todo!()
    }
}

/// The proper ancestors of an escaped path, shortest first: `a.b.c` → `a`, `a.b`.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let _unused = path;
    std::iter::empty()
}

/// Whether `path` lies below `of` (both escaped); a path is no descendant of itself.
#[must_use]
pub fn is_descendant(path: &str, of: &str) -> bool {
    path.len() > of.len() && path.starts_with(of) && path.as_bytes()[of.len()] == b'.'
}

/// Escapes one name for use as a segment of a path: a dot or a backslash gets a backslash before it.
#[must_use]
pub fn escape(name: &str) -> std::borrow::Cow<'_, str> {
    let _unused = name;
    todo!()
}
