use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: Micros = 1_800_000_000_000_000;

fn principal(role: Role) -> Principal {
    Principal {
        id: "t".into(),
        proof: access::Proof::Token,
        session: None,
        role,
        tenant: Some("acme".into()),
        devices: Scope::All,
        permissions: Arc::default(),
        staff: false,
        superuser: false,
        organizations: Arc::default(),
        issued_at: None,
        expires_at: None,
    }
}

fn only(principal: Principal, device: &str) -> Principal {
    let devices = Scope::Devices(Arc::new(BTreeSet::from([device.into()])));
    Principal { devices, ..principal }
}

fn admit_as(principal: &Principal, device: Option<&str>, text: &str) -> Result<Admitted, Rejection> {
    admit_from(principal, device, text, true)
}

fn admit_from(
    principal: &Principal,
    device: Option<&str>,
    text: &str,
    knows_commands: bool,
) -> Result<Admitted, Rejection> {
    let admission = Admission {
        settings: &Settings::default(),
        principal,
        tenant: "acme",
        device,
        placement: &Placement::new("acme", 8, 16),
        generation: 3,
        received_at: NOW,
        traceparent: Some("00-trace"),
        knows_commands,
        seal: &|tenant, device, secret| Ok(format!("{tenant}/{device}:{}", secret.len())),
        opens: &|tenant, device, sealed| sealed == format!("{tenant}/{device}:9"),
    };
    admission.admit(text, &mut || "made".into())
}

fn admit(text: &str) -> Result<Admitted, Rejection> {
    admit_as(&principal(Role::Ingest), None, text)
}

fn event(admitted: &Admitted) -> Event {
    Event::decode(admitted.record.value.as_ref().unwrap()).unwrap()
}

fn reason(outcome: Result<Admitted, Rejection>) -> Reason {
    outcome.unwrap_err().reason
}

#[test]
fn an_admitted_event_is_a_record_as_the_topic_documents_it() {
    let admitted = admit(r#"{"device":"bus/14","kind":"telemetry","seq":7,"fields":{"speed":1.5}}"#).unwrap();
    assert_eq!(
        (&*admitted.id, admitted.seq, &*admitted.device),
        ("made", Some(7), "bus/14")
    );
    let record = &admitted.record;
    assert_eq!(record.topic, journal::Topic::Events);
    assert_eq!(record.partition, Placement::new("acme", 8, 16).of("bus/14"));
    assert_eq!(&*record.key, "acme/bus/14");
    assert_eq!(record.timestamp_ms, NOW / 1_000);
    assert_eq!(&*record.headers.kind, "telemetry");
    assert_eq!(record.headers.generation, 3);
    assert_eq!(record.headers.traceparent.as_deref(), Some("00-trace"));
    let event = event(&admitted);
    assert_eq!(
        (event.received_at, event.occurred_at, &*event.tenant),
        (NOW, NOW, "acme")
    );
}

fn command(admitted: &Admitted) -> Command {
    let body = event(admitted).body;
    let Body::Command(command) = body else {
        panic!("{body:?}");
    };
    command
}

#[test]
fn a_step_of_a_device_says_nothing_of_the_input_of_its_command() {
    let text = r#"{"device":"d","kind":"command","command_id":"c","type":"unlock","status":"in-progress",
        "input":{"pin":"1234"},"output":"half"}"#;
    for role in [Role::Ingest, Role::Device] {
        let step = command(&admit_from(&principal(role), None, text, false).unwrap());
        assert_eq!((step.input, step.output.as_deref()), (None, Some("half")));
    }
    // A surface of ours has completed it; and who makes commands says what is secret in them.
    for (role, knows_commands) in [(Role::Ingest, true), (Role::Admin, false)] {
        let step = command(&admit_from(&principal(role), None, text, knows_commands).unwrap());
        assert!(step.input.is_some());
    }
}

#[test]
fn a_command_that_does_not_say_when_expires_too() {
    let admin = principal(Role::Admin);
    let queued = r#"{"device":"d","kind":"command","command_id":"c","type":"reboot","status":"queued"#;
    let made = command(&admit_as(&admin, None, &format!("{queued}\"}}")).unwrap());
    assert_eq!(made.expires_at, Some(NOW + 86_400_000_000));
    let text = format!("{queued}\",\"expires_at\":\"2030-01-01T00:00:00Z\"}}");
    let said = command(&admit_as(&admin, None, &text).unwrap());
    assert_eq!(said.expires_at, Some(1_893_456_000_000_000));
}

#[test]
fn the_senders_id_is_kept() {
    let admitted = admit(r#"{"device":"d","kind":"telemetry","id":"mine"}"#).unwrap();
    assert_eq!(&*admitted.id, "mine");
}

#[test]
fn the_device_of_the_surface_stands_in_for_one_that_is_not_named() {
    let ingest = principal(Role::Ingest);
    let admitted = admit_as(&ingest, Some("socket"), r#"{"kind":"telemetry"}"#).unwrap();
    assert_eq!(&*admitted.device, "socket");
    let device = Principal::device("acme", "bus-14", 0, None);
    let admitted = admit_as(&device, None, r#"{"kind":"telemetry"}"#).unwrap();
    assert_eq!(&*admitted.device, "bus-14");
    assert_eq!(reason(admit(r#"{"kind":"telemetry"}"#)), Reason::Invalid);
}

#[test]
fn an_item_of_another_tenant_is_forbidden() {
    let text = r#"{"tenant":"other","device":"d","kind":"telemetry"}"#;
    assert_eq!(reason(admit(text)), Reason::Forbidden);
    let system = Principal::system("s");
    assert_eq!(reason(admit_as(&system, None, text)), Reason::Forbidden);
    let own = r#"{"tenant":"acme","device":"d","kind":"telemetry"}"#;
    assert!(admit(own).is_ok());
}

#[test]
fn a_device_sends_for_itself_only() {
    let device = Principal::device("acme", "bus-14", 0, None);
    let foreign = r#"{"device":"bus-15","kind":"telemetry"}"#;
    assert_eq!(reason(admit_as(&device, None, foreign)), Reason::Forbidden);
    let limited = only(principal(Role::Ingest), "bus-14");
    assert_eq!(reason(admit_as(&limited, None, foreign)), Reason::Forbidden);
}

#[test]
fn device_and_deleted_events_are_for_admin_and_system() {
    for text in [
        r#"{"device":"d","kind":"device","name":"x"}"#,
        r#"{"device":"d","kind":"deleted"}"#,
    ] {
        assert_eq!(reason(admit(text)), Reason::Forbidden);
        assert!(admit_as(&principal(Role::Admin), None, text).is_ok());
        assert!(admit_as(&Principal::system("s"), None, text).is_ok());
    }
}

#[test]
fn a_device_reports_steps_of_commands_and_makes_none() {
    for (status, may) in [
        ("queued", false),
        ("delivered", true),
        ("failed", true),
        ("expired", false),
    ] {
        let text = json!({
            "device": "d", "kind": "command", "command_id": "c", "type": "reboot", "status": status,
        });
        assert_eq!(admit(&text.to_string()).is_ok(), may, "{status}");
        assert!(admit_as(&principal(Role::Admin), None, &text.to_string()).is_ok());
    }
}

#[test]
fn secrets_of_a_command_never_reach_the_record_in_clear() {
    let text = json!({
        "device": "d", "kind": "command", "command_id": "c", "type": "wifi", "status": "queued",
        "input": {"ssid": "home", "Password": "hunter2", "deep": [{"pin": 1234}]}, "secret": ["pin"],
    });
    let admitted = admit_as(&principal(Role::Admin), None, &text.to_string()).unwrap();
    let Body::Command(command) = event(&admitted).body else {
        panic!("no command");
    };
    let input: Value = serde_json::from_str(&command.input.unwrap()).unwrap();
    assert_eq!(
        input,
        json!({
            "ssid": "home", "Password": {"$sealed": "acme/d:9"}, "deep": [{"pin": {"$sealed": "acme/d:4"}}],
        })
    );
}

#[test]
fn a_step_of_a_command_keeps_the_secrets_that_its_creation_sealed() {
    let step = |sealed: &str| {
        let text = format!(
            r#"{{"device":"d","kind":"command","command_id":"c","type":"wifi","status":"delivered","input":{{"password":{{"$sealed":"{sealed}"}}}}}}"#
        );
        let Body::Command(command) = event(&admit(&text).unwrap()).body else {
            panic!("a command")
        };
        serde_json::from_str::<serde_json::Value>(&command.input.unwrap()).unwrap()
    };
    assert_eq!(step("acme/d:9"), json!({"password": {"$sealed": "acme/d:9"}}));
    // What only looks like it is somebody's secret itself.
    let again = step("mine");
    assert!(
        again["password"]["$sealed"]
            .as_str()
            .unwrap()
            .starts_with("acme/d:"),
        "{again}"
    );
}

#[test]
fn bad_events_are_refused_with_a_reason() {
    let deep = format!(
        r#"{{"device":"d","kind":"telemetry","seq":9,"fields":{}{}}}"#,
        "{\"a\":".repeat(1_000),
        "1".to_owned() + &"}".repeat(1_000)
    );
    for text in [
        deep.as_str(),
        "1",
        "[]",
        "{}",
        r#"{"device":"a\u0007","kind":"telemetry"}"#,
        r#"{"device":"a,b","kind":"telemetry"}"#,
        r#"{"device":"default/a","kind":"telemetry"}"#,
        r#"{"device":"d","kind":"nonsense"}"#,
        r#"{"device":"d"}"#,
    ] {
        let rejection = admit(text).unwrap_err();
        assert_eq!(rejection.reason, Reason::Invalid, "{text:.60}");
        assert!(!rejection.error.is_empty() && rejection.error.len() < 600);
    }
    assert_eq!(admit(&deep).unwrap_err().seq, Some(9));
}

#[test]
fn an_event_that_is_too_large_is_told_so() {
    let text = format!(
        r#"{{"device":"d","kind":"log","message":"{}"}}"#,
        "x".repeat(256 * 1024)
    );
    let rejection = admit(&text).unwrap_err();
    assert_eq!(rejection.reason, Reason::TooLarge);
    assert!(rejection.error.contains("262144"));
}

#[test]
fn the_gist_of_bad_input_is_found_without_believing_it() {
    let gist = Gist::of(r#"{"device":"d","seq":3,"secret":["pin"],"kind":5}"#);
    assert_eq!(
        (gist.device.as_deref(), gist.seq, gist.secrets),
        (Some("d"), Some(3), vec!["pin".into()])
    );
    assert_eq!(Gist::of(r#"{"device":"a,b","seq":"x"}"#), Gist::default());
    assert_eq!(Gist::of("{"), Gist::default());
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Events that are often good, and wrong in every member now and then.
fn any_event() -> impl Strategy<Value = Value> {
    let member = |usual: Vec<Value>| prop_oneof![8 => prop::sample::select(usual), 1 => any_value()];
    let kinds = schemas::Kind::ALL.map(|kind| kind.name().into()).to_vec();
    (
        member(vec!["a".into(), "b/c".into()]),
        member(kinds),
        member(vec![Value::Null, "acme".into(), "other".into()]),
        proptest::option::of(any_value()),
        member(vec![
            "queued".into(),
            "success".into(),
            "OPEN".into(),
            "ONLINE".into(),
        ]),
    )
        .prop_map(|(device, kind, tenant, fields, status)| {
            json!({
                "device": device, "kind": kind, "tenant": tenant, "fields": fields, "status": status,
                "locked": true, "source": "rfid", "level": "info", "message": "m", "entity_id": "e",
                "value": 1, "command_id": "c", "type": "t", "alert_id": "a", "alert_type": "t",
                "severity": 1, "summary": "s", "reason": "report",
            })
        })
}

proptest! {
    #[test]
    fn what_is_admitted_is_within_the_grants(event in any_event(), role in 0..4_usize) {
        let role = [Role::Admin, Role::User, Role::Ingest, Role::Device][role];
        let principal = only(principal(role), "a");
        if let Ok(admitted) = admit_as(&principal, None, &event.to_string()) {
            let read = super::tests::event(&admitted);
            prop_assert_eq!(&*read.tenant, "acme");
            prop_assert_eq!(&*read.device, "a");
            prop_assert!(principal.may_write("acme", "a", read.body.kind()));
            prop_assert_eq!(&*admitted.record.key, "acme/a");
            prop_assert_eq!(&*admitted.record.headers.kind, read.body.kind().name());
        }
    }

    #[test]
    fn an_admin_of_all_devices_is_never_forbidden_its_own(event in any_event()) {
        let outcome = admit_as(&principal(Role::Admin), None, &event.to_string());
        let foreign = event["tenant"].is_string() && event["tenant"] != "acme";
        if let Err(rejection) = outcome {
            prop_assert!(foreign || rejection.reason == Reason::Invalid, "{}", rejection.error);
        } else {
            prop_assert!(!foreign);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,120}") {
        drop(admit(&text));
    }
}
