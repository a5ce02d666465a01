//! Behaviours of the embedded engine, seen from its ports.

mod contract_journal;
mod contract_state;
mod crash;
mod damage;
mod groups;
mod log;
mod maintenance;
mod opening;
mod support;
