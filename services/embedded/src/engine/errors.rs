//! What can go wrong with an engine as a whole.

use std::path::PathBuf;
use std::time::Duration;

use crate::database::Closed;

/// Why a directory was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data directory {} is in use by {}; stop that process, or choose another directory",
        dir.display(), holder_name(*.holder))]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Id of the process that has it, where it could be read.
        holder: Option<u32>,
    },
    /// It cannot be created or written.
    #[error("the data directory {} cannot be written: {reason}", dir.display())]
    NotWritable {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A newer version wrote it.
    #[error("the data directory {} was written by a newer version of wakeline; use that version", dir.display())]
    Newer {
        /// The directory.
        dir: PathBuf,
    },
    /// What it holds is not what was written.
    #[error("the data directory {} is damaged: {reason}", dir.display())]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What is wrong, and what can be done.
        reason: String,
    },
    /// The system did not let it be opened.
    #[error("the data directory {} cannot be opened: {reason}", dir.display())]
    Failed {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        reason: String,
    },
}

fn holder_name(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
}

/// Why closing did not end well. What was acknowledged is durable all the same.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Reads did not end in time; the directory stays locked until they do.
    #[error("reads were still under way after {waited:?}; the data directory stays locked until they end")]
    Busy {
        /// How long they were waited for.
        waited: Duration,
    },
    /// The last sync failed, or the writer had died.
    #[error("the data directory was not closed cleanly: {reason}")]
    Failed {
        /// What the system said.
        reason: String,
    },
}

/// Why work on the tables has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Interrupted {
    #[error(transparent)]
    Closed(#[from] Closed),
    #[error("a read of the embedded engine died: {0}")]
    Died(#[from] tokio::task::JoinError),
}
