//! Measures the real node against limit servers in the same run.
//!
//! Three programs in one binary: the bench itself, which holds the load generator; the limit servers
//! (`limit-…`, started by the bench); and the product (the same binary under the name `wakeline`), so
//! that what is measured is always what was built. See BENCHMARKS.md.

mod error;
mod events;
mod figures;
mod limit;
mod load;
mod machine;
mod options;
mod publisher;
mod report;
mod rig;
mod scenario;
mod server;

use std::process::ExitCode;

use clap::Parser as _;

use error::Error;
use options::{Command, Options};
use report::{Report, say};

/// Under this name the binary is the product.
const PRODUCT: &str = "wakeline";

fn main() -> ExitCode {
    if std::env::args_os().next().is_some_and(|name| name == PRODUCT) {
        return node::run();
    }
    let done = match options::Arguments::parse().command {
        Command::LimitStream(arguments) => limit::stream::run(&arguments),
        Command::LimitIngest(arguments) => limit::ingest::run(&arguments),
        Command::LimitConsume(arguments) => limit::consume::run(&arguments),
        Command::LimitLog(arguments) => limit::log::run(&arguments),
        Command::All(options) => bench(scenario::ALL, &options),
        Command::Fanout(options) => bench(&["fanout"], &options),
        Command::Keyed(options) => bench(&["keyed"], &options),
        Command::Idle(options) => bench(&["idle"], &options),
        Command::Ingest(options) => bench(&["ingest"], &options),
        Command::Replay(options) => bench(&["replay"], &options),
        Command::Filter(options) => bench(&["filter"], &options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn bench(names: &[&'static str], options: &Options) -> Result<(), Error> {
    machine::raise_descriptor_limit()?;
    let cores = machine::Cores::choose();
    cores.take_load();
    let rig = rig::Rig::new(options.clone(), cores)?;
    let mut report = Report::new(&rig);
    say(&report.head());
    for name in names {
        let rows = scenario::run(name, &rig)?;
        for row in rows {
            say(&row.to_string());
            report.add(row);
        }
    }
    report.write(options.report.as_deref())
}
