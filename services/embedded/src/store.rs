//! The state ports.
//!
//! Their writes are not synced each: the state is a materialisation of the log, whose commit point is
//! the synced record of `wakeline.state`. What must hold after a crash is that `applied` is never
//! ahead of the documents it speaks of. It holds because fjall has one write-ahead file for all
//! tables, and recovery keeps a beginning of it: the documents were written before the progress, so
//! progress that survived has its documents. Whatever was lost is applied again from the log.

mod documents;
pub(crate) mod history;
mod page;
mod progress;
pub(crate) mod row;

use std::sync::Arc;

use state::StoreError;

use crate::engine::{Inner, Interrupted};

/// The state ports over one engine.
pub(crate) struct EmbeddedStore {
    inner: Arc<Inner>,
}

/// The ports.
pub(crate) fn open(inner: &Arc<Inner>) -> state::Store {
    let store = Arc::new(EmbeddedStore {
        inner: Arc::clone(inner),
    });
    state::Store {
        documents: Arc::clone(&store) as Arc<dyn state::Documents>,
        progress: Arc::clone(&store) as Arc<dyn state::Progress>,
        history: store,
    }
}

/// Why work on the tables failed.
pub(crate) enum Failure {
    Engine(fjall::Error),
    Store(StoreError),
}

impl From<fjall::Error> for Failure {
    fn from(error: fjall::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What is stored is not what this code writes.
fn corrupt(what: &str, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt {
        reason: format!("{what}: {why}"),
    }
}

/// The outcome of work on the tables as the ports tell it.
fn told<T>(outcome: Result<Result<T, Failure>, Interrupted>) -> Result<T, StoreError> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Failure::Store(error))) => Err(error),
        Ok(Err(Failure::Engine(error))) => Err(StoreError::Unavailable {
            reason: error.to_string(),
        }),
        Err(error) => Err(StoreError::Unavailable {
            reason: error.to_string(),
        }),
    }
}
