//! Frames that the documents of the dialects print, and whether what the server sends is the same: every
//! member there, under its name, of its type.

use std::path::PathBuf;

use serde_json::Value;

/// Stands for any text in a fixture.
const ANY: &str = "...";

/// The fixture `tests/fixtures/<dialect>/<name>.json`.
#[must_use]
pub fn fixture(dialect: &str, name: &str) -> Value {
    serde_json::from_str(&text(dialect, &format!("{name}.json"))).expect("a fixture is JSON")
}

/// The fixture `tests/fixtures/<dialect>/<file>` as it stands.
#[must_use]
pub fn text(dialect: &str, file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let path = path.join(dialect).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Panics unless `frame` has the members of the fixture, no others but `extra` (dotted paths), and each of
/// the same type. Fixed words, such as the type of a frame, are the same too: `words` names their members.
pub fn assert_like(dialect: &str, name: &str, frame: &Value, words: &[&str], extra: &[&str]) {
    let fixture = fixture(dialect, name);
    let mut mistakes = Vec::new();
    compare(&fixture, frame, "", extra, &mut mistakes);
    for word in words {
        let pointer = format!("/{}", word.replace('.', "/"));
        if fixture.pointer(&pointer) != frame.pointer(&pointer) {
            mistakes.push(format!("{word} is another word"));
        }
    }
    assert!(mistakes.is_empty(), "{dialect}/{name}: {mistakes:?} in {frame}");
}

fn compare(fixture: &Value, frame: &Value, path: &str, extra: &[&str], mistakes: &mut Vec<String>) {
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match (fixture, frame) {
        (Value::Object(fixture), Value::Object(frame)) => {
            for (name, value) in fixture {
                match frame.get(name) {
                    Some(found) => compare(value, found, &below(name), extra, mistakes),
                    None => mistakes.push(format!("{} is missing", below(name))),
                }
            }
            for name in frame.keys().filter(|name| !fixture.contains_key(*name)) {
                // An empty object in a fixture stands for any members.
                if !fixture.is_empty() && !extra.contains(&below(name).as_str()) {
                    mistakes.push(format!("{} should not be there", below(name)));
                }
            }
        }
        (Value::Array(fixture), Value::Array(frame)) => {
            // An empty list in a fixture stands for any.
            if let Some(value) = fixture.first() {
                // Of numbers it is a point; of anything else there may be as many as there are.
                if frame.is_empty() || (value.is_number() && fixture.len() != frame.len()) {
                    mistakes.push(format!("{path} has {} elements", frame.len()));
                }
                for found in frame {
                    compare(value, found, &below("[]"), extra, mistakes);
                }
            }
        }
        (Value::String(text), Value::String(_)) if text == ANY => {}
        _ if kind(fixture) != kind(frame) => mistakes.push(format!("{path} is {}", kind(frame))),
        _ => {}
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mistakes(frame: &Value) -> Vec<String> {
        let mut mistakes = Vec::new();
        let fixture =
            json!({"type": "x", "n": 1, "data": {"at": "..."}, "of": ["a"], "point": [1.5, 2.5], "any": []});
        compare(&fixture, frame, "", &["cursor"], &mut mistakes);
        mistakes
    }

    #[test]
    fn a_member_that_is_missing_renamed_or_of_another_type_is_found() {
        let good = json!({"type": "x", "n": 2, "data": {"at": "now"}, "of": ["b", "c"], "point": [3.5, 4.5], "any": [1],
            "cursor": "c"});
        assert_eq!(mistakes(&good), [""; 0]);
        for (name, value) in [
            ("n", None),
            ("n", Some(json!("2"))),
            ("n", Some(json!(2.5))),
            ("more", Some(json!(1))),
            ("data", Some(json!({"time": "now"}))),
            ("of", Some(json!([]))),
            ("of", Some(json!(["b", 1]))),
            ("point", Some(json!([3.5]))),
            ("point", Some(json!([3.5, 4.5, 5.5]))),
            ("any", Some(json!({}))),
        ] {
            let mut bad = good.clone();
            let members = bad.as_object_mut().expect("an object");
            match value {
                Some(value) => drop(members.insert(name.to_owned(), value)),
                None => drop(members.remove(name)),
            }
            assert!(!mistakes(&bad).is_empty(), "{bad}");
        }
    }
}
