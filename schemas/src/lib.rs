//! The nouns of the four topics and their stored form: Avro schemas (`*.avsc`), the Confluent wire
//! format around them, and the JSON in which the native API speaks of the same events.
//!
//! This crate does no I/O and reads no clock.

pub mod codec;
pub mod control;
pub mod document;
pub mod event;
pub mod fields;
pub mod json;
pub mod registry;
pub mod rejected;
mod token;
pub mod wire;

pub use control::Control;
pub use document::{Change, Document};
pub use event::{Body, Event, Kind};
pub use fields::{Fields, Scalar};
pub use rejected::Rejected;

/// Microseconds since the Unix epoch, UTC.
pub type Micros = i64;

#[cfg(test)]
mod strategies;
