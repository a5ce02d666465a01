//! The course of a run: build up, measure, storm, calm, rolling restart, silence, checks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use journal::{Journal, Topic};
use node::config::Config;
use node::storage::{self, Opened};
use prometheus::Registry;
use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde_json::json;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::actions::{self, GATEWAYS, INGESTS, PROJECTORS, Stage};
use super::checks::{self, Documents};
use super::findings::Findings;
use super::load::{Load, TENANTS};
use super::measure::Monitor;
use super::process::{Flags, Node};
use super::proxy::Proxy;
use super::servers::{BROKERS, Servers};
use super::truth::Truth;
use super::viewers::{Board, Viewer};
use crate::api::Api;
use crate::nodes::ADMIN_TOKEN;
use crate::seed::Seed;

/// After the last disturbance, until every client must have seen the last event on its open stream.
const CALM_MAX: Duration = Duration::from_secs(60);
/// After the last event, until every device must be OFFLINE: `offline-after` is 8 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);

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
    /// Only actions whose name begins so.
    pub only: Option<String>,
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
    let opened = open(&servers).await;
    let stage = stage(proxies, servers, flags, dir, options.clients, findings).await;
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

    let monitor = Monitor::start(&opened.journal);
    for _ in 0..options.measured {
        measured(&stage, &monitor, &mut random).await;
    }
    drop(monitor);
    findings.say("the storm begins");
    let end = Instant::now() + options.storm;
    actions::storm(&stage, random.random(), end, options.only.as_deref()).await;
    findings.say("the storm is over");
    tokio::time::sleep(Duration::from_secs(3)).await;
    rolling_restart(&stage).await;

    let acknowledged = Arc::clone(&load.acknowledged);
    let sent = load.finish().await;
    let total = acknowledged.load(std::sync::atomic::Ordering::Acquire);
    findings.say(&format!("{total} events acknowledged, the load has ended"));
    canaries(&stage, &opened.journal).await;
    let documents = silence(&stage, &direct[0]).await;
    stop.send_replace(true);
    let mut viewers = Vec::new();
    while let Some(viewer) = clients.join_next().await {
        viewers.push(viewer.expect("a client"));
    }
    findings.say("checking");
    let truth = Truth::read(&opened.journal).await;
    checks::acknowledged(&truth, &sent, findings);
    checks::states(&truth, &documents, findings);
    checks::model(&sent, &documents, findings);
    checks::viewers(&viewers, &truth, &documents, findings);
    checks::fold(&opened, findings).await;
    checks::summary(&direct[1], &documents, findings).await;
}

async fn open(servers: &Servers) -> Opened {
    let config = Config {
        kafka: servers.kafka.clone(),
        cql: vec![servers.cql.to_string()],
        allow_weak_durability: true,
        ..Config::default()
    };
    storage::open(&config, &node::system_clock(), &Registry::new())
        .await
        .expect("opened")
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
    for number in 0..options.clients {
        let viewer = Viewer::new(
            number,
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

/// One outage of each kind with nothing else going on.
async fn measured(stage: &Stage, monitor: &Monitor, random: &mut SmallRng) {
    let quiet = Duration::from_secs(12);
    let gateway = INGESTS + PROJECTORS + random.random_range(0..GATEWAYS);
    let projector = INGESTS + random.random_range(0..PROJECTORS);
    for (node, what) in [(gateway, "a killed gateway"), (projector, "a killed projector")] {
        let begun = Instant::now();
        stage.findings.say(what);
        stage.kill(node, Duration::from_secs(10)).await;
        tokio::time::sleep(quiet).await;
        if node == projector {
            monitor.report(Topic::State, begun, what, &stage.findings);
        }
    }
    let broker = format!("kafka-{}", random.random_range(1..=BROKERS));
    for (down, up, what) in [
        ("kill", "start", "a killed broker"),
        ("freeze", "thaw", "a frozen broker"),
    ] {
        let begun = Instant::now();
        stage.findings.say(&format!("{what}: {broker}"));
        stage.outage(down, up, &broker, Duration::from_secs(10)).await;
        tokio::time::sleep(quiet).await;
        monitor.report(Topic::Events, begun, what, &stage.findings);
        monitor.report(Topic::State, begun, what, &stage.findings);
    }
}

/// Ends each gateway gracefully, one after the other: no client is cut more than once by each.
async fn rolling_restart(stage: &Stage) {
    let findings = &stage.findings;
    for gateway in 0..GATEWAYS {
        let before = stage.board.all();
        let begun = Instant::now();
        stage.board.trouble(gateway, "a drain");
        let mut node = stage.nodes[INGESTS + PROJECTORS + gateway].lock().await;
        let took = node.drain().await;
        findings.took("drain of a gateway", took);
        node.start_again().await;
        drop(node);
        // Whoever was cut is back before the next one goes.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let after = stage.board.all();
        let mut cuts: Vec<Duration> = Vec::new();
        for (number, (before, after)) in before.iter().zip(&after).enumerate() {
            let times = after.cuts - before.cuts;
            if times > 1 {
                findings.violation(
                    "a drain cuts a client twice",
                    format!(
                        "client {number}: {times} cuts while gateway {} was restarted",
                        gateway + 1
                    ),
                );
            }
            cuts.extend(after.cut_at.filter(|at| *at > begun).map(|at| at - begun));
        }
        let (first, last) = (cuts.iter().min(), cuts.iter().max());
        findings.say(&format!(
            "gateway {} drained in {took:.2?}: {} clients cut, from {first:.2?} to {last:.2?}",
            gateway + 1,
            cuts.len()
        ));
    }
}

/// Every client sees the last event of each of its devices on the stream that it has open.
async fn canaries(stage: &Stage, journal: &Journal) {
    let begun = Instant::now();
    loop {
        let all = stage.board.all();
        if all.iter().all(|status| status.canaries.is_empty()) {
            stage
                .findings
                .took("the last event is at every client after", begun.elapsed());
            return;
        }
        if begun.elapsed() > CALM_MAX {
            for (number, status) in all
                .iter()
                .enumerate()
                .filter(|(_, status)| !status.canaries.is_empty())
            {
                stage
                    .findings
                    .violation("a stream hangs", format!("client {number}: {status:?}"));
            }
            for node in stage.nodes.iter() {
                let node = node.lock().await;
                stage
                    .findings
                    .say(&format!("{}: {}", node.name, node.readiness().await));
            }
            let ends = journal
                .reader
                .bounds(Topic::Events, &[0, 1, 2, 3, 4, 5, 6, 7])
                .await;
            stage.findings.say(&format!("ends: {ends:?}"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until every device is OFFLINE and nothing moves. The documents as they are then.
async fn silence(stage: &Stage, gateway: &Api) -> Documents {
    let begun = Instant::now();
    let (mut last, mut same) = (Documents::new(), 0);
    loop {
        let now = checks::documents(gateway).await;
        let silent = now.values().all(|document| document["status"] == "OFFLINE");
        same = if silent && now == last { same + 1 } else { 0 };
        last = now;
        if same == 10 {
            return last;
        }
        if begun.elapsed() > SILENCE_MAX {
            let not_offline = last
                .iter()
                .filter(|(_, document)| document["status"] != "OFFLINE");
            for (device, document) in not_offline {
                let evidence = format!("{device:?} after {SILENCE_MAX:?}: {document}");
                stage
                    .findings
                    .violation("a silent device is not OFFLINE", evidence);
            }
            for node in stage.nodes.iter() {
                let node = node.lock().await;
                stage
                    .findings
                    .say(&format!("{}: {}", node.name, node.readiness().await));
            }
            return last;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
