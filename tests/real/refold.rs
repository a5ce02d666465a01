//! `wakeline rebuild --refold`: folds the log again beside nodes that serve, and says what the tables have otherwise.

use std::sync::Arc;

use access::events::record;
use journal::{Headers, NewRecord, Offset, Partition, Placement, Topic};
use node::storage::{self, Opened};
use prometheus::Registry;
use schemas::event::Telemetry;
use schemas::fields::{Fields, Scalar};
use schemas::{Body, Document, Event, Micros};
use serde_json::Value;
use state::{DeviceKey, Limits, Outcome, Write, fold};
use tests::api::{Api, readings};
use tests::program::{Ended, Program};
use tests::wait;

use crate::cluster::Servers;
use crate::serving::{Cluster, VARIABLES, with_flags};

const TENANT: &str = "acme";
const DEVICES: u64 = 12;
/// How the name of a device begins that nobody sent an event of.
const EXTRA: &str = "ghost";
/// Devices whose only event another fold made something else of: one event is a day old, one is of now.
const FORMERLY: [(&str, Micros); 2] = [("old", 24 * 3_600_000_000), ("young", 0)];
/// What this fold reads in those events, and what the other one did.
const READ: (i64, i64) = (1, 99);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refold_names_what_the_tables_have_otherwise_than_the_log_and_changes_nothing() {
    let Some(cluster) = Cluster::up().await else {
        return;
    };
    let servers = &cluster.servers;
    let node = cluster.start("all").await;
    node.api.send_events_of(TENANT, &readings(DEVICES, 3)).await;
    folded(&node.api, DEVICES).await;
    assert_eq!(refolded(servers, &[]).await, ["12 devices compared, 0 differ"]);

    let extra = damage(servers).await;
    let mut expected = vec![
        "13 devices compared, 3 differ".to_owned(),
        format!("acme/{extra}: has a row, and should have none"),
        "acme/d-7: has no row".to_owned(),
        "acme/d-8: differs in fields.n".to_owned(),
    ];
    expected.sort_unstable();
    // It changes nothing, so it says the same again.
    for _ in 0..2 {
        assert_eq!(refolded(servers, &[]).await, expected);
    }
    let wrong = refold(servers, &["--since", "yesterday"]).await;
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.errors.contains("write a time (2026-01-26T15:57:02Z)"),
        "{}",
        wrong.errors
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refold_since_a_time_leaves_what_older_events_made_as_it_is() {
    let Some(cluster) = Cluster::up().await else {
        return;
    };
    let servers = &cluster.servers;
    let opened = open(servers).await;
    for (device, age) in FORMERLY {
        folded_otherwise(&opened, device, node::system_clock()() - age).await;
    }
    let node = cluster.start("all").await;
    node.api.send_events_of(TENANT, &readings(DEVICES, 3)).await;
    folded(&node.api, DEVICES + 2).await;
    for (device, _) in FORMERLY {
        let document = node
            .api
            .get(&format!("/v1/devices/{device}?tenant={TENANT}"))
            .await;
        assert_eq!(document.json["fields"]["n"], READ.1, "the state records count");
    }

    let all = [
        "14 devices compared, 2 differ",
        "acme/old: differs in fields.n",
        "acme/young: differs in fields.n",
    ];
    assert_eq!(refolded(servers, &[]).await, all);
    let since = ["14 devices compared, 1 differ", "acme/young: differs in fields.n"];
    assert_eq!(refolded(servers, &["--since", "1h"]).await, since);
}

/// Waits until the reactor has spoken of each of so many devices.
async fn folded(api: &Api, devices: u64) {
    wait::until("every device is folded", || async {
        let list = api.get(&format!("/v1/devices?tenant={TENANT}&limit=1000")).await;
        let listed = list.json["devices"].as_array()?.clone();
        let done = |device: &Value| device["fields"]["n"].is_number() && !device["status"].is_null();
        (listed.len() as u64 == devices && listed.iter().all(done)).then_some(())
    })
    .await;
}

/// What it prints, in order.
async fn refolded(servers: &Servers, more: &[&str]) -> Vec<String> {
    let ended = refold(servers, more).await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let mut lines: Vec<String> = ended.output.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

async fn refold(servers: &Servers, more: &[&str]) -> Ended {
    let flags = [&["--refold"], more].concat();
    Program::run(&with_flags("rebuild", servers, &flags), &VARIABLES).await
}

/// The log and the tables that the processes of a cluster have.
async fn open(servers: &Servers) -> Opened {
    let mut config = servers.config();
    config.kafka_settings.namespace = String::new();
    storage::open(&config, &node::system_clock(), &Registry::new())
        .await
        .expect("opened")
}

/// Takes the row of one device away, alters a field of another's and adds one, behind the product's back. The name of
/// the one that was added.
async fn damage(servers: &Servers) -> String {
    let opened = open(servers).await;
    put(&opened, "d-7", "d-7", |_| None).await;
    put(&opened, "d-8", "d-8", |mut document| {
        document.fields.0.insert("n".into(), Scalar::Integer(4));
        Some(document)
    })
    .await;
    // In a partition that has come as far.
    let partition = at(&opened, "d-8").0;
    let mut names = (0..).map(|n| format!("{EXTRA}-{n}"));
    let extra = names.find(|name| at(&opened, name).0 == partition).expect("one");
    put(&opened, &extra, "d-8", |mut document| {
        document.id = extra.as_str().into();
        Some(document)
    })
    .await;
    extra
}

/// Appends an event, and the state record that a release with another fold made of it.
async fn folded_otherwise(opened: &Opened, device: &str, at_us: Micros) {
    let (partition, _) = at(opened, device);
    let mut telemetry = Telemetry {
        fields: Fields::default(),
    };
    telemetry.fields.0.insert("n".into(), Scalar::Integer(READ.0));
    let event = Event {
        id: device.into(),
        tenant: TENANT.into(),
        device: device.into(),
        occurred_at: at_us,
        received_at: at_us,
        claimed_at: None,
        seq: None,
        body: Body::Telemetry(telemetry),
    };
    let record = record(&event, partition, opened.journal.layout.generation, None);
    let source = append(opened, record.clone()).await;
    let Outcome::Changed(mut change) = fold(None, &event, &Limits::default()) else {
        panic!("telemetry makes a device")
    };
    let fields = &mut change.document.fields.0;
    fields.insert("n".into(), Scalar::Integer(READ.1));
    let state = NewRecord {
        topic: Topic::State,
        value: Some(change.encode()),
        headers: Headers {
            source_offset: Some(source),
            ..record.headers.clone()
        },
        ..record
    };
    append(opened, state).await;
}

async fn append(opened: &Opened, record: NewRecord) -> Offset {
    let mut appended = opened.journal.appender.append(vec![record], wait::DEADLINE).await;
    appended.remove(0).expect("appended").offset
}

/// Makes the row of `device` what `alter` makes of that of `like`.
async fn put(opened: &Opened, device: &str, like: &str, alter: impl FnOnce(Document) -> Option<Document>) {
    let documents = &opened.store.documents;
    let mut rows = documents.get(&[at(opened, like)]).await.expect("read");
    let row = rows.remove(0).expect("a row");
    let (partition, key) = at(opened, device);
    let write = Write {
        key,
        partition,
        document: alter((*row.document).clone()).map(Arc::new),
        source: row.source,
    };
    documents.write(vec![write]).await.expect("written");
}

fn at(opened: &Opened, device: &str) -> (Partition, DeviceKey) {
    let layout = &opened.journal.layout;
    let key = DeviceKey {
        tenant: TENANT.into(),
        device: device.into(),
    };
    let placement = Placement::new(TENANT, layout.default_spread, layout.partitions);
    (placement.of(device), key)
}
