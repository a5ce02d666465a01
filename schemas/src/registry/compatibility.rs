//! The rule by which a schema may change: every version of a subject reads every other, in both
//! directions (Confluent's `FULL_TRANSITIVE`).

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

/// Why a schema may not follow another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incompatible {
    /// One of the texts is no Avro schema.
    #[error("not an Avro schema: {0}")]
    Schema(String),
    /// What the writer writes, the reader cannot read, or not always.
    #[error("a reader of the {reader} schema cannot read everything written by the {writer}: {reason}")]
    Unreadable {
        /// `old` or `new`.
        writer: &'static str,
        /// `old` or `new`.
        reader: &'static str,
        /// The first difference found.
        reason: String,
    },
}

/// Checks that two schemas read each other's values, without exception.
///
/// # Errors
/// The first direction that fails, and why.
pub fn check_compatible(old: &str, new: &str) -> Result<(), Incompatible> {
    let parse = |text| Schema::parse_str(text).map_err(|error| Incompatible::Schema(error.to_string()));
    let (old, new) = (parse(old)?, parse(new)?);
    check_readable("old", &old, "new", &new)?;
    check_readable("new", &new, "old", &old)
}

fn check_readable(
    writer: &'static str,
    writer_schema: &Schema,
    reader: &'static str,
    reader_schema: &Schema,
) -> Result<(), Incompatible> {
    let reason = match SchemaCompatibility::can_read(writer_schema, reader_schema) {
        Ok(Compatibility::Full) => return Ok(()),
        Ok(Compatibility::Partial) => "some values have no counterpart".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Incompatible::Unreadable {
        writer,
        reader,
        reason,
    })
}
