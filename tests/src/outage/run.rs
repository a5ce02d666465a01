//! The course of a run: build up, measure, storm, calm, rolling restart, silence, checks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use journal::Journal;
use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde_json::json;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::actions::{self, Choice, GATEWAYS, INGESTS, PROJECTORS, Stage};
use super::checks::Documents;
use super::findings::Findings;
use super::load::{Load, Sent, TENANTS};
use super::measure::{self, Monitor};
use super::process::{Flags, Node};
use super::proxy::Proxy;
use super::servers::{BROKERS, Servers};
use super::truth::Truth;
use super::viewers::{Board, Phase, Viewer};
use super::{calm, checks};
use crate::api::Api;
use crate::nodes::ADMIN_TOKEN;
use crate::seed::Seed;

/// Clients that turn pages of snapshots, beside those that are asked for.
const TURNERS: usize = 8;

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long things are disturbed.
    pub storm: Duration,
    /// Everything that is drawn is drawn from it.
    pub seed: u64,
    /// Clients of streams.
    pub clients: usize,
    /// How often each recovery is measured, with nothing else going on.
    pub measured: usize,
    /// Logs of nodes go there; a directory that is deleted at the end without it.
    pub logs: Option<PathBuf>,
    /// Which actions are drawn.
    pub choice: Choice,
}

/// Runs it. Whether every promise was kept.
pub async fn run(options: &Options) -> bool {
    let findings = Findings::default();
    findings.say(&format!("seed {}, {options:?}", options.seed));
    let scratch = tempfile::tempdir().expect("a directory");
    let dir = options.logs.clone().unwrap_or_else(|| scratch.path().to_owned());
    std::fs::create_dir_all(&dir).expect("a directory");
    let mut proxies = Vec::new();
    for name in ["gateway-1", "gateway-2", "kafka-1", "kafka-2", "kafka-3", "cql"] {
        proxies.push(Proxy::bind(name.to_owned()).await);
    }
    let course = course(options, proxies, &dir, &findings);
    tokio::select! {
        () = course => {}
        () = node::app::interrupted() => findings.violation("interrupted", "by a signal".to_owned()),
    }
    findings.say(&findings.summary());
    findings.none()
}

async fn course(options: &Options, proxies: Vec<Proxy>, dir: &Path, findings: &Findings) {
    let mut random = Seed(options.seed).part(0);
    let advertised: [_; BROKERS] = std::array::from_fn(|broker| proxies[GATEWAYS + broker].address);
    let servers = Servers::up(&advertised).await;
    for (proxy, target) in proxies[GATEWAYS..]
        .iter()
        .zip(servers.proxied.iter().chain([&servers.cql]))
    {
        proxy.forward_to(*target);
    }
    findings.say("servers are up");
    let brokers: Vec<String> = advertised.iter().map(ToString::to_string).collect();
    let flags = Flags::new(&brokers, proxies[GATEWAYS + BROKERS].address);
    let migrated = flags.command("migrate").output().await.expect("runs");
    assert!(
        migrated.status.success(),
        "{}",
        String::from_utf8_lossy(&migrated.stderr)
    );
    // For what is looked at all along.
    let journal = servers.open().await.expect("opened").journal;
    let stage = stage(proxies, servers, flags, dir, options.clients + TURNERS, findings).await;
    let tended = stage.clone();
    let mut tending = JoinSet::new();
    tending.spawn(async move { tended.tend().await });
    findings.say("nodes are ready");

    let ingest = apis(&stage, 0, INGESTS).await;
    let direct = apis(&stage, INGESTS + PROJECTORS, GATEWAYS).await;
    let tokens = [
        token(&direct[0], TENANTS[0]).await,
        token(&direct[0], TENANTS[1]).await,
    ];
    let load = Load::start(&ingest, &mut random, findings);
    let (stop, stopped) = watch::channel(false);
    let mut clients = start_clients(options, &stage, &tokens, &mut random, &stopped);
    tokio::time::sleep(Duration::from_secs(5)).await;

    let monitor = Monitor::start(&journal);
    for _ in 0..options.measured {
        measure::alone(&stage, &monitor, &mut random).await;
    }
    drop(monitor);
    findings.say("the storm begins");
    let end = Instant::now() + options.storm;
    actions::storm(&stage, random.random(), end, &options.choice).await;
    findings.say("the storm is over");
    calm::settle(&stage).await;
    calm::rolling_restart(&stage).await;

    stage.board.enter(Phase::Calm(Instant::now()));
    let acknowledged = Arc::clone(&load.acknowledged);
    let sent = load.finish().await;
    let total = acknowledged.load(std::sync::atomic::Ordering::Acquire);
    findings.say(&format!("{total} events acknowledged, the load has ended"));
    tokio::join!(
        calm::last_events(&stage, &journal),
        checks::counts_of_the_living(&direct[0], &direct[1], findings),
    );
    let documents = calm::silence(&stage, &direct[0]).await;
    calm::last_verdicts(&stage, &journal).await;
    stop.send_replace(true);
    let mut viewers = Vec::new();
    while let Some(viewer) = clients.join_next().await {
        viewers.push(viewer.expect("a client"));
    }
    let ended = Ended {
        sent,
        documents,
        viewers,
    };
    check(options, &stage, &journal, &direct[1], &ended).await;
}

/// What a run leaves behind, beside the log.
struct Ended {
    sent: Sent,
    documents: Documents,
    viewers: Vec<Viewer>,
}

async fn check(options: &Options, stage: &Stage, journal: &Journal, gateway: &Api, ended: &Ended) {
    let findings = &stage.findings;
    let Ended {
        sent,
        documents,
        viewers,
    } = ended;
    findings.say("checking");
    let truth = Truth::read(journal).await;
    checks::acknowledged(&truth, sent, findings);
    checks::states(&truth, documents, findings);
    checks::silences(&truth, findings);
    checks::model(sent, documents, findings);
    checks::viewers(viewers, &truth, documents, findings);
    // Opened now: the tables that served at the beginning may have been replaced since.
    let opened = stage.servers.open().await.expect("opened");
    checks::fold(&opened, documents, findings).await;
    checks::counts(gateway, documents, findings).await;
    checks::shown(options.storm, &options.choice, findings);
}

async fn stage(
    proxies: Vec<Proxy>,
    servers: Servers,
    flags: Flags,
    dir: &Path,
    clients: usize,
    findings: &Findings,
) -> Stage {
    let roles = [
        ("ingest", INGESTS),
        ("projector", PROJECTORS),
        ("gateway", GATEWAYS),
    ];
    let starts = roles.into_iter().flat_map(|(role, count)| {
        let flags = &flags;
        (1..=count).map(move |number| Node::start(role, number, flags, dir, findings))
    });
    let nodes = join_all(starts).await;
    for (proxy, gateway) in proxies.iter().zip(&nodes[INGESTS + PROJECTORS..]) {
        proxy.forward_to(gateway.public);
    }
    Stage {
        nodes: Arc::new(nodes.into_iter().map(Mutex::new).collect()),
        servers: Arc::new(servers),
        proxies: Arc::new(proxies),
        board: Arc::new(Board::new(clients)),
        findings: findings.clone(),
        flags,
        dir: dir.to_owned(),
    }
}

/// Straight to the nodes, as `system`.
async fn apis(stage: &Stage, first: usize, count: usize) -> Vec<Api> {
    let mut apis = Vec::new();
    for node in &stage.nodes[first..first + count] {
        apis.push(Api::new(
            &format!("http://{}", node.lock().await.public),
            ADMIN_TOKEN,
        ));
    }
    apis
}

async fn token(gateway: &Api, tenant: &str) -> String {
    let asked = json!({"role": "user", "tenant": tenant});
    let answer = gateway.post(&format!("/v1/tokens?tenant={tenant}"), &asked).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json["token"].as_str().expect("a token").to_owned()
}

fn start_clients(
    options: &Options,
    stage: &Stage,
    tokens: &[String; 2],
    random: &mut SmallRng,
    stopped: &watch::Receiver<bool>,
) -> JoinSet<Viewer> {
    let gateways: [Api; 2] =
        std::array::from_fn(|at| Api::new(&format!("http://{}", stage.proxies[at].address), ""));
    let mut clients = JoinSet::new();
    for number in 0..options.clients + TURNERS {
        let viewer = Viewer::new(
            number,
            number >= options.clients,
            &gateways,
            tokens,
            random.random(),
            &stage.board,
            &stage.findings,
        );
        clients.spawn(viewer.run(stopped.clone()));
    }
    clients
}
