//! `wakeline rebuild --refold`: folds the log again beside nodes that serve, and says what the tables have otherwise.

use std::sync::Arc;

use journal::Placement;
use node::storage;
use prometheus::Registry;
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
        lines.contains(&"12 devices compared, 2 differ"),
        "{}",
        damaged.output
    );
    assert!(lines.contains(&"acme/d-7: has no row"), "{}", damaged.output);
    assert!(
        lines.contains(&"acme/d-8: differs in fields.n"),
        "{}",
        damaged.output
    );

    let again = refold(&servers, &[]).await;
    assert!(again.output.contains(", 2 differ"), "{}", again.output);
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

/// Takes the row of one device away and alters a field of another's, behind the product's back.
async fn damage(servers: &Servers) {
    let mut config = servers.config();
    config.kafka_settings.namespace = String::new();
    let opened = storage::open(&config, &node::system_clock(), &Registry::new())
        .await
        .expect("opened");
    let layout = &opened.journal.layout;
    let placement = Placement::new(TENANT, layout.default_spread, layout.partitions);
    let documents = &opened.store.documents;
    let key = |device: &str| DeviceKey {
        tenant: TENANT.into(),
        device: device.into(),
    };
    for device in ["d-7", "d-8"] {
        let at = (placement.of(device), key(device));
        let row = documents
            .get(std::slice::from_ref(&at))
            .await
            .expect("read")
            .remove(0);
        let row = row.expect("a row");
        let mut altered = (*row.document).clone();
        altered.fields.0.insert("n".into(), Scalar::Integer(4));
        let write = Write {
            key: at.1,
            partition: at.0,
            document: (device == "d-8").then(|| Arc::new(altered)),
            source: row.source,
        };
        documents.write(vec![write]).await.expect("written");
    }
}
