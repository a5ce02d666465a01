//! `wakeline rebuild`: restores the tables from `wakeline.state` beside those that serve, compares,
//! switches; or folds events again and reports what differs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use journal::{Clock, Journal, Micros};
use projector::rebuild::{self, Comparison, Difference, Kind, Options, Progress, RebuildError, Refold};
use schemas::control::Layout;
use state::Store;
use state::scylla::Cql;

use crate::app::RunError;
use crate::cli::RebuildArgs;
use crate::config::Config;
use crate::storage::{self, Opened};

/// Runs `wakeline rebuild`.
///
/// # Errors
/// What stands in the way, or that the tables are not equal to the log afterwards.
pub async fn run(config: &Config, arguments: &RebuildArgs, clock: &Clock) -> Result<(), RunError> {
    let opened = storage::open(config, clock, &prometheus::Registry::new()).await?;
    let history = i64::try_from(config.embedded.history_ttl.as_micros()).unwrap_or(i64::MAX);
    let options = Options {
        history_from: clock().saturating_sub(history),
        ..Options::default()
    };
    let done = if arguments.refold {
        let since = since(arguments.since.as_deref(), clock)?;
        refold(&opened, &options, since).await
    } else {
        restore(&opened, &options, arguments, clock).await
    };
    if let Some(engine) = opened.engine {
        drop((opened.journal, opened.store));
        engine
            .close()
            .await
            .map_err(|error| RunError::Task(error.to_string()))?;
    }
    done
}

async fn restore(
    opened: &Opened,
    options: &Options,
    arguments: &RebuildArgs,
    clock: &Clock,
) -> Result<(), RunError> {
    let journal = &opened.journal;
    let Some(cql) = &opened.cql else {
        // One process at a time holds the embedded engine, so nothing serves meanwhile: in place.
        restored(journal, &opened.store, options).await?;
        return equal(journal, &opened.store, options).await;
    };
    let generation = journal.layout.generation;
    let failed = |error: state::StoreError| RunError::Task(error.to_string());
    let old = cql.serving(generation).await.map_err(failed)?;
    remove_unused(cql, &journal.layout, old, arguments.remove_after, clock)
        .await
        .map_err(failed)?;
    let new = unfilled(cql, &journal.layout, old).await?;
    let store = cql.store(&journal.layout, Some(new)).await.map_err(failed)?;
    restored(journal, &store, options).await?;
    equal(journal, &store, options).await?;
    cql.set_serving(generation, new).await.map_err(failed)?;
    say(&format!(
        "build {new} of the tables serves from now on; running nodes notice within {} s and go over to it once it \
         is as far as build {old}, which a rebuild later than {} from now removes",
        storage::switch::POLL.as_secs(),
        humantime::format_duration(arguments.remove_after),
    ))
}

/// The next build that nothing was ever written to. One that an interrupted run left a part of is not gone
/// on with: an old row in it that no state record replaces would stay. It is removed by a later run, not now,
/// since what is removed loses to no document written after it: these carry the times of their events.
async fn unfilled(cql: &Cql, layout: &Layout, old: u16) -> Result<u16, RunError> {
    for build in old.saturating_add(1)..=u16::MAX {
        let filled = cql.is_filled(layout, build).await;
        if !filled.map_err(|error| RunError::Task(error.to_string()))? {
            return Ok(build);
        }
    }
    Err(RunError::Task(
        "there is no further number for a build of the tables".to_owned(),
    ))
}

/// Removes the tables before `serving`, if that has served for so long that no node reads them any more.
async fn remove_unused(
    cql: &Cql,
    layout: &Layout,
    serving: u16,
    after: Duration,
    clock: &Clock,
) -> Result<(), state::StoreError> {
    let since = cql.serving_since(layout.generation).await?;
    let served = since.map_or(0, |since| clock().saturating_sub(since));
    if u128::try_from(served).unwrap_or(0) < after.as_micros() {
        return Ok(());
    }
    for build in 0..serving {
        if cql.is_filled(layout, build).await? {
            cql.purge(layout, build).await?;
            tracing::info!(build, "tables that nobody reads any more were removed");
        }
    }
    Ok(())
}

async fn restored(journal: &Journal, store: &Store, options: &Options) -> Result<(), RunError> {
    let bar = Bar::new("restoring");
    let report = rebuild::rebuild(journal, store, options, &|progress| bar.told(progress))
        .await
        .map_err(failed)?;
    bar.finish();
    say(&format!(
        "{} devices restored, {} rows deleted",
        report.devices, report.deleted
    ))
}

async fn equal(journal: &Journal, store: &Store, options: &Options) -> Result<(), RunError> {
    let bar = Bar::new("comparing");
    let comparison = rebuild::compare(journal, store, options, &|progress| bar.told(progress))
        .await
        .map_err(failed)?;
    bar.finish();
    report(&comparison)?;
    if comparison.different == 0 {
        return Ok(());
    }
    Err(RunError::Task(format!(
        "{} devices are not what wakeline.state says; the tables that serve were not changed to these. Rows that \
         were damaged in place are not replaced: empty the table of devices and rebuild again",
        comparison.different
    )))
}

async fn refold(opened: &Opened, options: &Options, since: Micros) -> Result<(), RunError> {
    let bar = Bar::new("folding");
    let refold = Refold {
        since,
        write_to: None,
    };
    let comparison = rebuild::refold(&opened.journal, &opened.store, options, refold, &|progress| {
        bar.told(progress)
    })
    .await
    .map_err(failed)?;
    bar.finish();
    report(&comparison)
}

fn report(comparison: &Comparison) -> Result<(), RunError> {
    say(&format!(
        "{} devices compared, {} differ",
        comparison.devices, comparison.different
    ))?;
    comparison
        .differences
        .iter()
        .try_for_each(|difference| say(&described(difference)))
}

fn described(difference: &Difference) -> String {
    let device = format!("{}/{}", difference.key.tenant, difference.key.device);
    match &difference.kind {
        Kind::Missing => format!("{device}: has no row"),
        Kind::Extra => format!("{device}: has a row, and should have none"),
        Kind::Differs { paths } => format!("{device}: differs in {}", paths.join(", ")),
    }
}

/// A time from `--since`: RFC 3339, or a duration back; without it, everything that is kept.
fn since(text: Option<&str>, clock: &Clock) -> Result<Micros, RunError> {
    let Some(text) = text else { return Ok(0) };
    if let Ok(back) = humantime::parse_duration(text) {
        return Ok(clock().saturating_sub(i64::try_from(back.as_micros()).unwrap_or(i64::MAX)));
    }
    let time: Timestamp = text.parse().map_err(|_| {
        RunError::Task(format!(
            "--since {text}: write a time (2026-01-26T15:57:02Z) or a duration back (24h)"
        ))
    })?;
    Ok(time.as_microsecond())
}

/// A progress bar over all partitions.
struct Bar {
    bar: ProgressBar,
    partitions: Mutex<BTreeMap<u32, Progress>>,
}

impl Bar {
    fn new(what: &'static str) -> Self {
        let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} offsets, {eta} left");
        let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            partitions: Mutex::default(),
        }
    }

    fn told(&self, progress: Progress) {
        let mut partitions = self
            .partitions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        partitions.insert(progress.partition, progress);
        self.bar
            .set_length(partitions.values().map(|progress| progress.total).sum());
        self.bar
            .set_position(partitions.values().map(|progress| progress.done).sum());
    }

    fn finish(&self) {
        self.bar.finish();
    }
}

fn say(line: &str) -> Result<(), RunError> {
    writeln!(std::io::stdout().lock(), "{line}").map_err(RunError::Io)
}

fn failed(error: RebuildError) -> RunError {
    RunError::Task(error.to_string())
}
