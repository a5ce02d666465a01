use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Intake, InvalidEvent, Limits, ParsedEvent, parse_event, parse_event_value};
use crate::event::{Level, LockSource, Point, PresenceReason, Status};
use crate::{Body, Event, Fields, Scalar, strategies};

mod outgoing;

/// 2025-05-01T12:00:00Z
const NOW: i64 = 1_746_100_800_000_000;

fn intake(limits: &Limits) -> Intake<'_> {
    Intake {
        tenant: Some("acme"),
        device: None,
        received_at: NOW,
        limits,
    }
}

fn parse_text(text: &str) -> Result<ParsedEvent, InvalidEvent> {
    parse_event(text, &intake(&Limits::default()), &mut || "made".into())
}

fn parse(value: Value) -> Result<ParsedEvent, InvalidEvent> {
    parse_event_value(value, &intake(&Limits::default()), &mut || "made".into())
}

fn body(value: Value) -> Body {
    parse(value).unwrap().event.body
}

/// The member and the message of a refusal.
fn refusal(value: Value) -> (String, String) {
    let refused = parse(value).unwrap_err();
    (refused.member.clone(), refused.to_string())
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn write_event(event: &Event) -> String {
    written(|out| super::write_event(event, out))
}

proptest! {
    #[test]
    fn an_event_that_went_out_comes_in_again_as_it_was(mut event in strategies::event()) {
        let whole_ms = |at: i64| at - at % 1_000;
        event.occurred_at = whole_ms(event.occurred_at).min(whole_ms(event.received_at));
        event.claimed_at = None;
        if let Body::Command(command) = &mut event.body {
            command.created = whole_ms(command.created);
            command.expires_at = command.expires_at.map(whole_ms);
        }
        let limits = Limits::default();
        let intake = Intake { tenant: None, device: None, received_at: event.received_at, limits: &limits };
        let read = parse_event(&write_event(&event), &intake, &mut || panic!("the id is known")).unwrap();
        prop_assert!(read.named_tenant);
        prop_assert_eq!(read.event, event);
    }

    #[test]
    fn whatever_goes_out_is_json_on_one_line(event in strategies::event(), change in strategies::change()) {
        for text in [write_event(&event), written(|out| super::write_change(&change, out))] {
            prop_assert!(!text.contains(['\n', '\r']));
            prop_assert!(serde_json::from_str::<Value>(&text).unwrap().is_object());
        }
    }

    #[test]
    fn nothing_that_comes_in_crashes_us(text: String, value in strategies::json()) {
        let _refused = parse_text(&text).is_err();
        for kind in ["telemetry", "presence", "location", "command", "alert", "device", "hardware", "lock"] {
            let mut event = json!({"device": "d", "kind": kind});
            for member in ["fields", "geometry", "status", "type", "payload", "time", "seq", "tags", "source"] {
                event[member] = value.clone();
            }
            let _refused = parse(event).is_err();
        }
    }
}

#[test]
fn the_example_of_the_documentation_is_read() {
    let read = parse_text(
        r#"{"device":"bus-14","kind":"telemetry","time":"2025-05-01T11:59:59.5Z","id":"e1","seq":7,
            "fields":{"speed":3.5,"engine":{"rpm":900}},"unknown":"ignored"}"#,
    );
    let fields = [
        ("engine.rpm", Scalar::Integer(900)),
        ("speed", Scalar::Number(3.5)),
    ];
    let event = Event {
        id: "e1".into(),
        tenant: "acme".into(),
        device: "bus-14".into(),
        occurred_at: NOW - 500_000,
        received_at: NOW,
        claimed_at: None,
        seq: Some(7),
        body: Body::Telemetry(crate::event::Telemetry {
            fields: Fields(fields.map(|(path, value)| (path.into(), value)).into()),
        }),
    };
    assert_eq!(
        read,
        Ok(ParsedEvent {
            event,
            named_tenant: false,
            secrets: Vec::new()
        })
    );
}

#[test]
fn what_an_event_leaves_out_is_filled_in() {
    let event = parse(json!({"device": "d", "kind": "telemetry"})).unwrap().event;
    assert_eq!((&*event.id, &*event.tenant), ("made", "acme"));
    assert_eq!(
        (event.occurred_at, event.received_at, event.claimed_at, event.seq),
        (NOW, NOW, None, None)
    );
    assert_eq!(event.body, Body::Telemetry(crate::event::Telemetry::default()));
}

#[test]
fn the_device_of_the_credential_stands_in_for_a_missing_one() {
    let limits = Limits::default();
    let intake = Intake {
        device: Some("d9"),
        ..intake(&limits)
    };
    let read = parse_event(r#"{"kind":"deleted"}"#, &intake, &mut || "x".into()).unwrap();
    assert_eq!(&*read.event.device, "d9");
    let (member, message) = refusal(json!({"kind": "telemetry"}));
    assert_eq!(member, "device");
    assert!(message.contains("name the device"), "{message}");
}

#[test]
fn a_tenant_in_the_event_is_told_apart() {
    let read = parse(json!({"device": "d", "kind": "deleted", "tenant": "other"})).unwrap();
    assert_eq!((&*read.event.tenant, read.named_tenant), ("other", true));
    assert_eq!(
        refusal(json!({"device": "d", "kind": "deleted", "tenant": "a/b"})).0,
        "tenant"
    );
    let limits = Limits::default();
    let intake = Intake {
        tenant: None,
        ..intake(&limits)
    };
    let refused = parse_event(r#"{"device":"d","kind":"deleted"}"#, &intake, &mut || "x".into()).unwrap_err();
    assert!(refused.to_string().contains("?tenant="), "{refused}");
}

#[test]
fn a_time_too_far_ahead_is_not_believed_but_kept() {
    let at = |time| {
        parse(json!({"device": "d", "kind": "telemetry", "time": time}))
            .unwrap()
            .event
    };
    let in_time = at("2025-05-01T12:05:00Z");
    assert_eq!(
        (in_time.occurred_at, in_time.claimed_at),
        (NOW + 300_000_000, None)
    );
    let ahead = at("2025-05-01T12:05:00.000001Z");
    assert_eq!(
        (ahead.occurred_at, ahead.claimed_at),
        (NOW, Some(NOW + 300_000_001))
    );
    assert!(write_event(&ahead).contains(r#""claimed_at":"2025-05-01T12:05:00.000Z""#));
}

#[test]
fn a_time_with_an_offset_is_read_as_utc() {
    let event = parse(json!({"device": "d", "kind": "telemetry", "time": "2025-05-01T13:00:00+02:00"}))
        .unwrap()
        .event;
    assert_eq!(event.occurred_at, NOW - 3_600_000_000);
}

#[test]
fn a_time_in_another_form_is_refused_with_the_right_one() {
    for time in [
        json!(1_746_100_800_000_i64),
        json!("yesterday"),
        json!("2025-05-01"),
        json!(true),
    ] {
        let (member, message) = refusal(json!({"device": "d", "kind": "telemetry", "time": time}));
        assert_eq!(member, "time");
        assert!(message.contains("2025-05-01T12:00:00.000Z"), "{message}");
    }
}

#[test]
fn a_device_id_has_rules() {
    let refused = |device: &str| refusal(json!({"device": device, "kind": "deleted"})).1;
    assert!(parse(json!({"device": "züge/14 a", "kind": "deleted"})).is_ok());
    assert!(parse(json!({"device": "x".repeat(200), "kind": "deleted"})).is_ok());
    assert!(refused(&"x".repeat(201)).contains("1 to 200 bytes, not 201"));
    assert!(refused("").contains("1 to 200 bytes, not 0"));
    assert!(refused("a\nb").contains("control characters"));
    assert!(refused("a\u{85}b").contains("control characters"));
    assert!(refused("a,b").contains("commas"));
    assert!(refused("default/a").contains("default/"));
}

#[test]
fn an_unknown_kind_is_refused_with_the_known_ones() {
    let (member, message) = refusal(json!({"device": "d", "kind": "dance"}));
    assert_eq!(member, "kind");
    assert!(
        message.contains("telemetry, presence") && message.contains("hardware, not \"dance\""),
        "{message}"
    );
    assert!(refusal(json!({"device": "d"})).1.contains("say one of telemetry"));
}

#[test]
fn bad_json_is_refused_with_the_place() {
    let message = |text: &str| parse_text(text).unwrap_err().to_string();
    assert!(message("{\"a\":}").contains("column 6"));
    assert!(message("{\"device\":\"d\"").contains("cut off"));
    assert!(message("{\"device\":\"d\",\"fields\":{\"a\":NaN}}").contains("NaN"));
    assert!(message("[1]").contains("not an array"));
    assert!(message("{\"fields\":{\"a\":1e999}}").contains("number out of range"));
}

#[test]
fn deep_nesting_is_refused_without_a_stack_overflow() {
    let nested = |levels: usize| {
        let (open, close) = ("{\"a\":".repeat(levels), "}".repeat(levels));
        parse_text(&format!(
            "{{\"device\":\"d\",\"kind\":\"telemetry\",\"fields\":{open}1{close}}}"
        ))
    };
    assert!(nested(32).is_ok());
    let refused = nested(33).unwrap_err();
    assert!(refused.member.starts_with("fields.a.a.a"), "{}", refused.member);
    assert!(refused.to_string().contains("more than 32 levels"), "{refused}");
    assert!(
        nested(1_000)
            .unwrap_err()
            .to_string()
            .contains("more than 127 levels")
    );
    let brackets = format!("{{\"device\":{}", "[".repeat(100_000));
    assert!(
        parse_text(&brackets)
            .unwrap_err()
            .to_string()
            .contains("more than 127 levels")
    );
}

#[test]
fn an_id_has_limits() {
    let with = |id: &str| json!({"device": "d", "kind": "deleted", "id": id});
    assert_eq!(&*parse(with("mine")).unwrap().event.id, "mine");
    assert!(refusal(with("")).1.contains("1 to 200 bytes"));
    assert!(
        refusal(with(&"x".repeat(201)))
            .1
            .contains("1 to 200 bytes, not 201")
    );
    assert!(refusal(with("a\u{0}")).1.contains("control characters"));
    assert!(
        refusal(json!({"device": "d", "kind": "deleted", "id": 7}))
            .1
            .contains("a string, not the number 7")
    );
}

#[test]
fn a_sequence_number_is_a_whole_number() {
    let (member, message) = refusal(json!({"device": "d", "kind": "deleted", "seq": 1.5}));
    assert_eq!(member, "seq");
    assert!(message.contains("whole number"), "{message}");
}

#[test]
fn null_is_as_good_as_absent() {
    let event =
        parse(json!({"device": "d", "kind": "device", "id": null, "seq": null, "name": null})).unwrap();
    assert_eq!(event.event.body, Body::Device(crate::event::Device::default()));
}

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

#[test]
fn fields_have_limits() {
    let limits = Limits::default();
    let fields: serde_json::Map<String, Value> = (0..1_001).map(|n| (n.to_string(), n.into())).collect();
    let event = json!({"device": "d", "kind": "telemetry", "fields": fields});
    let refused = parse_event_value(event, &intake(&limits), &mut || "x".into()).unwrap_err();
    assert_eq!(refused.member, "fields");
    assert!(refused.to_string().contains("more than 1000 values"), "{refused}");
    assert!(
        refusal(json!({"device": "d", "kind": "telemetry", "fields": [1]}))
            .1
            .contains("an object, not an array")
    );
}
