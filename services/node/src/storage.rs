//! Opens the log and the state store, and refuses what would lose events.

pub mod embedded_engine;
mod ends;
pub mod servers;
pub mod switch;

use std::sync::Arc;
use std::time::Duration;

use access::NodeKey;
use journal::{Admin, Clock, Journal};
use schemas::control::Layout;
use state::Store;

use crate::config::{Config, Storage};
use crate::migrate::Migrated;
use ends::check_ends;

/// Longest end of a node that served one command only.
pub const PRIVATE_DRAIN: Duration = Duration::from_secs(5);

/// What a process works on.
#[derive(Clone)]
pub struct Opened {
    /// The log.
    pub journal: Journal,
    /// The state.
    pub store: Store,
    /// What signs device tokens.
    pub node_key: NodeKey,
    /// The engine behind both, where it is the embedded one.
    pub engine: Option<embedded::Engine>,
    /// The connection behind the store, where that is a CQL server.
    pub cql: Option<state::scylla::Cql>,
    /// The way to other tables, where the store is a CQL server.
    pub switch: Option<Arc<switch::Switch>>,
}

/// Why a process does not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings do not say where data is.
    #[error("{0}")]
    Settings(String),
    /// The embedded engine does not open.
    #[error("{0}")]
    Embedded(#[from] embedded::OpenError),
    /// A server is not there, refuses us, or holds what we cannot use.
    #[error("{0}")]
    Server(String),
    /// Nothing was migrated yet.
    #[error("{0} has no layout yet: run `wakeline migrate` with the same flags first")]
    NotMigrated(String),
    /// Topics and tables do not belong together.
    #[error("{0}")]
    Layout(String),
    /// The cluster would lose acknowledged events.
    #[error(
        "{0}\nEvents that were acknowledged could be lost. Change the topics, or, for development only, start with \
             --allow-weak-durability"
    )]
    WeakDurability(String),
    /// The node key is not usable.
    #[error("{0}")]
    NodeKey(String),
}

/// Opens what `config` names. The embedded engine migrates itself; servers must have been migrated.
///
/// # Errors
/// See [`OpenError`].
pub async fn open(
    config: &Config,
    clock: &Clock,
    registry: &prometheus::Registry,
) -> Result<Opened, OpenError> {
    match config.storage().map_err(OpenError::Settings)? {
        Storage::Embedded(dir) => embedded_engine::open(&dir, config, clock).await,
        Storage::Servers { kafka, cql } => servers::open(&kafka, &cql, config, clock, registry).await,
    }
}

/// Makes what `config` names ready for [`open`].
///
/// # Errors
/// See [`OpenError`].
pub async fn migrate(
    config: &Config,
    clock: &Clock,
    registry: &prometheus::Registry,
    new_epoch: bool,
) -> Result<(Layout, Migrated), OpenError> {
    match config.storage().map_err(OpenError::Settings)? {
        Storage::Embedded(dir) => embedded_engine::migrate(&dir, config, clock, new_epoch).await,
        Storage::Servers { kafka, cql } => {
            servers::migrate(&kafka, &cql, config, clock, registry, new_epoch).await
        }
    }
}

/// The node key from the file that was named.
fn node_key_file(config: &Config) -> Result<Option<NodeKey>, OpenError> {
    let Some(path) = &config.node_key_file else {
        return Ok(None);
    };
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| OpenError::NodeKey(format!("node-key-file {shown} cannot be read: {error}")))?;
    let key = node_key(text.trim()).ok_or_else(|| {
        OpenError::NodeKey(format!(
            "node-key-file {shown} must hold 64 hexadecimal digits; `openssl rand -hex 32` makes them"
        ))
    })?;
    Ok(Some(key))
}

/// A key from 64 hexadecimal digits.
fn node_key(text: &str) -> Option<NodeKey> {
    let bytes: Option<Vec<u8>> = (0..32)
        .map(|i| {
            text.get(2 * i..2 * i + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect();
    let bytes: [u8; 32] = bytes?.try_into().ok()?;
    (text.len() == 64).then(|| NodeKey::new(bytes))
}

/// A new key, as 64 hexadecimal digits.
fn new_node_key() -> Result<String, OpenError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| OpenError::NodeKey(format!("the system gives no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The administrative port as the trait object that the callers share.
type SharedAdmin = Arc<dyn Admin>;
