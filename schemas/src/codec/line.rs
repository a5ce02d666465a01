//! The JSON of an event straight from its bytes, for readers who pass it on: what devices report most is never made an
//! [`Event`] in between.

use serde::Deserialize;

use super::fields::PathsRecord;
use super::{DecodeError, EVENTS};
use crate::json::{Head, write_event, write_telemetry};
use crate::{Event, Kind, Micros};

/// The record `Event` as far as telemetry goes; other bodies are passed over.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: &'a str,
    tenant: &'a str,
    device: &'a str,
    occurred_at: Micros,
    received_at: Micros,
    #[serde(default)]
    claimed_at: Option<Micros>,
    #[serde(default)]
    seq: Option<i64>,
    kind: &'a str,
    #[serde(borrow)]
    body: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default, borrow)]
    telemetry: Option<Telemetry<'a>>,
}

#[derive(Deserialize)]
struct Telemetry<'a> {
    #[serde(default, borrow)]
    fields: PathsRecord<'a>,
}

/// Writes the JSON of the event in `frame`: what [`write_event`] writes of [`Event::decode`].
///
/// # Errors
/// What was found instead; nothing is written then.
pub fn write_event_frame(frame: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let line: Line<'_> = EVENTS.decode(frame)?;
    match line.body.telemetry {
        Some(telemetry) if line.kind == Kind::Telemetry.name() => {
            let head = Head {
                id: line.id,
                tenant: line.tenant,
                device: line.device,
                kind: line.kind,
                occurred_at: line.occurred_at,
                received_at: line.received_at,
                claimed_at: line.claimed_at,
                seq: line.seq,
            };
            write_telemetry(&head, &telemetry.fields.0, out);
        }
        Some(_) | None => write_event(&Event::decode(frame)?, out),
    }
    Ok(())
}
