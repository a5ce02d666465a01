//! A node as a process that is killed, frozen and started again at the same address.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::disturbances::Disturbances;
use super::faults;
use super::findings::Findings;
use crate::api::Api;
use crate::nodes::ADMIN_TOKEN;
use crate::ports;

/// The first argument with which this program is a node.
pub const NODE: &str = "node";
/// Longest start, whatever else is going on; it waits while a server is away.
const START_MAX: Duration = Duration::from_secs(90);
/// Longest graceful end: the nodes' `drain`, and a little.
const DRAIN_MAX: Duration = Duration::from_secs(14);
/// See `--stale-after`.
pub const STALE_AFTER: Duration = Duration::from_secs(4);
/// See `--offline-after`.
pub const OFFLINE_AFTER: Duration = Duration::from_secs(8);
/// Before a node that gave up is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
/// So long after servers were disturbed, a start may still fail because of it: what it connects with waits up to 30 s.
const EXCUSED_FOR: Duration = Duration::from_secs(40);
/// What a node that gives up says then, in its last words.
const EXCUSES: [&str; 4] = ["did not answer", "unavailable", "cannot connect to", "timed out"];
/// What nodes are told.
const SETTINGS: [&str; 21] = [
    "--admin-token",
    ADMIN_TOKEN,
    "--log-json",
    "--cql-replication",
    "1",
    "--stale-after",
    "4s",
    "--offline-after",
    "8s",
    "--drain",
    "10s",
    // A snapshot of a few devices has pages, so that it can be cut between them.
    "--gateway-page-documents",
    "4",
    "--partitions",
    "8",
    "--default-spread",
    "8",
    // What a rebuild writes anew does not grow with the run.
    "--history-ttl",
    "2m",
    "--log",
    "info",
];

/// Which gateway says nothing when there is nothing to say, so that only what happens moves its streams.
pub const WITHOUT_KEEP_ALIVES: usize = 1;
/// What that one is told.
const NEVER: [&str; 6] = [
    "--gateway-keep-alive",
    "1h",
    "--gateway-keep-alive-jitter",
    "200ms",
    "--gateway-ping",
    "1h",
];
/// What others are told.
const OFTEN: [&str; 4] = [
    "--gateway-keep-alive",
    "2s",
    "--gateway-keep-alive-jitter",
    "200ms",
];

/// Arguments that name the servers, with `SETTINGS`.
#[derive(Clone)]
pub struct Flags(Vec<String>);

impl Flags {
    /// For these brokers and this CQL server.
    #[must_use]
    pub fn new(kafka: &[String], cql: SocketAddr) -> Self {
        let mut flags = vec![
            "--kafka".to_owned(),
            kafka.join(","),
            "--cql".to_owned(),
            cql.to_string(),
        ];
        flags.extend(SETTINGS.map(str::to_owned));
        Self(flags)
    }

    /// This program as `command` of the product.
    #[must_use]
    pub fn command(&self, command: &str) -> Command {
        let mut program = Command::new(std::env::current_exe().expect("this program"));
        program.args([NODE, command]).args(&self.0);
        program.env_clear().stdin(Stdio::null()).kill_on_drop(true);
        if command != "migrate" {
            // There is one CQL server. The topics are as in earnest, with three replicas, since `migrate` is not
            // told this.
            program.arg("--allow-weak-durability");
        }
        program
    }
}

/// A node.
pub struct Node {
    /// `gateway-1`.
    pub name: String,
    role: &'static str,
    number: usize,
    flags: Flags,
    dir: PathBuf,
    child: Option<Child>,
    /// Its public address.
    pub public: SocketAddr,
    admin: SocketAddr,
    starts: u32,
    /// When it was spawned.
    since: Instant,
    disturbances: Disturbances,
    findings: Findings,
}

impl Node {
    /// Starts one and waits until it is ready.
    pub async fn start(
        role: &'static str,
        number: usize,
        flags: &Flags,
        dir: &Path,
        disturbances: &Disturbances,
        findings: &Findings,
    ) -> Self {
        let mut node = Self {
            name: format!("{role}-{number}"),
            role,
            number,
            flags: flags.clone(),
            dir: dir.to_owned(),
            child: None,
            public: ports::free(),
            admin: ports::free(),
            starts: 0,
            since: Instant::now(),
            disturbances: disturbances.clone(),
            findings: findings.clone(),
        };
        node.start_again().await;
        node
    }

    /// Ends it as a crash would. Whether it lived.
    pub async fn kill(&mut self) -> bool {
        self.check_alive();
        let Some(mut child) = self.child.take() else {
            return false;
        };
        child.kill().await.expect("killed");
        true
    }

    /// `STOP`, `CONT` or `TERM`.
    pub async fn signal(&mut self, signal: &str) {
        self.check_alive();
        let Some(id) = self.child.as_ref().and_then(Child::id) else {
            return;
        };
        let told = Command::new("kill")
            .args(["-s", signal, &id.to_string()])
            .status();
        if !told.await.expect("kill").success() {
            self.check_alive();
        }
    }

    /// That it has ended although nobody ended it is a finding; then it is no process any more. Whether it lives.
    pub fn check_alive(&mut self) -> bool {
        let Some(status) = self.has_ended() else {
            return true;
        };
        self.child = None;
        let evidence = format!("{}: {status}; {}", self.name, self.said());
        self.findings.violation("a node ends by itself", evidence);
        false
    }

    /// Asks it to end, and waits; too long is a finding.
    pub async fn drain(&mut self) -> Duration {
        let begun = Instant::now();
        self.signal("TERM").await;
        let Some(child) = &mut self.child else {
            return Duration::ZERO;
        };
        match tokio::time::timeout(DRAIN_MAX, child.wait()).await {
            Ok(status) => {
                let status = status.expect("a status");
                if !status.success() {
                    self.findings.violation(
                        "a drained node fails",
                        format!("{}: {status}; {}", self.name, self.said()),
                    );
                }
            }
            Err(_) => {
                self.findings.violation(
                    "a drain has no end",
                    format!("{} after {DRAIN_MAX:?}; {}", self.name, self.said()),
                );
                let _lived = self.kill().await;
            }
        }
        self.child = None;
        begun.elapsed()
    }

    /// Whether it has ended although nobody asked it to.
    pub fn has_ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child
            .as_mut()
            .and_then(|child| child.try_wait().ok().flatten())
    }

    /// Starts it at the same address and waits until it is ready. One that gives up because a server is away
    /// is started again, as whoever runs it in earnest would.
    pub async fn start_again(&mut self) {
        let begun = Instant::now();
        let mut counted_from = begun;
        self.spawn();
        loop {
            if self.is_ready().await {
                break;
            }
            if let Some(status) = self.has_ended() {
                self.findings.count(
                    format!("{} gave up starting, and was started again", self.role),
                    1,
                );
                if status.code() != Some(1) || !self.is_excused() {
                    let evidence = format!("{}: {status}; {}", self.name, self.said());
                    self.findings.violation("a start fails", evidence);
                }
                tokio::time::sleep(RESTART_PAUSE).await;
                self.spawn();
            }
            if self.disturbances.excuse(Instant::now(), Duration::ZERO) {
                counted_from = Instant::now();
            }
            if counted_from.elapsed() > START_MAX {
                let state = self.readiness().await;
                self.findings.violation(
                    "a start has no end",
                    format!("{} after {START_MAX:?}: {state}", self.name),
                );
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.findings
            .took(format!("start of {}", self.role), begun.elapsed());
    }

    /// What `/ready` says.
    pub async fn readiness(&self) -> String {
        let operators = Api::new(&format!("http://{}", self.admin), "");
        let request = operators.request(reqwest::Method::GET, "/ready");
        match request.timeout(Duration::from_secs(3)).send().await {
            Ok(answer) => format!("{} {}", answer.status(), answer.text().await.unwrap_or_default()),
            Err(error) => error.to_string(),
        }
    }

    /// The end of its log.
    #[must_use]
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(6).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Whether its last words are that a server is away, and one was.
    fn is_excused(&self) -> bool {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let last = text.lines().rev().find(|line| line.starts_with("wakeline: "));
        let said = last.unwrap_or_default().to_lowercase();
        EXCUSES.iter().any(|excuse| said.contains(excuse))
            && self.disturbances.excuse(self.since, EXCUSED_FOR)
    }

    async fn is_ready(&self) -> bool {
        self.admin.port() != 0 && self.readiness().await.starts_with("200")
    }

    fn log(&self) -> PathBuf {
        self.dir.join(format!("{}.{}.log", self.name, self.starts))
    }

    fn spawn(&mut self) {
        self.starts += 1;
        self.since = Instant::now();
        let log = OpenOptions::new().create(true).append(true).open(self.log());
        let (public, admin) = (self.public.to_string(), self.admin.to_string());
        let mut command = self.flags.command("serve");
        if self.role == "gateway" {
            command.args(if self.number == WITHOUT_KEEP_ALIVES + 1 {
                NEVER.as_slice()
            } else {
                OFTEN.as_slice()
            });
        }
        command
            .args(["--role", self.role, "--listen", &public, "--admin-listen", &admin])
            .env(faults::DIRECTORY, &self.dir)
            .stdout(Stdio::null())
            .stderr(log.expect("a file"));
        self.child = Some(command.spawn().expect("the program starts"));
    }
}
