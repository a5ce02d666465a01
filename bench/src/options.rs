//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::limit;

/// Measures Wakeline against the limits of this machine, in one run.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Every scenario.
    All(Options),
    /// Broadcast to many subscribers of one tenant, as fast as it goes: WebSocket and SSE.
    Fanout(Options),
    /// Many clients, each on one device, at a fixed rate: processor time and latency.
    Keyed(Options),
    /// User memory and processor time of connections to which nothing is sent.
    Idle(Options),
    /// Events into the log, synced.
    Ingest(Options),
    /// One client that resumes from the start of the log.
    Replay(Options),
    /// Filters on documents, on one core.
    Filter(Options),
    /// A limit server: pre-encoded frames, plain writes.
    #[command(hide = true)]
    LimitStream(limit::stream::Arguments),
    /// A limit server: takes bodies, writes them to a file, syncs, answers.
    #[command(hide = true)]
    LimitIngest(limit::ingest::Arguments),
    /// A limit: a bare consumer of Kafka.
    #[command(hide = true)]
    LimitConsume(limit::consume::Arguments),
    /// A limit: reads an embedded engine's log and does nothing with it.
    #[command(hide = true)]
    LimitLog(limit::log::Arguments),
}

/// How to measure.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Small sizes and short runs: whether it works, not how fast it is.
    #[arg(long)]
    pub(crate) small: bool,
    /// Length of one run, seconds. 5, with --small 0.4.
    #[arg(long, value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,
    /// Runs of the product and of its limit, in turn. 5, with --small 2.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: Option<u32>,
    /// Write the table there too, as Markdown.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// A broker: ingest and replay are measured on Kafka too.
    #[arg(long, env = "WAKELINE_TEST_KAFKA", value_name = "HOST:PORT")]
    pub(crate) kafka: Option<String>,
    /// A CQL server, needed beside the broker.
    #[arg(long, env = "WAKELINE_TEST_CQL", value_name = "HOST:PORT")]
    pub(crate) cql: Option<String>,
    /// What runs Kafka's own tools.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/local/tool"))]
    pub(crate) kafka_tool: PathBuf,
}

impl Options {
    /// Length of one run.
    pub(crate) fn length(&self) -> Duration {
        let default = if self.small { 400 } else { 5_000 };
        self.seconds.unwrap_or(Duration::from_millis(default))
    }

    /// Runs of each side.
    pub(crate) fn runs(&self) -> u32 {
        self.runs.unwrap_or(if self.small { 2 } else { 5 })
    }

    /// One of two sizes.
    pub(crate) fn size<T>(&self, small: T, full: T) -> T {
        if self.small { small } else { full }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds")?;
    if !(0.1..=600.0).contains(&seconds) {
        return Err("between 0.1 and 600".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}
