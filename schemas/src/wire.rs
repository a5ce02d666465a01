//! The Confluent wire format: a zero byte, the schema's id as four bytes (big endian), the Avro body.

/// The first byte of every frame.
pub const MAGIC: u8 = 0;

/// Bytes before the body.
pub const HEADER_BYTES: usize = 5;

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Shorter than a header.
    #[error("{found} bytes are too short for the Confluent wire format, whose header alone has 5")]
    Short {
        /// The length found.
        found: usize,
    },
    /// The first byte is not zero.
    #[error(
        "the first byte is {found:#04x} instead of 0x00: not the Confluent wire format (JSON starts with 0x7b)"
    )]
    Magic {
        /// The byte found.
        found: u8,
    },
}

/// Starts a frame in a new buffer with room for a body of `body_bytes`.
#[must_use]
pub fn start(schema_id: u32, body_bytes: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + body_bytes);
    frame.push(MAGIC);
    frame.extend_from_slice(&schema_id.to_be_bytes());
    frame
}

/// Splits a frame into schema id and body.
///
/// # Errors
/// What was found instead of a frame.
pub fn split(frame: &[u8]) -> Result<(u32, &[u8]), FrameError> {
    let Some((&[magic, a, b, c, d], body)) = frame.split_first_chunk::<HEADER_BYTES>() else {
        return Err(FrameError::Short { found: frame.len() });
    };
    if magic != MAGIC {
        return Err(FrameError::Magic { found: magic });
    }
    Ok((u32::from_be_bytes([a, b, c, d]), body))
}

#[cfg(test)]
mod tests {
    use super::{FrameError, split, start};

    #[test]
    fn a_frame_splits_into_what_it_was_made_of() {
        let mut frame = start(7_100_101, 2);
        assert_eq!(frame, [0, 0, 0x6c, 0x56, 0xc5]);
        frame.extend_from_slice(&[1, 2]);
        assert_eq!(split(&frame), Ok((7_100_101, &[1, 2][..])));
    }

    #[test]
    fn short_input_and_other_formats_are_told_apart() {
        assert_eq!(split(&[0, 1, 2, 3]), Err(FrameError::Short { found: 4 }));
        assert_eq!(split(b"{\"a\":1}"), Err(FrameError::Magic { found: b'{' }));
    }
}
