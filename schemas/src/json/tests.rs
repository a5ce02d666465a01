use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Intake, InvalidEvent, Limits, ParsedEvent, parse_event, parse_event_value};
use crate::{Body, Event, Fields, Scalar, strategies};

mod kinds;
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
