//! Restores the tables from `wakeline.state`, and finds out whether they are what they should be.
//!
//! **Restoring is done in place, while the tables serve.** Every write carries the source offset of its
//! event, so an older document never replaces a newer one, and the same one again changes nothing: a reader
//! sees each device either as it was or as it should be. What else is in the tables is decided after the
//! last record: a row whose last event lies before the end of the rebuild, and whose device no state record
//! leaves existing, is deleted; a row with a later event belongs to the projector, which may go on all the
//! while. To restore beside what serves, give it another store: nothing here assumes which one it is.
//!
//! **What it cannot do.** A row that differs *at the same position* (it was damaged, not lost) is not
//! replaced, because of two writes of one position the store keeps either. [`compare()`] finds such rows;
//! empty the table of devices, then rebuild. Times that moved without a state record are folded again from
//! the events that are kept; those of older events are gone with the table that held them.

mod compare;
mod difference;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use journal::{Journal, Offset, Partition};
use schemas::Micros;
use state::counts::{self, CountsByTenant};
use state::{Applied, DeviceKey, Limits, PageKey, Store, Stored, Write};
use tokio::time::Instant;

pub use compare::{Comparison, Refold, compare, refold};
pub use difference::{Difference, Kind};

use crate::partition::Rules;
use crate::reactor::{Heartbeat, Silence};
use crate::recovery::{LiveKeys, Ports, Recovery, RecoveryError, Scope, Step, Target};
use crate::settings::Settings;

/// Settings of rebuilds and comparisons.
#[derive(Debug, Clone)]
pub struct Options {
    /// Partitions worked on at once.
    pub partitions_at_once: usize,
    /// Rows read at once.
    pub page_size: usize,
    /// Rows of history are written for events received at or after this; they live anew for the store's
    /// whole time to live.
    pub history_from: Micros,
    /// A comparison holds the documents of one slice of a partition in memory; so many slices.
    pub slices: u32,
    /// Differences that a comparison lists; it counts them all.
    pub differences_max: usize,
    /// How long the log or the store may be away before the work is given up.
    pub patience: Duration,
    /// Wait between two attempts.
    pub retry: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partitions_at_once: 4,
            page_size: 500,
            history_from: Micros::MAX,
            slices: 1,
            differences_max: 1_000,
            patience: Duration::from_secs(60),
            retry: Duration::from_secs(1),
        }
    }
}

/// How far the work on one partition is, in offsets. The total can grow while it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which partition.
    pub partition: Partition,
    /// Offsets dealt with.
    pub done: u64,
    /// Offsets in all.
    pub total: u64,
}

/// Told of progress, from several partitions at once.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// What a rebuild did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Devices in the tables.
    pub devices: u64,
    /// Rows deleted, since no state record leaves their device existing.
    pub deleted: u64,
    /// Documents left as they were, since events changed them and no state record says so. The projector
    /// makes those records when it takes the partition over.
    pub unconfirmed: u64,
}

/// Why a rebuild or a comparison was given up. Begun anew it does what is left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition}: {error}")]
pub struct RebuildError {
    /// Where.
    pub partition: Partition,
    /// What happened.
    pub error: RecoveryError,
}

/// Restores the tables of `store` from the log.
///
/// # Errors
/// The first partition that could not be restored.
pub async fn rebuild(
    journal: &Journal,
    store: &Store,
    options: &Options,
    on_progress: OnProgress<'_>,
) -> Result<Report, RebuildError> {
    let reports: Vec<Report> = stream::iter(0..journal.layout.partitions)
        .map(|partition| async move {
            rebuild_partition(journal, store, partition, options, on_progress)
                .await
                .map_err(|error| RebuildError { partition, error })
        })
        .buffer_unordered(options.partitions_at_once.max(1))
        .try_collect()
        .await?;
    Ok(reports.into_iter().fold(Report::default(), |sum, report| Report {
        devices: sum.devices + report.devices,
        deleted: sum.deleted + report.deleted,
        unconfirmed: sum.unconfirmed + report.unconfirmed,
    }))
}

async fn rebuild_partition(
    journal: &Journal,
    store: &Store,
    partition: Partition,
    options: &Options,
    on_progress: OnProgress<'_>,
) -> Result<Report, RecoveryError> {
    let mut ports = Ports {
        reader: &*journal.reader,
        documents: Target::Store(&*store.documents),
        history: Some(&*store.history),
    };
    let scope = Scope {
        history_from: options.history_from,
        ..Scope::default()
    };
    let recovery = begin(&ports, &rules(journal, partition), scope, None, options)
        .await?
        .with_live_keys();
    let recovery = finish(recovery, &mut ports, partition, options, on_progress).await?;
    let (source, state) = (recovery.source(), recovery.state());
    let unconfirmed = recovery.unconfirmed() as u64;
    let (report, counts) = sweep(store, partition, source, &recovery.live_keys(), options).await?;
    let applied = Applied {
        source,
        state,
        counts,
    };
    let known = store.progress.applied(partition).await?;
    // The projector that went on meanwhile knows better.
    if known.is_none_or(|known| known.source < source) {
        store.progress.set_applied(partition, &applied).await?;
    }
    Ok(Report {
        unconfirmed,
        ..report
    })
}

/// Since when the log or the store is away.
#[derive(Default)]
struct Away(Option<Instant>);

impl Away {
    /// Waits before another attempt, unless `error` will not pass or has lasted too long.
    async fn wait(
        &mut self,
        error: RecoveryError,
        partition: Partition,
        options: &Options,
    ) -> Result<(), RecoveryError> {
        let since = *self.0.get_or_insert_with(Instant::now);
        if !error.is_transient() || since.elapsed() > options.patience {
            return Err(error);
        }
        tracing::warn!(partition, %error, "trying again");
        tokio::time::sleep(options.retry).await;
        Ok(())
    }
}

/// Begins from nothing, to end with the event before `until`, or with that of the last state record.
async fn begin(
    ports: &Ports<'_>,
    rules: &Rules,
    scope: Scope,
    until: Option<Offset>,
    options: &Options,
) -> Result<Recovery, RecoveryError> {
    let mut away = Away::default();
    loop {
        match Recovery::begin(ports, rules.clone(), scope, None, until).await {
            Ok(recovery) => return Ok(recovery),
            Err(error) => away.wait(error, rules.partition, options).await?,
        }
    }
}

/// Takes `recovery` to its end. Documents that no state record confirms are left out.
async fn finish(
    mut recovery: Recovery,
    ports: &mut Ports<'_>,
    partition: Partition,
    options: &Options,
    on_progress: OnProgress<'_>,
) -> Result<Recovery, RecoveryError> {
    let mut away = Away::default();
    loop {
        match recovery.step(ports).await {
            Ok(step) => {
                away = Away::default();
                let (done, total) = recovery.progress();
                on_progress(Progress {
                    partition,
                    done,
                    total,
                });
                if step != Step::More {
                    return Ok(recovery);
                }
            }
            Err(error) => away.wait(error, partition, options).await?,
        }
    }
}

/// Deletes the rows that should not be, and counts the others.
async fn sweep(
    store: &Store,
    partition: Partition,
    source: Offset,
    live: &LiveKeys,
    options: &Options,
) -> Result<(Report, CountsByTenant), RecoveryError> {
    let mut report = Report::default();
    let mut counts = BTreeMap::new();
    let mut after: Option<PageKey> = None;
    loop {
        let page = store
            .documents
            .page_of_partition(partition, after.as_deref(), options.page_size)
            .await?;
        let mut deletes = Vec::new();
        for stored in &page.documents {
            let key = key_of(stored);
            if stored.source < source && !live.contains(&key) {
                deletes.push(Write {
                    key,
                    partition,
                    document: None,
                    source: stored.source,
                });
            } else {
                report.devices += 1;
                counts::update(&mut counts, &key.tenant, None, Some(&stored.document));
            }
        }
        report.deleted += deletes.len() as u64;
        if !deletes.is_empty() {
            store.documents.write(deletes).await?;
        }
        after = page.next;
        if after.is_none() {
            return Ok((report, counts));
        }
    }
}

fn rules(journal: &Journal, partition: Partition) -> Rules {
    let settings = Settings::default();
    Rules {
        partition,
        generation: journal.layout.generation,
        limits: Limits::of(&journal.layout),
        silence: Silence::of(&settings),
        heartbeat: Heartbeat::of(&settings),
        history_kinds: settings.history_kinds,
        rejected_per_batch_max: settings.rejected_per_batch_max,
        cached_document_bytes_max: settings.cached_document_bytes_max,
    }
}

fn key_of(stored: &Stored) -> DeviceKey {
    DeviceKey {
        tenant: stored.document.tenant.clone(),
        device: stored.document.id.clone(),
    }
}
