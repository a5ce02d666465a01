//! A record and its headers on the wire.

use std::num::NonZero;

use bytes::Bytes;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, OwnedHeaders};

use crate::{Headers, Offset, Record};

const KIND: &str = "kind";
const GENERATION: &str = "generation";
const TRACEPARENT: &str = "traceparent";
const SOURCE_OFFSET: &str = "source-offset";

/// The headers of a new record.
pub(super) fn encode_headers(headers: &Headers) -> OwnedHeaders {
    let mut encoded = OwnedHeaders::new_with_capacity(4)
        .insert(Header {
            key: KIND,
            value: Some(&*headers.kind),
        })
        .insert(Header {
            key: GENERATION,
            value: Some(&headers.generation.to_string()),
        });
    if let Some(traceparent) = &headers.traceparent {
        encoded = encoded.insert(Header {
            key: TRACEPARENT,
            value: Some(&**traceparent),
        });
    }
    if let Some(offset) = headers.source_offset {
        encoded = encoded.insert(Header {
            key: SOURCE_OFFSET,
            value: Some(&offset.to_string()),
        });
    }
    encoded
}

/// The record, copied out of librdkafka's fetch buffer: a borrow would keep all of that buffer.
/// What others produced without our headers or with bytes that are no text is read as far as it goes.
pub(super) fn decode(message: &BorrowedMessage<'_>) -> Record {
    let mut headers = Headers::default();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        let value = header.value.and_then(|value| std::str::from_utf8(value).ok());
        match (header.key, value) {
            (KIND, Some(kind)) => headers.kind = kind.into(),
            (GENERATION, Some(text)) => headers.generation = text.parse().unwrap_or(0),
            (TRACEPARENT, Some(text)) => headers.traceparent = Some(text.into()),
            (SOURCE_OFFSET, Some(text)) => headers.source_offset = text.parse().ok(),
            _ => {}
        }
    }
    Record {
        offset: offset(message.offset()),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
        key: String::from_utf8_lossy(message.key().unwrap_or_default()).into(),
        value: message.payload().map(Bytes::copy_from_slice),
        headers,
    }
}

/// librdkafka's offset as ours; negative ones are its marks for "none".
pub(super) fn offset(raw: i64) -> Offset {
    Offset::try_from(raw).unwrap_or(0)
}

/// Our offset as librdkafka's.
pub(super) fn raw(offset: Offset) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// Our partition as librdkafka's.
pub(super) fn raw_partition(partition: crate::Partition) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// How much of a limit in bytes a record uses.
pub(super) fn size(record: &Record) -> usize {
    let value = record.value.as_ref().map_or(0, Bytes::len);
    NonZero::new(record.key.len() + value).map_or(1, NonZero::get)
}
