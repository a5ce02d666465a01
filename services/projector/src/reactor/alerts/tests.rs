use journal::{Headers, Record};
use schemas::event::{Presence, Telemetry};
use schemas::{Control, Fields, Scalar, control};

use super::*;

const NOW: Micros = 5_000_000;

fn key() -> Arc<DeviceKey> {
    Arc::new(DeviceKey {
        tenant: "acme".into(),
        device: "bus".into(),
    })
}

fn alerts() -> Alerts {
    let heartbeat = Heartbeat {
        severity: Some(4),
        silent_for: 30_000_000,
    };
    Alerts::new(1, heartbeat)
}

/// Rules by name and filter, put at offsets 10, 11, ….
fn book(rules: &[(&str, &str)]) -> Rulebook {
    let mut book = Rulebook::default();
    for (offset, (id, when)) in (10..).zip(rules) {
        let rule = Control::Rule(control::Rule {
            tenant: "acme".into(),
            id: (*id).into(),
            when: (*when).into(),
            close_when: None,
            alert_type: "HOT".into(),
            severity: 2,
            summary: "too hot".into(),
        });
        book.apply(&Record {
            offset,
            timestamp_ms: 0,
            key: rule.key().into(),
            value: Some(rule.encode()),
            headers: Headers::default(),
        });
    }
    book
}

fn document(x: i64, alerts: &[&str]) -> Document {
    let alert = |id: &&str| DeviceAlert {
        alert_id: (*id).into(),
        alert_type: "HOT".into(),
        severity: 2,
        confidence: None,
        summary: "too hot".into(),
        status: AlertStatus::Open,
        site_id: None,
        created_at: 1,
    };
    Document {
        tenant: "acme".into(),
        id: "bus".into(),
        site_id: Some("north".into()),
        fields: Fields([("x".into(), Scalar::Integer(x))].into()),
        alerts: alerts.iter().map(alert).collect(),
        ..Document::default()
    }
}

fn event(offset: Offset, body: Body) -> SourceEvent {
    let event = Event {
        id: "e".into(),
        tenant: "acme".into(),
        device: "bus".into(),
        occurred_at: 1,
        received_at: 2,
        claimed_at: None,
        seq: None,
        body,
    };
    SourceEvent {
        offset,
        key: key(),
        event: Arc::new(event),
        traceparent: Some("00-trace".into()),
    }
}

fn telemetry(offset: Offset) -> SourceEvent {
    event(offset, Body::Telemetry(Telemetry::default()))
}

/// The steps that a change brings: alert and status.
fn judged(
    alerts: &mut Alerts,
    book: &Rulebook,
    event: &SourceEvent,
    before: Option<&Document>,
    after: &Document,
) -> Vec<(Box<str>, AlertStatus)> {
    let changed = Changed { event, before, after };
    steps(alerts.judge(book, &changed, NOW))
}

fn steps(reactions: Vec<Reaction>) -> Vec<(Box<str>, AlertStatus)> {
    let step = |reaction: Reaction| {
        let Body::Alert(alert) = reaction.event().body else {
            panic!("{reaction:?}")
        };
        (alert.alert_id, alert.status)
    };
    reactions.into_iter().map(step).collect()
}

fn step_event(offset: Offset, alert_id: &str, status: AlertStatus) -> SourceEvent {
    let alert = Alert {
        alert_id: alert_id.into(),
        alert_type: "HOT".into(),
        severity: 2,
        confidence: None,
        summary: "too hot".into(),
        status,
        site_id: None,
    };
    event(offset, Body::Alert(alert))
}

#[test]
fn an_alert_opens_with_what_its_rule_says_and_where_its_device_is() {
    let changed = Changed {
        event: &telemetry(7),
        before: None,
        after: &document(9, &[]),
    };
    let reactions = alerts().judge(&book(&[("hot", "x > 5")]), &changed, NOW);
    let [Reaction::Step(step)] = &reactions[..] else {
        panic!("{reactions:?}")
    };
    let Body::Alert(alert) = &step.event.body else {
        panic!("{step:?}")
    };
    assert!(alert.alert_id.starts_with("hot~"), "{}", alert.alert_id);
    assert_eq!(
        (&*alert.alert_type, alert.severity, &*alert.summary),
        ("HOT", 2, "too hot")
    );
    assert_eq!(
        (alert.status, alert.site_id.as_deref()),
        (AlertStatus::Open, Some("north"))
    );
    assert_eq!((step.event.occurred_at, step.event.received_at), (2, NOW));
    assert_eq!(step.traceparent.as_deref(), Some("00-trace"));
}

#[test]
fn whoever_judges_an_event_comes_to_the_same_alert_and_another_event_to_another() {
    let book = book(&[("hot", "x > 5")]);
    let open = |offset| judged(&mut alerts(), &book, &telemetry(offset), None, &document(9, &[]));
    assert_eq!(open(7), open(7));
    assert_ne!(open(7), open(8));
}

#[test]
fn an_alert_ends_when_its_rule_is_false_or_gone_and_is_told_once() {
    let book = book(&[("hot", "x > 5")]);
    let mut alerts = alerts();
    let opened = judged(&mut alerts, &book, &telemetry(7), None, &document(9, &[]));
    let id = &opened[0].0;
    let (hot, cold) = (document(9, &[id]), document(1, &[id]));
    assert!(judged(&mut alerts, &book, &telemetry(8), Some(&document(9, &[])), &hot).is_empty());
    let ended = judged(&mut alerts, &book, &telemetry(9), Some(&hot), &cold);
    assert_eq!(ended, [(id.clone(), AlertStatus::Closed)]);
    // Its event is on its way.
    assert!(judged(&mut alerts, &book, &telemetry(10), Some(&cold), &cold).is_empty());
    let gone = judged(
        &mut self::alerts(),
        &self::book(&[]),
        &telemetry(9),
        Some(&hot),
        &hot,
    );
    assert_eq!(gone, ended);
}

#[test]
fn an_alert_that_comes_back_too_late_ends_at_once() {
    let book = book(&[("hot", "x > 5")]);
    let opened = judged(&mut alerts(), &book, &telemetry(7), None, &document(9, &[]));
    let id = &opened[0].0;
    let back = step_event(9, id, AlertStatus::Open);
    let ended = judged(
        &mut alerts(),
        &book,
        &back,
        Some(&document(1, &[])),
        &document(1, &[id]),
    );
    assert_eq!(ended, [(id.clone(), AlertStatus::Closed)]);
}

#[test]
fn of_two_alerts_of_one_rule_the_older_ends() {
    let book = book(&[("hot", "x > 5")]);
    let open = |offset| {
        judged(&mut alerts(), &book, &telemetry(offset), None, &document(9, &[]))
            .remove(0)
            .0
    };
    let (older, newer) = (open(7), open(8));
    let both = document(9, &[&older, &newer]);
    let back = step_event(9, &newer, AlertStatus::Open);
    let ended = judged(&mut alerts(), &book, &back, Some(&document(9, &[&older])), &both);
    assert_eq!(ended, [(older, AlertStatus::Closed)]);
}

#[test]
fn alerts_of_others_are_left_alone() {
    let foreign = document(1, &["a1", "hot~1", "hot~0190aaaa-0000-7000-8000-000000000000"]);
    let moved = judged(&mut alerts(), &book(&[]), &telemetry(7), Some(&foreign), &foreign);
    assert!(moved.is_empty(), "{moved:?}");
}

#[test]
fn a_new_rule_finds_who_satisfies_it_already_once() {
    let (old, both) = (
        book(&[("hot", "x > 5")]),
        book(&[("hot", "x > 5"), ("warm", "x > 3")]),
    );
    let mut alerts = alerts();
    let opened = judged(&mut alerts, &old, &telemetry(7), None, &document(9, &[]))
        .remove(0)
        .0;
    let device = document(9, &[&opened]);
    let found = steps(alerts.hold_against(&both, &key(), &device, 11, NOW));
    assert!(
        matches!(&found[..], [(id, AlertStatus::Open)] if id.starts_with("warm~")),
        "{found:?}"
    );
    // It is on its way; whoever looks anew comes to the same.
    assert!(alerts.hold_against(&both, &key(), &device, 11, NOW).is_empty());
    assert_eq!(
        steps(self::alerts().hold_against(&both, &key(), &device, 11, NOW)),
        found
    );
    // One that a change opened a moment ago is not opened beside it.
    assert!(
        alerts
            .hold_against(&both, &key(), &document(9, &[]), 10, NOW)
            .is_empty()
    );
}

#[test]
fn a_rule_that_comes_back_while_its_alert_ends_opens_another() {
    let mut alerts = alerts();
    let opened = judged(
        &mut alerts,
        &book(&[("hot", "x > 5")]),
        &telemetry(7),
        None,
        &document(9, &[]),
    );
    let id = &opened[0].0;
    let back = step_event(8, id, AlertStatus::Open);
    let Body::Alert(alert) = &back.event.body else {
        panic!("{back:?}")
    };
    alerts.read_back(&key(), alert);
    let device = document(9, &[id]);
    let ended = steps(alerts.hold_against(&book(&[]), &key(), &device, 11, NOW));
    assert_eq!(ended, [(id.clone(), AlertStatus::Closed)]);
    // The end is not read back yet when the rule is there again.
    let again = steps(alerts.hold_against(&book(&[("hot", "x > 5")]), &key(), &device, 10, NOW));
    assert!(
        matches!(&again[..], [(other, AlertStatus::Open)] if other != id),
        "{again:?}"
    );
}

#[test]
fn a_device_that_flaps_within_a_batch_has_one_alert_of_a_rule_that_opens() {
    let book = book(&[("moves", "x != @x")]);
    let mut alerts = alerts();
    let mut standing = Vec::new();
    for x in 1..100 {
        let (before, after) = (document(x - 1, &[]), document(x, &[]));
        let offset = x.unsigned_abs();
        for (id, status) in judged(&mut alerts, &book, &telemetry(offset), Some(&before), &after) {
            match status {
                AlertStatus::Open => standing.push(id),
                AlertStatus::Closed => standing.retain(|standing| *standing != id),
                AlertStatus::Acknowledged => panic!("nobody did"),
            }
        }
        assert_eq!(standing.len(), 1, "after {x} changes");
    }
}

#[test]
fn a_change_ends_an_alert_that_is_not_read_back_yet() {
    let book = book(&[("moves", "x != @x")]);
    let mut alerts = alerts();
    let (was, is) = (document(1, &[]), document(2, &[]));
    let opened = judged(&mut alerts, &book, &telemetry(7), Some(&was), &is);
    let other = Document {
        site_id: None,
        ..is.clone()
    };
    let ended = judged(&mut alerts, &book, &telemetry(8), Some(&is), &other);
    assert_eq!(ended, [(opened[0].0.clone(), AlertStatus::Closed)]);
    // What comes back then is over already.
    let back = step_event(9, &opened[0].0, AlertStatus::Open);
    let standing = document(2, &[&opened[0].0]);
    assert!(judged(&mut alerts, &book, &back, Some(&other), &standing).is_empty());
}

#[test]
fn a_rule_that_went_has_its_alerts_ended() {
    let opened = judged(
        &mut alerts(),
        &book(&[("hot", "x > 5")]),
        &telemetry(7),
        None,
        &document(9, &[]),
    );
    let device = document(9, &[&opened[0].0]);
    let ended = steps(alerts().hold_against(&book(&[]), &key(), &device, 11, NOW));
    assert_eq!(ended, [(opened[0].0.clone(), AlertStatus::Closed)]);
}

fn presence(status: Status, reason: PresenceReason) -> Body {
    Body::Presence(Presence {
        connected: None,
        status: Some(status),
        previous: None,
        reason,
        session: None,
    })
}

fn with_status(status: Status, alerts: &[&str]) -> Document {
    Document {
        status: Some(status),
        ..document(1, alerts)
    }
}

#[test]
fn silence_opens_an_alert_and_a_sign_of_life_ends_it() {
    let (mut alerts, book) = (alerts(), book(&[]));
    let (online, stale) = (with_status(Status::Online, &[]), with_status(Status::Stale, &[]));
    let verdict = event(7, presence(Status::Stale, PresenceReason::Silence));
    let opened = judged(&mut alerts, &book, &verdict, Some(&online), &stale);
    assert!(
        matches!(&opened[..], [(id, AlertStatus::Open)] if id.starts_with("NO_HEARTBEAT~")),
        "{opened:?}"
    );
    let id = &opened[0].0;
    let stale = with_status(Status::Stale, &[id]);
    let verdict = event(8, presence(Status::Offline, PresenceReason::Silence));
    let offline = with_status(Status::Offline, &[id]);
    assert!(judged(&mut alerts, &book, &verdict, Some(&stale), &offline).is_empty());
    let heard = event(9, presence(Status::Online, PresenceReason::Report));
    let ended = judged(
        &mut alerts,
        &book,
        &heard,
        Some(&offline),
        &with_status(Status::Online, &[id]),
    );
    assert_eq!(ended, [(id.clone(), AlertStatus::Closed)]);
}

#[test]
fn a_goodbye_is_no_missing_heartbeat() {
    let (online, offline) = (
        with_status(Status::Online, &[]),
        with_status(Status::Offline, &[]),
    );
    let goodbye = event(7, presence(Status::Offline, PresenceReason::Will));
    assert!(judged(&mut alerts(), &book(&[]), &goodbye, Some(&online), &offline).is_empty());
}
