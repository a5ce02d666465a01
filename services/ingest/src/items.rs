//! From a body to its events, each still as text: one object, an array, or a line each.

use serde::de::{Deserializer as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How a body holds events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON value: an object, or an array of them.
    Json,
    /// A JSON object on each line.
    Lines,
}

impl Format {
    /// By `Content-Type`. What says nothing else is taken as JSON, so that `curl -d` works.
    pub(crate) fn of(content_type: Option<&str>) -> Self {
        let essence = content_type
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Self::Lines,
            _ => Self::Json,
        }
    }
}

/// Why a body is not read: nothing of it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    #[error("line {line}, column {column}: not JSON: {reason}")]
    Syntax {
        line: usize,
        column: usize,
        reason: String,
    },
    #[error("the body is not UTF-8 after byte {byte}")]
    Encoding { byte: usize },
    #[error(
        "the body must be an event (an object), an array of events, or NDJSON with Content-Type: application/x-ndjson"
    )]
    Shape,
    #[error("more than {events_max} events: send them in several requests")]
    TooMany { events_max: usize },
}

/// The events of a whole body, at most `events_max`.
pub(crate) fn split(format: Format, body: &[u8], events_max: usize) -> Result<Vec<Box<RawValue>>, BodyFault> {
    let text = std::str::from_utf8(body).map_err(|error| BodyFault::Encoding {
        byte: error.valid_up_to(),
    })?;
    match format {
        Format::Lines => lines(text, events_max),
        Format::Json => match text.trim_start_matches([' ', '\t', '\r', '\n']).bytes().next() {
            Some(b'[') => array(text, events_max),
            Some(b'{') => Ok(vec![
                serde_json::from_str(text).map_err(|error| syntax(&error, 0))?,
            ]),
            // What is not even JSON is told so.
            Some(_) | None => Err(match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => BodyFault::Shape,
                Err(error) => syntax(&error, 0),
            }),
        },
    }
}

fn lines(text: &str, events_max: usize) -> Result<Vec<Box<RawValue>>, BodyFault> {
    let mut events = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        if line.bytes().all(|byte| byte.is_ascii_whitespace()) {
            continue;
        }
        let event = serde_json::from_str(line).map_err(|error| syntax(&error, number))?;
        if events.len() == events_max {
            return Err(BodyFault::TooMany { events_max });
        }
        events.push(event);
    }
    Ok(events)
}

fn array(text: &str, events_max: usize) -> Result<Vec<Box<RawValue>>, BodyFault> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let items = Items { events_max };
    let (events, too_many) = deserializer
        .deserialize_seq(items)
        .and_then(|events| deserializer.end().map(|()| events))
        .map_err(|error| syntax(&error, 0))?;
    if too_many {
        return Err(BodyFault::TooMany { events_max });
    }
    Ok(events)
}

/// Keeps the first `events_max` items, and reads on only to see whether the rest is JSON.
struct Items {
    events_max: usize,
}

impl<'de> Visitor<'de> for Items {
    type Value = (Vec<Box<RawValue>>, bool);

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while events.len() < self.events_max {
            match items.next_element()? {
                Some(event) => events.push(event),
                None => return Ok((events, false)),
            }
        }
        let mut too_many = false;
        while items.next_element::<IgnoredAny>()?.is_some() {
            too_many = true;
        }
        Ok((events, too_many))
    }
}

/// `lines_before` stand in the body before what was read.
fn syntax(error: &serde_json::Error, lines_before: usize) -> BodyFault {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let reason = text.strip_suffix(&position).unwrap_or(&text);
    BodyFault::Syntax {
        line: lines_before + error.line(),
        column: error.column(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
