//! The stored form of every noun: Avro in the Confluent wire format.
//!
//! `encode` writes the newest schema of its subject; equal values give equal bytes. `decode` reads any
//! version that was ever published, by the schema id in the frame.

use bytes::Bytes;

use crate::{Change, Control, Document, Event, Rejected};

/// Why bytes are no value of the expected kind.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Placeholder until the body lands.
    #[error("the record cannot be decoded: {0}")]
    Body(String),
}

macro_rules! codec {
    ($($noun:ident),+) => {$(
        impl $noun {
            /// Framed Avro of the newest schema; equal values give equal bytes.
            #[must_use]
            pub fn encode(&self) -> Bytes { todo!() }
            /// Reads framed Avro of any published version.
            ///
            /// # Errors
            /// What was found instead, when it is not one.
            pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> { let _unused = bytes; todo!() }
        }
    )+};
}
codec!(Event, Change, Control, Rejected, Document);
