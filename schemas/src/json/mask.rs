//! Secrets never leave as anything but a mask.
//!
//! A secret within a command's input is stored encrypted, as an object with the one member
//! [`SEALED`] whose value is the ciphertext. Everything that is written for clients passes here; only the
//! device's own socket opens the seal.

use std::borrow::Cow;

use serde_json::Value;

/// Name of the one member of the object that stands in a secret's place.
pub const SEALED: &str = "$sealed";

/// What clients see in a secret's place.
pub const MASK: &str = "********";

/// A member is a secret if its name has one of these in it, whatever its case.
const TELLING: [&str; 3] = ["password", "passwd", "passphrase"];

/// Puts what `replace` gives in the place of every secret within a command's input: passwords, and the
/// members that the sender names. Answers whether there was any.
///
/// # Errors
/// The first of `replace`.
pub fn replace_secrets<E>(
    input: &mut Value,
    named: &[Box<str>],
    replace: &mut dyn FnMut(&Value) -> Result<Value, E>,
) -> Result<bool, E> {
    let mut found = false;
    match input {
        Value::Object(members) => {
            for (name, member) in members {
                if !member.is_null() && is_secret(name, named) {
                    *member = replace(member)?;
                    found = true;
                } else {
                    found |= replace_secrets(member, named, replace)?;
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                found |= replace_secrets(item, named, replace)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(found)
}

fn is_secret(name: &str, named: &[Box<str>]) -> bool {
    let lower = name.to_ascii_lowercase();
    TELLING.iter().any(|telling| lower.contains(telling)) || named.iter().any(|secret| **secret == *name)
}

/// The ciphertext, if `value` is a sealed secret.
#[must_use]
pub fn sealed(value: &Value) -> Option<&str> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    members.get(SEALED)?.as_str()
}

/// JSON text with every sealed secret replaced by the mask.
pub fn masked(json: &str) -> Cow<'_, str> {
    // The name could also be spelled with escapes, but only we write it.
    if !json.contains(SEALED) {
        return Cow::Borrowed(json);
    }
    // Better to show nothing than what could not be read.
    let mut value = serde_json::from_str(json).unwrap_or_else(|_| Value::from(MASK));
    mask(&mut value);
    Cow::Owned(value.to_string())
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(object) if object.contains_key(SEALED) => *value = Value::from(MASK),
        Value::Object(object) => object.values_mut().for_each(mask),
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_sealed_secret_is_masked_wherever_it_stands() {
        let json = r#"{"user":"a","password":{"$sealed":"c2Vj"},"more":[{"pin":{"$sealed":"x"}}]}"#;
        assert_eq!(
            masked(json),
            r#"{"user":"a","password":"********","more":[{"pin":"********"}]}"#
        );
    }

    #[test]
    fn passwords_and_named_members_are_secrets_at_any_depth() {
        let mut input =
            json!({"Password": "a", "confirm_password": "b", "list": [{"pin": 1}], "pin": null, "user": "c"});
        let named = ["pin".into()];
        let found = replace_secrets(&mut input, &named, &mut |_| {
            Ok::<_, Infallible>(Value::from(MASK))
        });
        assert_eq!(found, Ok(true));
        let expected = json!({"Password": MASK, "confirm_password": MASK, "list": [{"pin": MASK}], "pin": null, "user": "c"});
        assert_eq!(input, expected);
        let mut plain = json!({"user": "c", "n": [1, {"m": "d"}]});
        let found = replace_secrets(&mut plain, &[], &mut |_| Ok::<_, Infallible>(Value::Null));
        assert_eq!(
            (found, plain),
            (Ok(false), json!({"user": "c", "n": [1, {"m": "d"}]}))
        );
    }

    #[test]
    fn a_sealed_secret_is_told_from_an_object_of_its_sender() {
        assert_eq!(sealed(&json!({"$sealed": "x"})), Some("x"));
        for other in [
            json!({"$sealed": 1}),
            json!({"$sealed": "x", "a": 1}),
            json!("x"),
            json!({}),
        ] {
            assert_eq!(sealed(&other), None, "{other}");
        }
    }

    #[test]
    fn what_has_no_secret_stays_as_it_is() {
        let json = r#"{"user": "a"}"#;
        assert!(matches!(masked(json), std::borrow::Cow::Borrowed(same) if same == json));
    }

    #[test]
    fn what_cannot_be_read_is_masked_whole() {
        assert_eq!(masked(r#"{"$sealed"#), r#""********""#);
    }
}
