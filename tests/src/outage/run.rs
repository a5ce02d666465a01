//! The course of a run: build up, measure, storm, calm, rolling restart, silence, checks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::join_all;
use journal::Journal;
use rand::RngExt as _;
use rand::rngs::SmallRng;
use schemas::Micros;
use serde_json::json;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::actions::{self, BEFORE_INGEST, Choice, GATEWAYS, INGESTS, PROJECTORS, PROXIES, Stage};
use super::checks::Documents;
use super::disturbances::Disturbances;
use super::findings::Findings;
use super::load::{Load, Sent, TENANTS, is_of_few};
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

/// A run may last so much longer than its storm, and by so much more for each measurement.
const BESIDE_STORM_MAX: Duration = Duration::from_secs(600);
const MEASUREMENT_MAX: Duration = Duration::from_secs(480);

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long things are disturbed at random, after each was disturbed once.
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
    for name in PROXIES {
        proxies.push(Proxy::bind(name.to_owned()).await);
    }
    let set = OnceLock::new();
    let course = course(options, proxies, &dir, &set, &findings);
    let measured = u32::try_from(options.measured).unwrap_or(u32::MAX);
    let longest = options.storm + BESIDE_STORM_MAX + MEASUREMENT_MAX.saturating_mul(measured);
    tokio::select! {
        () = tokio::time::sleep(longest) => {
            findings.violation("the run has no end", format!("after {longest:?}"));
            if let Some(stage) = set.get() {
                calm::tell_all(stage).await;
            }
        }
        () = course => {}
        () = node::app::interrupted() => findings.violation("interrupted", "by a signal".to_owned()),
    }
    findings.say(&findings.summary());
    findings.none()
}

async fn course(
    options: &Options,
    proxies: Vec<Proxy>,
    dir: &Path,
    set: &OnceLock<Stage>,
    findings: &Findings,
) {
    let mut random = Seed(options.seed).part(0);
    let (journal, stage) = built(options, proxies, dir, findings).await;
    set.get_or_init(|| stage.clone());
    let tended = stage.clone();
    let mut tending = JoinSet::new();
    tending.spawn(async move { tended.tend().await });
    findings.say("nodes are ready");

    let ingest: Vec<Api> = stage.proxies[BEFORE_INGEST..]
        .iter()
        .map(|proxy| Api::new(&format!("http://{}", proxy.address), ADMIN_TOKEN))
        .collect();
    let direct = gateways(&stage).await;
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
    actions::script(&stage, &mut random, &options.choice).await;
    findings.say("each was disturbed once");
    let end = Instant::now() + options.storm;
    actions::storm(&stage, random.random(), end, &options.choice).await;
    findings.say("the storm is over");
    calm::settle(&stage).await;
    stage.disturbances.end_for_good();
    calm::rolling_restart(&stage).await;

    let mut ended = closing(&stage, &journal, &direct, load).await;
    stop.send_replace(true);
    while let Some(viewer) = clients.join_next().await {
        ended.viewers.push(viewer.expect("a client"));
    }
    check(&stage, &journal, &direct[1], &ended).await;
    checks::shown(&options.choice, &mut random, findings);
}

/// Servers, and nodes on them. The log is for what is looked at all along.
async fn built(options: &Options, proxies: Vec<Proxy>, dir: &Path, findings: &Findings) -> (Journal, Stage) {
    let advertised: [_; BROKERS] = std::array::from_fn(|broker| proxies[GATEWAYS + broker].address);
    let servers = Servers::up(&advertised).await;
    for (proxy, target) in proxies[GATEWAYS..BEFORE_INGEST]
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
    let journal = servers.open().await.expect("opened").journal;
    let stage = stage(proxies, servers, flags, dir, options.clients + TURNERS, findings).await;
    (journal, stage)
}

/// The last events, a hand-over, and the silence after it.
async fn closing(stage: &Stage, journal: &Journal, direct: &[Api], mut load: Load) -> Ended {
    stage.board.enter(Phase::Calm(Instant::now()));
    let acknowledged = Arc::clone(&load.acknowledged);
    load.ebb().await;
    tokio::join!(
        calm::last_events(stage, journal, |device| !is_of_few(device)),
        checks::counts_of_the_living(&direct[0], &direct[1], &stage.findings),
    );
    let sent = load.finish().await;
    let handed_over = calm::hand_over(stage).await;
    let total = acknowledged.load(std::sync::atomic::Ordering::Acquire);
    stage
        .findings
        .say(&format!("{total} events acknowledged, the load has ended"));
    calm::last_events(stage, journal, |_| true).await;
    let (documents, ()) = tokio::join!(calm::silence(stage, &direct[0]), actions::rebuild_in_calm(stage));
    calm::last_verdicts(stage, journal).await;
    Ended {
        sent,
        handed_over,
        documents,
        viewers: Vec::new(),
    }
}

/// What a run leaves behind, beside the log.
struct Ended {
    sent: Sent,
    /// When both projectors were dead, in the silence after the last events.
    handed_over: Micros,
    documents: Documents,
    viewers: Vec<Viewer>,
}

async fn check(stage: &Stage, journal: &Journal, gateway: &Api, ended: &Ended) {
    let findings = &stage.findings;
    let Ended {
        sent,
        handed_over,
        documents,
        viewers,
    } = ended;
    findings.say("checking");
    let truth = Truth::read(journal).await;
    checks::acknowledged(&truth, sent, findings);
    checks::states(&truth, documents, findings);
    checks::silences(&truth, *handed_over, findings);
    checks::model(sent, documents, findings);
    checks::viewers(viewers, &truth, documents, findings);
    // Opened now: the tables that served at the beginning may have been replaced since.
    let opened = stage.servers.open().await.expect("opened");
    checks::fold(&opened, documents, findings).await;
    checks::counts(gateway, documents, findings).await;
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
    let disturbances = Disturbances::default();
    let starts = roles.into_iter().flat_map(|(role, count)| {
        let (flags, disturbances) = (&flags, &disturbances);
        (1..=count).map(move |number| Node::start(role, number, flags, dir, disturbances, findings))
    });
    let nodes = join_all(starts).await;
    for (proxy, gateway) in proxies.iter().zip(&nodes[INGESTS + PROJECTORS..]) {
        proxy.forward_to(gateway.public);
    }
    for (proxy, ingest) in proxies[BEFORE_INGEST..].iter().zip(&nodes) {
        proxy.forward_to(ingest.public);
    }
    Stage {
        nodes: Arc::new(nodes.into_iter().map(Mutex::new).collect()),
        servers: Arc::new(servers),
        proxies: Arc::new(proxies),
        board: Arc::new(Board::new(clients)),
        disturbances,
        findings: findings.clone(),
        flags,
        dir: dir.to_owned(),
    }
}

/// Straight to the gateways, as `system`.
async fn gateways(stage: &Stage) -> Vec<Api> {
    let mut apis = Vec::new();
    for node in &stage.nodes[INGESTS + PROJECTORS..] {
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
