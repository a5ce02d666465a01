//! Whole frames as they go over the wire: an SSE block or a WebSocket message around a dialect's JSON.
//! Pure.

use bytes::Bytes;
use journal::Topic;
use schemas::{Body, Event, Kind};

use super::record::LogRecord;
use super::ws;
use crate::dialect::{Control, Dialect, Item};
use crate::subscription::{Selection, Transport};

/// The first bytes of an SSE body: proxies and clients see the stream open.
pub(crate) const SSE_OPENING: &[u8] = b": wakeline\n\n";

/// A data frame; `None` when the dialect does not show the item.
pub(crate) fn data(
    dialect: &dyn Dialect,
    transport: Transport,
    item: Item<'_>,
    cursor: &str,
) -> Option<Bytes> {
    let mut out = Vec::with_capacity(512);
    match transport {
        Transport::Sse => {
            begin_sse(None, cursor, None, &mut out);
            if !dialect.data(transport, item, cursor, &mut out) {
                return None;
            }
            out.extend_from_slice(b"\n\n");
        }
        Transport::WebSocket => {
            let header = ws::reserve(&mut out);
            if !dialect.data(transport, item, cursor, &mut out) {
                return None;
            }
            return Some(ws::seal(out, header));
        }
    }
    out.shrink_to_fit();
    Some(Bytes::from(out))
}

/// A control frame; `None` when the dialect does not tell it.
pub(crate) fn control(
    dialect: &dyn Dialect,
    transport: Transport,
    control: Control<'_>,
    cursor: &str,
    retry_ms: Option<u64>,
) -> Option<Bytes> {
    match transport {
        Transport::Sse => {
            let mut json = Vec::with_capacity(64);
            let name = dialect.control(transport, control, cursor, &mut json)?;
            let mut out = Vec::with_capacity(json.len() + cursor.len() + 64);
            begin_sse(Some(name), cursor, retry_ms, &mut out);
            out.extend_from_slice(&json);
            out.extend_from_slice(b"\n\n");
            Some(Bytes::from(out))
        }
        Transport::WebSocket => {
            let mut out = Vec::with_capacity(cursor.len() + 64);
            let header = ws::reserve(&mut out);
            dialect.control(transport, control, cursor, &mut out)?;
            Some(ws::seal(out, header))
        }
    }
}

/// A text that a dialect answers with.
pub(crate) fn text(transport: Transport, text: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(text.len() + 16);
    match transport {
        Transport::Sse => {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(text);
            out.extend_from_slice(b"\n\n");
            Bytes::from(out)
        }
        Transport::WebSocket => {
            let header = ws::reserve(&mut out);
            out.extend_from_slice(text);
            ws::seal(out, header)
        }
    }
}

fn begin_sse(name: Option<&str>, cursor: &str, retry_ms: Option<u64>, out: &mut Vec<u8>) {
    if let Some(name) = name {
        out.extend_from_slice(format!("event: {name}\n").as_bytes());
    }
    if !cursor.is_empty() {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(cursor.as_bytes());
        out.push(b'\n');
    }
    if let Some(retry_ms) = retry_ms {
        out.extend_from_slice(format!("retry: {retry_ms}\n").as_bytes());
    }
    out.extend_from_slice(b"data: ");
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
pub(crate) fn reduce(record: &LogRecord, selection: &Selection) -> Shown {
    let Some(metrics) = &selection.metrics else {
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
