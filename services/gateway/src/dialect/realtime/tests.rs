use std::sync::Arc;

use access::{Principal, Scope};
use journal::{Headers, Record, Topic};
use schemas::event::{Presence, PresenceReason, Status};
use schemas::{Body, Document, Event};
use serde_json::{Value, json};
use state::Stored;

use super::conversation::Talk;
use super::frames::Frames;
use super::is_in_scope;
use crate::dialect::conversation::{Action, Answer, Ask, Conversation, Moment};
use crate::engine::LogRecord;
use crate::subscription::{
    Delivery, DeviceSet, Framing, KindSet, Selection, Start, Subscription, TenantScope, Told, Transport, View,
};

fn subscription() -> Subscription {
    Subscription {
        view: View::Events,
        transport: Transport::WebSocket,
        framing: Framing::Plain,
        dialect: Arc::new(Frames),
        selection: Selection {
            tenant: TenantScope::One("t".into()),
            devices: DeviceSet::Set(Arc::default()),
            kinds: KindSet::NONE,
            metrics: None,
            filters: None,
            told: Told::default(),
        },
        delivery: Delivery::Every,
        every: None,
        partitions: Vec::new(),
        start: Start::live(0),
        principal: Arc::new(Principal::system("tester")),
        bound: false,
        cursors: false,
        chooses: true,
    }
}

fn presence(status: Status, previous: Option<Status>) -> LogRecord {
    said_of_it(status, previous, PresenceReason::Report, 0)
}

/// What the fold would follow unless the device was heard of since.
fn verdict(status: Status, previous: Status, occurred_at: i64) -> LogRecord {
    said_of_it(status, Some(previous), PresenceReason::Silence, occurred_at)
}

fn said_of_it(
    status: Status,
    previous: Option<Status>,
    reason: PresenceReason,
    occurred_at: i64,
) -> LogRecord {
    let event = Event {
        id: "e".into(),
        tenant: "t".into(),
        device: "d".into(),
        occurred_at,
        received_at: 0,
        claimed_at: None,
        seq: None,
        body: Body::Presence(Presence {
            connected: None,
            status: Some(status),
            previous,
            reason,
            session: None,
        }),
    };
    let record = Record {
        offset: 0,
        timestamp_ms: 0,
        key: "t/d".into(),
        value: Some(event.encode()),
        headers: Headers::default(),
    };
    LogRecord::new(Topic::Events, 0, record)
}

fn said(actions: Vec<Action>) -> Vec<Value> {
    actions
        .into_iter()
        .filter_map(|action| match action {
            Action::Send(message) => serde_json::from_slice(&message.text).ok(),
            Action::Select(_)
            | Action::Choose { .. }
            | Action::Ask(_)
            | Action::Timer(_)
            | Action::Close(_) => None,
        })
        .collect()
}

#[test]
fn liveness_is_told_only_when_it_changes() {
    let subscription = subscription();
    let at = Moment {
        now: 0,
        subscription: &subscription,
        devices_max: 3,
        is_blocked: false,
        cursor: None,
    };
    use Status::{Offline, Online, Stale};
    let mut talk = Talk::default();
    for (status, previous, told) in [
        (Online, None, Some(true)),
        (Online, None, None),
        (Stale, Some(Online), Some(false)),
        (Offline, Some(Stale), None),
        (Offline, None, None),
        (Online, Some(Offline), Some(true)),
        (Online, Some(Online), None),
    ] {
        let said = said(talk.record(&presence(status, previous), &at));
        let found = said.first().map(|frame| frame["payload"]["is_online"] == true);
        assert_eq!(found, told, "{status:?} after {previous:?}");
    }
}

/// Its client follows device `d`.
fn following() -> Subscription {
    let mut subscription = subscription();
    subscription.selection.devices = DeviceSet::Set(Arc::new(["d".into()].into()));
    subscription
}

fn moment(subscription: &Subscription) -> Moment<'_> {
    Moment {
        now: 0,
        subscription,
        devices_max: 3,
        is_blocked: false,
        cursor: None,
    }
}

fn document(status: Status, since: i64) -> Answer {
    let mut document = Document {
        tenant: "t".into(),
        id: "d".into(),
        status: Some(status),
        ..Document::default()
    };
    document.fold.status_since = Some(since);
    let document = Arc::new(document);
    Answer::Documents(vec![Stored { document, source: 0 }])
}

const NOTHING: [bool; 0] = [];

fn told(actions: Vec<Action>) -> Vec<bool> {
    let frames = said(actions);
    frames
        .iter()
        .map(|frame| frame["payload"]["is_online"] == true)
        .collect()
}

fn asks(actions: &[Action]) -> bool {
    matches!(actions, [Action::Ask(Ask::Settled(devices))] if **devices == [Box::from("d")])
}

#[test]
fn a_verdict_that_a_report_made_void_is_not_told() {
    use Status::{Offline, Online, Stale};
    let subscription = following();
    let at = moment(&subscription);
    let mut talk = Talk::default();
    for reason in [
        PresenceReason::Silence,
        PresenceReason::Will,
        PresenceReason::Disconnect,
    ] {
        let record = said_of_it(Offline, Some(Online), reason, 10);
        assert!(asks(&talk.record(&record, &at)), "{reason:?}");
        assert_eq!(told(talk.answer(document(Online, 5), &at)), NOTHING, "{reason:?}");
    }
    assert!(asks(&talk.record(&verdict(Stale, Online, 20), &at)));
    assert_eq!(told(talk.answer(document(Stale, 20), &at)), [false]);
    // What was told is what counts, whatever an event says was before it.
    assert!(talk.record(&verdict(Stale, Online, 30), &at).is_empty());
    assert!(talk.record(&verdict(Offline, Stale, 40), &at).is_empty());
}

#[test]
fn a_verdict_holds_when_the_state_does_not_answer_and_when_the_device_is_back() {
    use Status::{Online, Stale};
    let subscription = following();
    let at = moment(&subscription);
    let mut talk = Talk::default();
    assert!(asks(&talk.record(&verdict(Stale, Online, 10), &at)));
    assert_eq!(told(talk.answer(Answer::Unavailable, &at)), [false]);
    assert_eq!(told(talk.record(&presence(Online, Some(Stale)), &at)), [true]);
    assert!(asks(&talk.record(&verdict(Stale, Online, 20), &at)));
    assert_eq!(
        told(talk.answer(document(Online, 25), &at)),
        [false, true],
        "it was silent for a while"
    );
    assert_eq!(told(talk.record(&presence(Online, Some(Stale)), &at)), NOTHING);
}

#[test]
fn a_device_that_is_back_before_the_state_answers_was_away() {
    use Status::{Online, Stale};
    let subscription = following();
    let at = moment(&subscription);
    let mut talk = Talk::default();
    assert!(asks(&talk.record(&verdict(Stale, Online, 10), &at)));
    assert_eq!(
        told(talk.record(&presence(Online, Some(Stale)), &at)),
        [false, true]
    );
    assert_eq!(told(talk.answer(document(Online, 20), &at)), NOTHING);
}

#[test]
fn nothing_is_told_of_a_device_that_was_unsubscribed_while_the_state_was_asked() {
    let subscription = following();
    let at = moment(&subscription);
    let mut talk = Talk::default();
    assert!(asks(
        &talk.record(&verdict(Status::Stale, Status::Online, 10), &at)
    ));
    let message = json!({"type": "unsubscribe", "hardwareIds": ["d"]}).to_string();
    drop(talk.text(&message, &at));
    assert_eq!(told(talk.answer(document(Status::Stale, 10), &at)), NOTHING);
}

#[test]
fn more_devices_than_a_connection_may_have_are_an_error_and_change_nothing() {
    let subscription = subscription();
    let at = Moment {
        now: 0,
        subscription: &subscription,
        devices_max: 3,
        is_blocked: false,
        cursor: None,
    };
    let message = json!({"type": "subscribe", "hardwareIds": ["a", "b", "c", "d"]});
    let said = said(Talk::default().text(&message.to_string(), &at));
    assert_eq!(said[0]["type"], "error");
    assert_eq!(said.len(), 1);
}

#[test]
fn a_user_without_a_list_of_devices_has_none() {
    let mut user = Principal::system("user");
    user.role = access::Role::User;
    user.tenant = Some("t".into());
    assert!(!is_in_scope(&user, "a"));
    user.devices = Scope::Devices(Arc::new(["a".into()].into()));
    assert!(is_in_scope(&user, "a") && !is_in_scope(&user, "b"));
    user.role = access::Role::Admin;
    user.devices = Scope::All;
    assert!(is_in_scope(&user, "b"));
}

#[test]
fn a_user_who_loses_the_list_of_devices_loses_those_that_were_chosen() {
    use crate::dialect::Dialect as _;
    let mut subscription = subscription();
    let chosen = DeviceSet::Set(Arc::new(["a".into()].into()));
    subscription.selection.devices = chosen.clone();
    let mut user = Principal::system("user");
    user.role = access::Role::User;
    user.tenant = Some("t".into());
    assert!(Frames.rescope(&subscription, &user).devices.is_empty());
    user.devices = Scope::Devices(Arc::new(["b".into()].into()));
    assert_eq!(Frames.rescope(&subscription, &user).devices, chosen);
}
