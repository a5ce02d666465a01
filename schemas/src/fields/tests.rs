use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{FlattenError, FlattenLimits, ancestors, escape, is_descendant, segments, unescape};
use crate::{Fields, Scalar, strategies};

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else {
        panic!("{value}")
    };
    object
}

fn flatten(value: Value) -> Fields {
    Fields::flatten(&object(value), &FlattenLimits::default()).unwrap()
}

fn paths(fields: &Fields) -> Vec<&str> {
    fields.0.keys().map(|path| &**path).collect()
}

fn written(fields: &Fields) -> String {
    let mut out = Vec::new();
    fields.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

fn members() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::btree_map(strategies::text(), strategies::json(), 0..5).prop_map(|members| {
        members
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect()
    })
}

proptest! {
    #[test]
    fn nesting_undoes_flattening(object in members()) {
        let flat = Fields::flatten(&object, &FlattenLimits::default()).unwrap();
        prop_assert_eq!(flat.nest(), Value::Object(object));
    }

    #[test]
    fn the_writer_writes_what_nesting_gives(object in members()) {
        let flat = Fields::flatten(&object, &FlattenLimits::default()).unwrap();
        let text = written(&flat);
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), flat.nest());
    }

    #[test]
    fn any_flat_map_is_written_as_it_is_nested(
        paths in proptest::collection::vec(proptest::collection::vec("[ab.!\\\\]{0,2}", 1..4), 0..8)
    ) {
        let path = |names: Vec<String>| names.iter().map(|name| escape(name)).collect::<Vec<_>>().join(".");
        let one = Scalar::Integer(1);
        let flat = Fields(paths.into_iter().map(|names| (path(names).into(), one.clone())).collect());
        let text = written(&flat);
        let nested = serde_json::from_str::<Value>(&text).unwrap();
        let twice = serde_json::to_string(&nested).unwrap();
        prop_assert_eq!(twice.len(), text.len(), "a name stands twice in {}", text);
    }

    #[test]
    fn a_name_survives_escaping(name: String) {
        let escaped = escape(&name);
        prop_assert_eq!(segments(&escaped).count(), 1);
        let back = unescape(&escaped).into_owned();
        prop_assert_eq!(&back, &name);
    }
}

#[test]
fn dots_and_backslashes_inside_names_are_escaped() {
    let flat = flatten(json!({"a.b": {"c\\d": 1}}));
    assert_eq!(paths(&flat), ["a\\.b.c\\\\d"]);
    assert_eq!(written(&flat), r#"{"a.b":{"c\\d":1}}"#);
}

#[test]
fn an_empty_name_is_a_name() {
    let flat = flatten(json!({"": 1, "a": {"": 2}}));
    assert_eq!(paths(&flat), ["", "a."]);
    assert_eq!(written(&flat), r#"{"":1,"a":{"":2}}"#);
}

#[test]
fn arrays_and_empty_objects_are_kept_as_text_and_restored() {
    let flat = flatten(json!({"a": [1, {"b": null}], "e": {}}));
    assert_eq!(flat.0["a"], Scalar::Json(r#"[1,{"b":null}]"#.into()));
    assert_eq!(flat.0["e"], Scalar::Json("{}".into()));
    assert_eq!(written(&flat), r#"{"a":[1,{"b":null}],"e":{}}"#);
}

#[test]
fn an_explicit_null_is_kept() {
    assert_eq!(flatten(json!({"a": {"b": null}})).0["a.b"], Scalar::Null);
}

#[test]
fn whole_numbers_beyond_63_bits_become_doubles() {
    let flat = flatten(json!({"max": i64::MAX, "more": i64::MAX.cast_unsigned() + 1}));
    assert_eq!(flat.0["max"], Scalar::Integer(i64::MAX));
    assert_eq!(flat.0["more"], Scalar::Number(9_223_372_036_854_775_808.0));
}

#[test]
fn names_that_sort_between_a_parent_and_its_children_do_not_split_it() {
    let flat = flatten(json!({"a": {"x": 1, "y": 2}, "a-b": 3, "a b": {"z": 4}}));
    assert_eq!(written(&flat), r#"{"a b":{"z":4},"a-b":3,"a":{"x":1,"y":2}}"#);
}

#[test]
fn a_value_gives_way_to_what_lies_below_it() {
    let entries = [("a", 1), ("a-b", 2), ("a.x", 3)];
    let flat = Fields(
        entries
            .map(|(path, value)| (path.into(), Scalar::Integer(value)))
            .into(),
    );
    assert_eq!(written(&flat), r#"{"a-b":2,"a":{"x":3}}"#);
    assert_eq!(flat.nest(), json!({"a-b": 2, "a": {"x": 3}}));
}

#[test]
fn a_number_that_is_not_finite_has_no_scalar() {
    assert_eq!(Scalar::number(f64::NAN), None);
    assert_eq!(Scalar::number(f64::INFINITY), None);
    assert_eq!(Scalar::number(0.5), Some(Scalar::Number(0.5)));
}

#[test]
fn limits_say_what_was_passed() {
    let limits = FlattenLimits {
        depth_max: 2,
        fields_max: 2,
        path_bytes_max: 5,
    };
    let refused = |value| Fields::flatten(&object(value), &limits).unwrap_err();
    assert!(Fields::flatten(&object(json!({"a": {"b": 1}, "c": [1]})), &limits).is_ok());
    assert!(matches!(
        refused(json!({"a": {"b": {"c": 1}}})),
        FlattenError::Depth { max: 2, .. }
    ));
    assert!(matches!(
        refused(json!({"a": {"b": [1]}})),
        FlattenError::Depth { max: 2, .. }
    ));
    assert!(matches!(
        refused(json!({"a": [[1]]})),
        FlattenError::Depth { max: 2, .. }
    ));
    assert_eq!(
        refused(json!({"a": 1, "b": 2, "c": 3})),
        FlattenError::Fields { max: 2 }
    );
    assert!(matches!(
        refused(json!({"abc": {"de": 1}})),
        FlattenError::Path { max: 5, .. }
    ));
}

#[test]
fn ancestors_are_proper_and_shortest_first() {
    let of = |path| ancestors(path).collect::<Vec<_>>();
    assert_eq!(of("a.b.c"), ["a", "a.b"]);
    assert_eq!(of("a\\.b.c"), ["a\\.b"]);
    assert_eq!(of("a\\\\.b"), ["a\\\\"]);
    assert_eq!(of("."), [""]);
    assert!(of("a").is_empty());
}

#[test]
fn a_descendant_lies_below_a_whole_name() {
    assert!(is_descendant("a.b", "a"));
    assert!(is_descendant("a.b.c", "a"));
    assert!(!is_descendant("a", "a"));
    assert!(!is_descendant("ab", "a"));
    assert!(!is_descendant("a\\.b", "a"));
}

#[test]
fn a_path_of_endless_names_nests_only_so_deep() {
    let flat = Fields([(".".repeat(100_000).into_boxed_str(), Scalar::Null)].into());
    assert_eq!(written(&flat).matches('{').count(), 128);
    assert!(flat.nest().is_object());
}
