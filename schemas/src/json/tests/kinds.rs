use serde_json::{Value, json};

use super::{NOW, body, parse, refusal};
use crate::event::{Level, LockSource, Point, PresenceReason, Status};
use crate::{Body, Scalar};

#[test]
fn presence_says_something() {
    let read = body(json!({"device": "d", "kind": "presence", "status": "STALE", "previous": "ONLINE"}));
    let Body::Presence(presence) = read else { panic!() };
    assert_eq!(
        (presence.status, presence.previous),
        (Some(Status::Stale), Some(Status::Online))
    );
    assert_eq!(
        (presence.reason, presence.connected),
        (PresenceReason::Report, None)
    );
    assert!(
        refusal(json!({"device": "d", "kind": "presence"}))
            .1
            .contains("at least one")
    );
    assert!(
        refusal(json!({"device": "d", "kind": "presence", "status": "online"}))
            .1
            .contains("ONLINE, STALE, OFFLINE")
    );
}

#[test]
fn a_lock_says_whether_and_by_what() {
    let read = body(json!({
        "device": "d", "kind": "lock", "locked": false, "source": "rfid", "code": "77", "metadata": {"by": "x", "a": 1}
    }));
    let Body::Lock(lock) = read else { panic!() };
    assert_eq!(
        (lock.locked, lock.source, lock.code.as_deref()),
        (false, LockSource::Rfid, Some("77"))
    );
    assert_eq!(lock.metadata.as_deref(), Some(r#"{"by":"x","a":1}"#));
    assert_eq!(
        refusal(json!({"device": "d", "kind": "lock", "source": "key"})).0,
        "locked"
    );
    assert_eq!(
        refusal(json!({"device": "d", "kind": "lock", "locked": true})).0,
        "source"
    );
    assert!(
        refusal(json!({"device": "d", "kind": "lock", "locked": 1, "source": "key"}))
            .1
            .contains("true or false")
    );
}

#[test]
fn a_long_log_message_is_cut_and_says_so() {
    let message = "ü".repeat(10_001);
    let Body::Log(log) = body(json!({"device": "d", "kind": "log", "level": "warn", "message": message}))
    else {
        panic!()
    };
    assert_eq!(log.level, Level::Warn);
    assert!(log.message.chars().count() <= 10_000);
    assert!(
        log.message.ends_with("of 10001 characters cut]"),
        "{}",
        &log.message[log.message.len() - 60..]
    );
    let whole = "ü".repeat(10_000);
    let Body::Log(log) = body(json!({"device": "d", "kind": "log", "message": whole})) else {
        panic!()
    };
    assert_eq!((log.level, &*log.message), (Level::Log, &*whole));
}

#[test]
fn an_entity_takes_any_value() {
    let value = |value: Value| {
        let Body::Entity(entity) =
            body(json!({"device": "d", "kind": "entity", "entity_id": "e", "value": value}))
        else {
            panic!()
        };
        assert_eq!(&*entity.source, "user");
        entity.value
    };
    assert_eq!(value(json!(null)), Scalar::Null);
    assert_eq!(value(json!("on")), Scalar::String("on".into()));
    assert_eq!(
        value(json!({"r": 1, "g": [2]})),
        Scalar::Json(r#"{"r":1,"g":[2]}"#.into())
    );
    assert_eq!(
        refusal(json!({"device": "d", "kind": "entity", "entity_id": "e"})).0,
        "value"
    );
}

#[test]
fn hardware_messages_become_states_of_entities() {
    let entity = |message_type: &str, payload: Value| {
        let event = json!({"device": "d", "kind": "hardware", "type": message_type, "payload": payload});
        let Body::Entity(entity) = body(event) else {
            panic!()
        };
        (
            entity.entity_id.to_string(),
            entity.value,
            entity.source.to_string(),
        )
    };
    assert_eq!(
        entity("gpio_state_changed", json!({"pin": 15, "state": "low"})),
        (
            "gpio_pin_15".into(),
            Scalar::String("low".into()),
            "gpio_state_changed".into()
        )
    );
    assert_eq!(
        entity("pin_state_update", json!({"pin": 0, "value": 512})),
        (
            "gpio_pin_0_analog".into(),
            Scalar::Integer(512),
            "pin_state_update".into()
        )
    );
    assert_eq!(
        entity("temperature_result", json!({"celsius": 21.5})),
        (
            "temperature".into(),
            Scalar::Number(21.5),
            "temperature_result".into()
        )
    );
}

#[test]
fn hardware_messages_that_mean_nothing_are_refused() {
    let member = |message_type: &str, payload: Value| {
        refusal(json!({"device": "d", "kind": "hardware", "type": message_type, "payload": payload})).0
    };
    assert_eq!(
        member("gpio_state_changed", json!({"pin": 256, "state": "low"})),
        "payload.pin"
    );
    assert_eq!(
        member("gpio_state_changed", json!({"pin": -1, "state": "low"})),
        "payload.pin"
    );
    assert_eq!(
        member("gpio_state_changed", json!({"pin": 1, "state": "on"})),
        "payload.state"
    );
    assert_eq!(
        member("pin_state_update", json!({"pin": 1, "value": true})),
        "payload.value"
    );
    assert_eq!(member("temperature_result", json!({})), "payload.celsius");
    assert_eq!(member("reboot", json!({})), "type");
}

#[test]
fn a_location_names_itself_location_id() {
    let read = body(json!({
        "device": "d", "kind": "location", "id": "event", "location_id": "depot", "type": "outdoor",
        "geometry": {"type": "Point", "coordinates": [-2.98, 53.4]}
    }));
    let Body::Location(location) = read else { panic!() };
    assert_eq!(
        (location.id.as_deref(), location.location_type.as_deref()),
        (Some("depot"), Some("outdoor"))
    );
    assert_eq!(
        location.geometry,
        Some(Point {
            longitude: -2.98,
            latitude: 53.4,
            altitude: None
        })
    );
}

#[test]
fn a_position_off_the_earth_is_refused() {
    let message =
        |geometry: Value| refusal(json!({"device": "d", "kind": "location", "geometry": geometry})).1;
    let at = |coordinates: Value| message(json!({"type": "Point", "coordinates": coordinates}));
    assert!(at(json!([53.4, -92.98])).contains("latitude (second) must lie between -90 and 90, not -92.98"));
    assert!(at(json!([180.5, 0])).contains("longitude (first)"));
    assert!(at(json!([1])).contains("[longitude, latitude]"));
    assert!(at(json!(["1", 2])).contains("[longitude, latitude]"));
    assert!(message(json!({"type": "Polygon", "coordinates": []})).contains("\"Point\""));
    assert!(message(json!([1, 2])).contains("an object"));
}

#[test]
fn a_command_keeps_its_input_and_its_secrets_names() {
    let read = parse(json!({
        "device": "d", "kind": "command", "command_id": "c", "type": "change_password", "status": "queued",
        "input": {"user": "root", "password": "x"}, "secret": ["password"], "expires_at": "2025-05-01T13:00:00Z"
    }))
    .unwrap();
    assert_eq!(read.secrets, ["password".into()]);
    let Body::Command(command) = read.event.body else {
        panic!()
    };
    assert_eq!(
        command.input.as_deref(),
        Some(r#"{"user":"root","password":"x"}"#)
    );
    assert_eq!(
        (command.created, command.expires_at),
        (NOW, Some(NOW + 3_600_000_000))
    );
    assert_eq!(
        refusal(json!({"device": "d", "kind": "command", "command_id": "c", "type": "t"})).0,
        "status"
    );
}

#[test]
fn an_alert_is_checked() {
    let alert = |edit: fn(&mut Value)| {
        let mut event = json!({
            "device": "d", "kind": "alert", "alert_id": "a", "alert_type": "HOT", "severity": 3,
            "summary": "too hot", "status": "OPEN"
        });
        edit(&mut event);
        parse(event)
    };
    assert!(alert(|_| {}).is_ok());
    let refused = |edit| alert(edit).unwrap_err().member;
    assert_eq!(refused(|event| event["confidence"] = json!(1.5)), "confidence");
    assert_eq!(refused(|event| event["severity"] = json!("high")), "severity");
    assert_eq!(refused(|event| event["status"] = json!("open")), "status");
    assert_eq!(refused(|event| event["summary"] = json!(null)), "summary");
}
