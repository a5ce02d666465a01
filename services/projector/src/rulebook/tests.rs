use journal::Headers;
use query::{Field, Value};

use super::*;

fn rule(when: &str, close_when: Option<&str>) -> Rule {
    Rule {
        tenant: "acme".into(),
        id: "hot".into(),
        when: when.into(),
        close_when: close_when.map(Into::into),
        alert_type: "HOT".into(),
        severity: 2,
        summary: "too hot".into(),
    }
}

fn record(offset: Offset, key: &str, value: Option<&Control>) -> Record {
    Record {
        offset,
        timestamp_ms: 0,
        key: key.into(),
        value: value.map(Control::encode),
        headers: Headers::default(),
    }
}

fn put(offset: Offset, when: &str) -> Record {
    record(offset, "rule/acme/hot", Some(&Control::Rule(rule(when, None))))
}

/// A device with one field, `x`.
struct X(Option<i64>);

impl Fields for X {
    fn value(&self, field: &Field) -> Value<'_> {
        match self.0 {
            Some(x) if field.key() == Some("x") => Value::Integer(x),
            Some(_) | None => Value::Absent,
        }
    }

    fn is_container(&self, _: &Field) -> bool {
        false
    }
}

fn alert_rule(when: &str, close_when: Option<&str>) -> AlertRule {
    AlertRule::new(rule(when, close_when), 0)
}

#[test]
fn the_last_record_of_a_rule_is_in_force_and_a_tombstone_ends_it() {
    let mut book = Rulebook::default();
    book.apply(&put(3, "x > 1"));
    book.apply(&put(5, "x > 2"));
    let known = &book.of("acme").unwrap()["hot"];
    assert_eq!((&*known.rule.when, known.offset), ("x > 2", 5));
    assert_eq!((book.next(), book.changed()), (6, 6));
    book.apply(&record(6, "rule/acme/hot", None));
    assert!(book.of("acme").is_none());
    assert_eq!(book.changed(), 7);
}

#[test]
fn records_of_other_kinds_move_the_position_alone() {
    let mut book = Rulebook::default();
    book.apply(&record(4, "token/abc", None));
    assert_eq!((book.next(), book.changed()), (5, 0));
}

#[test]
fn a_book_knows_whose_rules_changed_also_when_none_is_left() {
    let mut book = Rulebook::default();
    book.apply(&put(3, "x > 1"));
    assert_eq!(book.changed_since(0), ["acme".into()]);
    assert!(book.changed_since(book.changed()).is_empty());
    book.apply(&record(6, "rule/acme/hot", None));
    book.apply(&record(7, "token/abc", None));
    assert_eq!(book.changed_since(4), ["acme".into()]);
    assert!(book.changed_since(7).is_empty());
}

#[test]
fn a_rule_that_cannot_be_read_opens_nothing_and_ends_nothing() {
    let mut book = Rulebook::default();
    book.apply(&put(1, "x >"));
    let known = &book.of("acme").unwrap()["hot"];
    assert!(!known.opens(None, &X(Some(5))) && !known.ends(None, &X(None), false));
    let foreign = Record {
        value: Some(bytes::Bytes::from_static(b"nonsense")),
        ..put(2, "x > 1")
    };
    book.apply(&foreign);
    assert!(!book.of("acme").unwrap()["hot"].opens(None, &X(Some(5))));
}

#[test]
fn a_rule_of_state_opens_when_it_becomes_true_and_ends_when_it_is_false() {
    let rule = alert_rule("x > 5", None);
    assert!(rule.opens(None, &X(Some(6))));
    assert!(rule.opens(Some(&X(Some(5))), &X(Some(6))));
    assert!(!rule.opens(Some(&X(Some(6))), &X(Some(7))));
    assert!(!rule.ends(Some(&X(Some(5))), &X(Some(6)), true));
    assert!(rule.ends(Some(&X(Some(6))), &X(Some(5)), false));
    assert!(rule.ends(Some(&X(Some(5))), &X(Some(5)), true));
}

#[test]
fn a_device_that_was_not_there_satisfied_nothing() {
    let rule = alert_rule("not x", None);
    assert!(rule.opens(None, &X(None)));
    assert!(!rule.opens(Some(&X(None)), &X(None)));
}

#[test]
fn close_when_ends_an_alert_of_state_early() {
    let rule = alert_rule("x > 5", Some("x > 9"));
    assert!(rule.opens(None, &X(Some(6))));
    assert!(rule.ends(Some(&X(Some(6))), &X(Some(10)), false));
    assert!(!rule.opens(None, &X(Some(10))));
    assert!(rule.holds(&X(Some(6))) && !rule.holds(&X(Some(10))));
}

#[test]
fn a_rule_of_change_opens_with_each_change_and_ends_with_the_next_that_is_another() {
    let rule = alert_rule("x > @x", None);
    assert!(rule.opens(Some(&X(Some(1))), &X(Some(2))));
    assert!(rule.opens(Some(&X(Some(2))), &X(Some(3))));
    assert!(
        !rule.opens(None, &X(Some(3))),
        "nothing was there to compare with"
    );
    // The alert's own step is no change of that kind.
    assert!(!rule.ends(Some(&X(Some(3))), &X(Some(3)), true));
    assert!(rule.ends(Some(&X(Some(3))), &X(Some(3)), false));
    assert!(!rule.holds(&X(Some(3))));
}

#[test]
fn close_when_alone_ends_an_alert_of_change() {
    let rule = alert_rule("x > @x", Some("x = 0"));
    assert!(!rule.ends(Some(&X(Some(3))), &X(Some(2)), false));
    assert!(rule.ends(Some(&X(Some(3))), &X(Some(0)), false));
    assert!(!rule.ends(Some(&X(Some(3))), &X(Some(0)), true));
}
