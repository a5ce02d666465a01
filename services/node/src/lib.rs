//! The process: configuration, wiring, roles, drain, telemetry, command line. Nothing of what the
//! product does.

pub mod admin_server;
pub mod app;
pub mod cli;
pub mod client;
pub mod config;
pub mod demo;
pub mod dependencies;
pub mod jwt_keys;
pub mod migrate;
pub mod rebuild;
pub mod schema_registry;
pub mod simulate;
pub mod storage;
pub mod tail;
pub mod tasks;
pub mod telemetry;
pub mod token;
pub mod topic_settings;
pub mod trace;
pub mod traces;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use journal::Clock;
use prometheus::Registry;

use app::{Listeners, Node, RunError};
use cli::{Environment, Invocation};
use config::{Config, Mistake, Sources, check};
use telemetry::Telemetry;

/// Streams come and go by the thousand, and each takes much for a moment and little for long: the system's
/// allocator keeps four times of what is needed (bench/BENCHMARKS.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit code for wrong arguments or configuration.
const EXIT_USAGE: u8 = 2;

/// The wall clock.
#[must_use]
pub fn system_clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
    let now = || {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
    };
    Arc::new(move || i64::try_from(now().as_micros()).unwrap_or(i64::MAX))
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    run_adjusted(std::env::args_os(), &|_| ())
}

/// Runs `arguments` as [`run`] does, with what only a program can set: `adjust` has the last word on the
/// configuration of `serve`. Tests put a projector's fault points there.
#[must_use]
pub fn run_adjusted(
    arguments: impl IntoIterator<Item = OsString>,
    adjust: &(dyn Fn(&mut Config) + Sync),
) -> ExitCode {
    // One TLS implementation for every part; a second call is not an error that matters.
    drop(rustls::crypto::ring::default_provider().install_default());
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    let environment = Environment {
        variables: std::env::vars().collect(),
    };
    let invocation = match cli::read(arguments, &environment) {
        Ok(invocation) => invocation,
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime did not start: {error}"), ExitCode::FAILURE),
    };
    let threads_end_within = threads_end_within(&invocation);
    let code = runtime.block_on(Box::pin(execute(invocation, adjust)));
    // Everything has drained, or its deadline has passed. A thread that a client library never gives back must not keep
    // the process.
    runtime.shutdown_timeout(threads_end_within);
    code
}

/// As configured, or the default for a command that reads no configuration.
fn threads_end_within(invocation: &Invocation) -> Duration {
    let config = invocation.sources().map(|sources| sources.resolve().0);
    config.unwrap_or_default().threads_end_within
}

async fn execute(invocation: Invocation, adjust: &(dyn Fn(&mut Config) + Sync)) -> ExitCode {
    let clock = system_clock();
    match invocation {
        Invocation::ConfigCheck(sources) => config_check(&sources),
        Invocation::Serve(sources) => match configured(&sources, true) {
            Ok((mut config, telemetry)) => {
                adjust(&mut config);
                ended(Box::pin(serve(&config, clock)).await, telemetry)
            }
            Err(code) => code,
        },
        // What a newcomer reads is the demo's own text, so the log keeps quiet unless it was asked for.
        Invocation::Demo(sources, arguments) => match configured(&quiet(sources), false) {
            Ok((config, telemetry)) => ended(Box::pin(demo::run(config, &arguments, clock)).await, telemetry),
            Err(code) => code,
        },
        Invocation::Migrate(sources, arguments) => match configured(&quiet(sources), true) {
            Ok((config, telemetry)) => ended(
                Box::pin(migrate::run(&config, &arguments, &clock)).await,
                telemetry,
            ),
            Err(code) => code,
        },
        Invocation::Rebuild(sources, arguments) => match configured(&quiet(sources), true) {
            Ok((config, telemetry)) => ended(
                Box::pin(rebuild::run(&config, &arguments, &clock)).await,
                telemetry,
            ),
            Err(code) => code,
        },
        Invocation::Token(sources, server, command) => {
            let direct = server.url.is_none() && names_storage(&sources);
            match configured(&quiet(sources), direct) {
                Ok((config, telemetry)) => {
                    let storage = direct.then_some(&config);
                    ended(
                        Box::pin(token::run(storage, &server, &command, &clock)).await,
                        telemetry,
                    )
                }
                Err(code) => code,
            }
        }
        Invocation::Tail(server, arguments) => match client_telemetry() {
            Ok(telemetry) => ended(
                tail::run(&server, &arguments).await.map_err(Into::into),
                telemetry,
            ),
            Err(code) => code,
        },
        Invocation::Simulate(server, arguments) => match client_telemetry() {
            Ok(telemetry) => ended(
                simulate::run(&server, &arguments).await.map_err(Into::into),
                telemetry,
            ),
            Err(code) => code,
        },
    }
}

async fn serve(config: &Config, clock: Clock) -> Result<(), RunError> {
    let registry = Registry::new();
    let listeners = Listeners::bind(config).await?;
    if let Some(url) = &config.schema_registry {
        schema_registry::register(url)
            .await
            .map_err(|error| RunError::Task(error.to_string()))?;
    }
    let opened = storage::open(config, &clock, &registry).await?;
    let mut node = Node::start(config, opened, listeners, clock, registry)?;
    let outcome = tokio::select! {
        failure = node.failure() => Err(RunError::Task(failure)),
        () = app::interrupted() => Ok(()),
    };
    node.drain(config.drain).await;
    outcome
}

/// The log of a command whose result is what it prints: what goes wrong, unless more was asked for.
fn quiet(sources: Sources) -> Sources {
    sources.with_default("log", "warn")
}

/// The configuration, if there is no mistake in it, with logging set up.
fn configured(sources: &Sources, needs_storage: bool) -> Result<(Config, Telemetry), ExitCode> {
    let (config, mut mistakes) = sources.resolve();
    mistakes.extend(check::together(&config, needs_storage));
    if !mistakes.is_empty() {
        return Err(complain(&listed(&mistakes), ExitCode::from(EXIT_USAGE)));
    }
    match Telemetry::start(&config) {
        Ok(telemetry) => Ok((config, telemetry)),
        Err(error) => Err(complain(&error, ExitCode::from(EXIT_USAGE))),
    }
}

/// Logging of the client commands: what goes wrong, and no more.
fn client_telemetry() -> Result<Telemetry, ExitCode> {
    let config = Config {
        log: "warn".to_owned(),
        ..Config::default()
    };
    Telemetry::start(&config).map_err(|error| complain(&error, ExitCode::FAILURE))
}

fn names_storage(sources: &Sources) -> bool {
    ["data", "kafka", "cql"]
        .iter()
        .any(|name| sources.origin(name) != "default")
}

fn config_check(sources: &Sources) -> ExitCode {
    let (config, mut mistakes) = sources.resolve();
    mistakes.extend(check::together(&config, true));
    if let Err(error) = check::report(&mut io::stdout().lock(), sources, &mistakes) {
        return complain(&error.to_string(), ExitCode::FAILURE);
    }
    if mistakes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_USAGE)
    }
}

fn listed(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(|mistake| format!("  {mistake}")).collect();
    format!("the configuration has mistakes:\n{}", lines.join("\n"))
}

fn ended(outcome: Result<(), RunError>, telemetry: Telemetry) -> ExitCode {
    telemetry.flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(RunError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string(), ExitCode::FAILURE),
    }
}

/// Says what is wrong on standard error.
fn complain(problem: &str, code: ExitCode) -> ExitCode {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(io::stderr().lock(), "wakeline: {problem}"));
    code
}
