//! The ceiling of replay: the same log read in the same blocks, and nothing done with the records.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use embedded::{Engine, Settings};
use journal::{Journal, Partition, Topic};

use crate::error::{Error, io};
use crate::report::say;

/// Values in one block, as the gateway reads them by default.
const BLOCK_BYTES: usize = 1 << 20;

/// What it reads.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// An embedded engine's directory.
    #[arg(long)]
    data: PathBuf,
    /// Whose events count.
    #[arg(long)]
    tenant: String,
    /// How many times.
    #[arg(long)]
    runs: u32,
}

/// Prints, for each run, the events read and the seconds that it took.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(io("the runtime"))?.block_on(read(arguments))
}

async fn read(arguments: &Arguments) -> Result<(), Error> {
    let failed = |reason: String| Error::Server {
        name: "the log".to_owned(),
        reason,
    };
    let engine = Engine::open(&arguments.data, Settings::default(), node::system_clock())
        .map_err(|error| failed(error.to_string()))?;
    let layout = engine
        .admin()
        .layout()
        .await
        .map_err(|error| failed(error.to_string()))?;
    let layout = layout.ok_or_else(|| failed("it has no layout".to_owned()))?;
    let partitions = layout.partitions;
    let journal = engine.journal(layout);
    let prefix = format!("{}/", arguments.tenant);
    for _ in 0..arguments.runs {
        let begun = Instant::now();
        let mut events = 0;
        for partition in 0..partitions {
            events += partition_events(&journal, partition, &prefix)
                .await
                .map_err(failed)?;
        }
        say(&format!("{events} {}", begun.elapsed().as_secs_f64()));
    }
    drop(journal);
    engine.close().await.map_err(|error| failed(error.to_string()))
}

async fn partition_events(journal: &Journal, partition: Partition, prefix: &str) -> Result<u64, String> {
    let bounds = journal.reader.bounds(Topic::Events, &[partition]).await.pop();
    let bounds = bounds.ok_or("no answer")?.map_err(|error| error.to_string())?;
    let (mut at, mut events) = (bounds.start, 0);
    while at < bounds.end {
        let block = journal
            .reader
            .read(Topic::Events, partition, at, BLOCK_BYTES)
            .await;
        let block = block.map_err(|error| error.to_string())?;
        events += block
            .records
            .iter()
            .filter(|record| record.key.starts_with(prefix))
            .count() as u64;
        if block.next <= at {
            return Err(format!("partition {partition} does not go on after {at}"));
        }
        at = block.next;
    }
    Ok(events)
}
