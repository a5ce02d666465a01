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

/// JSON text with every sealed secret replaced by the mask.
pub(super) fn masked(json: &str) -> Cow<'_, str> {
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
    use super::masked;

    #[test]
    fn a_sealed_secret_is_masked_wherever_it_stands() {
        let json = r#"{"user":"a","password":{"$sealed":"c2Vj"},"more":[{"pin":{"$sealed":"x"}}]}"#;
        assert_eq!(
            masked(json),
            r#"{"user":"a","password":"********","more":[{"pin":"********"}]}"#
        );
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
