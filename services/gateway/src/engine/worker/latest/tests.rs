use journal::{Headers, Record};
use schemas::Document;
use serde_json::json;

use super::*;
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

fn latest(records: &[Arc<LogRecord>]) -> Latest {
    let selection = Selection {
        tenant: TenantScope::All,
        devices: DeviceSet::All,
        kinds: KindSet::ALL,
        metrics: None,
        told: Told::default(),
    };
    let mut latest = Latest::new(None);
    for record in records {
        latest.offer(record, &selection);
    }
    latest
}

fn merged(records: &[Arc<LogRecord>]) -> (Vec<String>, Value) {
    let latest = latest(records);
    assert_eq!(latest.queue.len(), 1);
    let merged = latest.queue[0].merged.as_ref().unwrap();
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
    assert!(gone.queue[0].merged.is_none() && gone.queue[0].record.value.is_none());
    let again = latest(&[state(2, None), change(3, &["name"], &json!({}))]);
    assert!(again.queue[0].merged.is_none());
    assert_eq!(again.queue[0].record.offset, 3);
}

#[test]
fn a_position_is_held_back_to_the_first_record_that_is_pending() {
    let latest = latest(&[change(4, &[], &json!({})), change(9, &[], &json!({}))]);
    let at = |next| Some(Place { next, time_ms: 0 });
    let mut places = [at(10), at(10)];
    latest.hold_back(&[0, 1], &mut places);
    assert_eq!(places, [at(4), at(10)]);
}
