//! Behaviours of ingest over HTTP and as a sink, on a real log: the embedded engine.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic as the test itself may"
)]

mod bad_input;
mod events;
mod log_trouble;
mod support;
