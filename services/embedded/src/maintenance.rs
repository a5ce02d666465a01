//! What lets go of old data: retention, compaction, and the life time of history.
//!
//! All of it works in small batches that are not synced: should the machine die, the work is done
//! again. Each batch that removes records notes the end of its partition, so that the end never goes
//! back even when its newest record is gone.

mod compaction;
mod expiry;
mod retention;

use std::collections::HashMap;
use std::sync::Arc;

use journal::{Micros, Offset, Partition, Topic};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::database::{Closed, Tables};
use crate::engine::Inner;
use crate::keys;
use crate::partition::{PartitionState, StoredError};

/// What one pass removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Records that retention removed.
    pub trimmed: u64,
    /// Records that compaction removed, tombstones included.
    pub compacted: u64,
    /// Rows of history and of deleted documents whose time was over.
    pub expired: u64,
}

/// Why maintenance did not end.
#[derive(Debug, thiserror::Error)]
pub enum MaintainError {
    /// The engine is closed.
    #[error("the embedded engine is closed")]
    Closed,
    /// Its files cannot be read or written.
    #[error("maintenance of the embedded engine failed: {reason}")]
    Engine {
        /// What the engine said.
        reason: String,
    },
}

impl From<Closed> for MaintainError {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<StoredError> for MaintainError {
    fn from(error: StoredError) -> Self {
        Self::Engine {
            reason: error.to_string(),
        }
    }
}

impl From<fjall::Error> for MaintainError {
    fn from(error: fjall::Error) -> Self {
        Self::Engine {
            reason: error.to_string(),
        }
    }
}

/// Where maintenance goes on; it is one at a time.
#[derive(Default)]
pub(crate) struct Progress {
    sweep: expiry::Sweep,
    /// Before this offset, this process has removed everything.
    cleared: HashMap<(Topic, Partition), Offset>,
}

/// How much of a pass is done at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All there is.
    Whole,
    /// Some steps of the sweeps through tables; all of what is cheap to find.
    Some,
}

/// One whole pass as of `now`.
pub(crate) fn maintain(inner: &Inner, now: Micros) -> Result<Maintained, MaintainError> {
    pass(inner, now, Extent::Whole)
}

/// Passes at the interval of the settings, until `cancel`.
pub(crate) async fn run(inner: &Arc<Inner>, cancel: &CancellationToken) {
    let mut ticks = tokio::time::interval(inner.settings.maintenance_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = inner.closed.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let worker = Arc::clone(inner);
        let passed = tokio::task::spawn_blocking(move || pass(&worker, (worker.clock)(), Extent::Some));
        match passed.await {
            Ok(Ok(_) | Err(MaintainError::Closed)) => {}
            Ok(Err(error)) => tracing::error!(%error, "maintenance failed; it is tried again"),
            Err(error) => tracing::error!(%error, "maintenance died; it is tried again"),
        }
    }
}

fn pass(inner: &Inner, now: Micros, extent: Extent) -> Result<Maintained, MaintainError> {
    let mut progress = inner.maintenance.lock();
    let tables = inner.tables.get()?;
    let mut done = Maintained::default();
    for topic in Topic::ALL {
        for number in 0..inner.partitions(topic) {
            let Some(partition) = inner.partition(topic, number) else {
                continue;
            };
            if topic.is_compacted() {
                done.compacted += compaction::compact(inner, &tables, &partition, now / 1_000)?;
            } else {
                let cleared = progress.cleared.entry((topic, number)).or_insert(0);
                done.trimmed += retention::trim(inner, &tables, &partition, now / 1_000, cleared)?;
            }
        }
    }
    done.expired += progress.sweep.pass(inner, &tables, now, extent)?;
    let synced = inner.shared.durable.lock().sync();
    synced.map_err(|error| MaintainError::Engine {
        reason: error.to_string(),
    })?;
    Ok(done)
}

/// Stops a pass between two steps once the engine closes.
fn go_on(inner: &Inner) -> Result<(), MaintainError> {
    if inner.closed.is_cancelled() {
        Err(MaintainError::Closed)
    } else {
        Ok(())
    }
}

/// A batch that may remove records of `partition`: it notes the end.
fn removal(tables: &Tables, partition: &PartitionState) -> fjall::OwnedWriteBatch {
    let mut batch = tables.database.batch();
    let end = keys::meta_of(keys::meta::END, partition.topic, partition.number);
    batch.insert(&tables.meta, end, partition.bounds().end.to_be_bytes());
    batch
}
