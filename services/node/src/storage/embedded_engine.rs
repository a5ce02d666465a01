//! The embedded engine: one directory, no server.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use access::NodeKey;
use embedded::Engine;
use journal::Clock;
use schemas::control::Layout;

use super::{OpenError, Opened, SharedAdmin, check_ends, new_node_key, node_key, node_key_file};
use crate::config::Config;
use crate::migrate::{self, Migrated};

/// Name of the file with the node key, in the data directory.
const NODE_KEY_FILE: &str = "node.key";

/// Opens `dir`, creating and migrating it if need be.
pub(super) async fn open(dir: &Path, config: &Config, clock: &Clock) -> Result<Opened, OpenError> {
    let engine = engine(dir, config, clock).await?;
    let (layout, _) = layout(&engine, config, clock, false).await?;
    let opened = Opened {
        journal: engine.journal(layout),
        store: engine.store(),
        node_key: key(dir, config)?,
        engine: Some(engine),
        cql: None,
        switch: None,
    };
    check_ends(&opened.journal, &opened.store).await?;
    Ok(opened)
}

/// Creates `dir` and its layout.
pub(super) async fn migrate(
    dir: &Path,
    config: &Config,
    clock: &Clock,
    new_epoch: bool,
) -> Result<(Layout, Migrated), OpenError> {
    let engine = engine(dir, config, clock).await?;
    let migrated = layout(&engine, config, clock, new_epoch).await?;
    key(dir, config)?;
    engine
        .close()
        .await
        .map_err(|error| OpenError::Server(error.to_string()))?;
    Ok(migrated)
}

async fn engine(dir: &Path, config: &Config, clock: &Clock) -> Result<Engine, OpenError> {
    let (dir, settings, clock) = (dir.to_owned(), config.embedded.clone(), clock.clone());
    let opened = tokio::task::spawn_blocking(move || Engine::open(&dir, settings, clock)).await;
    Ok(opened.map_err(|error| OpenError::Server(error.to_string()))??)
}

async fn layout(
    engine: &Engine,
    config: &Config,
    clock: &Clock,
    new_epoch: bool,
) -> Result<(Layout, Migrated), OpenError> {
    let admin: SharedAdmin = engine.admin();
    migrate::log(admin.as_ref(), config, clock, None, new_epoch)
        .await
        .map_err(OpenError::Layout)
}

/// The key from the named file, else the directory's own, made on first use.
fn key(dir: &Path, config: &Config) -> Result<NodeKey, OpenError> {
    if let Some(key) = node_key_file(config)? {
        return Ok(key);
    }
    let path = dir.join(NODE_KEY_FILE);
    let problem = |what: &str| OpenError::NodeKey(format!("{} {what}", path.display()));
    if let Ok(text) = fs::read_to_string(&path) {
        return node_key(text.trim()).ok_or_else(|| problem("does not hold 64 hexadecimal digits"));
    }
    let text = new_node_key()?;
    // Whole or not at all: a crash in between must not leave half a key.
    let write = || -> std::io::Result<()> {
        let partial = path.with_extension("partial");
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        fs::File::open(dir)?.sync_all()
    };
    write().map_err(|error| problem(&format!("cannot be written: {error}")))?;
    node_key(&text).ok_or_else(|| problem("is not usable"))
}
