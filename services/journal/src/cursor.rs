//! A position in the log that a client keeps and comes back with.
//!
//! Stored form, before URL-safe base64 without padding. The first three members keep their place in
//! every version, so that any version can tell the epoch and the time of any other:
//!
//! | bytes | member |
//! |---|---|
//! | 1 | version, 1 |
//! | 8 | epoch, big endian |
//! | 8 | `time_ms`, big endian, signed |
//! | 1 | topic code |
//! | varint | number of partitions, then for each, by number: varint step from the last, varint next offset |
//! | varint | length of the snapshot's paging key + 1, or 0 without one; then the key |
//! | 4 | CRC-32 of all that stands before, big endian |

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Epoch, Offset, Partition, Topic};

/// The version that this code writes.
const VERSION: u8 = 1;
/// A cursor is at most this long as text; no log has more partitions than fit.
pub const CURSOR_TEXT_BYTES_MAX: usize = 16 * 1024;

/// A position in one topic: where to read next in each partition that a stream touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The log that it belongs to.
    pub epoch: Epoch,
    /// Least record time over the partitions, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Events or state.
    pub topic: Topic,
    /// Next offset by partition, ordered by partition, each once.
    pub positions: Vec<(Partition, Offset)>,
    /// Where in its snapshot the stream is; `None` when past it, or without one.
    pub snapshot: Option<Box<str>>,
}

/// Why a text is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not what we ever wrote.
    #[error("not a cursor of this service: {0}")]
    Invalid(&'static str),
    /// Written by a newer version.
    #[error("the cursor has version {version}, which is newer than this node knows ({VERSION})")]
    Newer {
        /// Its version.
        version: u8,
    },
}

impl Cursor {
    /// The next offset of `partition`, if the cursor has one.
    #[must_use]
    pub fn position(&self, partition: Partition) -> Option<Offset> {
        let index = self
            .positions
            .binary_search_by_key(&partition, |(number, _)| *number)
            .ok()?;
        Some(self.positions[index].1)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = CursorWriter::default();
        let (head, snapshot) = ((self.epoch, self.time_ms, self.topic), self.snapshot.as_deref());
        f.write_str(writer.write(head, self.positions.iter().copied(), snapshot))
    }
}

/// Writes cursors, one after the other, into the same memory.
#[derive(Debug, Default)]
pub struct CursorWriter {
    bytes: Vec<u8>,
    text: String,
}

impl CursorWriter {
    /// The text of the cursor with these members; `positions` are ordered by partition.
    pub fn write(
        &mut self,
        (epoch, time_ms, topic): (Epoch, i64, Topic),
        positions: impl Iterator<Item = (Partition, Offset)> + Clone,
        snapshot: Option<&str>,
    ) -> &str {
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.push(VERSION);
        bytes.extend_from_slice(&epoch.0.to_be_bytes());
        bytes.extend_from_slice(&time_ms.to_be_bytes());
        bytes.push(topic.code());
        put_varint(bytes, positions.clone().count() as u64);
        let mut last = 0;
        for (partition, offset) in positions {
            put_varint(bytes, u64::from(partition - last));
            put_varint(bytes, offset);
            last = partition;
        }
        match snapshot {
            None => put_varint(bytes, 0),
            Some(key) => {
                put_varint(bytes, key.len() as u64 + 1);
                bytes.extend_from_slice(key.as_bytes());
            }
        }
        let checksum = crc32fast::hash(bytes).to_be_bytes();
        bytes.extend_from_slice(&checksum);
        self.text.clear();
        URL_SAFE_NO_PAD.encode_string(bytes, &mut self.text);
        &self.text
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text.len() > CURSOR_TEXT_BYTES_MAX {
            return Err(CursorError::Invalid("too long"));
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| CursorError::Invalid("not base64url"))?;
        let Some((body, checksum)) = bytes.split_last_chunk::<4>() else {
            return Err(CursorError::Invalid("too short"));
        };
        if crc32fast::hash(body).to_be_bytes() != *checksum {
            return Err(CursorError::Invalid("damaged"));
        }
        let mut rest = Input(body);
        let version = rest.byte()?;
        if version > VERSION {
            return Err(CursorError::Newer { version });
        }
        let epoch = Epoch(u64::from_be_bytes(rest.array()?));
        let time_ms = i64::from_be_bytes(rest.array()?);
        let topic = Topic::from_code(rest.byte()?).ok_or(CursorError::Invalid("unknown topic"))?;
        let positions = rest.positions()?;
        let snapshot = match rest.varint()? {
            0 => None,
            length => Some(rest.text(length - 1)?.into()),
        };
        if version != VERSION || !rest.0.is_empty() {
            return Err(CursorError::Invalid("unknown form"));
        }
        Ok(Self {
            epoch,
            time_ms,
            topic,
            positions,
            snapshot,
        })
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// What is left to decode.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8, CursorError> {
        let (first, rest) = self.0.split_first().ok_or(CursorError::Invalid("too short"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CursorError> {
        let (first, rest) = self
            .0
            .split_first_chunk()
            .ok_or(CursorError::Invalid("too short"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn varint(&mut self) -> Result<u64, CursorError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(CursorError::Invalid("number too long"))
    }

    fn text(&mut self, length: u64) -> Result<&'a str, CursorError> {
        let length = usize::try_from(length).map_err(|_| CursorError::Invalid("too short"))?;
        let (first, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(CursorError::Invalid("too short"))?;
        self.0 = rest;
        std::str::from_utf8(first).map_err(|_| CursorError::Invalid("not text"))
    }

    fn positions(&mut self) -> Result<Vec<(Partition, Offset)>, CursorError> {
        let count = self.varint()?;
        let mut positions: Vec<(Partition, Offset)> = Vec::new();
        for index in 0..count {
            let step = Partition::try_from(self.varint()?).map_err(|_| CursorError::Invalid("partition"))?;
            let last = positions.last().map_or(0, |(partition, _)| *partition);
            let partition = last.checked_add(step).ok_or(CursorError::Invalid("partition"))?;
            if index > 0 && step == 0 {
                return Err(CursorError::Invalid("a partition twice"));
            }
            positions.push((partition, self.varint()?));
        }
        Ok(positions)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(
            epoch: u64, time_ms: i64,
            positions in proptest::collection::btree_map(0_u32..10_000, any::<u64>(), 0..40),
            snapshot in proptest::option::of(".{0,40}"),
        ) {
            let cursor = Cursor {
                epoch: Epoch(epoch),
                time_ms,
                topic: Topic::State,
                positions: positions.into_iter().collect(),
                snapshot: snapshot.map(Into::into),
            };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }

        #[test]
        fn garbage_is_refused(text in "[A-Za-z0-9_-]{0,80}") {
            prop_assert!(text.parse::<Cursor>().is_err());
        }
    }

    #[test]
    fn a_newer_version_is_told_from_garbage() {
        let mut bytes = vec![VERSION + 1, 0, 0, 0];
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        let text = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(
            text.parse::<Cursor>(),
            Err(CursorError::Newer { version: VERSION + 1 })
        );
    }
}
