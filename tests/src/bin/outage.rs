//! The outage harness: see `tests/README.md`. With `node` as its first argument it is one of the nodes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use rand::RngExt as _;
use tests::outage::actions::{Action, Choice};
use tests::outage::faults;
use tests::outage::process::NODE;
use tests::outage::run::{Options, run};

/// Kill anything: what was acknowledged arrives, once
#[derive(Debug, Parser)]
#[command(name = "outage")]
struct Arguments {
    /// How long things are disturbed at random, after each was disturbed once
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Draws the same actions and clients again, and about the same events: what is sent again, and who is silent
    /// meanwhile, is a matter of time
    #[arg(long)]
    seed: Option<u64>,
    /// Clients of streams
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// How often each recovery is measured first, with nothing else going on
    #[arg(long, default_value_t = 1)]
    measured: usize,
    /// The form for CI: a few seconds at random, fewer clients, nothing measured
    #[arg(long)]
    small: bool,
    /// Keep the logs of nodes in this directory
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Only actions whose name begins so, such as Kill
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// No action of this name; may stand several times
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Action::NAMES))]
    without: Vec<String>,
}

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == NODE) {
        arguments.remove(1);
        return as_node(arguments);
    }
    let arguments = Arguments::parse();
    let choice = Choice {
        only: arguments.only,
        without: arguments.without,
    };
    if choice.is_empty() {
        let error = Arguments::command().error(ErrorKind::ValueValidation, "no action is left to draw");
        error.exit();
    }
    let options = Options {
        storm: if arguments.small {
            Duration::from_secs(15)
        } else {
            Duration::from_secs_f64(arguments.minutes * 60.0)
        },
        seed: arguments
            .seed
            .unwrap_or_else(|| rand::rng().random_range(0..1_000_000)),
        clients: if arguments.small { 48 } else { arguments.clients },
        measured: if arguments.small { 0 } else { arguments.measured },
        logs: arguments.logs,
        choice,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    if runtime.expect("a runtime").block_on(Box::pin(run(&options))) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The product, with the fault points of its projector armed from outside.
fn as_node(arguments: Vec<OsString>) -> ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "the harness tells its nodes where points are armed"
    )]
    let directory = std::env::var(faults::DIRECTORY).ok().map(PathBuf::from);
    node::run_adjusted(arguments, &move |config| {
        config.projector.fault = directory.clone().map(faults::hook);
    })
}
