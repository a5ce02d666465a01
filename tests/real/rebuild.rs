//! `wakeline rebuild` on CQL while nodes serve: tables beside the old ones, equal, then switched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use journal::Placement;
use node::cli::RebuildArgs;
use node::config::{Config, Roles};
use prometheus::Registry;
use schemas::control::Layout;
use serde_json::Value;
use state::scylla::Cql;
use state::{DeviceKey, Write};
use tests::api::{Api, reading, readings};
use tests::nodes::Running;
use tests::wait;

use crate::in_process::{InProcess, apart};

const TENANT: &str = "acme";
const DEVICES: u64 = 40;
const LOST: &str = "d-7";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_restored_beside_those_that_serve_and_a_lost_row_comes_back() {
    let Some(InProcess {
        config, opened, node, ..
    }) = InProcess::start().await
    else {
        return;
    };
    let store = opened.store.clone();
    let (gateway, _) = gateway(&config).await;
    for n in 1..=3 {
        node.api.send_events_of(TENANT, &readings(DEVICES, n)).await;
    }
    let before = folded(&gateway.api).await;

    let key = DeviceKey {
        tenant: TENANT.into(),
        device: LOST.into(),
    };
    let layout = &opened.journal.layout;
    let partition = Placement::new(TENANT, layout.default_spread, layout.partitions).of(LOST);
    let delete = Write {
        key,
        partition,
        document: None,
        source: 1_000_000,
    };
    store.documents.write(vec![delete]).await.expect("deleted");
    let lost = format!("/v1/devices/{LOST}?tenant={TENANT}");
    assert_eq!(gateway.api.get(&lost).await.status, 404, "the row is gone");

    let reading_on = Reading::start(&gateway.api);
    let arguments = rebuild(KEPT);
    node::rebuild::run(&config, &arguments, &node::system_clock())
        .await
        .expect("equal to the log");
    for api in [&gateway.api, &node.api] {
        wait::until("the nodes go over to the new tables", || async {
            (api.get(&lost).await.status == 200).then_some(())
        })
        .await;
        assert_eq!(documents(api).await, before);
    }
    reading_on.finish().await;
    let summary = format!("/v1/summary?tenant={TENANT}");
    assert_eq!(
        gateway.api.get(&summary).await.json["total"],
        DEVICES,
        "progress is in the new tables"
    );

    // The projector folds on, into the new tables.
    node.api.send_events_of(TENANT, &[reading(LOST, 4)]).await;
    wait::until("events are folded into the new tables", || async {
        (gateway.api.get(&lost).await.json["fields"]["n"] == 4).then_some(())
    })
    .await;
    gateway.drain().await;
    node.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilds_after_one_that_was_cut_off_disturb_no_reader_and_the_last_removes_what_nobody_reads() {
    let Some(InProcess {
        config, opened, node, ..
    }) = InProcess::start().await
    else {
        return;
    };
    let (gateway, tables) = gateway(&config).await;
    node.api.send_events_of(TENANT, &readings(DEVICES, 3)).await;
    let before = folded(&gateway.api).await;
    // What a run that was killed before the switch leaves behind.
    let (cql, layout) = (opened.cql.clone().expect("CQL"), &opened.journal.layout);
    let left = cql.store(layout, Some(1)).await.expect("a store");
    projector::rebuild::rebuild(
        &opened.journal,
        &left,
        &projector::rebuild::Options::default(),
        &|_| (),
    )
    .await
    .expect("restored");

    let reading_on = Reading::start(&gateway.api);
    let clock = node::system_clock();
    for build in 2..=4 {
        let rebuilt = node::rebuild::run(&config, &rebuild(KEPT), &clock).await;
        rebuilt.expect("equal to the log");
        assert_eq!(cql.serving(layout.generation).await, Ok(build), "one is left out");
        assert_eq!(counted(&cql, layout, build).await, DEVICES, "progress is kept");
    }
    wait::until("the gateway reads the new tables", || async {
        (build_read(&tables) == 4).then_some(())
    })
    .await;
    assert_eq!(documents(&gateway.api).await, before);
    let rebuilt = node::rebuild::run(&config, &rebuild(Duration::ZERO), &clock).await;
    rebuilt.expect("equal to the log");
    for build in 0..=3 {
        assert_eq!(cql.is_filled(layout, build).await, Ok(false), "build {build}");
    }
    assert_eq!(cql.is_filled(layout, 4).await, Ok(true), "it may be read still");
    assert_eq!(documents(&gateway.api).await, before);
    reading_on.finish().await;
    gateway.drain().await;
    node.drain().await;
}

/// Longer than the test runs.
const KEPT: Duration = Duration::from_secs(3_600);

fn rebuild(remove_after: Duration) -> RebuildArgs {
    RebuildArgs {
        refold: false,
        since: None,
        remove_after,
    }
}

/// Devices of a build as its progress counts them, after comparing that with its rows.
async fn counted(cql: &Cql, layout: &Layout, build: u16) -> u64 {
    let store = cql.store(layout, Some(build)).await.expect("a store");
    let mut devices = 0;
    for partition in 0..layout.partitions {
        let applied = store.progress.applied(partition).await.expect("read");
        let documents = store.documents.page_of_partition(partition, None, 100).await;
        let documents = documents.expect("read").documents.len() as u64;
        let counted: u64 = applied
            .iter()
            .flat_map(|applied| applied.counts.values())
            .map(|counts| counts.devices)
            .sum();
        assert_eq!(counted, documents, "build {build}, partition {partition}");
        devices += counted;
    }
    devices
}

/// The build of the tables that a gateway reads, by its metric.
fn build_read(tables: &Registry) -> i64 {
    let families = tables.gather();
    let family = families
        .iter()
        .find(|family| family.name() == "wakeline_tables_build");
    let metric = family.expect("told").get_metric().first().expect("one");
    metric.get_gauge().get_value() as i64
}

/// A gateway with connections of its own, and the metrics of these.
async fn gateway(config: &Config) -> (Running, Registry) {
    let roles = Roles {
        ingest: false,
        projector: false,
        gateway: true,
    };
    apart(&Config {
        roles,
        ..config.clone()
    })
    .await
}

/// Every document, once the third reading of each device is in it and the reactor has seen it.
async fn folded(gateway: &Api) -> BTreeMap<String, Value> {
    wait::until("every device is folded", || async {
        let documents = documents(gateway).await;
        let done = |document: &Value| document["fields"]["n"] == 3 && document["status"] == "ONLINE";
        (documents.len() as u64 == DEVICES && documents.values().all(done)).then_some(documents)
    })
    .await
}

async fn documents(api: &Api) -> BTreeMap<String, Value> {
    let answer = api.get(&format!("/v1/devices?tenant={TENANT}&limit=1000")).await;
    let listed = answer.json["devices"].as_array().cloned().unwrap_or_default();
    listed
        .into_iter()
        .map(|document| (document["id"].to_string(), document))
        .collect()
}

/// Reads a device all along: it must be there whatever serves.
struct Reading {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<u64>,
}

impl Reading {
    fn start(api: &Api) -> Self {
        let (stop, api) = (Arc::new(AtomicBool::new(false)), api.clone());
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut reads = 0;
            while !stopped.load(Ordering::Acquire) {
                let answer = api.get(&format!("/v1/devices/d-1?tenant={TENANT}")).await;
                assert_eq!(answer.json["fields"]["n"], 3, "{} {}", answer.status, answer.text);
                reads += 1;
            }
            reads
        });
        Self { stop, task }
    }

    async fn finish(self) {
        self.stop.store(true, Ordering::Release);
        assert!(self.task.await.expect("every read is answered") > 10);
    }
}
