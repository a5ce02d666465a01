use std::collections::BTreeSet;
use std::sync::Arc;

use access::Principal;
use journal::{Headers, Record, Topic};
use query::Head;
use schemas::json::MERGED_NAMES;
use schemas::{Change, Document, Fields, Scalar};
use serde_json::{Value, json};

use super::conversation::Talk;
use super::frames::Frames;
use crate::dialect::{Action, Control, Conversation, Dialect, Item, Look, Moment};
use crate::engine::LogRecord;
use crate::filters::Filters;
use crate::subscription::{
    Delivery, DeviceSet, Framing, KindSet, Reset, ResetReason, Selection, Start, Subscription, TenantScope,
    Told, Transport, View,
};

fn subscription(filters: Filters) -> Subscription {
    Subscription {
        view: View::Devices,
        transport: Transport::WebSocket,
        framing: Framing::Plain,
        dialect: Arc::new(Frames),
        selection: Selection {
            tenant: TenantScope::One("t".into()),
            devices: DeviceSet::All,
            kinds: KindSet::ALL,
            metrics: None,
            filters: Some(filters),
            told: Told::default(),
        },
        delivery: Delivery::Latest,
        every: None,
        partitions: Vec::new(),
        start: Start::live(0),
        principal: Arc::new(Principal::system("tester")),
        bound: false,
        cursors: false,
        chooses: true,
    }
}

/// What becomes of the filters, and what is said.
fn say(message: &str, before: Filters) -> (Option<Vec<String>>, Option<Value>) {
    let subscription = subscription(before);
    let at = Moment {
        now: 0,
        subscription: &subscription,
        devices_max: 10,
        is_blocked: false,
        cursor: None,
    };
    let actions = Talk::new(query::Limits::default()).text(message, &at);
    let (mut filters, mut said) = (None, None);
    for action in actions {
        match action {
            Action::Select(selection) => {
                let chosen = selection.filters.expect("filters");
                filters = Some(chosen.iter().map(|filter| filter.text().to_owned()).collect());
            }
            Action::Send(message) => said = serde_json::from_slice(&message.text).ok(),
            Action::Choose { .. } | Action::Ask(_) | Action::Timer(_) | Action::Close(_) => {
                panic!("no such thing")
            }
        }
    }
    (filters, said)
}

#[test]
fn filters_are_added_each_once_and_cleared_without_an_answer() {
    let (one, said) = say(r#"{"filter":"speed > 1"}"#, Filters::silent());
    assert_eq!((one, said), (Some(vec!["speed > 1".to_owned()]), None));
    let before = Filters::silent().with("speed > 1".parse().unwrap());
    let (two, _) = say(r#"{"filter":"(speed) > 1"}"#, before.clone());
    assert_eq!(two.unwrap().len(), 1);
    let (two, _) = say(r#"{"filter":"door"}"#, before.clone());
    assert_eq!(two.unwrap(), ["speed > 1", "door"]);
    assert_eq!(say(r#"{"clear":{}}"#, before), (Some(Vec::new()), None));
}

#[test]
fn mistakes_are_told_and_change_nothing() {
    for (message, kind, text) in [
        (
            r#"{"filter":"a == 1"}"#,
            "filter_parse",
            "column 3: found '==', expected an operator (= != < <= > >= + - AND OR) or the end; use = for equality",
        ),
        (
            r#"{"filter":5}"#,
            "unknown_command",
            "the filter must be a string: {\"filter\":\"<query>\"}",
        ),
        (
            r#"{"clear":true}"#,
            "unknown_command",
            "clear takes an object: {\"clear\":{}}",
        ),
        (
            r#"{"filter":"a","clear":{}}"#,
            "unknown_command",
            "a command has one member, filter or clear",
        ),
        (
            r#"{"dance":1}"#,
            "unknown_command",
            "found \"dance\", expected filter or clear",
        ),
        (
            "[1]",
            "unknown_command",
            "found no command, expected filter or clear",
        ),
        (
            "{",
            "invalid_json",
            "EOF while parsing an object at line 1 column 1",
        ),
    ] {
        let (filters, said) = say(message, Filters::silent().with("a".parse().unwrap()));
        assert_eq!(filters, None, "{message}");
        assert_eq!(said, Some(json!({"error": {kind: text}})), "{message}");
    }
}

#[test]
fn a_filter_too_long_is_a_mistake_with_a_column() {
    let text = "a".repeat(4_097);
    let (filters, said) = say(&json!({"filter": text}).to_string(), Filters::silent());
    assert_eq!(filters, None);
    let text = said.unwrap()["error"]["filter_parse"].to_string();
    assert!(text.contains("4097 bytes") && text.contains("4096"), "{text}");
}

fn record(value: Option<bytes::Bytes>) -> LogRecord {
    let record = Record {
        offset: 7,
        timestamp_ms: 0,
        key: "t/p/d".into(),
        value,
        headers: Headers::default(),
    };
    LogRecord::new(Topic::State, 0, record)
}

fn written(item: Item<'_>, cursors: bool) -> Option<Value> {
    let look = Look {
        transport: Transport::WebSocket,
        cursors,
        metrics: None,
    };
    let mut out = Vec::new();
    let is_shown = Frames.data(look, item, "CURSOR", &mut out);
    assert_eq!(is_shown, !out.is_empty());
    is_shown.then(|| serde_json::from_slice(&out).unwrap())
}

fn document() -> Document {
    let fields = [
        ("speed", Scalar::Integer(5)),
        ("site.zone", Scalar::String("A".into())),
        ("id", Scalar::String("reported".into())),
        ("update_time", Scalar::Integer(1)),
        ("lock.a", Scalar::Integer(1)),
        ("fields", Scalar::Integer(1)),
    ];
    Document {
        tenant: "t".into(),
        id: "p/d".into(),
        updated_at: 1_000_000,
        fields: Fields(fields.map(|(path, value)| (path.into(), value)).into()),
        version: 3,
        ..Document::default()
    }
}

#[test]
fn a_device_has_its_fields_beside_its_head_which_wins() {
    let update = written(Item::Document(&document()), false).unwrap();
    let device = json!({
        "id": "p/d", "tenant": "t", "tags": [], "created_at": "1970-01-01T00:00:00.000Z",
        "updated_at": "1970-01-01T00:00:01.000Z", "entities": {}, "commands": [], "alerts": [], "version": 3,
        "update_time": "1970-01-01T00:00:01.000Z", "speed": 5, "site": {"zone": "A"},
    });
    assert_eq!(update, json!({"update": device}));
}

#[test]
fn names_that_are_the_heads_are_those_that_filters_look_up_there() {
    let mut heads: BTreeSet<&str> = Head::ALL.into_iter().map(Head::name).collect();
    heads.insert("update_time");
    assert_eq!(MERGED_NAMES.into_iter().collect::<BTreeSet<_>>(), heads);
}

#[test]
fn cursors_stand_beside_what_is_shown_for_those_who_asked() {
    let change = Change {
        document: document(),
        changed: Vec::new(),
        before: "{}".into(),
        event_id: "e".into(),
        updated_before: None,
        last_seen_before: None,
    };
    let record_of = record(Some(change.encode()));
    for item in [Item::Record(&record_of), Item::Change(&change)] {
        let plain = written(item, false).unwrap();
        let mut with_cursor = written(item, true).unwrap();
        assert_eq!(with_cursor["cursor"], "CURSOR");
        with_cursor.as_object_mut().unwrap().remove("cursor");
        assert_eq!(with_cursor, plain);
    }
    let deleted = record(None);
    assert_eq!(
        written(Item::Record(&deleted), false),
        Some(json!({"delete": "p/d"}))
    );
    assert_eq!(
        written(Item::Record(&deleted), true),
        Some(json!({"delete": "p/d", "cursor": "CURSOR"}))
    );
}

#[test]
fn a_record_that_cannot_be_read_is_no_frame() {
    let record = record(Some(bytes::Bytes::from_static(b"?")));
    assert_eq!(written(Item::Record(&record), true), None);
}

#[test]
fn gaps_are_told_to_those_who_asked_for_cursors_and_nothing_else_is() {
    let reset = Reset {
        reason: ResetReason::Compacted,
        requested: Vec::new(),
        available: Vec::new(),
        duplicates: false,
    };
    let told = |cursors, control: Control<'_>| {
        let look = Look {
            transport: Transport::WebSocket,
            cursors,
            metrics: None,
        };
        let mut out = Vec::new();
        let name = Frames.control(look, control, "CURSOR", &mut out)?;
        Some((name, serde_json::from_slice::<Value>(&out).unwrap()))
    };
    let expected = json!({"reset": {"cursor": "CURSOR", "reason": "compacted"}});
    assert_eq!(told(true, Control::Reset(&reset)), Some(("reset", expected)));
    assert_eq!(told(false, Control::Reset(&reset)), None);
    for control in [
        Control::Updated,
        Control::KeepAlive { now: 0 },
        Control::CaughtUp { from_time: &[] },
    ] {
        assert_eq!(told(true, control), None);
    }
}
