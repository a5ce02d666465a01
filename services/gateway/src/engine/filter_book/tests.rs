use journal::{Headers, Record};
use schemas::{Fields as Reported, Scalar};

use super::*;
use crate::subscription::{KindSet, TenantScope, Told};

fn book() -> FilterBook {
    FilterBook::new(
        IntCounter::new("evaluations", "of a test").unwrap(),
        IntGauge::new("filters", "of a test").unwrap(),
    )
}

fn filters(texts: &[&str]) -> Filters {
    let parsed = texts.iter().map(|text| text.parse().unwrap());
    let more = parsed.fold(Filters::silent(), |filters, filter| filters.with(filter));
    assert_eq!(more.len(), texts.len());
    more
}

fn selection(filters: Filters) -> Selection {
    Selection {
        tenant: TenantScope::One("acme".into()),
        devices: DeviceSet::All,
        kinds: KindSet::ALL,
        metrics: None,
        filters: Some(filters),
        told: Told::default(),
    }
}

fn document(speed: i64) -> Document {
    Document {
        tenant: "acme".into(),
        id: "bus".into(),
        version: 2,
        fields: Reported([("speed".into(), Scalar::Integer(speed))].into()),
        ..Document::default()
    }
}

/// A change of the speed; from nothing, the device is new.
fn change(offset: u64, from: Option<i64>, to: i64) -> LogRecord {
    let (changed, before): (&[&str], String) = match from {
        Some(from) => (&["fields.speed"], format!("{{\"fields\":{{\"speed\":{from}}}}}")),
        None => (&["created_at", "fields.speed", "id", "tenant"], "{}".to_owned()),
    };
    let change = Change {
        document: document(to),
        changed: changed.iter().map(|path| Box::from(*path)).collect(),
        before: before.into(),
        event_id: "e".into(),
        updated_before: None,
        last_seen_before: None,
    };
    record(offset, Some(change.encode()))
}

fn record(offset: u64, value: Option<bytes::Bytes>) -> LogRecord {
    let record = Record {
        offset,
        timestamp_ms: 0,
        key: "acme/bus".into(),
        value,
        headers: Headers::default(),
    };
    LogRecord::new(Topic::State, 3, record)
}

const FAST: &str = "speed > 80";

#[test]
fn a_device_is_shown_while_it_passes_and_left_once_when_it_does_not() {
    let mut book = book();
    let ids = book.acquire(&filters(&[FAST]));
    let said = |book: &mut FilterBook, from, to| book.outcome(&ids, true, &change(9, from, to));
    for (offset, from, to, expected) in [
        (1, Some(70), 90, Some(Outcome::Shown)),
        (2, Some(90), 95, Some(Outcome::Shown)),
        (3, Some(95), 70, Some(Outcome::Left)),
        (4, Some(70), 60, None),
        (5, None, 70, None),
        (6, None, 90, Some(Outcome::Shown)),
    ] {
        assert_eq!(
            book.outcome(&ids, true, &change(offset, from, to)),
            expected,
            "{from:?} to {to}"
        );
    }
    // The verdict of a place in the log is remembered, whatever is said to stand there.
    assert_eq!(said(&mut book, Some(70), 90), Some(Outcome::Shown));
    assert_eq!(said(&mut book, Some(95), 70), Some(Outcome::Shown));
}

#[test]
fn a_device_that_is_new_has_not_left_although_nothing_satisfies_the_filter() {
    let mut book = book();
    let ids = book.acquire(&filters(&["speed != 70"]));
    assert_eq!(book.outcome(&ids, true, &change(1, None, 70)), None);
    assert_eq!(
        book.outcome(&ids, true, &change(2, Some(60), 70)),
        Some(Outcome::Left)
    );
    assert_eq!(book.outcome(&ids, false, &change(3, Some(60), 70)), None);
}

#[test]
fn a_transition_is_shown_once_and_nothing_leaves_by_it() {
    let mut book = book();
    let ids = book.acquire(&filters(&["@speed <= 80 and speed > 80"]));
    assert_eq!(
        book.outcome(&ids, true, &change(1, Some(70), 90)),
        Some(Outcome::Shown)
    );
    assert_eq!(book.outcome(&ids, true, &change(2, Some(90), 95)), None);
    assert_eq!(book.outcome(&ids, true, &change(3, Some(95), 60)), None);
}

#[test]
fn a_deletion_is_shown_if_there_is_any_filter() {
    let mut book = book();
    let ids = book.acquire(&filters(&[FAST]));
    assert_eq!(book.outcome(&ids, true, &record(1, None)), Some(Outcome::Shown));
    assert_eq!(book.outcome(&[], true, &record(1, None)), None);
}

#[test]
fn a_record_is_judged_once_for_all_that_are_behind() {
    let mut book = book();
    let ids = book.acquire(&filters(&[FAST]));
    for _ in 0..20 {
        for offset in 0..50 {
            let outcome = book.outcome(&ids, true, &change(offset, Some(90), 70));
            assert_eq!(outcome, Some(Outcome::Left));
        }
    }
    assert_eq!(book.evaluations.get(), 100);
}

#[test]
fn a_record_is_judged_once_for_all_that_are_live_whatever_they_ask() {
    let mut book = book();
    let mut slot = 0;
    for text in [FAST, "(speed > 80)", "speed > 80 and not x"] {
        for tells_left in [true, false] {
            for _ in 0..10 {
                let filters = if tells_left {
                    Filters::parse(text, &query::Limits::default()).unwrap()
                } else {
                    filters(&[text])
                };
                let ids = book.acquire(&filters);
                let selection = selection(filters);
                book.insert(&selection, &DeviceSet::All, &ids, slot);
                slot += 1;
            }
        }
    }
    let mut wanted = Vec::new();
    book.find(&change(1, Some(90), 70), &mut wanted);
    // Shown or not, and left or not, of two filters.
    assert_eq!((wanted.len(), book.evaluations.get()), (30, 4));
    assert_eq!(book.filters.get(), 2);
}

#[test]
fn a_filter_is_held_as_long_as_a_stream_has_it() {
    let mut book = book();
    let first = book.acquire(&filters(&[FAST, "x"]));
    let second = book.acquire(&filters(&["x"]));
    book.release(&first);
    assert_eq!(book.filters.get(), 1);
    book.release(&second);
    assert_eq!(book.filters.get(), 0);
    // Another filter under the number of one that went is another filter.
    let first = book.acquire(&filters(&[FAST]));
    assert_eq!(
        book.outcome(&first, true, &change(1, Some(70), 90)),
        Some(Outcome::Shown)
    );
    book.release(&first);
    let other = book.acquire(&filters(&["speed < 80"]));
    assert_eq!(first, other);
    assert_eq!(book.outcome(&other, false, &change(1, Some(70), 90)), None);
}

#[test]
fn a_document_passes_standing_still() {
    let mut book = book();
    let ids = book.acquire(&filters(&[FAST, "@speed = 10 and speed = 10", "@speed < speed"]));
    assert!(book.passes(&ids, &document(90)));
    assert!(book.passes(&ids, &document(10)));
    assert!(!book.passes(&ids, &document(20)));
}
