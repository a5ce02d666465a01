//! What an index may conclude.

use proptest::prelude::*;
use query::{Filter, IndexHint};

use crate::json::Document;
use crate::strategies::{before, document, expr};

fn hint(filter: &str) -> IndexHint {
    filter.parse::<Filter>().expect("a filter").hint().clone()
}

fn devices(filter: &str) -> Option<Vec<String>> {
    let hint = hint(filter);
    let devices = hint.devices()?;
    Some(devices.iter().map(ToString::to_string).collect())
}

#[test]
fn a_comparison_with_an_id_names_the_device() {
    assert_eq!(devices("id = \"bus-14\""), Some(vec!["bus-14".to_owned()]));
    assert_eq!(
        devices("\"bus-14\" = id and speed > 80"),
        Some(vec!["bus-14".to_owned()])
    );
    assert_eq!(devices("not id != \"a\""), Some(vec!["a".to_owned()]));
}

#[test]
fn alternatives_name_all_of_theirs() {
    let both = Some(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(devices("id = \"a\" or id = \"b\" and speed > 1"), both);
    assert_eq!(devices("not (id != \"a\" and id != \"b\")"), both);
    assert_eq!(
        devices("(id = \"a\" or id = \"b\") and id = \"b\""),
        Some(vec!["b".to_owned()])
    );
}

#[test]
fn nothing_is_concluded_where_any_device_may_match() {
    for filter in [
        "speed > 80",
        "id = \"a\" or speed > 80",
        "not id = \"a\"",
        "@id = \"a\"",
        "id > \"a\"",
        "location.id = \"a\"",
        // A text that says a time equals other texts of the same time, and times.
        "id = \"2025-05-01T00:00:00Z\"",
    ] {
        assert_eq!(devices(filter), None, "{filter}");
    }
}

#[test]
fn texts_of_other_fields_are_concluded_too() {
    let hint = hint("site_id = \"s1\" and zone.name = \"Room #1\" and tenant = \"t\" and n = 5");
    let texts: Vec<_> = hint
        .texts()
        .map(|(field, texts)| format!("{field} {texts:?}"))
        .collect();
    assert_eq!(
        texts,
        [
            "tenant {\"t\"}",
            "site_id {\"s1\"}",
            "fields.zone.name {\"Room #1\"}"
        ]
    );
    assert_eq!(hint.tenants().unwrap().len(), 1);
    assert!(!hint.is_never());
}

#[test]
fn a_contradiction_matches_nothing() {
    assert!(hint("id = \"a\" and id = \"b\"").is_never());
    // And adds nothing to what else may hold.
    assert_eq!(
        devices("id = \"a\" and id = \"b\" or id = \"c\""),
        Some(vec!["c".to_owned()])
    );
}

#[test]
fn what_is_read_is_listed() {
    let filter: Filter = "not @net.up and net.up and update_time - @update_time > 300 and fields.x = 1"
        .parse()
        .unwrap();
    let names = |fields: &mut dyn Iterator<Item = &query::Field>| {
        fields.map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        names(&mut filter.fields().iter()),
        "fields.net.up updated_at fields.x"
    );
    assert_eq!(
        names(&mut filter.fields_after()),
        "fields.net.up updated_at fields.x"
    );
    assert_eq!(names(&mut filter.fields_before()), "fields.net.up updated_at");
    assert!(filter.uses_previous());
    assert!(!"net.up".parse::<Filter>().unwrap().uses_previous());
}

/// Demands of a text, alone or one of several.
const DEMANDS: &[&str] = &[
    "zone.name = \"Room #1\"",
    "a = \"b\"",
    "not b != \"a\"",
    "(a = \"a\" or a = \"b\")",
];

/// Whether what the hint concludes is so.
fn holds(filter: &Filter, before: &Document, after: &Document) -> bool {
    use query::{Fields as _, Value};
    let is_possible = filter
        .hint()
        .texts()
        .all(|(field, texts)| matches!(after.value(field), Value::Text(text) if texts.contains(text)));
    is_possible || !filter.matches(after, before)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_device_without_the_texts_never_matches(
        expr in expr(), before in before(), after in document(),
    ) {
        let filter = Filter::new(&expr);
        prop_assert!(holds(&filter, &Document(before), &Document(after)), "{filter}");
    }

    /// Of most filters nothing is concluded; of these something is, whatever else they say.
    #[test]
    fn a_device_without_a_text_that_is_demanded_never_matches(
        demand in prop::sample::select(DEMANDS), expr in expr(), before in before(), after in document(),
    ) {
        let other = Filter::new(&expr);
        // Together they may be longer or deeper than a filter may be.
        let Ok(filter) = format!("{demand} and ({})", other.text()).parse::<Filter>() else {
            return Ok(());
        };
        let concludes = filter.hint().is_never() || filter.hint().texts().next().is_some();
        prop_assert!(concludes, "nothing is concluded from {filter}");
        prop_assert!(holds(&filter, &Document(before), &Document(after)), "{filter}");
    }
}
