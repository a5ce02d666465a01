//! The way in: takes events over HTTP and from other surfaces, judges each, appends the good ones to
//! `wakeline.events`, and answers when they are durable.
//!
//! `admission` is pure: text of one event in, a record or a rejection out. It knows nothing of
//! gateway, projector or which engine keeps the log.

mod admission;
mod blank;
mod decompress;
mod http;
mod ids;
mod items;
mod metrics;
mod outcome;
mod rate;
mod refused;
mod room;
mod settings;
mod sink;

pub use settings::Settings;
pub use sink::Ingest;
