//! The README's page on real servers: separate processes, and a recorded bus through them.

use std::collections::BTreeMap;

use node::trace;
use serde_json::{Map, Value, json};
use tests::api::Api;
use tests::nodes::ADMIN_TOKEN;
use tests::program::Program;
use tests::stream::{Carrier, Streaming};
use tests::wait;

use crate::serving::Cluster;

const TENANT: &str = "liverpool";
const CLIENT: [(&str, &str); 1] = [("WAKELINE_TOKEN", ADMIN_TOKEN)];

/// Numbers of the records of each bus, in order.
type Sequences = BTreeMap<String, Vec<u64>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_of_the_bus_arrives_once_and_in_order_at_a_client_of_each_gateway() {
    let Some(cluster) = Cluster::up().await else {
        return;
    };
    let ingest = cluster.start("ingest").await;
    let _projector = cluster.start("projector").await;
    let gateways = [cluster.start("gateway").await, cluster.start("gateway").await];

    let tails = [tail(&gateways[0].api), tail(&gateways[1].api)];
    let arguments = [
        "simulate",
        "--url",
        &ingest.api.base,
        "--tenant",
        TENANT,
        "--trace",
        "bundled",
    ];
    let simulated = Program::run(&arguments, &CLIENT).await;
    assert_eq!(simulated.code, Some(0), "{}", simulated.errors);

    let recorded: Vec<Value> = trace::read(None)
        .expect("the recording")
        .into_iter()
        .map(|it| it.event)
        .collect();
    assert_eq!(recorded.len(), 1_533);
    let expected = sequences(&recorded);
    for tail in tails {
        assert_eq!(sequences(&printed(tail, recorded.len()).await), expected);
    }
    // Nothing came after those: a client that reads to the end has no more.
    for gateway in &gateways {
        let query = format!("tenant={TENANT}&kind=telemetry&since=earliest");
        let mut stream = Streaming::open(&gateway.api, Carrier::WebSocket, &query, None)
            .await
            .expect("a stream");
        assert_eq!(sequences(&stream.rest().await), expected);
    }
    for (device, fields) in last_fields(&recorded) {
        documents_hold(&gateways[1].api, &device, &fields).await;
    }
}

fn tail(gateway: &Api) -> Program {
    let arguments = [
        "tail",
        "--url",
        &gateway.base,
        "--tenant",
        TENANT,
        "--kind",
        "telemetry",
        "--since",
        "earliest",
    ];
    Program::start(&arguments, &CLIENT)
}

async fn printed(mut tail: Program, count: usize) -> Vec<Value> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(serde_json::from_str(&tail.line("telemetry").await).expect("JSON"));
    }
    events
}

fn sequences(events: &[Value]) -> Sequences {
    let mut sequences = Sequences::new();
    for event in events {
        let device = event["device"].as_str().expect("a device").to_owned();
        sequences
            .entry(device)
            .or_default()
            .push(event["seq"].as_u64().expect("a number"));
    }
    sequences
}

/// The fields of each bus after its last record: as that says, and where it is silent, as the last that did.
fn last_fields(events: &[Value]) -> BTreeMap<String, Map<String, Value>> {
    let mut fields = BTreeMap::<String, Map<String, Value>>::new();
    for event in events {
        let device = event["device"].as_str().expect("a device").to_owned();
        let reported = event["fields"].as_object().expect("fields").clone();
        fields.entry(device).or_default().extend(reported);
    }
    fields
}

async fn documents_hold(gateway: &Api, device: &str, fields: &Map<String, Value>) {
    let path = format!("/v1/devices/{device}?tenant={TENANT}");
    wait::until(&format!("the document of {device} is {fields:?}"), || async {
        let document = gateway.get(&path).await.json;
        (document["fields"] == json!(fields)).then_some(())
    })
    .await;
}
