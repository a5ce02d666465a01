//! Records as the engine holds them: key and kind parsed once, the value decoded only when a frame
//! needs it, its JSON written once for all.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use journal::{Offset, Partition, Record, Topic};
use schemas::codec::write_event_frame;
use schemas::{Change, Event, Kind, json};

/// One record of events or state, shared by every stream that shows it.
pub struct LogRecord {
    /// Its topic.
    pub topic: Topic,
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// Record time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The kind in its header; `None` for one that this version does not know.
    pub kind: Option<Kind>,
    /// On state: offset of the source event.
    pub source_offset: Option<Offset>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    key: Box<str>,
    tenant_length: usize,
    noun: OnceLock<Option<Noun>>,
    json: OnceLock<Option<Bytes>>,
}

enum Noun {
    Event(Box<Event>),
    Change(Box<Change>),
}

/// A contiguous range of one partition.
pub struct Chunk {
    /// First offset that it covers.
    pub from: Offset,
    /// Offset after the last that it covers.
    pub next: Offset,
    /// The records in between; there may be holes.
    pub records: Vec<Arc<LogRecord>>,
    /// Its values, bytes.
    pub value_bytes: usize,
    /// What it is charged for in memory, bytes.
    pub bytes: usize,
}

/// Charged for a chunk beside its records.
const CHUNK_BYTES: usize = 160;
/// Charged for a record beside its value: structure, key, and what decoding adds is a multiple.
const RECORD_BYTES: usize = 320;
/// A value is held as bytes, decoded, and as JSON.
const VALUE_FACTOR: usize = 4;
/// JSON of a record has about so many bytes more than its value: names of members, and times as text.
const JSON_MORE_BYTES: usize = 256;

impl LogRecord {
    /// Takes a record out of the log.
    #[must_use]
    pub fn new(topic: Topic, partition: Partition, record: Record) -> Self {
        Self {
            topic,
            partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            kind: Kind::from_name(&record.headers.kind),
            source_offset: record.headers.source_offset,
            value: record.value,
            tenant_length: record.key.find('/').unwrap_or(record.key.len()),
            key: record.key,
            noun: OnceLock::new(),
            json: OnceLock::new(),
        }
    }

    /// The key: tenant and device.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its tenant.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.key[..self.tenant_length]
    }

    /// Its device.
    #[must_use]
    pub fn device(&self) -> &str {
        self.key.get(self.tenant_length + 1..).unwrap_or_default()
    }

    /// The event, on `wakeline.events`, if it can be read.
    #[must_use]
    pub fn event(&self) -> Option<&Event> {
        match self.noun() {
            Some(Noun::Event(event)) => Some(event),
            Some(Noun::Change(_)) | None => None,
        }
    }

    /// The change, on `wakeline.state`, if it is no tombstone and can be read.
    #[must_use]
    pub fn change(&self) -> Option<&Change> {
        match self.noun() {
            Some(Noun::Change(change)) => Some(change),
            Some(Noun::Event(_)) | None => None,
        }
    }

    /// Its JSON in the native API: an event, `{"device":…}` with changes, or `{"deleted":…}`; `None`
    /// if the value cannot be read.
    #[must_use]
    pub fn json(&self) -> Option<&[u8]> {
        self.json.get_or_init(|| self.write_json()).as_deref()
    }

    fn write_json(&self) -> Option<Bytes> {
        let length = self.value.as_ref().map_or(0, Bytes::len);
        let mut out = Vec::with_capacity(length + JSON_MORE_BYTES);
        match (self.topic, &self.value) {
            (Topic::Events, Some(value))
                if self.kind == Some(Kind::Telemetry) && self.noun.get().is_none() =>
            {
                if write_event_frame(value, &mut out).is_err() {
                    // Which says what is wrong with it.
                    return self.noun().and(None);
                }
            }
            (Topic::Events, _) => json::write_event(self.event()?, &mut out),
            (_, None) => {
                out.extend_from_slice(b"{\"deleted\":");
                json::write_string(self.device(), &mut out);
                out.push(b'}');
            }
            (_, Some(_)) => json::write_change(self.change()?, &mut out),
        }
        if out.capacity() > out.len() * 2 {
            out.shrink_to_fit();
        }
        Some(Bytes::from(out))
    }

    fn noun(&self) -> Option<&Noun> {
        self.noun.get_or_init(|| self.decode()).as_ref()
    }

    fn decode(&self) -> Option<Noun> {
        let value = self.value.as_ref()?;
        let decoded = if self.topic == Topic::Events {
            Event::decode(value).map(|event| Noun::Event(Box::new(event)))
        } else {
            Change::decode(value).map(|change| Noun::Change(Box::new(change)))
        };
        decoded
            .inspect_err(|error| {
                tracing::error!(
                    topic = self.topic.name(), partition = self.partition, offset = self.offset,
                    %error, "a record cannot be read and is left out of streams"
                );
            })
            .ok()
    }
}

impl Chunk {
    /// Takes a range out of the log.
    #[must_use]
    pub fn new(topic: Topic, partition: Partition, from: Offset, batch: journal::Batch) -> Self {
        let records: Vec<Arc<LogRecord>> = batch
            .records
            .into_iter()
            .filter(|record| record.offset >= from)
            .map(|record| Arc::new(LogRecord::new(topic, partition, record)))
            .collect();
        let values: usize = records
            .iter()
            .filter_map(|record| record.value.as_ref().map(Bytes::len))
            .sum();
        Self {
            from,
            next: batch.next,
            value_bytes: values,
            bytes: CHUNK_BYTES + records.len() * RECORD_BYTES + values * VALUE_FACTOR,
            records,
        }
    }

    /// Whether `offset` lies in it.
    #[must_use]
    pub fn covers(&self, offset: Offset) -> bool {
        self.from <= offset && offset < self.next
    }

    /// The records at or after `offset`.
    #[must_use]
    pub fn since(&self, offset: Offset) -> &[Arc<LogRecord>] {
        let index = self.records.partition_point(|record| record.offset < offset);
        &self.records[index..]
    }
}
