//! Behaviours of real nodes on the embedded engine, as a user sees them.

mod access;
mod alerts;
mod bad_input;
mod cli;
mod commands;
mod cursors;
mod dialects;
mod filters;
mod hostile;
mod ingest;
mod live;
mod pair;
mod resume;
