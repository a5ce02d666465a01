//! Members that hold JSON as text.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::DecodeError;

/// Takes JSON text from a record: it must be JSON, and comes out on one line, because readers paste it
/// into frames where a line break would end the frame.
pub(super) fn checked(member: &'static str, text: &str) -> Result<Box<str>, DecodeError> {
    compact(text)
        .map(Cow::into_owned)
        .map(String::into_boxed_str)
        .map_err(|error| {
            let start: String = text.chars().take(40).collect();
            DecodeError::member(member, format!("{start:?} is not JSON text: {error}"))
        })
}

pub(super) fn checked_option(
    member: &'static str,
    text: Option<&str>,
) -> Result<Option<Box<str>>, DecodeError> {
    text.map(|text| checked(member, text)).transpose()
}

/// The text itself where it is good as it is.
pub(super) fn compact(text: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    // A raw line break cannot stand within a string, so it can only be layout.
    if text.contains(['\n', '\r']) {
        return serde_json::from_str::<Value>(text).map(|value| Cow::Owned(value.to_string()));
    }
    serde_json::from_str::<IgnoredAny>(text).map(|_| Cow::Borrowed(text))
}
