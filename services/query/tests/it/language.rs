//! What filters mean, rule by rule.

use serde_json::json;

use crate::json::{Document, matches};

/// Whether `filter` holds of a device that reports `fields`.
fn holds(filter: &str, fields: serde_json::Value) -> bool {
    let document = Document::of(fields);
    matches(filter, &document, &document)
}

/// Whether `filter` holds of a device without anything.
fn holds_of_nothing(filter: &str) -> bool {
    holds(filter, json!({}))
}

#[test]
fn not_binds_tightest_then_and_then_or() {
    assert!(holds("a or b and c", json!({ "a": 1 })));
    assert!(!holds("(a or b) and c", json!({ "a": 1 })));
    assert!(!holds("not a and b", json!({ "a": 1, "b": 1 })));
    assert!(!holds("not (a or b) and c", json!({ "a": 1, "c": 1 })));
    assert!(holds("not a = 1 or b", json!({ "a": 2 })));
    assert!(!holds("not a = 1", json!({ "a": 1 })));
}

#[test]
fn words_are_read_in_any_case_and_names_are_not() {
    assert!(holds("a AND NoT B oR c", json!({ "a": 1, "b": 1 })));
    assert!(!holds("A", json!({ "a": 1 })));
}

#[test]
fn a_path_alone_is_its_truth() {
    for truth in [
        json!(true),
        json!(0),
        json!(0.0),
        json!(""),
        json!("false"),
        json!([]),
        json!({}),
    ] {
        assert!(holds("a", json!({ "a": truth })), "{truth}");
        assert!(!holds("not a", json!({ "a": truth })), "{truth}");
    }
    for untruth in [json!(false), json!(null)] {
        assert!(!holds("a", json!({ "a": untruth })), "{untruth}");
        assert!(holds("not a", json!({ "a": untruth })), "{untruth}");
    }
    assert!(!holds_of_nothing("a"));
    assert!(holds_of_nothing("not a"));
    assert!(holds("(a)", json!({ "a": 1 })));
}

#[test]
fn numbers_compare_whatever_their_form() {
    assert!(holds(
        "a = 1.0 and a >= 1 and a < 1.5 and a != 2",
        json!({ "a": 1 })
    ));
    assert!(holds("a = 1 and a <= 1.0", json!({ "a": 1.0 })));
    assert!(holds("-1 < a and a < -0.5", json!({ "a": -0.75 })));
    assert!(holds("a = b", json!({ "a": 2, "b": 2.0 })));
}

#[test]
fn large_numbers_compare_exactly() {
    let two_53 = 9_007_199_254_740_992_i64;
    assert!(holds("a > 9007199254740992.0", json!({ "a": two_53 + 1 })));
    assert!(!holds(
        "a = 9007199254740993",
        json!({ "a": 9_007_199_254_740_992.0 })
    ));
    assert!(holds(
        "a < 9007199254740993",
        json!({ "a": 9_007_199_254_740_992.0 })
    ));
    assert!(holds(
        "a < b",
        json!({ "a": i64::MAX, "b": 9_223_372_036_854_775_808.0 })
    ));
}

#[test]
fn texts_compare_by_their_characters() {
    assert!(holds("a = \"Room #1\"", json!({ "a": "Room #1" })));
    assert!(!holds("a = \"room #1\"", json!({ "a": "Room #1" })));
    assert!(holds("a < \"b\" and a > \"B\"", json!({ "a": "a" })));
    assert!(holds("\"10\" < \"9\"", json!({})));
    assert!(holds(
        "a = \"say \\\"x\\\" \\\\\"",
        json!({ "a": "say \"x\" \\" })
    ));
}

#[test]
fn booleans_are_equal_or_not_and_have_no_order() {
    assert!(holds(
        "a = b and a != c",
        json!({ "a": true, "b": true, "c": false })
    ));
    assert!(!holds(
        "c < a or c <= a or c > a or a >= b",
        json!({ "a": true, "b": true, "c": false })
    ));
}

#[test]
fn different_types_differ_and_have_no_order() {
    for value in [
        json!("1"),
        json!(true),
        json!(null),
        json!([1]),
        json!({ "x": 1 }),
    ] {
        let fields = json!({ "a": value });
        assert!(holds("a != 1 and 1 != a", fields.clone()), "{value}");
        assert!(
            !holds("a = 1 or a < 1 or a <= 1 or a > 1 or a >= 1", fields),
            "{value}"
        );
    }
    assert!(holds_of_nothing("a != 1 and a != \"\" and a != b"));
    assert!(!holds_of_nothing("a = b or a <= b or a >= b"));
    // A time is no text that does not say one.
    assert!(holds("a != 2025-05-01T00:00:00Z", json!({ "a": "yesterday" })));
}

#[test]
fn times_compare_with_times_and_with_texts_that_say_one() {
    let fields = json!({ "a": "2025-05-01T02:00:00+02:00" });
    assert!(holds("a = 2025-05-01T00:00:00Z", fields.clone()));
    assert!(holds(
        "a > 2025-04-30T23:59:59.999Z and a <= 2025-05-01T00:00:00Z",
        fields.clone()
    ));
    // Two texts are texts.
    assert!(!holds("a = \"2025-05-01T00:00:00Z\"", fields));
    let document =
        Document::parse(r#"{"updated_at":"2025-05-01T00:00:00Z","fields":{"t":"2025-05-01T00:00:01Z"}}"#);
    assert!(matches(
        "update_time < t and update_time = \"2025-05-01T02:00:00+02:00\"",
        &document,
        &document
    ));
}

#[test]
fn durations_compare_with_durations_and_with_seconds() {
    assert!(holds_of_nothing(
        "1h6m = 3960s and 1d > 23h and 1m = 60 and 90.5 > 1m30s"
    ));
    assert!(holds("a > 5m and a <= 301s", json!({ "a": 301 })));
    assert!(holds("a < 5m and a != 5m", json!({ "a": 299.5 })));
    assert!(!holds("a = 5m", json!({ "a": "5m" })));
}

#[test]
fn sums_are_taken_from_left_to_right() {
    assert!(holds("a - 2 - 1 = 7 and a - (2 - 1) = 9", json!({ "a": 10 })));
    assert!(holds("a-1 = 9 and a - -1 = 11 and a+-1 = 9", json!({ "a": 10 })));
    assert!(holds("a + 0.5 = 10.5", json!({ "a": 10 })));
    assert!(holds("(a + b) > 5 and (a) = 3", json!({ "a": 3, "b": 3 })));
}

#[test]
fn times_and_durations_add_up() {
    let fields = json!({ "a": "2025-05-01T00:00:00Z", "b": "2025-05-01T01:00:00Z" });
    assert!(holds(
        "a + 1h = 2025-05-01T01:00:00Z and 1h + a - 30m < b",
        fields.clone()
    ));
    assert!(holds(
        "b - a = 1h and b - a = 3600 and b - a - 30m = 30m",
        fields.clone()
    ));
    assert!(holds("2025-05-01T02:00:00Z - b = 1h", fields.clone()));
    assert!(holds("a + (b - a) = 2025-05-01T01:00:00Z", fields));
}

#[test]
fn a_sum_without_value_compares_with_nothing() {
    let fields = json!({ "n": i64::MAX, "t": "2025-05-01T00:00:00Z", "x": "text", "f": 1.7e308, "b": true });
    for sum in [
        "n + 1",
        "0 - n - 2",
        "t + t",
        "x + 1",
        "x - x",
        "f + f",
        "b + 1",
        "t + n",
        "5m - t",
        "t + 1.5",
    ] {
        for comparison in ["=", "!=", "<", "<=", ">", ">="] {
            let filter = format!("{sum} {comparison} 5");
            assert!(!holds(&filter, fields.clone()), "{filter}");
        }
    }
    assert!(!holds_of_nothing("9223372036854775807 + 1 != 5"));
}

#[test]
fn a_sum_with_something_absent_is_absent() {
    assert!(holds_of_nothing("a + 1 != 5 and 1 - a != 5"));
    assert!(!holds_of_nothing("a + 1 = 1 or a - 1 < 5 or a - a = 0"));
}

#[test]
fn the_value_before_is_that_of_the_other_document() {
    let (low, high) = (Document::of(json!({ "a": 1 })), Document::of(json!({ "a": 9 })));
    assert!(matches("@a < 5 and a > 5 and a - @a = 8", &low, &high));
    assert!(!matches("@a < 5 and a > 5", &high, &high));
}

#[test]
fn a_device_seen_for_the_first_time_had_nothing_before() {
    let filter = "not @network.is_connected and network.is_connected";
    let on = Document::of(json!({ "network": { "is_connected": true } }));
    assert!(matches(filter, &Document(json!(null)), &on));
    assert!(!matches(filter, &on, &on));
    assert!(!matches(
        "update_time - @update_time > 0",
        &Document(json!(null)),
        &on
    ));
}

#[test]
fn members_of_the_head_are_found_there_and_everything_else_in_the_fields() {
    let document = Document::parse(
        r#"{"id":"bus-14","location":{"name":"depot"},"updated_at":"2025-05-01T00:00:00Z",
            "fields":{"id":"reported","lock":5,"speed":7,"fields":{"x":1}}}"#,
    );
    for filter in [
        "id = \"bus-14\"",
        "location.name = \"depot\"",
        "fields.id = \"reported\"",
        "speed = 7 and fields.speed = 7",
        "fields.fields.x = 1",
        "update_time = updated_at",
        // In the head's list, though this document has none.
        "not lock and fields.lock = 5",
        "not name",
    ] {
        assert!(matches(filter, &document, &document), "{filter}");
    }
}

#[test]
fn backquotes_hold_any_name() {
    let fields =
        json!({ "my-field": 1, "a.b": 2, "": 3, "not": { "x": 4 }, "`\\": 5, "true": 6, "größe": 7 });
    for filter in [
        "`my-field` = 1",
        "`a.b` = 2",
        "`` = 3",
        "`not`.x = 4",
        "`\\`\\\\` = 5",
        "`true` = 6 and fields.true = 6",
        "`größe` = 7",
        "fields.`my-field` = 1",
    ] {
        assert!(holds(filter, fields.clone()), "{filter}");
    }
    assert!(holds("my-field = 1", json!({ "my": 3, "field": 2 })));
}

#[test]
fn ranges_of_one_field_hold_together() {
    let within = "a > 1 and a < 5 and a >= 2 and a != 3";
    for (value, expected) in [
        (json!(1), false),
        (json!(2), true),
        (json!(3), false),
        (json!(4.5), true),
        (json!(5), false),
    ] {
        assert_eq!(holds(within, json!({ "a": value })), expected, "{value}");
    }
    // Above one whole number and below the next there are other numbers.
    assert!(holds("a > 1 and a < 2", json!({ "a": 1.5 })));
    assert!(!holds("a > 2 and a < 1", json!({ "a": 1.5 })));
    assert!(holds("not (a > 2 and a < 1)", json!({ "a": 1.5 })));
    let (before, after) = (Document::of(json!({ "a": 9 })), Document::of(json!({ "a": 1 })));
    assert!(matches("a < 5 and @a > 5", &before, &after));
}
