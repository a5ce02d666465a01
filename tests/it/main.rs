//! Behaviours of real nodes on the embedded engine, as a user sees them.

mod cursors;
mod resume;
