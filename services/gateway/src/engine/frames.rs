//! Whole frames as they go over the wire: an SSE block or a WebSocket message around a dialect's JSON.
//! Pure.

use std::collections::BTreeSet;

use bytes::Bytes;
use journal::Topic;
use schemas::{Body, Event, Kind};

use super::record::LogRecord;
use super::sse::Block;
use super::ws;
use crate::dialect::{Control, Dialect, Item, Look, Message};
use crate::subscription::{Carriage, Transport};

/// A data frame; `None` when the dialect does not show the item.
pub(crate) fn data(
    dialect: &dyn Dialect,
    carriage: Carriage,
    metrics: Option<&BTreeSet<Box<str>>>,
    item: Item<'_>,
    cursor: &str,
) -> Option<Bytes> {
    let look = look(carriage, metrics);
    match carriage.transport {
        Transport::Sse => {
            let mut block = Block::begin(carriage.framing, None, None, 512);
            dialect
                .data(look, item, cursor, &mut block.out)
                .then(|| block.end(cursor))
        }
        Transport::WebSocket => {
            let mut out = Vec::with_capacity(512);
            let header = ws::reserve(&mut out);
            dialect
                .data(look, item, cursor, &mut out)
                .then(|| ws::seal(out, header))
        }
    }
}

/// A frame that says that the device of a record no longer passes; `None` when the dialect does not tell it.
pub(crate) fn left(
    dialect: &dyn Dialect,
    carriage: Carriage,
    record: &LogRecord,
    cursor: &str,
) -> Option<Bytes> {
    let look = look(carriage, None);
    match carriage.transport {
        Transport::Sse => {
            let mut block = Block::begin(carriage.framing, None, None, 128);
            dialect
                .left(look, record, cursor, &mut block.out)
                .then(|| block.end(cursor))
        }
        Transport::WebSocket => {
            let mut out = Vec::with_capacity(cursor.len() + 128);
            let header = ws::reserve(&mut out);
            dialect
                .left(look, record, cursor, &mut out)
                .then(|| ws::seal(out, header))
        }
    }
}

/// A control frame; `None` when the dialect does not tell it.
pub(crate) fn control(
    dialect: &dyn Dialect,
    carriage: Carriage,
    control: Control<'_>,
    cursor: &str,
    retry_ms: Option<u64>,
) -> Option<Bytes> {
    let look = look(carriage, None);
    match carriage.transport {
        Transport::Sse => {
            let mut json = Vec::with_capacity(64);
            let name = dialect.control(look, control, cursor, &mut json)?;
            let bytes = json.len() + cursor.len();
            let comment = match control {
                Control::KeepAlive { .. } => dialect.comment(),
                Control::Hello
                | Control::Reset(_)
                | Control::CaughtUp { .. }
                | Control::Degraded { .. }
                | Control::Updated
                | Control::Fault { .. } => None,
            };
            let mut block = Block::begin_after(carriage.framing, comment, Some(name), retry_ms, bytes);
            block.out.extend_from_slice(&json);
            Some(block.end(cursor))
        }
        Transport::WebSocket => {
            let mut out = Vec::with_capacity(cursor.len() + 64);
            let header = ws::reserve(&mut out);
            dialect.control(look, control, cursor, &mut out)?;
            Some(ws::seal(out, header))
        }
    }
}

const fn look(carriage: Carriage, metrics: Option<&BTreeSet<Box<str>>>) -> Look<'_> {
    Look {
        transport: carriage.transport,
        cursors: carriage.cursors,
        metrics,
    }
}

/// A message of the conversation.
pub(crate) fn message(carriage: Carriage, message: &Message) -> Bytes {
    let text = &message.text;
    match carriage.transport {
        Transport::Sse => {
            let mut block = Block::begin(carriage.framing, message.event, None, text.len());
            block.out.extend_from_slice(text);
            block.end(message.cursor.as_deref().unwrap_or_default())
        }
        Transport::WebSocket => {
            let mut out = Vec::with_capacity(text.len() + 16);
            let header = ws::reserve(&mut out);
            out.extend_from_slice(text);
            ws::seal(out, header)
        }
    }
}

/// What a selection leaves of a record.
pub(crate) enum Shown {
    /// All of it.
    Whole,
    /// An event with some of its fields.
    Reduced(Box<Event>),
    /// Nothing.
    Nothing,
}

/// Applies a metric filter: telemetry keeps the chosen paths and what lies below them.
pub(crate) fn reduce(record: &LogRecord, metrics: Option<&BTreeSet<Box<str>>>) -> Shown {
    let Some(metrics) = metrics else {
        return Shown::Whole;
    };
    if record.topic != Topic::Events || record.kind != Some(Kind::Telemetry) {
        return Shown::Whole;
    }
    let Some(event) = record.event() else {
        return Shown::Nothing;
    };
    let Body::Telemetry(telemetry) = &event.body else {
        return Shown::Whole;
    };
    let chosen = |path: &str| {
        metrics.contains(path)
            || metrics
                .iter()
                .any(|metric| schemas::fields::is_descendant(path, metric))
    };
    if telemetry.fields.0.keys().all(|path| chosen(path)) && !telemetry.fields.0.is_empty() {
        return Shown::Whole;
    }
    let mut event = event.clone();
    if let Body::Telemetry(telemetry) = &mut event.body {
        telemetry.fields.0.retain(|path, _| chosen(path));
        if telemetry.fields.0.is_empty() {
            return Shown::Nothing;
        }
    }
    Shown::Reduced(Box::new(event))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use journal::{Headers, Record};
    use schemas::event::Telemetry;
    use schemas::{Fields, Scalar};

    use super::*;
    use crate::dialect::native::Native;
    use crate::open::OpenSettings;
    use crate::subscription::Framing;

    const SSE: Carriage = Carriage {
        transport: Transport::Sse,
        framing: Framing::Plain,
        cursors: true,
    };

    fn native() -> Native {
        Native::new(&OpenSettings::default())
    }

    fn telemetry(fields: &[&str]) -> LogRecord {
        let fields: BTreeMap<Box<str>, Scalar> = fields
            .iter()
            .map(|path| (Box::from(*path), Scalar::Integer(1)))
            .collect();
        let event = Event {
            id: "e".into(),
            tenant: "t".into(),
            device: "d".into(),
            occurred_at: 0,
            received_at: 0,
            claimed_at: None,
            seq: None,
            body: Body::Telemetry(Telemetry {
                fields: Fields(fields),
            }),
        };
        let record = Record {
            offset: 0,
            timestamp_ms: 0,
            key: "t/d".into(),
            value: Some(event.encode()),
            headers: Headers {
                kind: "telemetry".into(),
                ..Headers::default()
            },
        };
        LogRecord::new(Topic::Events, 0, record)
    }

    fn shown(fields: &[&str], metrics: &[&str]) -> Option<Vec<String>> {
        let metrics: BTreeSet<Box<str>> = metrics.iter().map(|path| Box::from(*path)).collect();
        let record = telemetry(fields);
        let event = match reduce(&record, Some(&metrics)) {
            Shown::Whole => record.event()?.clone(),
            Shown::Reduced(event) => *event,
            Shown::Nothing => return None,
        };
        let Body::Telemetry(telemetry) = event.body else {
            return None;
        };
        Some(telemetry.fields.0.keys().map(ToString::to_string).collect())
    }

    #[test]
    fn telemetry_keeps_the_chosen_paths_and_what_lies_below_them() {
        assert_eq!(
            shown(&["a", "b", "c.x", "cx"], &["a", "c"]),
            Some(vec!["a".to_owned(), "c.x".to_owned()])
        );
        assert_eq!(
            shown(&["a", "b"], &["a", "b", "z"]),
            Some(vec!["a".to_owned(), "b".to_owned()])
        );
    }

    #[test]
    fn telemetry_without_a_chosen_path_is_left_out() {
        assert_eq!(shown(&["b"], &["a"]), None);
        assert_eq!(shown(&[], &["a"]), None);
    }

    #[test]
    fn an_sse_block_has_its_cursor_and_its_data_and_ends_with_an_empty_line() {
        let record = telemetry(&["a"]);
        let frame = data(&native(), SSE, None, Item::Record(&record), "CURSOR").unwrap();
        let text = std::str::from_utf8(&frame).unwrap();
        assert!(
            text.starts_with("data: {") && text.ends_with("}\nid: CURSOR\n\n"),
            "{text:?}"
        );
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn the_hello_of_sse_carries_retry_in_a_block_with_data() {
        let frame = control(&native(), SSE, Control::Hello, "", Some(4_321)).unwrap();
        assert_eq!(&frame[..], b"event: hello\nretry: 4321\ndata: {}\n\n");
    }
}
