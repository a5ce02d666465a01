//! The command line: commands and flags, and nothing of what they do. The first line of a struct of flags
//! is what `--help` says of its command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches as _};

use crate::config::Sources;
use crate::config::parse;
use crate::config::table::settings;

/// What the user asked for.
#[derive(Debug)]
pub enum Invocation {
    /// `demo`
    Demo(Sources, DemoArgs),
    /// `serve`
    Serve(Sources),
    /// `migrate`
    Migrate(Sources, MigrateArgs),
    /// `rebuild`
    Rebuild(Sources, RebuildArgs),
    /// `config check`
    ConfigCheck(Sources),
    /// `token create|list|revoke`
    Token(Sources, ServerArgs, TokenCommand),
    /// `tail`
    Tail(ServerArgs, TailArgs),
    /// `simulate`
    Simulate(ServerArgs, SimulateArgs),
}

impl Invocation {
    /// The configuration's sources; `None` for a command that only talks to a node.
    #[must_use]
    pub const fn sources(&self) -> Option<&Sources> {
        match self {
            Self::Demo(sources, _)
            | Self::Serve(sources)
            | Self::Migrate(sources, _)
            | Self::Rebuild(sources, _)
            | Self::ConfigCheck(sources)
            | Self::Token(sources, _, _) => Some(sources),
            Self::Tail(..) | Self::Simulate(..) => None,
        }
    }
}

/// What the environment gives to the command line.
pub struct Environment {
    /// Every variable.
    pub variables: Vec<(String, String)>,
}

impl Environment {
    fn get(&self, name: &str) -> Option<String> {
        self.variables
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    }
}

/// A node that is spoken to over HTTP, and the credential for it.
#[derive(Debug, Clone)]
pub struct ServerArgs {
    /// Its URL, where one was given.
    pub url: Option<String>,
    /// `WAKELINE_TOKEN`.
    pub token: Option<String>,
}

/// Everything in one process on the embedded engine, replaying recorded buses
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Replay so many times faster than the buses drove
    #[arg(long, value_name = "FACTOR", default_value_t = 30.0, value_parser = positive)]
    pub speed: f64,
    /// Replay the recording once, instead of again and again
    #[arg(long)]
    pub once: bool,
}

/// Create or update topics and tables, and write the layout
#[derive(Debug, Clone, Args)]
pub struct MigrateArgs {
    /// The topics were recreated or restored: start a new epoch. Clients are told in band, and state is
    /// folded again from what the topics hold
    #[arg(long)]
    pub new_epoch: bool,
}

/// Restore the tables from wakeline.state
#[derive(Debug, Clone, Args)]
pub struct RebuildArgs {
    /// Fold the events again and report what differs from the tables, changing nothing
    #[arg(long)]
    pub refold: bool,
    /// With --refold: from this time on (RFC 3339, or a duration back, such as 24h)
    #[arg(long, value_name = "TIME", requires = "refold")]
    pub since: Option<String>,
    /// First remove tables that served earlier, if others have served for so long
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    pub remove_after: Duration,
}

/// Make a token and print it
#[derive(Debug, Clone, Args)]
pub struct TokenCreate {
    /// system, admin, user, ingest or device
    #[arg(long, value_name = "ROLE")]
    pub role: String,
    /// The tenant that it belongs to; every role but system needs one
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Limit it to these devices (role device: exactly one)
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub devices: Option<Vec<String>>,
    /// Named permissions, such as command
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub permissions: Vec<String>,
    /// A duration (30d) or a time (RFC 3339) after which it ends
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
}

/// What to do with tokens.
#[derive(Debug, Clone)]
pub enum TokenCommand {
    /// Make one and print it.
    Create(TokenCreate),
    /// List them, without secrets.
    List {
        /// Of this tenant.
        tenant: Option<String>,
    },
    /// Revoke one by its id.
    Revoke {
        /// Its id.
        id: String,
        /// Its tenant, where the credential is of role system.
        tenant: Option<String>,
    },
}

/// Print a stream, one JSON object a line, resuming by itself
#[derive(Debug, Clone, Args)]
pub struct TailArgs {
    /// The tenant, where the credential is of role system
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Only these devices
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub device: Vec<String>,
    /// Only these kinds of events
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub kind: Vec<String>,
    /// Only what this filter matches
    #[arg(long, value_name = "FILTER")]
    pub q: Option<String>,
    /// From a cursor, a time (RFC 3339), `earliest` or `latest`
    #[arg(long, value_name = "CURSOR|TIME")]
    pub since: Option<String>,
    /// events or devices
    #[arg(long, value_name = "VIEW", default_value = "events")]
    pub view: String,
    /// With --view devices: begin with every device as it is
    #[arg(long)]
    pub snapshot: bool,
    /// Print cursors and control frames too
    #[arg(long)]
    pub verbose: bool,
}

/// Send events as a fleet would, with progress
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// The tenant, where the credential is of role system
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Devices that report
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub devices: u32,
    /// Events a second over all devices; 0 is as fast as they are taken
    #[arg(long, value_name = "R", default_value_t = 100.0)]
    pub rate: f64,
    /// Stop after so long, such as 30s; without it, when interrupted
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub duration: Option<Duration>,
    /// Replay this recording (CSV with the columns of the bundled one; `bundled` names that), instead of
    /// inventing reports
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// With --trace: so many times faster than recorded; 0 is as fast as it is taken
    #[arg(long, value_name = "FACTOR", default_value_t = 0.0)]
    pub speed: f64,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("write a number above 0, such as 20".to_owned()),
    }
}

/// Reads the command line. The error is clap's own, with usage; `--help` and `--version` are errors too.
///
/// # Errors
/// When the arguments are not those of a command.
pub fn read<I>(arguments: I, environment: &Environment) -> Result<Invocation, clap::Error>
where
    I: IntoIterator<Item = std::ffi::OsString>,
{
    let matches = command().try_get_matches_from(arguments)?;
    let (name, sub) = matches.subcommand().unwrap_or(("", &matches));
    let sources = |m: &ArgMatches| sources(m, environment, &[]);
    Ok(match name {
        "demo" => Invocation::Demo(sources(sub), DemoArgs::from_arg_matches(sub)?),
        "serve" => Invocation::Serve(sources(sub)),
        "migrate" => Invocation::Migrate(sources(sub), MigrateArgs::from_arg_matches(sub)?),
        "rebuild" => Invocation::Rebuild(sources(sub), RebuildArgs::from_arg_matches(sub)?),
        "config" => Invocation::ConfigCheck(sources(sub.subcommand().map_or(sub, |(_, check)| check))),
        "token" => token(sub, environment)?,
        "tail" => Invocation::Tail(server(sub, environment), TailArgs::from_arg_matches(sub)?),
        _ => Invocation::Simulate(server(sub, environment), SimulateArgs::from_arg_matches(sub)?),
    })
}

/// The whole command line, for help and tests.
#[must_use]
pub fn command() -> Command {
    let with_url = |command: Command| {
        command.arg(Arg::new("url").long("url").value_name("URL").help(
            "The node to speak to [env: WAKELINE_URL] [default: http://127.0.0.1:8080]; the \
                       credential is read from WAKELINE_TOKEN",
        ))
    };
    Command::new("wakeline")
        .version(env!("CARGO_PKG_VERSION"))
        .about("An event-sourced platform for device fleets: ingest, state, and streams with exact resume")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(DemoArgs::augment_args(with_settings(Command::new("demo"))))
        .subcommand(with_settings(Command::new("serve").about("Run a node")))
        .subcommand(MigrateArgs::augment_args(with_settings(Command::new("migrate"))))
        .subcommand(RebuildArgs::augment_args(with_settings(Command::new("rebuild"))))
        .subcommand(
            Command::new("config")
                .about("Inspect the configuration")
                .subcommand_required(true)
                .subcommand(with_settings(
                    Command::new("check").about("Print the effective configuration and all its mistakes"),
                )),
        )
        .subcommand(token_command(&with_url))
        .subcommand(TailArgs::augment_args(with_url(Command::new("tail"))))
        .subcommand(SimulateArgs::augment_args(with_url(Command::new("simulate"))))
}

fn token_command(with_url: &impl Fn(Command) -> Command) -> Command {
    let with_tenant = |command: Command| {
        command.arg(
            Arg::new("tenant")
                .long("tenant")
                .value_name("TENANT")
                .help("Of this tenant"),
        )
    };
    let both = |command: Command| with_url(with_settings_but(command, NOT_OF_TOKEN));
    Command::new("token")
        .about(
            "Create, list and revoke credentials, over HTTP (--url) or directly (--data, --kafka and --cql)",
        )
        .subcommand_required(true)
        .subcommand(TokenCreate::augment_args(both(Command::new("create"))))
        .subcommand(with_tenant(both(
            Command::new("list").about("List tokens, without secrets"),
        )))
        .subcommand(with_tenant(both(
            Command::new("revoke")
                .about("Revoke a token")
                .arg(Arg::new("id").required(true).value_name("ID")),
        )))
}

/// Settings that `token` does not take: its `--role` is that of the token, not that of the process.
const NOT_OF_TOKEN: &[&str] = &["role"];

fn with_settings(command: Command) -> Command {
    with_settings_but(command, &[])
}

fn with_settings_but(command: Command, left_out: &[&str]) -> Command {
    let command = command.arg(
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help("TOML file of settings [env: WAKELINE_CONFIG]"),
    );
    let settings = settings().filter(|setting| !left_out.contains(&setting.name));
    settings.fold(command, |command, setting| {
        let arg = Arg::new(setting.name).long(setting.name);
        let shown = if setting.default.is_empty() || setting.is_switch() {
            setting.help.to_owned()
        } else {
            format!("{} [default: {}]", setting.help, setting.default)
        };
        command.arg(if setting.is_switch() {
            arg.action(ArgAction::SetTrue).help(shown)
        } else {
            arg.value_name(setting.metavar)
                .action(ArgAction::Append)
                .help(shown)
        })
    })
}

fn sources(matches: &ArgMatches, environment: &Environment, left_out: &[&str]) -> Sources {
    let file = matches
        .get_one::<String>("config")
        .cloned()
        .or_else(|| environment.get("WAKELINE_CONFIG"));
    let flags = settings().filter(|setting| !left_out.contains(&setting.name));
    let flags = flags.filter_map(|setting| {
        if setting.is_switch() {
            return matches
                .get_flag(setting.name)
                .then(|| (setting.name, "true".to_owned()));
        }
        let values: Vec<String> = matches.get_many::<String>(setting.name)?.cloned().collect();
        Some((setting.name, values.join(",")))
    });
    Sources::read(
        file.map(PathBuf::from).as_deref(),
        environment.variables.iter().cloned(),
        flags,
    )
}

fn server(matches: &ArgMatches, environment: &Environment) -> ServerArgs {
    ServerArgs {
        url: matches
            .get_one::<String>("url")
            .cloned()
            .or_else(|| environment.get("WAKELINE_URL")),
        token: environment
            .get("WAKELINE_TOKEN")
            .filter(|token| !token.is_empty()),
    }
}

fn token(matches: &ArgMatches, environment: &Environment) -> Result<Invocation, clap::Error> {
    let (name, sub) = matches.subcommand().unwrap_or(("list", matches));
    let text = |id: &str| sub.get_one::<String>(id).cloned();
    let command = match name {
        "create" => TokenCommand::Create(TokenCreate::from_arg_matches(sub)?),
        "revoke" => TokenCommand::Revoke {
            id: text("id").unwrap_or_default(),
            tenant: text("tenant"),
        },
        _ => TokenCommand::List {
            tenant: text("tenant"),
        },
    };
    Ok(Invocation::Token(
        sources(sub, environment, NOT_OF_TOKEN),
        server(sub, environment),
        command,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_can_be_read() {
        command().debug_assert();
    }

    #[test]
    fn how_long_threads_may_take_is_as_configured() {
        let environment = Environment {
            variables: Vec::new(),
        };
        for (flags, seconds) in [(["--data", "d"], 2), (["--threads-end-within", "7s"], 7)] {
            let arguments = [["wakeline", "serve"], flags].concat();
            let invocation = read(arguments.into_iter().map(Into::into), &environment).unwrap();
            assert_eq!(crate::threads_end_within(&invocation).as_secs(), seconds);
        }
    }

    #[test]
    fn the_role_of_a_token_is_not_that_of_a_process() {
        let environment = Environment {
            variables: Vec::new(),
        };
        let arguments = [
            "wakeline", "token", "create", "--role", "user", "--tenant", "acme", "--data", "d",
        ];
        let invocation = read(arguments.map(Into::into), &environment).unwrap();
        let Invocation::Token(sources, _, TokenCommand::Create(create)) = invocation else {
            panic!("another command: {invocation:?}");
        };
        assert_eq!(create.role, "user");
        assert_eq!(sources.origin("role"), "default");
        assert_eq!(sources.origin("data"), "--data");
    }
}
