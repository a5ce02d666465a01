//! Behaviours of access over a real log: the embedded engine.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic as the test itself may"
)]

mod administration;
mod directory;
mod http;
mod sessions;
mod stall;
mod support;
