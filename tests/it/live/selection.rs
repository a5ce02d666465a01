//! What a stream shows of what there is, and parameters that mean nothing.

use serde_json::{Value, json};
use tests::api::reading;
use tests::stream::{Carrier, Ended, Streaming};
use tests::world::World;

fn line(device: &str, message: &str) -> Value {
    json!({"device": device, "kind": "log", "level": "info", "message": message})
}

async fn shown(world: &World, carrier: Carrier, query: &str) -> Vec<Value> {
    world
        .stream(carrier, &format!("{query}&since=earliest"), None)
        .await
        .rest()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_and_kinds_choose_what_is_shown() {
    let world = World::start().await;
    let events = [
        reading("a", 1),
        reading("b", 2),
        line("a", "3"),
        line("b/c", "4"),
        reading("ü", 5),
    ];
    world.admin.send_events(&events).await;
    for (query, expected) in [
        ("kind=log", vec!["a", "b/c"]),
        ("kind=telemetry", vec!["a", "b", "ü"]),
        ("kind=telemetry,log&device=a", vec!["a", "a"]),
        ("kind=telemetry&kind=log&device=a&device=b", vec!["a", "a", "b"]),
        ("kind=log&device=b/c", vec!["b/c"]),
        ("kind=log&device=b%2Fc", vec!["b/c"]),
        ("kind=telemetry&device=%C3%BC", vec!["ü"]),
        ("kind=telemetry,log&device=nobody", vec![]),
    ] {
        for carrier in [Carrier::Sse, Carrier::WebSocket] {
            let events = shown(&world, carrier, query).await;
            let mut devices: Vec<&str> = events
                .iter()
                .filter_map(|event| event["device"].as_str())
                .collect();
            devices.sort_unstable();
            assert_eq!(devices, expected, "{query}, {carrier:?}");
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_choose_what_is_shown_of_telemetry() {
    let world = World::start().await;
    let fields = |fields: Value| json!({"device": "bus", "kind": "telemetry", "fields": fields});
    world
        .admin
        .send_events(&[
            fields(json!({"speed": 1, "engine": {"oil": 2, "heat": {"core": 3}}, "engines": 4})),
            fields(json!({"load": 5})),
            fields(json!({"speed": null})),
        ])
        .await;
    for (metric, expected) in [
        ("speed", json!([{"speed": 1}, {"speed": null}])),
        ("engine", json!([{"engine": {"oil": 2, "heat": {"core": 3}}}])),
        ("engine.heat", json!([{"engine": {"heat": {"core": 3}}}])),
        ("engine.oil,load", json!([{"engine": {"oil": 2}}, {"load": 5}])),
        ("nothing", json!([])),
    ] {
        for carrier in [Carrier::Sse, Carrier::WebSocket] {
            let events = shown(&world, carrier, &format!("kind=telemetry&metric={metric}")).await;
            let fields: Vec<&Value> = events.iter().map(|event| &event["fields"]).collect();
            assert_eq!(json!(fields), expected, "{metric}, {carrier:?}");
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parameter_that_means_nothing_is_a_400_that_names_it() {
    let world = World::start().await;
    for (query, parameter) in [
        ("snapshot=true", "snapshot"),
        ("view=events&snapshot=false", "snapshot"),
        ("view=devices&metric=speed", "metric"),
        ("every=1s", "every"),
        ("deliver=every&every=1s", "every"),
        ("deliver=latest&every=soon", "every"),
        ("deliver=latest&every=-1s", "every"),
        ("deliver=latest&every=0s", "every"),
        ("deliver=sometimes", "deliver"),
        ("view=fleet", "view"),
        ("kind=telemetry,nonsense", "kind"),
        ("kind=", "kind"),
        ("device=a,,b", "device"),
        ("device=%00", "device"),
        ("metric=", "metric"),
        ("q=", "q"),
        ("snapshoot=true", "snapshoot"),
        ("view=devices&snapshot=true&since=earliest", "since"),
        ("view=events&view=devices", "view"),
    ] {
        for carrier in [Carrier::Sse, Carrier::WebSocket] {
            let refused = Streaming::open(&world.admin, carrier, query, None).await.err();
            let Some(Ended::Status(400, body)) = refused else {
                panic!("{query}, {carrier:?}: {refused:?}")
            };
            let problem: Value = serde_json::from_str(&body).expect("a problem");
            assert_eq!(problem["parameter"], parameter, "{query}: {body}");
            assert!(
                problem["detail"]
                    .as_str()
                    .is_some_and(|detail| !detail.is_empty()),
                "{body}"
            );
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_more_devices_than_allowed_is_refused() {
    let world = World::with(|config| config.open.devices_max = 3).await;
    let answer = world.admin.get("/v1/stream?device=a,b,c,d").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json["parameter"]),
        (400, &json!("device")),
        "{}",
        answer.text
    );
    world.stream(Carrier::Sse, "device=a,b,c", None).await;
    world.end().await;
}
