//! Creation, repeats, times, fields, size.

use schemas::{Body, Scalar};
use serde_json::json;

use super::events::*;
use crate::{Limits, Outcome, fold};

use Scalar::{Integer, Number};

fn text(value: &str) -> Scalar {
    Scalar::String(value.into())
}

#[test]
fn the_first_event_makes_the_device_and_lists_all_of_it() {
    let Outcome::Changed(change) = fold(None, &telemetry(1, &[("speed", Integer(5))]), &Limits::default())
    else {
        panic!("no change");
    };
    assert_eq!(changed(&change), ["created_at", "fields.speed", "id", "tenant"]);
    assert_eq!(&*change.before, "{}");
    assert_eq!(
        (change.document.version, change.document.created_at),
        (1, 2_000_000)
    );
    assert_eq!(change.document.last_seen_at, Some(2_000_000));
}

#[test]
fn registration_can_be_required() {
    let limits = Limits {
        registration_required: true,
        ..Limits::default()
    };
    assert_eq!(fold(None, &telemetry(1, &[]), &limits), Outcome::Nothing);
    assert!(matches!(
        fold(None, &device(1, "Bus"), &limits),
        Outcome::Changed(_)
    ));
}

#[test]
fn an_id_among_the_last_64_is_folded_once() {
    let mut document = after(&[telemetry(0, &[("n", Integer(0))])]);
    let first = telemetry(1, &[("n", Integer(1))]);
    document = change(&document, &first).document;
    for at in 2..65 {
        document = change(&document, &telemetry(at, &[("n", Integer(at))])).document;
        assert_eq!(
            fold(Some(&document), &first, &Limits::default()),
            Outcome::Nothing,
            "after {at}"
        );
    }
    document = change(&document, &telemetry(65, &[("n", Integer(65))])).document;
    assert_eq!(document.fold.recent.len(), 64);
    assert!(matches!(
        fold(Some(&document), &first, &Limits::default()),
        Outcome::Times(_)
    ));
}

#[test]
fn an_equal_report_moves_only_times() {
    let document = after(&[telemetry(1, &[("speed", Integer(5))])]);
    let later = times(&document, &telemetry(9, &[("speed", Integer(5))]));
    assert_eq!(
        (later.version, later.updated_at),
        (document.version, document.updated_at)
    );
    assert_eq!(later.last_seen_at, Some(10_000_000));
    assert_eq!(later.fold.newest_telemetry_at, Some(9_000_000));
}

#[test]
fn a_log_line_and_a_heartbeat_prove_life_and_change_nothing() {
    let document = after(&[device(1, "Bus")]);
    assert_eq!(
        document.last_seen_at, None,
        "the registration was not sent by the device"
    );
    assert_eq!(times(&document, &log(2)).last_seen_at, Some(3_000_000));
    assert_eq!(times(&document, &telemetry(3, &[])).last_seen_at, Some(4_000_000));
}

#[test]
fn a_heartbeat_makes_no_telemetry_late() {
    let document = after(&[telemetry(1, &[("a", Integer(1))]), telemetry(9, &[])]);
    assert_eq!(
        changed(&change(&document, &telemetry(5, &[("a", Integer(2))]))),
        ["fields.a"]
    );
}

#[test]
fn setting_a_path_removes_what_stands_above_and_below_it() {
    let document = after(&[telemetry(
        1,
        &[("a.b", Integer(1)), ("a.b-c", Integer(2)), ("a.bc", Integer(3))],
    )]);
    let below = change(&document, &telemetry(2, &[("a.b.c", Integer(4))]));
    assert_eq!(changed(&below), ["fields.a.b", "fields.a.b.c"]);
    assert_eq!(before(&below), json!({"fields": {"a": {"b": 1}}}));
    let above = change(&below.document, &telemetry(3, &[("a", Integer(5))]));
    assert_eq!(
        changed(&above),
        ["fields.a", "fields.a.b-c", "fields.a.b.c", "fields.a.bc"]
    );
    assert_eq!(
        before(&above),
        json!({"fields": {"a": {"b": {"c": 4}, "b-c": 2, "bc": 3}}})
    );
    assert_eq!(above.document.fields, fields(&[("a", Integer(5))]));
}

#[test]
fn null_removes_the_subtree() {
    let document = after(&[telemetry(
        1,
        &[("a.b", Integer(1)), ("a.c.d", Integer(2)), ("ab", Integer(3))],
    )]);
    let removed = change(&document, &telemetry(2, &[("a", Scalar::Null)]));
    assert_eq!(changed(&removed), ["fields.a.b", "fields.a.c.d"]);
    assert_eq!(removed.document.fields, fields(&[("ab", Integer(3))]));
    times(&removed.document, &telemetry(3, &[("a", Scalar::Null)]));
}

#[test]
fn a_dot_inside_a_name_is_no_step() {
    let document = after(&[telemetry(1, &[(r"a\.b", Integer(1))])]);
    let more = change(&document, &telemetry(2, &[("a", Integer(2))]));
    assert_eq!(changed(&more), ["fields.a"]);
    let other = change(&more.document, &telemetry(3, &[(r"a\.b", Integer(3))]));
    assert_eq!(changed(&other), [r"fields.a\.b"]);
    assert_eq!(before(&other), json!({"fields": {"a.b": 1}}));
}

#[test]
fn late_telemetry_fills_only_gaps() {
    let document = after(&[telemetry(9, &[("a.b", Integer(1)), ("c", Integer(2))])]);
    let late = telemetry(
        5,
        &[
            ("a", Integer(3)),
            ("c", Integer(4)),
            ("c.d", Integer(5)),
            ("e", Integer(6)),
        ],
    );
    assert!(super::super::is_late(Some(&document), &late));
    let filled = change(&document, &late);
    assert_eq!(changed(&filled), ["fields.e"]);
    assert_eq!(filled.document.fold.newest_telemetry_at, Some(9_000_000));
    times(
        &filled.document,
        &telemetry(4, &[("c", Scalar::Null), ("e", Integer(7))]),
    );
}

#[test]
fn an_event_of_the_newest_time_is_not_late() {
    let document = after(&[telemetry(9, &[("a", Integer(1))])]);
    assert_eq!(
        changed(&change(&document, &telemetry(9, &[("a", Integer(2))]))),
        ["fields.a"]
    );
}

#[test]
fn zero_and_minus_zero_are_one_value() {
    let document = after(&[telemetry(1, &[("a", Number(0.0))])]);
    let same = times(&document, &telemetry(2, &[("a", Number(-0.0))]));
    assert_eq!(same.fields, document.fields);
    assert!(matches!(same.fields.0["a"], Number(zero) if zero.is_sign_positive()));
}

#[test]
fn a_document_that_would_be_too_long_is_refused_and_the_event_remembered() {
    let limits = Limits {
        document_bytes_max: 1_000,
        ..Limits::default()
    };
    let document = after(&[telemetry(1, &[("a", text("short"))])]);
    let big = telemetry(2, &[("b", text(&"x".repeat(1_000)))]);
    let Outcome::Refused {
        reason,
        document: Some(kept),
    } = fold(Some(&document), &big, &limits)
    else {
        panic!("not refused");
    };
    assert!(reason.contains("may have 1000"), "{reason}");
    assert_eq!((&kept.fields, kept.version), (&document.fields, document.version));
    assert_eq!(kept.last_seen_at, Some(3_000_000));
    assert_eq!(fold(Some(&kept), &big, &limits), Outcome::Nothing);
    assert!(matches!(
        fold(None, &big, &limits),
        Outcome::Refused { document: None, .. }
    ));
}

#[test]
fn a_full_document_can_still_shrink_and_go_offline() {
    let limits = Limits {
        document_bytes_max: 1_000,
        ..Limits::default()
    };
    let document = after(&[telemetry(1, &[("b", text(&"x".repeat(2_000)))])]);
    let shrunk = fold(
        Some(&document),
        &telemetry(2, &[("b", text(&"x".repeat(1_500)))]),
        &limits,
    );
    assert!(matches!(shrunk, Outcome::Changed(_)));
    let offline = fold(
        Some(&document),
        &silence(600, schemas::event::Status::Offline),
        &limits,
    );
    assert!(matches!(offline, Outcome::Changed(_)));
}

#[test]
fn a_deleted_device_is_gone_and_an_unknown_one_cannot_go() {
    let document = after(&[device(1, "Bus")]);
    assert_eq!(
        fold(Some(&document), &event(2, Body::Deleted), &Limits::default()),
        Outcome::Deleted
    );
    assert_eq!(
        fold(None, &event(2, Body::Deleted), &Limits::default()),
        Outcome::Nothing
    );
}

#[test]
fn the_head_is_replaced_by_member() {
    let mut event = device(1, "Bus");
    let Body::Device(head) = &mut event.body else {
        unreachable!()
    };
    head.tags = Some(vec!["red".into()]);
    head.attributes = Some(r#"{"doors":3}"#.into());
    let document = after(&[event]);
    let renamed = change(&document, &device(2, "Bus 14"));
    assert_eq!(changed(&renamed), ["name"]);
    assert_eq!(before(&renamed), json!({"name": "Bus"}));
    assert_eq!(renamed.document.tags, document.tags);
    assert_eq!(renamed.document.attributes, document.attributes);
}
