use journal::Record;
use schemas::event::{Device, Presence, PresenceReason, Status, Telemetry};
use schemas::{Body, Change, Event, Fields, Rejected, Scalar};

use super::*;

const SECOND: Micros = 1_000_000;
const START: Micros = 1_800_000_000 * SECOND;

fn rules() -> Rules {
    let settings = crate::Settings::default();
    Rules {
        partition: 2,
        generation: 5,
        limits: Limits {
            document_bytes_max: 2_000,
            registration_required: false,
        },
        history_kinds: settings.history_kinds.clone(),
        rejected_per_batch_max: 2,
        cached_document_bytes_max: settings.cached_document_bytes_max,
        silence: Silence::of(&settings),
        heartbeat: Heartbeat::of(&settings),
    }
}

fn event(id: &str, device: &str, at: Micros, body: Body) -> Event {
    Event {
        id: id.into(),
        tenant: "acme".into(),
        device: device.into(),
        occurred_at: at,
        received_at: at,
        claimed_at: None,
        seq: None,
        body,
    }
}

fn speed(value: i64) -> Body {
    let fields = Fields([("speed".into(), Scalar::Integer(value))].into());
    Body::Telemetry(Telemetry { fields })
}

fn record(offset: Offset, event: &Event) -> Record {
    Record {
        offset,
        timestamp_ms: event.received_at / 1_000,
        key: format!("{}/{}", event.tenant, event.device).into(),
        value: Some(event.encode()),
        headers: Headers {
            traceparent: Some("00-trace".into()),
            ..Headers::default()
        },
    }
}

fn batch(first: Offset, events: &[Event]) -> SourceBatch {
    let records: Vec<Record> = (first..)
        .zip(events)
        .map(|(offset, event)| record(offset, event))
        .collect();
    SourceBatch::read(&records, first + events.len() as u64)
}

fn handle(partition: &mut Partition, batch: &SourceBatch) -> Decision {
    let fetched = partition
        .missing(&batch.events)
        .into_iter()
        .map(|key| (key, None))
        .collect();
    partition.handle(batch, fetched, START)
}

#[test]
fn an_event_that_changes_something_makes_one_state_record() {
    let mut partition = Partition::new(rules());
    let batch = batch(
        10,
        &[
            event("a", "bus", START, speed(1)),
            event("b", "bus", START + 1, speed(2)),
        ],
    );
    let decision = handle(&mut partition, &batch);
    assert_eq!(decision.next, 12);
    let offsets: Vec<_> = decision
        .state
        .iter()
        .map(|record| record.headers.source_offset)
        .collect();
    assert_eq!(offsets, [Some(10), Some(11)]);
    let record = &decision.state[0];
    assert_eq!(
        (&*record.key, record.partition, record.topic),
        ("acme/bus", 2, Topic::State)
    );
    assert_eq!(
        (&*record.headers.kind, record.headers.generation),
        ("telemetry", 5)
    );
    assert_eq!(record.headers.traceparent.as_deref(), Some("00-trace"));
    assert_eq!(record.timestamp_ms, START / 1_000);
    let change = Change::decode(decision.state[1].value.as_ref().unwrap()).unwrap();
    assert_eq!(Some(&change.document), decision.writes[0].document.as_deref());
}

#[test]
fn a_touched_document_is_written_once_with_its_last_source() {
    let mut partition = Partition::new(rules());
    let events: Vec<Event> = (0..5)
        .map(|n| event(&n.to_string(), "bus", START + n, speed(n)))
        .collect();
    let decision = handle(&mut partition, &batch(10, &events));
    assert_eq!(decision.writes.len(), 1);
    assert_eq!(decision.writes[0].source, 14);
}

#[test]
fn times_are_written_without_a_state_record() {
    let mut partition = Partition::new(rules());
    handle(&mut partition, &batch(0, &[event("a", "bus", START, speed(1))]));
    let decision = handle(
        &mut partition,
        &batch(1, &[event("b", "bus", START + 9, speed(1))]),
    );
    assert!(decision.state.is_empty());
    let document = decision.writes[0].document.as_ref().unwrap();
    assert_eq!(
        (decision.writes[0].source, document.last_seen_at),
        (1, Some(START + 9))
    );
}

#[test]
fn a_deletion_is_a_tombstone_with_headers() {
    let mut partition = Partition::new(rules());
    let deleted = event("b", "bus", START + 1, Body::Deleted);
    let decision = handle(
        &mut partition,
        &batch(0, &[event("a", "bus", START, speed(1)), deleted]),
    );
    let tombstone = decision.state.last().unwrap();
    assert_eq!((&tombstone.value, &*tombstone.headers.kind), (&None, "deleted"));
    assert_eq!(tombstone.headers.source_offset, Some(1));
    assert_eq!(decision.writes[0].document, None);
    assert!(partition.counts().is_empty());
}

#[test]
fn events_that_the_document_holds_are_passed_over_however_many_they_are() {
    let mut partition = Partition::new(rules());
    // More than the fold remembers, so that only their offsets tell.
    let events: Vec<Event> = (0..100)
        .map(|n| event(&n.to_string(), "bus", START + n, speed(n)))
        .collect();
    let first = batch(7, &events);
    handle(&mut partition, &first);
    let decision = handle(&mut partition, &first);
    assert_eq!(
        decision.tally,
        EventTally {
            nothing: 100,
            ..EventTally::default()
        }
    );
    assert!(decision.state.is_empty() && decision.writes.is_empty() && decision.history.is_empty());
}

#[test]
fn what_the_fold_refuses_is_rejected_with_its_reason() {
    let mut partition = Partition::new(rules());
    let device = |text: &str| Device {
        name: Some(text.repeat(3_000).into()),
        ..Device::default()
    };
    let decision = handle(
        &mut partition,
        &batch(0, &[event("a", "bus", START, Body::Device(device("é")))]),
    );
    assert!(decision.state.is_empty());
    let record = &decision.rejected[0];
    assert_eq!((record.topic, &*record.key), (Topic::Rejected, "acme/bus"));
    let rejected = Rejected::decode(record.value.as_ref().unwrap()).unwrap();
    assert!(rejected.reason.contains("may have 2000"), "{}", rejected.reason);
    assert!(rejected.original.len() <= 4_096 && rejected.original.contains("éé"));
}

#[test]
fn what_is_no_event_is_rejected_and_stops_nobody() {
    let mut partition = Partition::new(rules());
    let good = event("a", "bus", START, speed(1));
    let mut records = vec![
        record(0, &good),
        record(1, &good),
        record(2, &good),
        record(3, &good),
    ];
    records[0].value = Some(Bytes::from_static(b"nonsense"));
    records[1].key = "other/bus".into();
    records[2].value = None;
    let batch = SourceBatch::read(&records, 4);
    let decision = handle(&mut partition, &batch);
    assert_eq!((decision.tally.unreadable, decision.tally.changed), (3, 1));
    assert_eq!(decision.rejected.len(), rules().rejected_per_batch_max);
}

#[test]
fn an_event_of_a_newer_release_stops_the_batch_before_it() {
    let good = event("a", "bus", START, speed(1));
    let mut records = vec![record(0, &good), record(1, &good), record(2, &good)];
    let mut frame = good.encode().to_vec();
    frame[1..5].copy_from_slice(&7_100_199_u32.to_be_bytes());
    records[1].value = Some(frame.into());
    let batch = SourceBatch::read(&records, 3);
    assert_eq!((batch.len(), batch.next), (1, 1));
    assert_eq!(batch.stopped.unwrap().schema_id, 7_100_199);
}

#[test]
fn history_keeps_the_kinds_that_were_asked_for_and_marks_what_came_late() {
    let rules = Rules {
        history_kinds: vec![Kind::Telemetry],
        ..rules()
    };
    let mut partition = Partition::new(rules);
    let head = Device {
        name: Some("Bus".into()),
        ..Device::default()
    };
    let events = [
        event("a", "bus", START + 9, speed(1)),
        event("b", "bus", START, speed(2)),
        event("c", "bus", START, Body::Device(head)),
    ];
    let rows = handle(&mut partition, &batch(0, &events)).history;
    let late: Vec<_> = rows.iter().map(|row| (row.offset, row.late)).collect();
    assert_eq!(late, [(0, false), (1, true)]);
}

#[test]
fn a_first_sign_of_life_makes_the_device_online() {
    let mut partition = Partition::new(rules());
    let decision = handle(&mut partition, &batch(0, &[event("a", "bus", START, speed(1))]));
    assert_eq!(decision.reactions.len(), 1);
    let online = decision.reactions[0].event();
    let decision = handle(&mut partition, &batch(1, std::slice::from_ref(&online)));
    assert_eq!(
        decision.writes[0].document.as_ref().unwrap().status,
        Some(Status::Online)
    );
    assert!(decision.reactions.is_empty());
    assert_eq!(partition.counts()["acme"].online, 1);
    // Appended twice, it folds to nothing.
    let again = handle(&mut partition, &batch(2, &[online]));
    assert_eq!(
        again.tally,
        EventTally {
            nothing: 1,
            ..EventTally::default()
        }
    );
}

#[test]
fn a_word_about_the_status_after_a_sign_of_life_stands() {
    let mut partition = Partition::new(rules());
    let goodbye = Presence {
        connected: None,
        status: Some(Status::Offline),
        previous: None,
        reason: PresenceReason::Report,
        session: None,
    };
    let events = [
        event("a", "bus", START, speed(1)),
        event("b", "bus", START + 1, Body::Presence(goodbye)),
    ];
    assert!(handle(&mut partition, &batch(0, &events)).reactions.is_empty());
}

/// What follows when the verdict of another process, that the time ran out at `deadline`, stands behind a sign of
/// life received at `seen`.
fn after_verdict(seen: Micros, deadline: Micros) -> Option<Status> {
    let mut partition = Partition::new(rules());
    let online = handle(&mut partition, &batch(0, &[event("a", "bus", seen, speed(1))]));
    let online = online.reactions[0].event();
    let online = Event {
        occurred_at: seen,
        received_at: seen,
        ..online
    };
    let stale = Presence {
        connected: None,
        status: Some(Status::Stale),
        previous: Some(Status::Online),
        reason: PresenceReason::Silence,
        session: None,
    };
    let verdict = event("b", "bus", deadline, Body::Presence(stale));
    let decision = handle(&mut partition, &batch(1, &[online, verdict]));
    // It may also open an alert.
    decision.reactions.iter().find_map(|reaction| {
        let Body::Presence(presence) = reaction.event().body else {
            return None;
        };
        presence.status
    })
}

#[test]
fn a_verdict_on_a_device_that_was_heard_in_time_is_contradicted_by_whoever_reads_it() {
    let heard_in_time = after_verdict(START, START + 29 * SECOND);
    assert_eq!(heard_in_time, Some(Status::Online));
}

#[test]
fn a_true_verdict_stands() {
    assert_eq!(after_verdict(START, START + 30 * SECOND), None);
}

#[test]
fn a_verdict_that_a_later_sign_made_void_needs_no_other_word() {
    assert_eq!(after_verdict(START, START - SECOND), None);
}

#[test]
fn a_void_verdict_takes_back_no_sign_of_life_before_it() {
    let mut partition = Partition::new(rules());
    let silence = |status| {
        Body::Presence(Presence {
            connected: None,
            status: Some(status),
            previous: None,
            reason: PresenceReason::Silence,
            session: None,
        })
    };
    let stale_at = START + 30 * SECOND;
    let stale = event("b", "bus", stale_at, silence(Status::Stale));
    handle(
        &mut partition,
        &batch(0, &[event("a", "bus", START, speed(1)), stale]),
    );
    let offline_at = START + 600 * SECOND;
    let late = event("c", "bus", offline_at + 1, speed(2));
    let offline = event("d", "bus", offline_at, silence(Status::Offline));
    let decision = handle(&mut partition, &batch(2, &[late, offline]));
    let [reaction] = &decision.reactions[..] else {
        panic!("{:?}", decision.reactions)
    };
    assert_eq!(reaction.rule(), crate::reactor::Rule::Online);
}

#[test]
fn documents_beyond_the_cache_are_asked_for_again() {
    let mut partition = Partition::new(Rules {
        cached_document_bytes_max: 4_000,
        ..rules()
    });
    let events: Vec<Event> = (0..50)
        .map(|n| event("a", &format!("bus-{n}"), START, speed(n)))
        .collect();
    let batch = batch(0, &events);
    handle(&mut partition, &batch);
    let missing = partition.missing(&batch.events).len();
    assert!(missing > 30 && missing < 50, "{missing}");
}
