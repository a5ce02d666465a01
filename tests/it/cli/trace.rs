//! `simulate --trace bundled`: real input, once and in order at every client, and the last record as state.

use std::collections::BTreeMap;

use serde_json::Value;
use tests::api::Api;
use tests::program::Program;
use tests::stream::{Carrier, Streaming};
use tests::world::World;

/// Records of each bus, in order.
fn recorded() -> BTreeMap<String, Vec<Value>> {
    let mut by_bus: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for report in node::trace::read(None).expect("the recording") {
        by_bus.entry(report.device).or_default().push(report.event);
    }
    assert_eq!(by_bus.values().map(Vec::len).sum::<usize>(), 1_533);
    by_bus
}

/// What makes an event that of a record.
fn essence(event: &Value) -> (Value, Value, jiff::Timestamp) {
    let time = event["time"].as_str().expect("a time").parse().expect("a time");
    (event["seq"].clone(), event["fields"].clone(), time)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_arrives_once_and_in_order_and_the_last_is_the_state() {
    let world = World::start().await;
    let recorded = recorded();
    let query = "kind=telemetry";
    let mut streams = [
        world.stream(Carrier::Sse, query, None).await,
        world.stream(Carrier::WebSocket, query, None).await,
    ];
    let ingest = world.client(serde_json::json!({"role": "ingest"})).await;
    let ended = simulate(&ingest, &["--trace", "bundled"]).await;
    assert_eq!(ended, Some(0));
    for stream in &mut streams {
        arrives(stream, &recorded).await;
    }
    let mut replay = world
        .stream(Carrier::Sse, "kind=telemetry&since=earliest", None)
        .await;
    arrives(&mut replay, &recorded).await;
    is_the_state(&world.admin, &recorded).await;
    world.end().await;
}

async fn simulate(api: &Api, arguments: &[&str]) -> Option<i32> {
    let variables = [
        ("WAKELINE_TOKEN", api.token.as_str()),
        ("WAKELINE_URL", api.base.as_str()),
    ];
    let ended = Program::run(&[&["simulate"], arguments].concat(), &variables).await;
    assert!(ended.code == Some(0), "{ended:?}");
    ended.code
}

async fn arrives(stream: &mut Streaming, recorded: &BTreeMap<String, Vec<Value>>) {
    let mut seen: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for _ in 0..1_533 {
        let event = stream.data().await.data;
        seen.entry(event["device"].as_str().expect("a device").to_owned())
            .or_default()
            .push(event);
    }
    for (bus, events) in recorded {
        let seen: Vec<_> = seen[bus].iter().map(essence).collect();
        assert_eq!(seen, events.iter().map(essence).collect::<Vec<_>>(), "{bus}");
    }
}

async fn is_the_state(api: &Api, recorded: &BTreeMap<String, Vec<Value>>) {
    for (bus, events) in recorded {
        let last = events.last().expect("records");
        let document = tests::wait::until("the last record is folded", || async {
            let document = api.get(&format!("/v1/devices/{bus}")).await.json;
            (document["fields"]["lat"] == last["fields"]["lat"]
                && document["fields"]["lng"] == last["fields"]["lng"])
                .then_some(document)
        })
        .await;
        // A record may lack a bearing that an earlier one had.
        for (name, value) in last["fields"].as_object().expect("fields") {
            assert_eq!(&document["fields"][name], value, "{bus}: {name}");
        }
        let location = serde_json::json!([last["fields"]["lng"], last["fields"]["lat"]]);
        assert_eq!(document["location"]["geometry"]["coordinates"], location, "{bus}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invented_fleet_reports_at_the_rate_that_was_asked_for() {
    let world = World::start().await;
    let ingest = world.client(serde_json::json!({"role": "ingest"})).await;
    simulate(&ingest, &["--devices", "7", "--rate", "200", "--duration", "2s"]).await;
    let events = world.sent().await;
    assert!((300..=420).contains(&events.len()), "{}", events.len());
    let devices: std::collections::BTreeSet<String> =
        events.iter().map(|event| event["device"].to_string()).collect();
    assert_eq!(devices.len(), 7);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_prints_a_json_object_a_line_and_resumes_by_itself() {
    let data = tempfile::tempdir().unwrap();
    let (first, system) = Program::serve(data.path(), &[]).await;
    let address = system.base.trim_start_matches("http://").to_owned();
    let body = serde_json::json!({"role": "admin", "tenant": "acme"});
    let admin = system.with_token(&system.token(&body).await);
    let variables = [
        ("WAKELINE_TOKEN", admin.token.as_str()),
        ("WAKELINE_URL", admin.base.as_str()),
    ];
    admin.send_events(&[tests::api::reading("bus", 1)]).await;
    let mut tail = Program::start(
        &[
            "tail",
            "--device",
            "bus",
            "--kind",
            "telemetry",
            "--since",
            "earliest",
        ],
        &variables,
    );
    let next = |line: String| -> Value { serde_json::from_str(&line).expect("JSON") };
    assert_eq!(next(tail.line("{").await)["fields"]["n"], 1);
    // The node dies and comes back at its address.
    first.kill().await;
    let (second, _) = Program::serve_at(&address, data.path(), &[]).await;
    for n in 2..5 {
        admin.send_events(&[tests::api::reading("bus", n)]).await;
        assert_eq!(next(tail.line("{").await)["fields"]["n"], n);
    }
    drop((tail, second));
}
