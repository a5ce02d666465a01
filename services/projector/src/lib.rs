//! Events to state: folds each partition of `wakeline.events` into `wakeline.state`, exactly once, and
//! materialises that in the state store.
//!
//! A partition is a pure state machine ([`Partition`]: events in; records, rows, timers and reactions
//! out) that one task drives, one batch in flight. Per batch: one transaction of the log (state records
//! and source position), then history, then documents, then `applied`. **The state record is the commit
//! point**; the tables are a materialisation of it, and [`recovery`] brings them level with it whenever a
//! partition is taken over. This crate reads no clock and names no engine.

pub mod partition;
pub mod projector;
pub mod reactor;
pub mod rebuild;
pub mod recovery;
pub mod rulebook;
pub mod settings;
pub mod source;

mod metrics;
mod status;
mod task;

pub use partition::{Decision, Partition};
pub use projector::Projector;
pub use reactor::{Reaction, Reactor};
pub use rulebook::Rulebook;
pub use settings::{FaultHook, Point, Settings};
pub use status::{Health, PartitionHealth, Phase};
