use journal::{Headers, Record, Topic};
use schemas::{Change, Document};
use serde_json::{Value, json};

use super::*;
use crate::filters::Filters;
use crate::subscription::{DeviceSet, KindSet, TenantScope, Told};

fn change(offset: u64, changed: &[&str], before: &Value) -> Arc<LogRecord> {
    let change = Change {
        document: Document {
            tenant: "t".into(),
            id: "d".into(),
            version: offset,
            ..Document::default()
        },
        changed: changed.iter().map(|path| Box::from(*path)).collect(),
        before: before.to_string().into(),
        event_id: "e".into(),
        updated_before: None,
        last_seen_before: None,
    };
    state(offset, Some(change.encode()))
}

fn state(offset: u64, value: Option<bytes::Bytes>) -> Arc<LogRecord> {
    let record = Record {
        offset,
        timestamp_ms: 0,
        key: "t/d".into(),
        value,
        headers: Headers::default(),
    };
    Arc::new(LogRecord::new(Topic::State, 0, record))
}

fn selection(filters: Option<Filters>) -> Selection {
    Selection {
        tenant: TenantScope::All,
        devices: DeviceSet::All,
        kinds: KindSet::ALL,
        metrics: None,
        filters,
        told: Told::default(),
    }
}

fn latest(records: &[Arc<LogRecord>]) -> Latest {
    let mut latest = Latest::new(None);
    for record in records {
        latest.offer(record, Outcome::Shown, &selection(None));
    }
    latest
}

/// What a filter said of records of one device.
fn judged(told: &[(u64, Outcome)]) -> Latest {
    let mut latest = Latest::new(None);
    let selection = selection(Some(Filters::silent()));
    for (offset, outcome) in told {
        let record = change(*offset, &["fields.speed"], &json!({"fields": {"speed": offset}}));
        latest.offer(&record, *outcome, &selection);
    }
    latest
}

/// Its frames: offset and what they say.
fn frames_of(latest: &Latest) -> Vec<(u64, Outcome)> {
    let parts = latest.queue.iter().flat_map(Entry::parts);
    parts.map(|part| (part.record.offset, part.outcome)).collect()
}

fn merged(records: &[Arc<LogRecord>]) -> (Vec<String>, Value) {
    let latest = latest(records);
    assert_eq!(latest.queue.len(), 1);
    let merged = latest.queue[0].shown.as_ref().unwrap().merged.as_ref().unwrap();
    (
        merged.changed.iter().map(ToString::to_string).collect(),
        Value::Object(merged.before.clone()),
    )
}

#[test]
fn changes_are_united_and_the_oldest_value_before_them_is_kept() {
    let (changed, before) = merged(&[
        change(
            1,
            &["fields.speed", "name"],
            &json!({"fields": {"speed": 1}, "name": "a"}),
        ),
        change(
            2,
            &["fields.speed", "fields.heading"],
            &json!({"fields": {"speed": 2, "heading": 5}}),
        ),
        change(
            3,
            &["fields.speed", "status"],
            &json!({"fields": {"speed": 3}, "status": "STALE"}),
        ),
    ]);
    assert_eq!(changed, ["fields.heading", "fields.speed", "name", "status"]);
    assert_eq!(
        before,
        json!({"fields": {"speed": 1, "heading": 5}, "name": "a", "status": "STALE"})
    );
}

#[test]
fn what_was_absent_before_the_first_change_stays_absent() {
    let (_, before) = merged(&[
        change(1, &["fields.speed"], &json!({})),
        change(
            2,
            &["fields.speed", "fields.a\\.b"],
            &json!({"fields": {"speed": 2, "a.b": 1}}),
        ),
        change(3, &["fields.a\\.b"], &json!({"fields": {"a.b": 2}})),
    ]);
    assert_eq!(before, json!({"fields": {"a.b": 1}}));
}

#[test]
fn a_deletion_takes_the_place_of_changes_and_a_new_device_that_of_the_deletion() {
    let gone = latest(&[change(1, &["name"], &json!({"name": "a"})), state(2, None)]);
    let parts = gone.queue[0].parts();
    assert!(parts.len() == 1 && parts[0].merged.is_none() && parts[0].record.value.is_none());
    let again = latest(&[state(2, None), change(3, &["name"], &json!({}))]);
    let parts = again.queue[0].parts();
    assert!(parts.len() == 1 && parts[0].merged.is_none());
    assert_eq!(parts[0].record.offset, 3);
}

#[test]
fn a_device_that_left_and_came_back_is_told_both_in_their_order() {
    use Outcome::{Left, Shown};
    assert_eq!(
        frames_of(&judged(&[(1, Left), (2, Shown), (3, Shown)])),
        [(1, Left), (3, Shown)]
    );
    assert_eq!(
        frames_of(&judged(&[(1, Shown), (2, Left)])),
        [(1, Shown), (2, Left)]
    );
    assert_eq!(
        frames_of(&judged(&[(1, Shown), (2, Left), (3, Shown), (4, Left)])),
        [(3, Shown), (4, Left)]
    );
}

#[test]
fn a_deletion_does_not_take_away_what_passed_a_filter_before_it() {
    let mut latest = judged(&[(1, Outcome::Shown)]);
    latest.offer(
        &state(2, None),
        Outcome::Shown,
        &selection(Some(Filters::silent())),
    );
    assert_eq!(frames_of(&latest), [(1, Outcome::Shown), (2, Outcome::Shown)]);
}

#[test]
fn half_of_what_is_pending_of_a_device_being_out_the_other_half_is_still_held() {
    let mut latest = judged(&[(1, Outcome::Left), (2, Outcome::Shown)]);
    latest.sent(1, |_| {});
    assert_eq!(frames_of(&latest), [(2, Outcome::Shown)]);
    let mut places = [Some(Place { next: 9, time_ms: 0 })];
    latest.hold_back(&[0], &mut places);
    assert_eq!(places[0].map(|place| place.next), Some(1));
    latest.sent(1, |_| {});
    assert!(latest.is_empty() && latest.bytes == 0 && latest.held.is_empty());
}

#[test]
fn what_a_new_filter_does_not_say_is_forgotten() {
    let mut latest = judged(&[(1, Outcome::Left), (2, Outcome::Shown)]);
    let kept = selection(Some(Filters::silent()));
    latest.retain(|record| (record.offset == 2).then_some(Outcome::Shown), &kept);
    assert_eq!(frames_of(&latest), [(2, Outcome::Shown)]);
    latest.retain(|_| None, &kept);
    assert!(latest.is_empty() && latest.bytes == 0);
}

#[test]
fn a_position_is_held_back_to_the_first_record_that_is_pending() {
    let latest = latest(&[change(4, &[], &json!({})), change(9, &[], &json!({}))]);
    let at = |next| Some(Place { next, time_ms: 0 });
    let mut places = [at(10), at(10)];
    latest.hold_back(&[0, 1], &mut places);
    assert_eq!(places, [at(4), at(10)]);
}
