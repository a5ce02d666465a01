use std::sync::Arc;

use journal::{Headers, Record, Topic};
use schemas::{Change, Document};
use serde_json::Value;
use state::Stored;

use super::stream;
use crate::dialect::conversation::{Action, Answer, Conversation, Moment};
use crate::dialect::{Control, Dialect, Look};
use crate::engine::LogRecord;
use crate::subscription::{
    Delivery, DeviceSet, Framing, KindSet, Reset, ResetReason, Selection, Start, Subscription, TenantScope,
    Told, Transport, View,
};

fn look(transport: Transport, cursors: bool) -> Look<'static> {
    Look {
        transport,
        cursors,
        metrics: None,
    }
}

fn told(look: Look<'_>, control: Control<'_>) -> Option<(&'static str, Value)> {
    let mut out = Vec::new();
    let name = stream::Frames.control(look, control, "CURSOR", &mut out)?;
    Some((name, serde_json::from_slice(&out).unwrap()))
}

#[test]
fn a_gap_is_told_to_those_who_asked_for_cursors() {
    let reset = Reset {
        reason: ResetReason::Trimmed,
        requested: Vec::new(),
        available: Vec::new(),
        duplicates: false,
    };
    let expected = serde_json::json!({"type": "reset", "cursor": "CURSOR", "reason": "trimmed"});
    let asked = told(look(Transport::WebSocket, true), Control::Reset(&reset));
    assert_eq!(asked, Some(("reset", expected)));
    assert_eq!(
        told(look(Transport::WebSocket, false), Control::Reset(&reset)),
        None
    );
}

#[test]
fn a_ping_has_the_time() {
    let ping = told(look(Transport::WebSocket, false), Control::KeepAlive { now: 0 });
    let expected = serde_json::json!({"type": "ping", "ts": "1970-01-01T00:00:00.000Z"});
    assert_eq!(ping, Some(("ping", expected)));
}

/// A legacy socket whose client chose these devices.
fn legacy(devices: &[&str]) -> Subscription {
    Subscription {
        view: View::Devices,
        transport: Transport::WebSocket,
        framing: Framing::Plain,
        dialect: Arc::new(super::legacy::Frames),
        selection: Selection {
            tenant: TenantScope::One("t".into()),
            devices: DeviceSet::Set(Arc::new(
                devices.iter().map(|device| Box::from(*device)).collect(),
            )),
            kinds: KindSet::NONE,
            metrics: None,
            filters: None,
            told: Told::default(),
        },
        delivery: Delivery::Latest,
        every: None,
        partitions: Vec::new(),
        start: Start::live(0),
        principal: Arc::new(access::Principal::system("tester")),
        bound: false,
        cursors: false,
        chooses: true,
    }
}

/// The device after its n-th event.
fn document(n: u64) -> Document {
    let at = i64::try_from(n).unwrap();
    let mut document = Document {
        tenant: "t".into(),
        id: "d".into(),
        version: n,
        ..Document::default()
    };
    document.fold.newest_telemetry_at = Some(at);
    document
}

fn change(n: u64) -> LogRecord {
    let change = Change {
        document: document(n),
        changed: Vec::new(),
        before: "{}".into(),
        event_id: "e".into(),
        updated_before: None,
        last_seen_before: None,
    };
    let record = Record {
        offset: n,
        timestamp_ms: 0,
        key: "t/d".into(),
        value: Some(change.encode()),
        headers: Headers {
            source_offset: Some(n),
            ..Headers::default()
        },
    };
    LogRecord::new(Topic::State, 0, record)
}

#[test]
fn nothing_older_is_pushed_after_something_newer() {
    let subscription = legacy(&["d"]);
    let at = Moment {
        now: 0,
        subscription: &subscription,
        devices_max: 10,
        is_blocked: false,
        cursor: None,
    };
    let mut conversation = super::legacy::conversation();
    let read = |n| {
        let document = Arc::new(document(n));
        Answer::Documents(vec![Stored { document, source: n }])
    };
    let pushes = |conversation: &mut dyn Conversation, n| {
        let actions = conversation.answer(read(n), &at);
        let sent = actions.iter().filter(|action| matches!(action, Action::Send(_)));
        sent.count()
    };
    assert_eq!(pushes(&mut conversation, 3), 1);
    assert!(!conversation.is_old(&change(5)));
    conversation.has(&change(5));
    assert_eq!(pushes(&mut conversation, 4), 0, "the tables are behind the log");
    assert_eq!(pushes(&mut conversation, 5), 1, "a keep-alive");
    assert_eq!(pushes(&mut conversation, 7), 1);
    assert!(conversation.is_old(&change(6)), "the log is behind the tables");
    assert!(!conversation.is_old(&change(7)));
    let left = serde_json::json!({"action": "unsubscribe", "type": "device", "device_id": "d"});
    drop(conversation.text(&left.to_string(), &at));
    assert!(!conversation.is_old(&change(6)));
}

#[test]
fn a_question_waits_for_the_one_before_and_devices_are_asked_together() {
    let subscription = legacy(&[]);
    let at = Moment {
        now: 0,
        subscription: &subscription,
        devices_max: 10,
        is_blocked: false,
        cursor: None,
    };
    let mut conversation = super::legacy::conversation();
    let mut asked = Vec::new();
    for device in ["a", "b", "c"] {
        let message = format!("{{\"action\":\"subscribe\",\"type\":\"device\",\"device_id\":\"{device}\"}}");
        let actions = conversation.text(&message, &at);
        asked.extend(
            actions
                .into_iter()
                .filter(|action| matches!(action, Action::Ask(_))),
        );
    }
    assert_eq!(asked.len(), 1);
    let next = conversation.answer(crate::dialect::Answer::Documents(Vec::new()), &at);
    let both = crate::dialect::Ask::Documents(vec!["b".into(), "c".into()]);
    assert!(
        next.iter()
            .any(|action| matches!(action, Action::Ask(ask) if *ask == both))
    );
}
