//! The fjall database and its tables.

use std::path::Path;
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use parking_lot::RwLock;

use crate::Settings;

/// The opened tables; `keys.rs` says what each holds.
pub(crate) struct Tables {
    pub(crate) database: Database,
    pub(crate) meta: Keyspace,
    pub(crate) log: Keyspace,
    pub(crate) times: Keyspace,
    pub(crate) kept: Keyspace,
    pub(crate) state: Keyspace,
    pub(crate) history: Keyspace,
}

impl Tables {
    /// Opens the database in `dir`, recovering it, and creates the tables that are missing.
    pub(crate) fn open(dir: &Path, settings: &Settings) -> fjall::Result<Self> {
        let database = Database::builder(dir)
            .cache_size(settings.cache_bytes)
            .max_journaling_size(settings.journal_bytes_max.max(64 * 1024 * 1024))
            .open()?;
        let table = |name, bytes| {
            database.keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(bytes))
        };
        let small = (settings.memtable_bytes / 4).max(1);
        Ok(Self {
            meta: table("meta", small)?,
            log: table("log", settings.memtable_bytes.max(1))?,
            times: table("times", small)?,
            kept: table("kept", small)?,
            state: table("state", small)?,
            history: table("history", small)?,
            database,
        })
    }

    /// The number stored in `meta` under `key`.
    pub(crate) fn number(&self, key: &[u8]) -> fjall::Result<Option<u64>> {
        Ok(self.meta.get(key)?.and_then(|bytes| crate::keys::u64_at(&bytes)))
    }
}

/// The tables while the engine is open. Every use holds them for its own duration only, so that
/// closing the engine frees the directory although ports still exist.
pub(crate) struct Handle(RwLock<Option<Arc<Tables>>>);

/// The engine was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the embedded engine is closed")]
pub(crate) struct Closed;

impl Handle {
    pub(crate) fn new(tables: Arc<Tables>) -> Self {
        Self(RwLock::new(Some(tables)))
    }

    /// The tables, for one short use.
    pub(crate) fn get(&self) -> Result<Arc<Tables>, Closed> {
        self.0.read().clone().ok_or(Closed)
    }

    /// Takes the tables away from every later use.
    pub(crate) fn take(&self) -> Option<Arc<Tables>> {
        self.0.write().take()
    }
}
