use std::collections::BTreeMap;
use std::sync::Arc;

use journal::{Headers, Record};
use schemas::event::Telemetry;
use schemas::{Body, Change, Document, Event, Fields, Scalar};
use serde_json::{Value, json};

use super::*;
use crate::dialect::Ending;
use crate::engine::LogRecord;
use crate::subscription::{Delivery, Framing, Reset, ResetReason, Start, TenantScope, Told};

fn native() -> Native {
    Native::new(&OpenSettings::default())
}

fn event() -> Event {
    Event {
        id: "e1".into(),
        tenant: "t".into(),
        device: "d".into(),
        occurred_at: 0,
        received_at: 1_000_000,
        claimed_at: None,
        seq: None,
        body: Body::Telemetry(Telemetry {
            fields: Fields(BTreeMap::from([("speed".into(), Scalar::Integer(7))])),
        }),
    }
}

fn change() -> Change {
    Change {
        document: Document {
            tenant: "t".into(),
            id: "d".into(),
            version: 2,
            ..Document::default()
        },
        changed: vec!["name".into()],
        before: "{\"name\":\"old\"}".into(),
        event_id: "e1".into(),
        updated_before: None,
        last_seen_before: None,
    }
}

fn record(topic: Topic, value: Option<Bytes>) -> LogRecord {
    let record = Record {
        offset: 1,
        timestamp_ms: 0,
        key: "t/d".into(),
        value,
        headers: Headers::default(),
    };
    LogRecord::new(topic, 0, record)
}

fn look(transport: Transport) -> Look<'static> {
    Look {
        transport,
        cursors: true,
        metrics: None,
    }
}

fn data(transport: Transport, item: Item<'_>) -> Option<Value> {
    let mut out = Vec::new();
    native()
        .data(look(transport), item, "CURSOR", &mut out)
        .then(|| serde_json::from_slice(&out).unwrap())
}

fn control(transport: Transport, control: Control<'_>) -> Option<(&'static str, Value)> {
    let mut out = Vec::new();
    let name = native().control(look(transport), control, "CURSOR", &mut out)?;
    Some((name, serde_json::from_slice(&out).unwrap()))
}

#[test]
fn an_event_stands_alone_over_sse_and_in_an_envelope_over_websocket() {
    let record = record(Topic::Events, Some(event().encode()));
    let alone = data(Transport::Sse, Item::Record(&record)).unwrap();
    assert_eq!(
        (&alone["id"], &alone["fields"]["speed"]),
        (&json!("e1"), &json!(7))
    );
    let wrapped = data(Transport::WebSocket, Item::Record(&record)).unwrap();
    assert_eq!(
        wrapped,
        json!({"type": "event", "cursor": "CURSOR", "event": alone})
    );
}

#[test]
fn a_change_carries_what_changed_and_what_was_before() {
    let record = record(Topic::State, Some(change().encode()));
    let alone = data(Transport::Sse, Item::Record(&record)).unwrap();
    assert_eq!(alone["device"]["id"], "d");
    assert_eq!(
        (&alone["changed"], &alone["before"]),
        (&json!(["name"]), &json!({"name": "old"}))
    );
    let wrapped = data(Transport::WebSocket, Item::Record(&record)).unwrap();
    assert_eq!(
        (&wrapped["type"], &wrapped["cursor"]),
        (&json!("device"), &json!("CURSOR"))
    );
    assert_eq!(wrapped["device"], alone["device"]);
}

#[test]
fn a_tombstone_is_a_deletion() {
    let record = record(Topic::State, None);
    assert_eq!(
        data(Transport::Sse, Item::Record(&record)),
        Some(json!({"deleted": "d"}))
    );
    let wrapped = json!({"type": "deleted", "cursor": "CURSOR", "deleted": "d"});
    assert_eq!(data(Transport::WebSocket, Item::Record(&record)), Some(wrapped));
}

#[test]
fn a_device_that_left_is_named() {
    let record = record(Topic::State, Some(change().encode()));
    let left = |transport| {
        let mut out = Vec::new();
        assert!(native().left(look(transport), &record, "CURSOR", &mut out));
        serde_json::from_slice::<Value>(&out).unwrap()
    };
    assert_eq!(left(Transport::Sse), json!({"left": "d"}));
    assert_eq!(
        left(Transport::WebSocket),
        json!({"type": "left", "cursor": "CURSOR", "left": "d"})
    );
}

#[test]
fn a_document_of_a_snapshot_has_no_changes() {
    let alone = data(Transport::Sse, Item::Document(&change().document)).unwrap();
    assert_eq!(alone.as_object().unwrap().keys().collect::<Vec<_>>(), ["device"]);
}

#[test]
fn a_record_that_cannot_be_read_is_left_out() {
    let record = record(Topic::Events, Some(Bytes::from_static(b"garbage")));
    assert_eq!(data(Transport::Sse, Item::Record(&record)), None);
}

#[test]
fn a_reset_says_what_was_asked_for_and_what_there_is() {
    let reset = Reset {
        reason: ResetReason::Trimmed,
        requested: vec![(3, 0)],
        available: vec![(3, 60_000)],
        duplicates: true,
    };
    let (name, told) = control(Transport::WebSocket, Control::Reset(&reset)).unwrap();
    assert_eq!(name, "reset");
    assert_eq!(
        told,
        json!({
            "type": "reset", "cursor": "CURSOR", "reason": "trimmed", "duplicates": true,
            "requested": {"3": "1970-01-01T00:00:00.000Z"}, "available": {"3": "1970-01-01T00:01:00.000Z"},
        })
    );
}

#[test]
fn control_frames_are_spelled_as_documented() {
    let sse = |told| control(Transport::Sse, told);
    let ws = |told| control(Transport::WebSocket, told);
    assert_eq!(sse(Control::Hello), Some(("hello", json!({}))));
    assert_eq!(ws(Control::Hello), None);
    assert_eq!(sse(Control::KeepAlive { now: 0 }), Some(("keepalive", json!({}))));
    assert_eq!(
        ws(Control::KeepAlive { now: 0 }),
        Some(("keepalive", json!({"type": "keepalive", "cursor": "CURSOR"})))
    );
    assert_eq!(
        ws(Control::CaughtUp { from_time: &[1, 4] }),
        Some((
            "caught_up",
            json!({"type": "caught_up", "cursor": "CURSOR", "from_time": [1, 4]})
        ))
    );
    assert_eq!(
        ws(Control::Degraded { partitions: &[2] }),
        Some((
            "degraded",
            json!({"type": "degraded", "cursor": "CURSOR", "partitions": [2]})
        ))
    );
    let ending = Ending::Credential;
    assert_eq!(
        sse(Control::Fault { ending }),
        Some(("fault", json!({"reason": ending.reason()})))
    );
}

fn subscription(view: View) -> Subscription {
    Subscription {
        view,
        transport: Transport::WebSocket,
        framing: Framing::Plain,
        dialect: Arc::new(native()),
        selection: Selection {
            tenant: TenantScope::One("t".into()),
            devices: DeviceSet::All,
            kinds: KindSet::ALL,
            metrics: None,
            filters: None,
            told: Told::default(),
        },
        delivery: Delivery::Every,
        every: None,
        partitions: vec![0],
        start: Start::live(0),
        principal: Arc::new(access::Principal::system("tester")),
        bound: false,
        cursors: true,
        chooses: false,
    }
}

fn selected(view: View, text: &str) -> Result<Selection, String> {
    let subscription = subscription(view);
    let at = Moment {
        now: 0,
        subscription: &subscription,
        devices_max: 10,
        is_blocked: false,
        cursor: None,
    };
    match native().text(text, &at).pop() {
        Some(Action::Select(selection)) => Ok(selection),
        Some(Action::Send(message)) => Err(String::from_utf8_lossy(&message.text).into_owned()),
        Some(Action::Choose { .. } | Action::Ask(_) | Action::Timer(_) | Action::Close(_)) | None => {
            Err(String::new())
        }
    }
}

#[test]
fn an_update_replaces_what_it_names_and_keeps_the_rest() {
    let selection = selected(
        View::Events,
        r#"{"type":"update","device":["a","b"],"kind":["lock"]}"#,
    )
    .unwrap();
    assert!(selection.devices.contains("b") && !selection.devices.contains("c"));
    assert!(selection.kinds.contains(Some(Kind::Lock)) && !selection.kinds.contains(Some(Kind::Log)));
    let selection = selected(View::Events, r#"{"type":"update","metric":["speed"]}"#).unwrap();
    assert_eq!(selection.devices, DeviceSet::All);
    assert_eq!(
        selection.metrics.unwrap().iter().collect::<Vec<_>>(),
        [&Box::from("speed")]
    );
}

#[test]
fn an_update_replaces_or_removes_the_filter() {
    let selection = selected(View::Devices, r#"{"type":"update","q":"speed > 80"}"#).unwrap();
    let filters = selection.filters.unwrap();
    assert!(filters.tells_left());
    assert_eq!(
        filters
            .iter()
            .map(|filter| filter.text().to_owned())
            .collect::<Vec<_>>(),
        ["speed > 80"]
    );
    let selection = selected(View::Devices, r#"{"type":"update","q":""}"#).unwrap();
    assert_eq!(selection.filters, None);
    let answer = selected(View::Devices, r#"{"type":"update","q":"speed == 80"}"#).unwrap_err();
    assert!(answer.contains("q: column 7: found '=='"), "{answer}");
}

#[test]
fn what_is_no_update_is_answered_and_changes_nothing() {
    let metrics = |names: Vec<String>| json!({"type": "update", "metric": names}).to_string();
    let too_long = metrics(vec!["m".repeat(1_025)]);
    let too_many = metrics((0..1_001).map(|n| format!("m{n}")).collect());
    for (text, says) in [
        ("nonsense", "not an update"),
        (r#"{"type":"hello"}"#, "unknown type"),
        (r#"{"type":"update","kind":["nap"]}"#, "unknown kind"),
        (r#"{"type":"update","device":["a,b"]}"#, "device"),
        (r#"{"type":"update","q":"x = 1"}"#, "view devices"),
        (r#"{"type":"update","metric":["a",""]}"#, "1 to 1024 bytes"),
        (&*too_long, "1 to 1024 bytes"),
        (&*too_many, "at most 1000 metrics"),
    ] {
        let answer = selected(View::Events, text).unwrap_err();
        assert!(
            answer.contains(says) && answer.contains("\"type\":\"fault\""),
            "{text}: {answer}"
        );
    }
    assert!(
        selected(View::Devices, r#"{"type":"update","metric":["a"]}"#)
            .unwrap_err()
            .contains("view events")
    );
}
