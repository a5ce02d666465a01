//! Good events, and the answer to them.

use std::io::Write as _;

use access::{EventSink as _, Submission};
use journal::{Cursor, Placement, Topic};
use serde_json::{Value, json};

use crate::support::{NOW, SYSTEM, World};

fn telemetry(device: &str, seq: i64) -> Value {
    json!({"device": device, "kind": "telemetry", "seq": seq, "fields": {"speed": seq}})
}

fn cursor(body: &Value) -> Cursor {
    body["cursor"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_event_is_durable_where_its_placement_says_when_it_is_answered() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let answer = world.post(&token, telemetry("bus-14", 7).to_string()).await;
    assert_eq!((answer.status, &answer.body["accepted"]), (200, &json!(1)));
    assert_eq!(answer.body["rejected"], json!([]));
    let records = world.records(Topic::Events).await;
    let [(partition, record)] = &records[..] else {
        panic!("{records:?}");
    };
    assert_eq!(*partition, Placement::new("acme", 8, 16).of("bus-14"));
    assert_eq!((&*record.key, record.timestamp_ms), ("acme/bus-14", NOW / 1_000));
    assert_eq!(
        (&*record.headers.kind, record.headers.generation),
        ("telemetry", 1)
    );
    let cursor = cursor(&answer.body);
    assert_eq!(cursor.positions, [(*partition, record.offset + 1)]);
    assert_eq!((cursor.epoch, cursor.time_ms), (world.journal.epoch, NOW / 1_000));
    let event = &world.events().await[0];
    assert_eq!((event.seq, event.received_at), (Some(7), NOW));
    assert!(event.id.parse::<uuid::Uuid>().unwrap().get_version_num() == 7);
    world.close().await;
}

#[tokio::test]
async fn an_array_and_lines_are_taken_in_order() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let events: Vec<Value> = (0..1_533).map(|seq| telemetry("bus-14", seq)).collect();
    let array = world.post(&token, Value::from(events.clone()).to_string()).await;
    assert_eq!((array.status, &array.body["accepted"]), (200, &json!(1_533)));
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    let headers = [("content-type", "application/x-ndjson")];
    let answer = world.send("POST", "/v1/events", &token, &headers, lines).await;
    assert_eq!((answer.status, &answer.body["accepted"]), (200, &json!(1_533)));
    let seqs: Vec<i64> = world
        .events()
        .await
        .into_iter()
        .filter_map(|event| event.seq)
        .collect();
    assert_eq!(seqs, (0..1_533).chain(0..1_533).collect::<Vec<i64>>());
    world.close().await;
}

#[tokio::test]
async fn compressed_bodies_are_taken() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let body = telemetry("d", 1).to_string();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(body.as_bytes()).unwrap();
    let bodies = [
        ("gzip", gzip.finish().unwrap()),
        ("zstd", zstd::encode_all(body.as_bytes(), 3).unwrap()),
    ];
    for (encoding, body) in bodies {
        let headers = [("content-encoding", encoding)];
        let answer = world.send("POST", "/v1/events", &token, &headers, body).await;
        assert_eq!(
            (answer.status, &answer.body["accepted"]),
            (200, &json!(1)),
            "{encoding}"
        );
    }
    assert_eq!(world.events().await.len(), 2);
    world.close().await;
}

#[tokio::test]
async fn nothing_to_take_is_no_error() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    for (body, content_type) in [("[]", "application/json"), ("\n", "application/x-ndjson")] {
        let headers = [("content-type", content_type)];
        let answer = world.send("POST", "/v1/events", &token, &headers, body).await;
        assert_eq!((answer.status, &answer.body["accepted"]), (200, &json!(0)));
        assert_eq!(cursor(&answer.body).positions, []);
    }
    world.close().await;
}

#[tokio::test]
async fn the_good_items_of_a_request_are_taken_and_the_others_named() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let body = json!([
        telemetry("a", 1),
        {"device": "a", "kind": "nonsense"},
        {"device": "a", "kind": "telemetry", "tenant": "other"},
        {"device": "a", "kind": "deleted"},
        {"device": "a", "kind": "log", "level": "info", "message": "x".repeat(300 * 1_024)},
        telemetry("b", 2),
    ]);
    let answer = world.post(&token, body.to_string()).await;
    assert_eq!((answer.status, &answer.body["accepted"]), (207, &json!(2)));
    let rejected = answer.body["rejected"].as_array().unwrap();
    let indexes: Vec<_> = rejected.iter().map(|item| item["index"].clone()).collect();
    assert_eq!(indexes, [json!(1), json!(2), json!(3), json!(4)]);
    assert!(
        rejected
            .iter()
            .all(|item| item["error"].is_string() && item.get("retry").is_none())
    );
    assert_eq!(world.events().await.len(), 2);
    let kept = world.rejected().await;
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().all(|(key, _)| key == "acme/a"));
    world.close().await;
}

#[tokio::test]
async fn a_system_principal_names_the_tenant_and_its_first_use_makes_it() {
    let world = World::new().await;
    let body = telemetry("d", 1).to_string();
    assert_eq!(world.post(SYSTEM, body.clone()).await.status, 400);
    assert!(world.directory.tenant("fresh").is_none());
    let named = "/v1/events?tenant=fresh";
    let answer = world.send("POST", named, SYSTEM, &[], body.clone()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(world.directory.tenant("fresh").unwrap().spread, 8);
    assert_eq!(&*world.events().await[0].tenant, "fresh");
    let bad = world
        .send("POST", "/v1/events?tenant=a%2Fb", SYSTEM, &[], body)
        .await;
    assert_eq!(bad.status, 400);
    world.close().await;
}

#[tokio::test]
async fn a_trace_goes_on_in_the_records() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for sent in [trace, "garbage"] {
        let headers = [("traceparent", sent)];
        let body = telemetry("d", 1).to_string();
        world.send("POST", "/v1/events", &token, &headers, body).await;
    }
    let records = world.records(Topic::Events).await;
    let traces: Vec<_> = records
        .iter()
        .map(|(_, record)| record.headers.traceparent.as_deref())
        .collect();
    assert_eq!(traces, [Some(trace), None]);
    world.close().await;
}

#[tokio::test]
async fn a_device_that_sends_too_fast_is_held_to_its_rate() {
    let settings = ingest::Settings {
        device_events_per_second: 5,
        device_events_burst: 10,
        ..ingest::Settings::default()
    };
    let world = World::with(settings).await;
    let token = world.ingest_token().await;
    let mut events: Vec<Value> = (0..12).map(|seq| telemetry("fast", seq)).collect();
    events.push(telemetry("calm", 0));
    let answer = world.post(&token, Value::from(events).to_string()).await;
    assert_eq!((answer.status, &answer.body["accepted"]), (207, &json!(11)));
    let indexes: Vec<_> = answer.body["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["index"])
        .collect();
    assert_eq!(indexes, [&json!(10), &json!(11)]);
    let answer = world.post(&token, telemetry("fast", 13).to_string()).await;
    assert_eq!(answer.status, 429);
    assert!(answer.headers.contains_key("retry-after"));
    world.close().await;
}

#[tokio::test]
async fn another_surface_submits_through_the_same_door() {
    let world = World::new().await;
    let token = world
        .token(r#"{"role":"device","tenant":"acme","devices":["bus-14"]}"#)
        .await;
    let principal = world.directory.authenticate(&token, NOW).unwrap();
    let items = [
        r#"{"kind":"telemetry","seq":1,"fields":{"x":1}}"#,
        r#"{"kind":"telemetry","seq":2,"device":"bus-15"}"#,
    ];
    let submission = Submission {
        tenant: "acme".into(),
        device: Some("bus-14".into()),
        items: items.map(|item| serde_json::from_str(item).unwrap()).into(),
        traceparent: None,
    };
    let outcomes = world.ingest.submit(&principal, submission).await;
    let accepted = outcomes[0].as_ref().unwrap();
    assert_eq!((accepted.seq, accepted.received_at), (Some(1), NOW));
    let rejection = outcomes[1].as_ref().unwrap_err();
    assert_eq!((rejection.seq, rejection.retry()), (Some(2), false));
    let foreign = Submission {
        tenant: "other".into(),
        device: None,
        items: vec![serde_json::from_str(items[0]).unwrap()],
        traceparent: None,
    };
    let outcomes = world.ingest.submit(&principal, foreign).await;
    assert!(outcomes[0].is_err());
    assert_eq!(world.events().await.len(), 1);
    world.close().await;
}
