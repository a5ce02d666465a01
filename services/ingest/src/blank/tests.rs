use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn values_behind_telling_names_go_whatever_they_are() {
    let text = r#"{"device":"d","password":"p1","API_Key" : 12,"x":{"authToken":{"a":["}"]}},"ok":true}"#;
    assert_eq!(
        blank(text, &[]),
        r#"{"device":"d","password":"***","API_Key" : "***","x":{"authToken":"***"},"ok":true}"#
    );
}

#[test]
fn the_senders_own_secrets_go() {
    let text = r#"{"input":{"pin":"1234","user":"root"}}"#;
    assert_eq!(
        blank(text, &["pin".to_owned()]),
        r#"{"input":{"pin":"***","user":"root"}}"#
    );
}

#[test]
fn an_escaped_name_is_still_that_name() {
    assert_eq!(
        blank(r#"{"p\u0061ssword":"x"}"#, &[]),
        r#"{"p\u0061ssword":"***"}"#
    );
}

#[test]
fn a_value_that_is_cut_goes_to_the_end() {
    for text in [
        r#"{"password":"abc"#,
        r#"{"secret":{"a":["abc","#,
        r#"{"token":12abc"#,
        r#"{"token": "abc\""#,
    ] {
        assert!(!blank(text, &[]).contains("abc"), "{text}");
    }
}

#[test]
fn what_is_no_json_is_blanked_too() {
    for text in [
        "device=a&token=abc&x=1",
        "Authorization: Bearer abc\nx",
        "{'password': 'abc', 'x': 1}",
        "{password: \"abc\", x: 1}",
        "{\"url\":\"https://x/?token=abc&y=1\"}",
    ] {
        let blanked = blank(text, &[]);
        assert!(!blanked.contains("abc"), "{blanked}");
        assert!(blanked.contains('x'), "{blanked}");
    }
}

#[test]
fn what_is_no_secret_stays() {
    let text = r#"{"device":"bus-14","kind":"telemetry","fields":{"speed":1.5,"note":"a: b"}} tail"#;
    assert_eq!(blank(text, &[]), text);
}

#[test]
fn an_excerpt_is_at_most_so_long_and_whole_characters() {
    let text = "ä".repeat(5_000);
    assert_eq!(excerpt(&text, &[], 4_097), "ä".repeat(2_048));
    // Blanks may be longer than what they blank.
    let text = r#"{"token":1,"token":1,"token":1}"#;
    assert!(excerpt(text, &[], 20).len() <= 20);
}

fn secretive() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"password": "S3CR3T"})),
        Just(json!({"x-api-key": ["S3CR3T", {"a": "S3CR3T"}]})),
        Just(json!("plain \" \\ text")),
        any::<i32>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z\"\\\\: ]{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_stays_json_and_keeps_no_secret(value in secretive()) {
        let blanked = blank(&value.to_string(), &[]);
        prop_assert!(!blanked.contains("S3CR3T"));
        prop_assert!(serde_json::from_str::<Value>(&blanked).is_ok(), "{}", blanked);
    }

    #[test]
    fn no_excerpt_keeps_a_secret(value in secretive(), cut: prop::sample::Index) {
        let text = value.to_string();
        let excerpt = excerpt(&text, &[], cut.index(text.len() + 1));
        prop_assert!(!excerpt.contains("S3C"));
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        drop(blank(&text, &[]));
    }
}

#[test]
fn what_a_broken_text_calls_secret_is_blanked_too() {
    let broken = r#"{"kind":"command","secret": ["pin", "a\"b"],"input":{"pin":"1234","x":1},"#;
    assert_eq!(named_secrets(broken), ["pin", "a\"b"]);
    let kept = blank(broken, &named_secrets(broken));
    assert!(!kept.contains("1234") && kept.contains("\"x\":1"), "{kept}");
    for text in [
        "",
        "\"secret\"",
        "\"secret\":",
        "\"secret\":\"x\"",
        "\"secret\":[",
        "\"secret\":[\"",
        "\"secret\":[]",
    ] {
        assert!(named_secrets(text).iter().all(String::is_empty), "{text}");
    }
}

#[test]
fn a_reason_says_nothing_of_the_value_of_a_secret() {
    let no_names: &[String] = &[];
    assert_eq!(
        reason(r#""code" must be a string, not the number 1234"#, no_names),
        r#""code" must be a string, not what came"#
    );
    let named = ["pin".to_owned()];
    assert_eq!(
        reason(r#""pin" must be a number, not the string "hunter2""#, &named),
        r#""pin" must be a number, not what came"#
    );
    let plain = r#""level" must be a string, not the number 7"#;
    assert_eq!(reason(plain, no_names), plain);
}
