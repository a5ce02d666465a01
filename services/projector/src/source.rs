//! Records of the log as this crate reads them.

use std::sync::Arc;

use journal::{Offset, Record};
use schemas::codec::DecodeError;
use schemas::{Change, Event};
use state::DeviceKey;

/// One event of the partition, as read from `wakeline.events`.
#[derive(Debug, Clone)]
pub struct SourceEvent {
    /// Its offset.
    pub offset: Offset,
    /// Its device.
    pub key: Arc<DeviceKey>,
    /// The event.
    pub event: Arc<Event>,
    /// Trace that it belongs to.
    pub traceparent: Option<Box<str>>,
}

/// A record of `wakeline.events` that is no event of ours.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// Its offset.
    pub offset: Offset,
    /// Its key, as it stands.
    pub key: Box<str>,
    /// Its record time.
    pub timestamp_ms: i64,
    /// What is wrong with it, for people.
    pub reason: String,
}

/// Some events of the partition in offset order.
#[derive(Debug, Clone, Default)]
pub struct SourceBatch {
    /// The events.
    pub events: Vec<SourceEvent>,
    /// What is no event, skipped by the fold and recorded as rejected.
    pub unreadable: Vec<Unreadable>,
    /// Offset to read next.
    pub next: Offset,
    /// Bytes of the values read.
    pub bytes: usize,
    /// Why it ends where it does, when nothing after it may be folded.
    pub stopped: Option<Newer>,
}

/// A record that a newer release wrote. To pass over it would lose an event for ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record at offset {offset} has schema id {schema_id} of a newer release; upgrade this node")]
pub struct Newer {
    /// Its offset.
    pub offset: Offset,
    /// Its schema.
    pub schema_id: u32,
}

impl SourceBatch {
    /// Decodes `records`, after which `next` is read.
    #[must_use]
    pub fn read(records: &[Record], next: Offset) -> Self {
        let mut batch = Self {
            next,
            ..Self::default()
        };
        for record in records {
            match read_event(record) {
                Ok(event) => batch.events.push(event),
                Err(Unread::Newer(schema_id)) => {
                    batch.next = record.offset;
                    batch.stopped = Some(Newer {
                        offset: record.offset,
                        schema_id,
                    });
                    return batch;
                }
                Err(Unread::Foreign(reason)) => batch.unreadable.push(Unreadable {
                    offset: record.offset,
                    key: record.key.clone(),
                    timestamp_ms: record.timestamp_ms,
                    reason,
                }),
            }
            batch.bytes += record.value.as_ref().map_or(0, bytes::Bytes::len);
        }
        batch
    }

    /// Number of records in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len() + self.unreadable.len()
    }

    /// Whether it has no record; it may still move the position.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a state record says.
#[derive(Debug, Clone)]
pub(crate) struct StateRecord {
    /// The device.
    pub(crate) key: Arc<DeviceKey>,
    /// Offset of the event that made the change.
    pub(crate) source: Offset,
    /// The document after it; `None`: deleted.
    pub(crate) document: Option<Arc<schemas::Document>>,
}

/// Reads a record of `wakeline.state`.
pub(crate) fn read_state(record: &Record) -> Result<StateRecord, String> {
    let source = record
        .headers
        .source_offset
        .ok_or("it has no source-offset header")?;
    let key = device_key(&record.key).ok_or("its key is not tenant/device")?;
    let document = match &record.value {
        None => None,
        Some(value) => Some(Arc::new(
            Change::decode(value).map_err(|error| error.to_string())?.document,
        )),
    };
    Ok(StateRecord {
        key: Arc::new(key),
        source,
        document,
    })
}

/// The key of a device's records.
pub(crate) fn record_key(key: &DeviceKey) -> Box<str> {
    format!("{}/{}", key.tenant, key.device).into()
}

/// The device that a record key names. A tenant has no slash, a device may have some.
pub(crate) fn device_key(key: &str) -> Option<DeviceKey> {
    let (tenant, device) = key.split_once('/')?;
    (!tenant.is_empty() && !device.is_empty()).then(|| DeviceKey {
        tenant: tenant.into(),
        device: device.into(),
    })
}

/// Ids that releases of this product give to schemas of events.
const EVENT_SCHEMA_IDS: std::ops::Range<u32> = 7_100_100..7_100_200;

/// Why a record gives no event.
enum Unread {
    /// A newer release wrote it, with this schema.
    Newer(u32),
    /// It is no event of ours.
    Foreign(String),
}

fn read_event(record: &Record) -> Result<SourceEvent, Unread> {
    let foreign = |reason: &str| Unread::Foreign(reason.to_owned());
    let value = record.value.as_ref().ok_or_else(|| foreign("it has no value"))?;
    let event = Event::decode(value).map_err(|error| match error {
        DecodeError::UnknownSchema { id, .. } if EVENT_SCHEMA_IDS.contains(&id) => Unread::Newer(id),
        DecodeError::UnknownSchema { .. }
        | DecodeError::Frame(_)
        | DecodeError::ForeignSchema { .. }
        | DecodeError::Body { .. }
        | DecodeError::Trailing { .. }
        | DecodeError::Member { .. } => Unread::Foreign(error.to_string()),
    })?;
    let key = DeviceKey {
        tenant: event.tenant.clone(),
        device: event.device.clone(),
    };
    // A wrong key breaks the order of the device's events, and state records are keyed by it.
    if device_key(&record.key).as_ref() != Some(&key) {
        return Err(foreign("its key is not the tenant/device that it holds"));
    }
    Ok(SourceEvent {
        offset: record.offset,
        key: Arc::new(key),
        event: Arc::new(event),
        traceparent: record.headers.traceparent.clone(),
    })
}
