//! What `wakeline.rejected` is told of events that are not folded.

use journal::{Headers, NewRecord, Topic};
use schemas::{Micros, Rejected, json};

use super::Rules;
use crate::source::{SourceEvent, Unreadable, device_key, record_key};

/// The original is cut at so many bytes.
const ORIGINAL_BYTES_MAX: usize = 4_096;
/// The `kind` header of rejected records whose event has none that can be read.
const UNREADABLE_KIND: &str = "unreadable";

/// The record of an event that the fold refuses.
pub(super) fn refused(rules: &Rules, event: &SourceEvent, reason: &str) -> NewRecord {
    let mut original = Vec::new();
    json::write_event(&event.event, &mut original);
    let rejected = Rejected {
        tenant: event.key.tenant.clone(),
        device: Some(event.key.device.clone()),
        received_at: event.event.received_at,
        reason: reason.into(),
        original: cut(&original),
    };
    let kind = event.event.body.kind().name();
    record(
        rules,
        record_key(&event.key),
        kind,
        event.traceparent.clone(),
        &rejected,
    )
}

/// The record of what is no event. What it holds is unknown, so none of it is shown.
pub(super) fn unreadable(rules: &Rules, unreadable: &Unreadable) -> NewRecord {
    let key = device_key(&unreadable.key);
    let tenant = key.as_ref().map_or("", |key| &key.tenant);
    let rejected = Rejected {
        tenant: tenant.into(),
        device: key.as_ref().map(|key| key.device.clone()),
        received_at: Micros::saturating_mul(unreadable.timestamp_ms, 1_000),
        reason: format!(
            "the record at offset {} is no event: {}",
            unreadable.offset, unreadable.reason
        )
        .into(),
        original: "".into(),
    };
    let key = key
        .as_ref()
        .map_or_else(|| format!("{tenant}/").into(), record_key);
    record(rules, key, UNREADABLE_KIND, None, &rejected)
}

fn record(
    rules: &Rules,
    key: Box<str>,
    kind: &str,
    traceparent: Option<Box<str>>,
    rejected: &Rejected,
) -> NewRecord {
    NewRecord {
        topic: Topic::Rejected,
        partition: rules.partition,
        key,
        value: Some(rejected.encode()),
        timestamp_ms: rejected.received_at.div_euclid(1_000),
        headers: Headers {
            kind: kind.into(),
            generation: rules.generation,
            traceparent,
            source_offset: None,
        },
    }
}

fn cut(json: &[u8]) -> Box<str> {
    let kept = &json[..json.len().min(ORIGINAL_BYTES_MAX)];
    // A character that the cut went through is left out.
    let text = kept.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    text.into()
}
