//! The stored form of a record: the value of the `log` table.
//!
//! | bytes | member |
//! |---|---|
//! | 1 | high half: version, 1; low half: flags, 1 = has a value, 2 = has a traceparent, 4 = has a source offset |
//! | varint | record time in milliseconds, zigzag |
//! | varint | generation |
//! | varint, bytes | key |
//! | varint, bytes | kind |
//! | varint, bytes | traceparent, if flagged |
//! | varint | source offset, if flagged |
//! | rest | value, if flagged |
//!
//! The offset stands in the key. There is no checksum: fjall has one over every block and batch.

use bytes::Bytes;
use journal::{Headers, Offset, Record};

const VERSION: u8 = 1;
const HAS_VALUE: u8 = 1;
const HAS_TRACEPARENT: u8 = 2;
const HAS_SOURCE: u8 = 4;

/// Bytes that are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record at offset {offset} cannot be read: {reason}")]
pub(crate) struct BadRecord {
    offset: Offset,
    reason: &'static str,
}

/// The stored form of `record`, without its offset.
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    let headers = &record.headers;
    let value = record.value.as_deref();
    let mut flags = VERSION << 4;
    flags |= if value.is_some() { HAS_VALUE } else { 0 };
    flags |= if headers.traceparent.is_some() {
        HAS_TRACEPARENT
    } else {
        0
    };
    flags |= if headers.source_offset.is_some() {
        HAS_SOURCE
    } else {
        0
    };
    let mut bytes = Vec::with_capacity(48 + record.key.len() + value.map_or(0, <[u8]>::len));
    bytes.push(flags);
    put_varint(&mut bytes, zigzag(record.timestamp_ms));
    put_varint(&mut bytes, u64::from(headers.generation));
    put_text(&mut bytes, &record.key);
    put_text(&mut bytes, &headers.kind);
    if let Some(traceparent) = &headers.traceparent {
        put_text(&mut bytes, traceparent);
    }
    if let Some(source) = headers.source_offset {
        put_varint(&mut bytes, source);
    }
    bytes.extend_from_slice(value.unwrap_or_default());
    bytes
}

/// The record stored as `bytes` at `offset`. Copies what it keeps.
pub(crate) fn decode(offset: Offset, bytes: &[u8]) -> Result<Record, BadRecord> {
    read(offset, bytes).map_err(|reason| BadRecord { offset, reason })
}

/// Only the time of the record stored as `bytes` at `offset`.
pub(crate) fn timestamp(offset: Offset, bytes: &[u8]) -> Result<i64, BadRecord> {
    let mut rest = Input(bytes);
    rest.flags()
        .and_then(|_| rest.varint())
        .map(unzigzag)
        .map_err(|reason| BadRecord { offset, reason })
}

/// Only the key of the record stored as `bytes` at `offset`, and whether it is a tombstone.
pub(crate) fn key(offset: Offset, bytes: &[u8]) -> Result<(&str, bool), BadRecord> {
    let mut rest = Input(bytes);
    let mut read = || {
        let flags = rest.flags()?;
        rest.varint()?;
        rest.varint()?;
        Ok((rest.text()?, flags & HAS_VALUE == 0))
    };
    read().map_err(|reason| BadRecord { offset, reason })
}

fn read(offset: Offset, bytes: &[u8]) -> Result<Record, &'static str> {
    let mut rest = Input(bytes);
    let flags = rest.flags()?;
    let timestamp_ms = unzigzag(rest.varint()?);
    let generation = u32::try_from(rest.varint()?).map_err(|_| "generation")?;
    let key = rest.text()?.into();
    let kind = rest.text()?.into();
    let traceparent = if flags & HAS_TRACEPARENT == 0 {
        None
    } else {
        Some(rest.text()?.into())
    };
    let source_offset = if flags & HAS_SOURCE == 0 {
        None
    } else {
        Some(rest.varint()?)
    };
    let value = match (flags & HAS_VALUE == 0, rest.0) {
        (true, []) => None,
        (true, _) => return Err("a tombstone with a value"),
        (false, value) => Some(Bytes::copy_from_slice(value)),
    };
    let headers = Headers {
        kind,
        generation,
        traceparent,
        source_offset,
    };
    Ok(Record {
        offset,
        timestamp_ms,
        key,
        value,
        headers,
    })
}

/// Appends a number, seven bits a byte, least first.
pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Appends a length and a text.
pub(crate) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_varint(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// What is left to read of a stored form.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    fn flags(&mut self) -> Result<u8, &'static str> {
        match self.byte()? {
            byte if byte >> 4 == VERSION => Ok(byte & 0x0f),
            _ => Err("unknown version"),
        }
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        let (first, rest) = self.0.split_first().ok_or("cut off")?;
        self.0 = rest;
        Ok(*first)
    }

    /// A number of [`put_varint`].
    pub(crate) fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("number too long")
    }

    /// A text of [`put_text`].
    pub(crate) fn text(&mut self) -> Result<&'a str, &'static str> {
        let length = usize::try_from(self.varint()?).map_err(|_| "length")?;
        let (first, rest) = self.0.split_at_checked(length).ok_or("cut off")?;
        self.0 = rest;
        std::str::from_utf8(first).map_err(|_| "not text")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_record()(
            offset: u64,
            timestamp_ms: i64,
            key in ".{0,40}",
            kind in "[a-z]{0,12}",
            generation: u32,
            traceparent in proptest::option::of("[0-9a-f-]{55}"),
            source_offset: Option<u64>,
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
        ) -> Record {
            Record {
                offset,
                timestamp_ms,
                key: key.into(),
                value: value.map(Bytes::from),
                headers: Headers {
                    kind: kind.into(),
                    generation,
                    traceparent: traceparent.map(Into::into),
                    source_offset,
                },
            }
        }
    }

    proptest! {
        #[test]
        fn a_record_survives_its_stored_form(record in any_record()) {
            let bytes = encode(&record);
            prop_assert_eq!(timestamp(record.offset, &bytes), Ok(record.timestamp_ms));
            prop_assert_eq!(key(record.offset, &bytes), Ok((&*record.key, record.value.is_none())));
            prop_assert_eq!(decode(record.offset, &bytes), Ok(record));
        }

        #[test]
        fn a_cut_record_never_panics(record in any_record(), cut in 0_usize..60) {
            let bytes = encode(&record);
            let _unused = decode(0, &bytes[..cut.min(bytes.len())]);
        }
    }

    #[test]
    fn another_version_is_refused() {
        assert_eq!(decode(7, &[0x2f, 0, 0]).unwrap_err().reason, "unknown version");
    }
}
