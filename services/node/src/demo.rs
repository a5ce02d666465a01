//! `wakeline demo`: everything in one process on the embedded engine, replaying recorded buses through
//! the public HTTP API.

use std::io::Write as _;
use std::net::SocketAddr;

use indicatif::ProgressBar;
use journal::Clock;
use reqwest::Method;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::app::{self, Listeners, Node, RunError};
use crate::cli::{DemoArgs, ServerArgs};
use crate::client::Client;
use crate::config::{Config, Secret};
use crate::simulate;
use crate::storage;
use crate::trace::{self, Report};

/// The tenant that the buses belong to.
const TENANT: &str = "demo";
/// The bus that the printed line follows: one that drives from the recording's start.
const DEVICE: &str = "bus-4803";

/// Runs until interrupted, or with `--once` until the recording ends.
///
/// # Errors
/// What kept the node from starting or running.
pub async fn run(mut config: Config, arguments: &DemoArgs, clock: Clock) -> Result<(), RunError> {
    // Kept until the end: dropping it removes the directory.
    let mut scratch = None;
    if config.data.is_none() {
        let dir = tempfile::Builder::new()
            .prefix("wakeline-demo-")
            .tempdir()
            .map_err(RunError::Io)?;
        config.data = Some(dir.path().to_owned());
        scratch = Some(dir);
    }
    config.allow_weak_durability = true;
    let way_in = app::random_token()?;
    let admin_token = config.admin_token.get_or_insert(Secret(way_in)).0.clone();

    let registry = prometheus::Registry::new();
    let listeners = Listeners::bind(&config).await?;
    let opened = storage::open(&config, &clock, &registry).await?;
    let mut node = Node::start(&config, opened, listeners, clock, registry)?;

    let api = client(node.public(), &admin_token)?;
    node.ready().await;
    let token = token(&api, "admin").await?;
    let feed = client(node.public(), &self::token(&api, "ingest").await?)?;
    announce(&node, &token, arguments).map_err(RunError::Io)?;

    let reports: Vec<Report> = trace::read(None)?.into_iter().map(live).collect();
    let stop = CancellationToken::new();
    let replay = replay(&feed, &reports, arguments, &stop);
    let outcome = tokio::select! {
        outcome = replay => outcome,
        failure = node.failure() => Err(RunError::Task(failure)),
        () = app::interrupted() => Ok(()),
    };
    node.drain(config.drain).await;
    drop(scratch);
    outcome
}

async fn replay(
    feed: &Client,
    reports: &[Report],
    arguments: &DemoArgs,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    loop {
        simulate::replay(feed, None, reports, arguments.speed, &ProgressBar::hidden()).await?;
        if arguments.once || stop.is_cancelled() {
            return Ok(());
        }
    }
}

/// A recorded report as if made now: it happens at receipt, and says when it was recorded.
fn live(mut report: Report) -> Report {
    if let Some(event) = report.event.as_object_mut() {
        let recorded = event.remove("time").unwrap_or_default();
        event.remove("seq");
        event["fields"]["recorded_at"] = recorded;
    }
    report
}

fn client(address: SocketAddr, token: &str) -> Result<Client, RunError> {
    let server = ServerArgs {
        url: Some(format!("http://{address}")),
        token: Some(token.to_owned()),
    };
    Ok(Client::new(&server)?)
}

async fn token(api: &Client, role: &str) -> Result<String, RunError> {
    let body = json!({"role": role, "tenant": TENANT, "expires": "1d"});
    let made = api
        .call(
            Method::POST,
            "/v1/tokens",
            &[("tenant", Some(TENANT))],
            Some(&body),
        )
        .await?;
    Ok(made["token"].as_str().unwrap_or_default().to_owned())
}

fn announce(node: &Node, token: &str, arguments: &DemoArgs) -> std::io::Result<()> {
    let (public, admin) = (node.public(), node.admin());
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "Wakeline demo: eight buses on route 14 in Liverpool, {} times faster than they drove.\n\n\
         API      http://{public}/v1/devices\n\
         metrics  http://{admin}/metrics\n\
         token    {token}\n         (admin of tenant \"{TENANT}\", for one day)\n\n\
         See a bus move, in a second terminal:\n\n\
         curl -N -H 'Authorization: Bearer {token}' 'http://{public}/v1/stream?device={DEVICE}&since=earliest'\n\n\
         Ctrl-C ends it.",
        arguments.speed,
    )?;
    out.flush()
}
