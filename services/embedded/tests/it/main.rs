//! Behaviours of the embedded engine, seen from its ports.

#![expect(clippy::unwrap_used, reason = "a test whose helper cannot go on has failed")]

mod contract_journal;
mod contract_state;
mod crash;
mod damage;
mod groups;
mod log;
mod maintenance;
mod opening;
mod speed;
mod support;
