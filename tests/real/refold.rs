//! `wakeline rebuild --refold`: folds the log again beside nodes that serve, and says what the tables have otherwise.

use std::sync::Arc;

use journal::{Partition, Placement};
use node::storage::{self, Opened};
use prometheus::Registry;
use schemas::Document;
use schemas::fields::Scalar;
use serde_json::{Value, json};
use state::{DeviceKey, Write};
use tests::api::reading;
use tests::program::{Ended, Program};
use tests::wait;

use crate::cluster::{Broker, Servers};
use crate::serving::{Serving, VARIABLES, migrate, with_flags};

const TENANT: &str = "acme";
const DEVICES: u64 = 12;
/// How the name of a device begins that nobody sent an event of.
const EXTRA: &str = "ghost";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refold_names_what_the_tables_have_otherwise_than_the_log_and_changes_nothing() {
    let Some(shared) = Servers::shared() else { return };
    let broker = Broker::up().await;
    let servers = shared.on(&broker);
    migrate(&servers).await;
    let node = Serving::start("all", &servers).await;
    let events: Vec<Value> = (0..DEVICES)
        .map(|device| reading(&format!("d-{device}"), 3))
        .collect();
    let sent = node
        .api
        .post(&format!("/v1/events?tenant={TENANT}"), &json!(events))
        .await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    wait::until("every device is folded", || async {
        let list = node
            .api
            .get(&format!("/v1/devices?tenant={TENANT}&limit=1000"))
            .await;
        let devices = list.json["devices"].as_array()?.clone();
        let done = |device: &Value| device["fields"]["n"] == 3 && device["status"] == "ONLINE";
        (devices.len() as u64 == DEVICES && devices.iter().all(done)).then_some(())
    })
    .await;
    let whole = refold(&servers, &[]).await;
    assert_eq!(whole.code, Some(0), "{}", whole.errors);
    assert!(
        whole.output.contains("12 devices compared, 0 differ"),
        "{}",
        whole.output
    );

    damage(&servers).await;
    let damaged = refold(&servers, &["--since", "1h"]).await;
    assert_eq!(damaged.code, Some(0), "{}", damaged.errors);
    let lines: Vec<&str> = damaged.output.lines().collect();
    assert!(
        lines.contains(&"13 devices compared, 3 differ"),
        "{}",
        damaged.output
    );
    assert!(lines.contains(&"acme/d-7: has no row"), "{}", damaged.output);
    assert!(
        lines.contains(&"acme/d-8: differs in fields.n"),
        "{}",
        damaged.output
    );

    assert!(
        damaged.output.contains(&format!("acme/{EXTRA}"))
            && damaged.output.contains(": has a row, and should have none"),
        "{}",
        damaged.output
    );

    let again = refold(&servers, &[]).await;
    assert!(again.output.contains(", 3 differ"), "{}", again.output);
    let wrong = refold(&servers, &["--since", "yesterday"]).await;
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.errors.contains("write a time (2026-01-26T15:57:02Z)"),
        "{}",
        wrong.errors
    );
}

async fn refold(servers: &Servers, more: &[&str]) -> Ended {
    let flags = [&["--refold"], more].concat();
    Program::run(&with_flags("rebuild", servers, &flags), &VARIABLES).await
}

/// Takes the row of one device away, alters a field of another's and adds one, behind the product's back.
async fn damage(servers: &Servers) {
    let mut config = servers.config();
    config.kafka_settings.namespace = String::new();
    let opened = storage::open(&config, &node::system_clock(), &Registry::new())
        .await
        .expect("opened");
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
