//! Takes the members of an event that came in, one by one, each with its type.

use std::mem;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Limits;
use crate::Micros;

/// Why an event is refused; the message names the member and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidEvent {
    /// The member, such as `fields.a.b`; empty when it is the whole.
    pub member: String,
    /// For people.
    pub message: String,
}

impl InvalidEvent {
    pub(super) fn at(member: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            member: member.into(),
            message: message.into(),
        }
    }

    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self::at("", message)
    }
}

pub(super) struct Members<'a> {
    object: Map<String, Value>,
    pub(super) limits: &'a Limits,
}

impl<'a> Members<'a> {
    pub(super) const fn new(object: Map<String, Value>, limits: &'a Limits) -> Self {
        Self { object, limits }
    }

    /// The member, unless it is absent or null, which mean the same.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.object.swap_remove(name).filter(|value| !value.is_null())
    }

    /// The member, whose null means something.
    pub(super) fn take_nullable(&mut self, name: &str) -> Option<Value> {
        self.object.swap_remove(name)
    }

    /// The member as what `read` makes of it, or an error that says what was expected.
    fn take_as<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&mut Value) -> Option<T>,
    ) -> Result<Option<T>, InvalidEvent> {
        let Some(mut value) = self.take(name) else {
            return Ok(None);
        };
        match read(&mut value) {
            Some(read) => Ok(Some(read)),
            None => Err(wrong(name, expected, &value)),
        }
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<Box<str>>, InvalidEvent> {
        self.take_as(name, "a string", |value| {
            let Value::String(text) = value else { return None };
            Some(mem::take(text).into_boxed_str())
        })
    }

    /// A text that names something.
    pub(super) fn id(&mut self, name: &'static str) -> Result<Option<Box<str>>, InvalidEvent> {
        let max = self.limits.id_bytes_max;
        let Some(id) = self.text(name)? else {
            return Ok(None);
        };
        if id.is_empty() || id.len() > max {
            let found = id.len();
            return Err(InvalidEvent::at(
                name,
                format!("\"{name}\" must have 1 to {max} bytes, not {found}"),
            ));
        }
        if id.chars().any(char::is_control) {
            return Err(InvalidEvent::at(
                name,
                format!("\"{name}\" must not contain control characters"),
            ));
        }
        Ok(Some(id))
    }

    pub(super) fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, InvalidEvent> {
        self.take(name)
            .map(|value| {
                value
                    .as_bool()
                    .ok_or_else(|| wrong(name, "true or false", &value))
            })
            .transpose()
    }

    pub(super) fn integer(&mut self, name: &'static str) -> Result<Option<i64>, InvalidEvent> {
        self.take(name)
            .map(|value| {
                value
                    .as_i64()
                    .ok_or_else(|| wrong(name, "a whole number of at most 63 bits", &value))
            })
            .transpose()
    }

    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<f64>, InvalidEvent> {
        self.take_as(name, "a number", |value| value.as_f64())
    }

    pub(super) fn word<T>(
        &mut self,
        name: &'static str,
        words: &[&str],
        from_word: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, InvalidEvent> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let refuse = || {
            let known = words.join(", ");
            InvalidEvent::at(
                name,
                format!("\"{name}\" must be one of {known}, not {:?}", shorten(&text)),
            )
        };
        from_word(&text).map(Some).ok_or_else(refuse)
    }

    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<Micros>, InvalidEvent> {
        let example = "a time as RFC 3339 text such as \"2025-05-01T12:00:00.000Z\"";
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let Value::String(text) = &value else {
            let hint = if value.is_number() {
                " (milliseconds since 1970 must be converted)"
            } else {
                ""
            };
            let found = describe(&value);
            return Err(InvalidEvent::at(
                name,
                format!("\"{name}\" must be {example}, not {found}{hint}"),
            ));
        };
        text.parse::<Timestamp>()
            .map(|time| Some(time.as_microsecond()))
            .map_err(|_| {
                InvalidEvent::at(
                    name,
                    format!("\"{name}\" must be {example}, not {:?}", shorten(text)),
                )
            })
    }

    /// An object, as its compact text.
    pub(super) fn object_text(&mut self, name: &'static str) -> Result<Option<Box<str>>, InvalidEvent> {
        Ok(self
            .object(name)?
            .map(|object| Value::Object(object).to_string().into_boxed_str()))
    }

    pub(super) fn object(&mut self, name: &'static str) -> Result<Option<Map<String, Value>>, InvalidEvent> {
        self.take_as(name, "an object", |value| value.as_object_mut().map(mem::take))
    }

    pub(super) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<Box<str>>>, InvalidEvent> {
        self.take_as(name, "an array of strings", |value| {
            let items = value.as_array()?;
            items.iter().map(|item| item.as_str().map(Box::from)).collect()
        })
    }
}

/// Makes a member that must be there out of one that may be.
pub(super) fn required<T>(name: &'static str, member: Option<T>, what: &str) -> Result<T, InvalidEvent> {
    member.ok_or_else(|| InvalidEvent::at(name, format!("\"{name}\" is missing: {what}")))
}

pub(super) fn wrong(name: &str, expected: &str, found: &Value) -> InvalidEvent {
    InvalidEvent::at(
        name,
        format!("\"{name}\" must be {expected}, not {}", describe(found)),
    )
}

/// What kind of JSON this is, for messages.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {:?}", shorten(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// The start of a text, short enough for a message.
pub(super) fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut start: String = text.chars().take(CHARS_MAX).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}
