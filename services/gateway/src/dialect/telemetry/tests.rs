use std::sync::Arc;

use serde_json::Value;

use super::stream;
use crate::dialect::conversation::{Action, Conversation, Moment};
use crate::dialect::{Control, Dialect, Look};
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

#[test]
fn a_question_waits_for_the_one_before_and_devices_are_asked_together() {
    let subscription = Subscription {
        view: View::Devices,
        transport: Transport::WebSocket,
        framing: Framing::Plain,
        dialect: Arc::new(super::legacy::Frames),
        selection: Selection {
            tenant: TenantScope::One("t".into()),
            devices: DeviceSet::Set(Arc::default()),
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
    };
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
