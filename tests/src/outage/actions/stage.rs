//! The installation, and what can be done to it.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use projector::Point;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::disturbances::{Disturbance, Disturbances};
use super::super::faults;
use super::super::findings::Findings;
use super::super::process::{Flags, Node};
use super::super::proxy::Proxy;
use super::super::servers::{BROKERS, Servers};
use super::super::viewers::Board;
use super::{Action, rebuild};

/// Ingest nodes, the first of all.
pub const INGESTS: usize = 2;
/// Projectors, after them.
pub const PROJECTORS: usize = 2;
/// Gateways, the last.
pub const GATEWAYS: usize = 2;
/// What the proxies are before: gateways, brokers, the CQL server, ingest nodes.
pub const PROXIES: [&str; GATEWAYS + BROKERS + 1 + INGESTS] = [
    "gateway-1",
    "gateway-2",
    "kafka-1",
    "kafka-2",
    "kafka-3",
    "cql",
    "ingest-1",
    "ingest-2",
];
/// The first of those before ingest nodes.
pub const BEFORE_INGEST: usize = GATEWAYS + BROKERS + 1;
/// How long an armed point waits for somebody to pass.
const POINT_MAX: Duration = Duration::from_secs(6);
/// Between two outages of brokers: the one that comes back catches up.
const BROKER_PAUSE: Duration = Duration::from_secs(4);
/// How often a server is told to start before that is given up.
const SERVER_STARTS: u32 = 3;
/// How a process ends that aborts itself: SIGABRT.
const ABORTED: i32 = 6;
/// How often the nodes are looked after.
const TEND: Duration = Duration::from_millis(500);

/// Everything that can be disturbed.
#[derive(Clone)]
pub struct Stage {
    /// Ingest nodes, projectors, gateways.
    pub nodes: Arc<Vec<Mutex<Node>>>,
    /// Brokers and the CQL server.
    pub servers: Arc<Servers>,
    /// See `PROXIES`.
    pub proxies: Arc<Vec<Proxy>>,
    /// The clients.
    pub board: Arc<Board>,
    /// What is done to the servers.
    pub disturbances: Disturbances,
    /// What did not hold.
    pub findings: Findings,
    /// How nodes are told of the servers.
    pub flags: Flags,
    /// Logs, and armed points.
    pub dir: PathBuf,
}

impl Stage {
    /// Does it, and undoes it.
    pub async fn act(&self, action: Action, seed: u64) {
        let findings = &self.findings;
        findings.say(&format!("{action:?}"));
        let begun = Instant::now();
        match action {
            Action::Kill(node, pause) => self.kill(node, pause, "a kill").await,
            Action::Freeze(node, pause) => {
                let mut guard = self.nodes[node].lock().await;
                self.note(node, "a freeze");
                guard.signal("STOP").await;
                tokio::time::sleep(pause).await;
                guard.signal("CONT").await;
            }
            Action::Drain(node) => {
                let mut guard = self.nodes[node].lock().await;
                self.note(node, "a drain");
                let took = guard.drain().await;
                findings.took("drain", took);
                guard.start_again().await;
            }
            Action::DieAt(point) => self.die_at(point).await,
            Action::KillBroker(broker, pause) => self.outage("kill", "start", &name(broker), pause).await,
            Action::FreezeBroker(broker, pause) => self.outage("freeze", "thaw", &name(broker), pause).await,
            Action::KillCql(pause) => self.outage("kill", "start", "cql", pause).await,
            Action::FreezeCql(pause) => self.outage("freeze", "thaw", "cql", pause).await,
            Action::Stall(proxy, pause) => {
                let _disturbance = self.trouble_of_proxy(proxy, "stalled connections");
                self.proxies[proxy].stall(pause).await;
                findings.count(format!("stalls of {}", PROXIES[proxy]), 1);
            }
            Action::Cut(proxy) => {
                let _disturbance = self.trouble_of_proxy(proxy, "cut connections");
                self.proxies[proxy].cut();
                findings.count(format!("cuts of {}", PROXIES[proxy]), 1);
            }
            Action::Rebuild(interrupted) => {
                rebuild::run(self, interrupted, SmallRng::seed_from_u64(seed)).await;
            }
        }
        findings.count(format!("action {}", action.name()), 1);
        if begun.elapsed() > Duration::from_secs(15) {
            findings.say(&format!(
                "  {action:?} took {:.1} s",
                begun.elapsed().as_secs_f64()
            ));
        }
    }

    /// `kill -9`, a pause, a start. `what` names it for the clients that it cuts.
    pub async fn kill(&self, node: usize, pause: Duration, what: &str) {
        let mut guard = self.nodes[node].lock().await;
        self.note(node, what);
        self.strike(&mut guard).await;
        tokio::time::sleep(pause).await;
        guard.start_again().await;
    }

    /// `kill -9`.
    pub async fn strike(&self, node: &mut Node) {
        if node.kill().await {
            self.findings.count("kills", 1);
            self.findings.count(format!("kills of {}", node.name), 1);
        }
    }

    /// A broker or the CQL server is `down`ed, and `up` again after a pause.
    pub async fn outage(&self, down: &str, up: &str, server: &str, pause: Duration) {
        let _disturbance = self.disturbances.begin();
        if let Err(error) = self.servers.tell(down, server).await {
            self.findings
                .violation("the harness fails", format!("{down} {server}: {error}"));
            return;
        }
        if down == "kill" {
            self.findings.count("kills", 1);
            self.findings.count(format!("kills of {server}"), 1);
        }
        tokio::time::sleep(pause).await;
        for attempt in 1..=SERVER_STARTS {
            match self.servers.tell(up, server).await {
                Ok(()) => break,
                Err(error) if attempt == SERVER_STARTS => {
                    self.findings
                        .violation("the harness fails", format!("{up} {server}: {error}"));
                }
                Err(_) => self.findings.count(format!("{server} did not {up} at once"), 1),
            }
        }
        if server != "cql" {
            tokio::time::sleep(BROKER_PAUSE).await;
        }
    }

    async fn die_at(&self, point: Point) {
        let mut first = self.nodes[INGESTS].lock().await;
        let mut second = self.nodes[INGESTS + 1].lock().await;
        faults::arm(&self.dir, point);
        let armed = Instant::now();
        while faults::is_armed(&self.dir, point) && armed.elapsed() < POINT_MAX {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if faults::disarm(&self.dir, point) {
            self.findings.count(format!("nobody passed {point:?}"), 1);
            return;
        }
        self.findings.count("kills", 1);
        self.findings.count(format!("kills at {point:?}"), 1);
        let taken = Instant::now();
        loop {
            for node in [&mut first, &mut second] {
                let Some(status) = node.has_ended() else { continue };
                if status.signal() != Some(ABORTED) {
                    let evidence = format!("{} at {point:?}: {status}; {}", node.name, node.said());
                    self.findings.violation("a node ends by itself", evidence);
                }
                node.start_again().await;
                return;
            }
            if taken.elapsed() > POINT_MAX {
                self.findings
                    .violation("the harness fails", format!("who died at {point:?}?"));
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts again whoever ended although nobody asked; that is a finding.
    pub async fn tend(&self) {
        loop {
            for node in self.nodes.iter() {
                // Whoever holds it is doing something to it.
                let Ok(mut node) = node.try_lock() else { continue };
                if !node.check_alive() {
                    node.start_again().await;
                }
            }
            tokio::time::sleep(TEND).await;
        }
    }

    fn note(&self, node: usize, what: &str) {
        if let Some(gateway) = node.checked_sub(INGESTS + PROJECTORS) {
            self.board.trouble(gateway, what);
        }
    }

    /// Clients are told; what is between nodes and servers disturbs these.
    fn trouble_of_proxy(&self, proxy: usize, what: &str) -> Option<Disturbance> {
        if proxy < GATEWAYS {
            self.board.trouble(proxy, what);
        }
        (GATEWAYS..BEFORE_INGEST)
            .contains(&proxy)
            .then(|| self.disturbances.begin())
    }
}

/// What kind of node it is.
pub(super) const fn role_of(node: usize) -> &'static str {
    if node < INGESTS {
        "ingest"
    } else if node < INGESTS + PROJECTORS {
        "projector"
    } else {
        "gateway"
    }
}

fn name(broker: usize) -> String {
    format!("kafka-{}", broker + 1)
}
