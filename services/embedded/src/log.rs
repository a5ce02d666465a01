//! The ports that append, follow and read.

mod append;
mod read;
mod tail;

use std::sync::Arc;

pub(crate) use append::{append, prepare};
pub(crate) use tail::Follower;

use crate::engine::Inner;

/// The log's ports over one engine.
pub(crate) struct EmbeddedLog {
    inner: Arc<Inner>,
}

impl EmbeddedLog {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}
