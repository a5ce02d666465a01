use std::sync::Arc;

use schemas::event::{PresenceReason, Status};
use schemas::{Body, Document, Event, Micros};
use state::{DeviceKey, Stored};

use super::*;

const SECOND: Micros = 1_000_000;
const START: Micros = 1_800_000_000 * SECOND;
const SILENCE: Silence = Silence {
    stale_after: 30 * SECOND,
    offline_after: 600 * SECOND,
    unobserved_max: 5 * SECOND,
    pending_max: 60 * SECOND,
};

fn new_reactor() -> Reactor {
    Reactor::new(SILENCE, Heartbeat::of(&Settings::default()), 1)
}

fn key() -> Arc<DeviceKey> {
    Arc::new(DeviceKey {
        tenant: "acme".into(),
        device: "bus".into(),
    })
}

fn document(status: Option<Status>, last_seen_at: Micros) -> Document {
    Document {
        tenant: "acme".into(),
        id: "bus".into(),
        status,
        last_seen_at: Some(last_seen_at),
        ..Document::default()
    }
}

fn stored(status: Option<Status>, last_seen_at: Micros, source: Offset) -> Stored {
    Stored {
        document: Arc::new(document(status, last_seen_at)),
        source,
    }
}

fn event(offset: Offset, received_at: Micros, body: Body, id: &str) -> SourceEvent {
    let event = Event {
        id: id.into(),
        tenant: "acme".into(),
        device: "bus".into(),
        occurred_at: received_at,
        received_at,
        claimed_at: None,
        seq: None,
        body,
    };
    SourceEvent {
        offset,
        key: key(),
        event: Arc::new(event),
        traceparent: None,
    }
}

fn telemetry(offset: Offset, received_at: Micros) -> SourceEvent {
    event(
        offset,
        received_at,
        Body::Telemetry(schemas::event::Telemetry::default()),
        "t",
    )
}

fn sign(offset: Offset) -> Option<Sign> {
    Some(Sign {
        is_wrong_verdict: false,
        offset,
        traceparent: None,
    })
}

fn presence(reaction: &Reaction) -> &PresenceReaction {
    match reaction {
        Reaction::Presence(presence) => presence,
        Reaction::Step(step) => panic!("{step:?}"),
    }
}

/// Looks at the end every second of `seconds`, from `from` on, as a task does.
fn follow(reactor: &mut Reactor, from: Micros, seconds: i64) -> Vec<Reaction> {
    let mut reactions = Vec::new();
    for second in 0..=seconds {
        let now = from + second * SECOND;
        reactor.reached_end(now);
        reactions.extend(reactor.due(now, 10));
    }
    reactions
}

/// A reactor that follows its partition and knows one device, ONLINE and seen at `START`.
fn following() -> Reactor {
    let mut reactor = new_reactor();
    reactor.reached_end(START - 40 * SECOND);
    follow(&mut reactor, START - 40 * SECOND, 40);
    reactor.heard_event(&telemetry(7, START), START);
    let heard = reactor.observe(
        &key(),
        Some(&document(Some(Status::Online), START)),
        7,
        sign(7),
        START,
    );
    assert_eq!(heard, None);
    reactor
}

#[test]
fn silence_is_spoken_of_once_at_its_time() {
    let mut reactor = following();
    assert!(follow(&mut reactor, START, 29).is_empty());
    let reactions = follow(&mut reactor, START + 30 * SECOND, 20);
    let [reaction] = &reactions[..] else {
        panic!("{reactions:?}")
    };
    let stale = presence(reaction);
    assert_eq!(
        (stale.status, stale.previous),
        (Status::Stale, Some(Status::Online))
    );
    assert_eq!(
        (stale.reason, stale.occurred_at),
        (PresenceReason::Silence, START + 30 * SECOND)
    );
}

#[test]
fn a_verdict_read_back_leads_to_the_next_one() {
    let mut reactor = following();
    let stale = follow(&mut reactor, START, 31).remove(0);
    let back = event(8, START + 31 * SECOND, stale.event().body, &presence(&stale).id);
    reactor.heard_event(&back, START + 31 * SECOND);
    let after = document(Some(Status::Stale), START);
    assert_eq!(
        reactor.observe(&key(), Some(&after), 8, None, START + 31 * SECOND),
        None
    );
    assert!(follow(&mut reactor, START + 32 * SECOND, 567).is_empty());
    let reactions = follow(&mut reactor, START + 600 * SECOND, 10);
    let [reaction] = &reactions[..] else {
        panic!("{reactions:?}")
    };
    let offline = presence(reaction);
    assert_eq!(
        (offline.status, offline.previous),
        (Status::Offline, Some(Status::Stale))
    );
}

#[test]
fn a_device_that_reports_is_not_silent() {
    let mut reactor = following();
    for report in 1..20 {
        let now = START + report * 20 * SECOND;
        assert!(follow(&mut reactor, now - 20 * SECOND, 19).is_empty());
        let offset = 7 + report.unsigned_abs();
        reactor.heard_event(&telemetry(offset, now), now);
        reactor.observe(
            &key(),
            Some(&document(Some(Status::Online), now)),
            offset,
            sign(offset),
            now,
        );
    }
    assert_eq!(reactor.pending_timers(), 1);
}

#[test]
fn a_sign_of_life_of_a_silent_device_makes_it_online_once() {
    let mut reactor = new_reactor();
    let silent = document(Some(Status::Offline), START);
    let first = reactor.observe(&key(), Some(&silent), 3, sign(3), START);
    let again = reactor.observe(&key(), Some(&silent), 4, sign(4), START);
    let online = presence(first.as_ref().unwrap());
    assert_eq!(
        (online.status, online.previous),
        (Status::Online, Some(Status::Offline))
    );
    assert_eq!(again, None);
}

#[test]
fn the_same_decision_has_the_same_id_in_every_process() {
    let decide = || {
        let mut reactor = new_reactor();
        reactor.restore(&stored(Some(Status::Online), START, 7));
        follow(&mut reactor, START, 31).remove(0)
    };
    assert_eq!(presence(&decide()).id, presence(&decide()).id);
    let mut other = new_reactor();
    other.restore(&stored(Some(Status::Online), START, 8));
    assert_ne!(
        presence(&follow(&mut other, START, 31)[0]).id,
        presence(&decide()).id
    );
}

#[test]
fn no_verdict_while_events_are_unread() {
    let mut reactor = following();
    let now = START + 900 * SECOND;
    // An hour of backlog: the clock is that of the events, far behind the wall.
    reactor.heard_event(&telemetry(9, START + 200 * SECOND), now);
    assert!(reactor.due(now, 10).is_empty());
}

#[test]
fn time_that_nobody_observed_proves_no_silence() {
    let mut reactor = following();
    let back = START + 900 * SECOND;
    assert!(follow(&mut reactor, back, 29).is_empty());
    let reactions = follow(&mut reactor, back + 30 * SECOND, 1);
    assert_eq!(presence(&reactions[0]).status, Status::Offline);
}

#[test]
fn timers_are_made_again_from_documents() {
    let mut reactor = new_reactor();
    reactor.restore(&stored(Some(Status::Stale), START, 7));
    assert_eq!(reactor.pending_timers(), 1);
    let from = START + 590 * SECOND;
    assert!(follow(&mut reactor, from, 29).is_empty());
    assert_eq!(
        presence(&follow(&mut reactor, from + 30 * SECOND, 1)[0]).status,
        Status::Offline
    );
}

#[test]
fn a_seen_device_without_a_status_becomes_online_after_a_hand_over() {
    let mut reactor = new_reactor();
    reactor.restore(&stored(None, START, 7));
    assert_eq!(
        presence(&follow(&mut reactor, START, 1)[0]).status,
        Status::Online
    );
}

#[test]
fn a_device_that_is_offline_or_gone_costs_nothing() {
    let mut reactor = following();
    reactor.observe(
        &key(),
        Some(&document(Some(Status::Offline), START)),
        9,
        None,
        START,
    );
    assert_eq!((reactor.pending_timers(), reactor.watches.len()), (0, 0));
    let mut reactor = following();
    reactor.observe(&key(), None, 9, None, START);
    assert_eq!((reactor.pending_timers(), reactor.watches.len()), (0, 0));
}

#[test]
fn a_decision_that_does_not_come_back_is_given_out_again_under_its_id() {
    let mut reactor = following();
    let first = follow(&mut reactor, START, 31).remove(0);
    assert!(follow(&mut reactor, START + 32 * SECOND, 50).is_empty());
    let second = follow(&mut reactor, START + 83 * SECOND, 20).remove(0);
    assert_eq!(presence(&first).id, presence(&second).id);
}

#[test]
fn a_receipt_in_the_future_silences_nobody() {
    let mut reactor = following();
    reactor.heard_event(&telemetry(8, START + 9_000 * SECOND), START + SECOND);
    reactor.reached_end(START + SECOND);
    assert!(reactor.due(START + SECOND, 10).is_empty());
}

#[test]
fn a_round_has_a_limit_and_the_rest_follows() {
    let mut reactor = new_reactor();
    for number in 0..5_u64 {
        let mut stored = stored(Some(Status::Online), START, number);
        Arc::make_mut(&mut stored.document).id = format!("bus-{number}").into();
        reactor.restore(&stored);
    }
    follow(&mut reactor, START, 29);
    reactor.reached_end(START + 30 * SECOND);
    assert_eq!(reactor.due(START + 30 * SECOND, 3).len(), 3);
    assert_eq!(reactor.due(START + 30 * SECOND, 3).len(), 2);
}

/// A reactor whose verdict, given at `START + 30 s`, is in the log and unread; the device was heard at
/// `START + 20 s`, and what was read after that was received at `newest`.
fn with_a_wrong_verdict_unread(newest: Micros) -> (Reactor, Reaction) {
    let mut reactor = following();
    let wrong = follow(&mut reactor, START, 30).remove(0);
    let (heard_at, now) = (START + 20 * SECOND, START + 60 * SECOND);
    follow(&mut reactor, START + 31 * SECOND, 29);
    reactor.heard_event(&telemetry(8, heard_at), now);
    let alive = document(Some(Status::Online), heard_at);
    assert_eq!(reactor.observe(&key(), Some(&alive), 8, sign(8), now), None);
    reactor.heard_event(&telemetry(9, newest), now);
    (reactor, wrong)
}

/// What is said when the wrong verdict is read at `now`.
fn after_reading(reactor: &mut Reactor, wrong: &Reaction, now: Micros) -> Option<Reaction> {
    let back = event(10, START + 30 * SECOND, wrong.event().body, &presence(wrong).id);
    reactor.heard_event(&back, now);
    let called_stale = document(Some(Status::Stale), START + 20 * SECOND);
    let sign = Sign {
        is_wrong_verdict: true,
        offset: 10,
        traceparent: None,
    };
    reactor.observe(&key(), Some(&called_stale), 10, Some(sign), now)
}

#[test]
fn nothing_more_is_said_of_a_device_before_the_verdict_on_it_was_read() {
    let (mut reactor, _) = with_a_wrong_verdict_unread(START + 60 * SECOND);
    assert!(reactor.due(START + 60 * SECOND, 10).is_empty());
    // The log lost it.
    let word = follow(&mut reactor, START + 60 * SECOND, 31).remove(0);
    assert_eq!(presence(&word).occurred_at, START + 50 * SECOND);
}

#[test]
fn a_wrong_verdict_is_followed_by_the_true_one_once_the_device_is_silent() {
    let (mut reactor, wrong) = with_a_wrong_verdict_unread(START + 60 * SECOND);
    let word = after_reading(&mut reactor, &wrong, START + 60 * SECOND).unwrap();
    let stale = presence(&word);
    assert_eq!(
        (stale.status, stale.occurred_at),
        (Status::Stale, START + 50 * SECOND)
    );
    assert_ne!(stale.id, presence(&wrong).id);
}

#[test]
fn a_wrong_verdict_is_contradicted_while_a_sign_of_life_may_be_unread() {
    // It is later by the wall, and what was read says nothing of the time after the sign.
    let (mut reactor, wrong) = with_a_wrong_verdict_unread(START + 49 * SECOND);
    let word = after_reading(&mut reactor, &wrong, START + 60 * SECOND).unwrap();
    assert_eq!(presence(&word).status, Status::Online);
}

#[test]
fn a_wrong_verdict_read_where_nobody_may_speak_of_silence_is_contradicted() {
    let (mut reactor, wrong) = with_a_wrong_verdict_unread(START + 60 * SECOND);
    // Nobody looked for a quarter of an hour.
    let now = START + 960 * SECOND;
    reactor.heard_event(&telemetry(9, now), now);
    let word = after_reading(&mut reactor, &wrong, now).unwrap();
    assert_eq!(presence(&word).status, Status::Online);
}

#[test]
fn a_true_verdict_on_its_way_answers_a_wrong_one() {
    // Another process gave the wrong one: this one knows nothing of it, and has given the true one.
    let mut reactor = following();
    reactor.heard_event(&telemetry(8, START + 20 * SECOND), START + 20 * SECOND);
    let alive = document(Some(Status::Online), START + 20 * SECOND);
    reactor.observe(&key(), Some(&alive), 8, sign(8), START + 20 * SECOND);
    let right = follow(&mut reactor, START + 20 * SECOND, 30).remove(0);
    assert_eq!(presence(&right).occurred_at, START + 50 * SECOND);
    let mut wrong = right;
    let Reaction::Presence(presence) = &mut wrong else {
        panic!("{wrong:?}")
    };
    presence.id = "of another process".into();
    assert_eq!(after_reading(&mut reactor, &wrong, START + 51 * SECOND), None);
}
