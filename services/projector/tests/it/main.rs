//! The projector on the embedded engine: what holds wherever it dies.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alerts;
mod crashes;
mod events;
mod presence;
mod rebuild;
mod recovery;
mod rules;
mod store;
mod truth;
mod world;
