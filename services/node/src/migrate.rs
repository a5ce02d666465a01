//! `wakeline migrate`: topics, tables, the layout. Idempotent: a second run changes nothing.

use std::io::Write as _;

use journal::{Admin, Clock};
use schemas::control::Layout;

use crate::app::RunError;
use crate::cli::MigrateArgs;
use crate::config::Config;
use crate::storage;

/// Version of the meaning of events; a change of the fold that changes old state raises it.
pub const FOLD_VERSION: u32 = 1;
/// A document is at most this long, in bytes.
pub const DOCUMENT_BYTES_MAX: u32 = 64 * 1024;

/// What `migrate` did to the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrated {
    /// There was none; it was written.
    Created,
    /// It was there and agrees.
    Unchanged,
    /// A new epoch was begun.
    NewEpoch,
}

/// A layout for a log that has none yet, or, with `previous`, for its next generation.
#[must_use]
pub fn layout(config: &Config, previous: Option<&Layout>, clock: &Clock, epoch: u64) -> Layout {
    Layout {
        generation: previous.map_or(1, |layout| layout.generation + 1),
        // Writes of state carry this time plus an offset: a later layout must always win.
        created_at: clock().max(previous.map_or(0, |layout| layout.created_at + 1)),
        epoch,
        partitions: previous.map_or(config.partitions, |layout| layout.partitions),
        default_spread: config.default_spread,
        fold_version: FOLD_VERSION,
        document_bytes_max: DOCUMENT_BYTES_MAX,
        registration_required: config.registration_required,
    }
}

/// Random bits for an epoch.
///
/// # Errors
/// When the system gives no randomness.
pub fn random_epoch() -> Result<u64, String> {
    getrandom::u64().map_err(|error| format!("the system gives no randomness: {error}"))
}

/// Makes the log ready: creates what is missing, writes the layout if there is none.
///
/// # Errors
/// What the engine said, for the operator.
pub async fn log(
    admin: &dyn Admin,
    config: &Config,
    clock: &Clock,
    stored: Option<Layout>,
    new_epoch: bool,
) -> Result<(Layout, Migrated), String> {
    let existing = admin.layout().await.ok().flatten();
    let partitions = existing
        .as_ref()
        .or(stored.as_ref())
        .map_or(config.partitions, |layout| layout.partitions);
    let replication = if config.allow_weak_durability {
        1
    } else {
        config.replication
    };
    admin
        .create(partitions, replication)
        .await
        .map_err(|error| error.to_string())?;
    let existing = admin.layout().await.map_err(|error| error.to_string())?;
    match (existing, stored) {
        (Some(layout), stored) if !new_epoch => {
            if stored.is_some_and(|stored| stored != layout) {
                return Err(RECREATED.to_owned());
            }
            Ok((layout, Migrated::Unchanged))
        }
        (None, Some(_)) if !new_epoch => Err(RECREATED.to_owned()),
        (existing, stored) => {
            let previous = [existing, stored]
                .into_iter()
                .flatten()
                .max_by_key(|layout| layout.generation);
            let next = layout(config, previous.as_ref(), clock, random_epoch()?);
            admin
                .write_layout(&next)
                .await
                .map_err(|error| error.to_string())?;
            Ok((
                next,
                if previous.is_some() {
                    Migrated::NewEpoch
                } else {
                    Migrated::Created
                },
            ))
        }
    }
}

/// What an operator is told when topics and tables do not belong together.
pub const RECREATED: &str = "the tables belong to another incarnation of the topics: the topics were recreated, \
    restored or mirrored. If that was on purpose, run `wakeline migrate --new-epoch`: clients are told in band, and \
    state is folded again from what the topics hold. If not, connect to the right cluster";

/// Runs `wakeline migrate`.
///
/// # Errors
/// What stands in the way, and what to do.
pub async fn run(config: &Config, arguments: &MigrateArgs, clock: &Clock) -> Result<(), RunError> {
    let registry = prometheus::Registry::new();
    let (layout, migrated) = storage::migrate(config, clock, &registry, arguments.new_epoch).await?;
    let what = match migrated {
        Migrated::Created => "written",
        Migrated::Unchanged => "unchanged",
        Migrated::NewEpoch => "of a new epoch: clients are told in band, state is folded again",
    };
    writeln!(
        std::io::stdout().lock(),
        "layout {what}: generation {}, {} partitions, spread {}",
        layout.generation,
        layout.partitions,
        layout.default_spread,
    )
    .map_err(RunError::Io)
}
