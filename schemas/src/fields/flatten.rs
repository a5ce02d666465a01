//! From a nested object to the flat map.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::push_escaped;
use super::{Fields, Scalar};

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
        Self {
            depth_max: 32,
            fields_max: 1_000,
            path_bytes_max: 512,
        }
    }
}

/// Why an object cannot be flattened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlattenError {
    /// Nested too deeply.
    #[error("nested more than {max} levels deep; flatten it or send it as text")]
    Depth {
        /// Where, as an escaped path.
        path: String,
        /// The limit.
        max: usize,
    },
    /// Too many values.
    #[error("more than {max} values in one event; send them in several events")]
    Fields {
        /// The limit.
        max: usize,
    },
    /// A path that is too long.
    #[error("the path that starts with {start:?} is longer than {max} bytes; use shorter names")]
    Path {
        /// Its first characters.
        start: String,
        /// The limit.
        max: usize,
    },
}

impl Fields {
    /// Flattens a nested object. Whole numbers beyond 63 bits become doubles; arrays and empty objects
    /// become JSON text.
    ///
    /// # Errors
    /// The limit that it passes.
    pub fn flatten(object: &Map<String, Value>, limits: &FlattenLimits) -> Result<Self, FlattenError> {
        let mut flattening = Flattening {
            limits,
            path: String::new(),
            fields: BTreeMap::new(),
        };
        flattening.object(object, 1)?;
        Ok(Self(flattening.fields))
    }
}

struct Flattening<'a> {
    limits: &'a FlattenLimits,
    /// Path of the object at hand, with the dot that follows it.
    path: String,
    fields: BTreeMap<Box<str>, Scalar>,
}

impl Flattening<'_> {
    fn object(&mut self, object: &Map<String, Value>, depth: usize) -> Result<(), FlattenError> {
        let parent_length = self.path.len();
        for (name, value) in object {
            push_escaped(name, &mut self.path);
            if self.path.len() > self.limits.path_bytes_max {
                let start = self.path.chars().take(40).collect();
                return Err(FlattenError::Path {
                    start,
                    max: self.limits.path_bytes_max,
                });
            }
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    self.check_depth(depth + 1)?;
                    self.path.push('.');
                    self.object(inner, depth + 1)?;
                }
                Value::Array(_) | Value::Object(_) => {
                    self.check_depth(depth + levels(value, self.limits.depth_max + 1))?;
                    self.insert(Scalar::from_json(value))?;
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    self.insert(Scalar::from_json(value))?;
                }
            }
            self.path.truncate(parent_length);
        }
        Ok(())
    }

    fn check_depth(&self, depth: usize) -> Result<(), FlattenError> {
        let max = self.limits.depth_max;
        if depth > max {
            Err(FlattenError::Depth {
                path: self.path.clone(),
                max,
            })
        } else {
            Ok(())
        }
    }

    fn insert(&mut self, value: Scalar) -> Result<(), FlattenError> {
        if self.fields.len() >= self.limits.fields_max {
            return Err(FlattenError::Fields {
                max: self.limits.fields_max,
            });
        }
        self.fields.insert(self.path.as_str().into(), value);
        Ok(())
    }
}

/// Objects and arrays within one another; looks no deeper than `at_most`.
fn levels(value: &Value, at_most: usize) -> usize {
    let deepest = |inner: &mut dyn Iterator<Item = &Value>| {
        let below = at_most.saturating_sub(1);
        if below == 0 {
            0
        } else {
            inner.map(|value| levels(value, below)).max().unwrap_or(0)
        }
    };
    match value {
        Value::Array(items) => 1 + deepest(&mut items.iter()),
        Value::Object(members) => 1 + deepest(&mut members.values()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
