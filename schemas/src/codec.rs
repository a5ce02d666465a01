//! The stored form of every noun: Avro in the Confluent wire format.
//!
//! `encode` writes the newest schema of its subject; equal values give equal bytes. `decode` reads any
//! version that was ever published, by the schema id in the frame. What comes out of `decode` is safe to
//! hand on: numbers are finite, JSON texts are JSON on one line, and words are known ones.

use std::io::BufRead as _;
use std::sync::LazyLock;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_avro_fast::Schema;
use serde_avro_fast::de::DeserializerState;
use serde_avro_fast::ser::SerializerConfig;

use crate::registry::{self, Subject};
use crate::wire::{self, FrameError};
use crate::{Change, Control, Document, Event, Rejected};

mod body;
mod change;
mod control;
mod document;
mod event;
mod fields;
mod json_text;
mod line;
mod location;
mod rejected;

pub use line::write_event_frame;

/// Why bytes are no value of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not in the Confluent wire format.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Written with a schema of somebody else, or of a newer release.
    #[error("schema id {id} is none of {}; it may be of a newer release", subject.name())]
    UnknownSchema {
        /// What was expected.
        subject: Subject,
        /// The id found.
        id: u32,
    },
    /// Written with one of our schemas, but for another place.
    #[error("schema id {id} is of {}, not of {}", found.name(), subject.name())]
    ForeignSchema {
        /// What was expected.
        subject: Subject,
        /// The id found.
        id: u32,
        /// Whose it is.
        found: Subject,
    },
    /// Not what the schema says.
    #[error("not a value of schema id {id}: {reason}")]
    Body {
        /// The schema.
        id: u32,
        /// What the decoder says.
        reason: String,
    },
    /// More bytes than the value has.
    #[error("{bytes} bytes follow a value of schema id {id}")]
    Trailing {
        /// The schema.
        id: u32,
        /// How many.
        bytes: usize,
    },
    /// Good Avro, but a member that means nothing.
    #[error("member {member}: {reason}")]
    Member {
        /// Which.
        member: &'static str,
        /// What was found.
        reason: String,
    },
}

impl DecodeError {
    fn member(member: &'static str, reason: impl Into<String>) -> Self {
        Self::Member {
            member,
            reason: reason.into(),
        }
    }
}

/// One subject's schemas, parsed: the newest first, since nearly everything read was written by it.
struct Versions {
    subject: Subject,
    parsed: Vec<(u32, Schema)>,
}

static EVENTS: LazyLock<Versions> = LazyLock::new(|| Versions::parse(Subject::Events));
static STATE: LazyLock<Versions> = LazyLock::new(|| Versions::parse(Subject::State));
static CONTROL: LazyLock<Versions> = LazyLock::new(|| Versions::parse(Subject::Control));
static REJECTED: LazyLock<Versions> = LazyLock::new(|| Versions::parse(Subject::Rejected));
static DEVICE: LazyLock<Versions> = LazyLock::new(|| Versions::parse(Subject::Device));

impl Versions {
    #[expect(
        clippy::panic,
        reason = "the texts are compiled in, and every one of them is parsed by a test"
    )]
    fn parse(subject: Subject) -> Self {
        let parsed = registry::versions(subject)
            .rev()
            .map(|registered| match registered.schema_text.parse() {
                Ok(schema) => (registered.id, schema),
                Err(error) => panic!("schema id {} of {}: {error}", registered.id, subject.name()),
            })
            .collect();
        Self { subject, parsed }
    }

    #[expect(
        clippy::panic,
        reason = "records are derived from the schemas and bounded; tested for each kind"
    )]
    fn encode(&self, record: &impl Serialize, body_bytes: usize) -> Bytes {
        let written = match self.parsed.first() {
            Some((id, schema)) => {
                let frame = wire::start(*id, body_bytes);
                serde_avro_fast::to_datum(record, frame, &mut SerializerConfig::new(schema))
                    .map_err(|error| error.to_string())
            }
            None => Err("no schema".to_owned()),
        };
        match written {
            Ok(frame) => Bytes::from(frame),
            Err(error) => panic!(
                "a record of {} does not fit its own schema: {error}",
                self.subject.name()
            ),
        }
    }

    fn decode<'de, Record: Deserialize<'de>>(&self, frame: &'de [u8]) -> Result<Record, DecodeError> {
        let (id, body) = wire::split(frame)?;
        let Some((_, schema)) = self.parsed.iter().find(|(known, _)| *known == id) else {
            let subject = self.subject;
            return Err(match registry::by_id(id) {
                Some(registered) => DecodeError::ForeignSchema {
                    subject,
                    id,
                    found: registered.subject,
                },
                None => DecodeError::UnknownSchema { subject, id },
            });
        };
        let refuse = |reason: String| DecodeError::Body { id, reason };
        let mut state = DeserializerState::from_slice(body, schema);
        let record = Record::deserialize(state.deserializer()).map_err(|error| refuse(error.to_string()))?;
        let rest = state
            .into_reader()
            .fill_buf()
            .map_err(|error| refuse(error.to_string()))?
            .len();
        if rest > 0 {
            return Err(DecodeError::Trailing { id, bytes: rest });
        }
        Ok(record)
    }
}

macro_rules! codec {
    ($($noun:ident: $versions:ident, $record:ty, $body_bytes:literal;)+) => {$(
        impl $noun {
            /// Framed Avro of the newest schema; equal values give equal bytes.
            #[must_use]
            pub fn encode(&self) -> Bytes {
                $versions.encode(&<$record>::from(self), $body_bytes)
            }

            /// Reads framed Avro of any published version.
            ///
            /// # Errors
            /// What was found instead.
            pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
                $versions.decode::<$record>(frame)?.try_into()
            }
        }
    )+};
}

codec! {
    Event: EVENTS, event::EventRecord<'_>, 256;
    Change: STATE, change::ChangeRecord<'_>, 1024;
    Control: CONTROL, control::ControlRecord<'_>, 256;
    Rejected: REJECTED, rejected::RejectedRecord<'_>, 512;
    Document: DEVICE, change::DocumentRecord<'_>, 1024;
}

/// Owned copy of an optional text.
fn owned(text: Option<&str>) -> Option<Box<str>> {
    text.map(Box::from)
}

/// A word of a closed list, or an error that names the list.
fn word<T>(
    member: &'static str,
    found: &str,
    known: &[&str],
    from_word: impl FnOnce(&str) -> Option<T>,
) -> Result<T, DecodeError> {
    from_word(found)
        .ok_or_else(|| DecodeError::member(member, format!("{found:?} is none of {}", known.join(", "))))
}

fn finite(member: &'static str, number: f64) -> Result<f64, DecodeError> {
    if number.is_finite() {
        Ok(number)
    } else {
        Err(DecodeError::member(member, format!("{number} is not finite")))
    }
}

#[cfg(test)]
mod tests;
