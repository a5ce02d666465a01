//! The journal and state ports over one local engine: the single-process mode.
//!
//! One directory, one process, one fjall database. [`Engine::open`] gives the ports that the rest of
//! the product uses; no caller can tell them from Kafka and CQL. This is the only crate that touches
//! data files and the only one that names fjall.
//!
//! What makes it safe:
//! - one writer thread assigns offsets; a group of appends is one atomic batch and **one sync**, and
//!   only after the sync are its records visible and its appends acknowledged (`writer`);
//! - after a failed sync nothing is written or acknowledged any more, until the process starts again;
//! - a side file says how much was acknowledged, so that data that went missing is reported when the
//!   directory is opened, never passed over (`identity`);
//! - a directory that was copied or restored gets another cluster id, so cursors of the original are
//!   told so (`identity`).
//!
//! It reads no clock but the one it is given and spawns no task: [`Engine::run_maintenance`] is a
//! future that the caller owns, and the writer is a thread that [`Engine::close`] joins.

mod admin;
mod database;
mod engine;
mod groups;
mod identity;
mod keys;
mod log;
mod maintenance;
mod partition;
mod record;
mod settings;
mod store;
mod time_index;
mod writer;

pub use engine::{CloseError, Engine, OpenError};
pub use maintenance::{MaintainError, Maintained};
pub use settings::Settings;
