//! A broker that does not answer: senders are told when to come again, and a start says who is away.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::api::Api;
use tests::program::Program;
use tests::stream::{Carrier, Streaming};
use tests::wait;

use crate::serving::{Cluster, VARIABLES, with_flags};

const TENANT: &str = "acme";
const EVENTS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_broker_is_frozen_ingest_says_503_and_a_retry_with_ids_loses_and_doubles_nothing() {
    let Some(cluster) = Cluster::up().await else {
        return;
    };
    let node = cluster.start("all").await;
    send(&node.api, 0).await.expect("taken");
    folded(&node.api, 0).await;

    cluster.tell("freeze", "kafka-1").await;
    let begun = Instant::now();
    let refused = send(&node.api, 1).await.expect_err("nothing is durable");
    assert!(
        refused.retry_after.is_some_and(|seconds| seconds > 0),
        "{refused:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let items = refused.body["rejected"].as_array().expect("items");
    assert!(
        items.iter().all(|item| item["retry"] == json!(true)),
        "{refused:?}"
    );
    // Reads that need no log are answered all along.
    assert_eq!(node.api.get("/v1/devices/d-0?tenant=acme").await.status, 200);
    cluster.tell("thaw", "kafka-1").await;
    wait::until("the retry is taken", || async { send(&node.api, 1).await.ok() }).await;
    send(&node.api, 2).await.expect("taken");

    folded(&node.api, 2).await;
    let mut stream = Streaming::open(
        &node.api,
        Carrier::Sse,
        "tenant=acme&kind=telemetry&since=earliest",
        None,
    )
    .await
    .expect("a stream");
    let ids: Vec<String> = stream
        .rest()
        .await
        .iter()
        .map(|event| event["id"].to_string())
        .collect();
    let mut once = ids.clone();
    once.dedup();
    // A retry may stand twice in the log, never in another order, and is folded once.
    let mut distinct = once.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(
        distinct.len(),
        3 * usize::try_from(EVENTS).expect("small"),
        "{ids:?}"
    );
    let changes = changes(&node.api).await;
    assert_eq!(
        changes.len(),
        distinct.len(),
        "each event changed the document once: {changes:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_a_frozen_broker_names_it_within_30_s() {
    let Some(cluster) = Cluster::up().await else {
        return;
    };
    cluster.tell("freeze", "kafka-1").await;
    let begun = Instant::now();
    let ended = Program::run(
        &with_flags(
            "serve",
            &cluster.servers,
            &["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
        ),
        &VARIABLES,
    )
    .await;
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(
        ended
            .errors
            .contains(&format!("Kafka at {}", cluster.servers.kafka)),
        "{}",
        ended.errors
    );
}

async fn folded(api: &Api, batch: u64) {
    wait::until("every event is folded", || async {
        let document = api.get("/v1/devices/d-0?tenant=acme").await.json;
        (document["fields"]["batch"] == batch && document["fields"]["n"] == batch * EVENTS + EVENTS - 1)
            .then_some(())
    })
    .await;
}

#[derive(Debug)]
struct Refused {
    retry_after: Option<u64>,
    body: Value,
}

/// Sends one batch of one device, with ids: the same again is the same.
async fn send(api: &Api, batch: u64) -> Result<(), Refused> {
    let events: Vec<Value> = (0..EVENTS)
        .map(|n| {
            let n = batch * EVENTS + n;
            json!({"device": "d-0", "kind": "telemetry", "id": format!("e-{n}"), "fields": {"n": n, "batch": batch}})
        })
        .collect();
    let answer = api
        .post(&format!("/v1/events?tenant={TENANT}"), &json!(events))
        .await;
    if answer.status == 200 {
        return Ok(());
    }
    assert_eq!(answer.status, 503, "{}", answer.text);
    let retry_after = answer
        .headers
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.parse().ok());
    Err(Refused {
        retry_after,
        body: answer.json,
    })
}

/// Numbers that the device's document went through by telemetry.
async fn changes(api: &Api) -> Vec<Value> {
    let query = format!("tenant={TENANT}&view=devices&since=earliest");
    let mut stream = Streaming::open(api, Carrier::Sse, &query, None)
        .await
        .expect("a stream");
    let frames = stream.rest().await;
    let by_telemetry = frames.iter().filter(|frame| {
        let changed = frame["changed"].as_array();
        changed.is_some_and(|paths| paths.contains(&json!("fields.n")))
    });
    by_telemetry
        .map(|frame| frame["device"]["fields"]["n"].clone())
        .collect()
}
