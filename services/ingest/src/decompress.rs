//! Compressed bodies, decompressed piece by piece, so that a bomb is noticed at the limit.

use std::io::{self, Read};

use ::http::{HeaderMap, header::CONTENT_ENCODING};

/// Read at once.
const PIECE: usize = 64 * 1024;
/// 2 to this is the most memory that a zstd frame may ask for: 8 MiB, what every encoder's ordinary
/// levels stay within.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Why a body is not decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecompressError {
    #[error("the body is longer than {bytes_max} bytes when decompressed: send it in several requests")]
    TooLarge { bytes_max: usize },
    #[error("the compressed body is cut off or damaged: {reason}")]
    Damaged { reason: String },
    #[error("too many requests are being read at once")]
    Busy,
}

/// An encoding that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Content-Encoding must be gzip, zstd or identity, and one only")]
pub(crate) struct UnknownEncoding;

impl Encoding {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, UnknownEncoding> {
        let mut encoding = Self::Identity;
        for value in headers.get_all(CONTENT_ENCODING) {
            let value = value
                .to_str()
                .map_err(|_| UnknownEncoding)?
                .trim()
                .to_ascii_lowercase();
            let next = match value.as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Self::Gzip,
                "zstd" => Self::Zstd,
                _ => return Err(UnknownEncoding),
            };
            if encoding != Self::Identity {
                return Err(UnknownEncoding);
            }
            encoding = next;
        }
        Ok(encoding)
    }
}

/// Decompresses `body` up to `bytes_max`, asking `meter` for room before each piece is kept.
pub(crate) fn decompress(
    encoding: Encoding,
    body: &[u8],
    bytes_max: usize,
    meter: impl FnMut(usize) -> bool,
) -> Result<Vec<u8>, DecompressError> {
    match encoding {
        Encoding::Identity => Ok(body.to_vec()),
        Encoding::Gzip => read(flate2::bufread::MultiGzDecoder::new(body), bytes_max, meter),
        Encoding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(body).map_err(damaged)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(damaged)?;
            read(decoder, bytes_max, meter)
        }
    }
}

fn read(
    mut decoder: impl Read,
    bytes_max: usize,
    mut meter: impl FnMut(usize) -> bool,
) -> Result<Vec<u8>, DecompressError> {
    let mut whole = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let length = decoder.read(&mut piece).map_err(damaged)?;
        if length == 0 {
            return Ok(whole);
        }
        if whole.len() + length > bytes_max {
            return Err(DecompressError::TooLarge { bytes_max });
        }
        if !meter(length) {
            return Err(DecompressError::Busy);
        }
        whole.extend_from_slice(&piece[..length]);
    }
}

fn damaged(error: io::Error) -> DecompressError {
    DecompressError::Damaged {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use ::http::HeaderValue;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 3).unwrap()
    }

    type Compress = fn(&[u8]) -> Vec<u8>;

    const BOTH: [(Encoding, Compress); 2] = [(Encoding::Gzip, gzip), (Encoding::Zstd, zstd)];

    #[test]
    fn what_was_compressed_comes_back() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        for (encoding, compress) in BOTH {
            let body = compress(&text);
            assert_eq!(
                decompress(encoding, &body, text.len(), |_| true).as_deref(),
                Ok(&text[..])
            );
        }
    }

    #[test]
    fn several_members_are_one_body() {
        for (encoding, compress) in BOTH {
            let body = [compress(b"[1,"), compress(b"2]")].concat();
            assert_eq!(
                decompress(encoding, &body, 100, |_| true).as_deref(),
                Ok(&b"[1,2]"[..])
            );
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        for (encoding, compress) in BOTH {
            let bomb = compress(&vec![b' '; 64 * 1024 * 1024]);
            assert!(bomb.len() < 128 * 1024);
            let mut kept = 0;
            let outcome = decompress(encoding, &bomb, 1_000_000, |length| {
                kept += length;
                true
            });
            assert_eq!(outcome, Err(DecompressError::TooLarge { bytes_max: 1_000_000 }));
            assert!(kept <= 1_000_000);
        }
    }

    #[test]
    fn a_cut_body_is_damaged_wherever_it_is_cut() {
        for (encoding, compress) in BOTH {
            let body = compress(b"{\"device\":\"bus-14\",\"kind\":\"telemetry\"}");
            for length in 1..body.len() {
                let outcome = decompress(encoding, &body[..length], 1_000, |_| true);
                assert!(
                    matches!(outcome, Err(DecompressError::Damaged { .. })),
                    "{encoding:?} {length}"
                );
            }
        }
    }

    #[test]
    fn no_room_stops_it() {
        let outcome = decompress(Encoding::Gzip, &gzip(b"text"), 100, |_| false);
        assert_eq!(outcome, Err(DecompressError::Busy));
    }

    #[test]
    fn encodings_are_recognised() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            Encoding::of(&headers)
        };
        assert_eq!(of(&[]), Ok(Encoding::Identity));
        assert_eq!(of(&["identity"]), Ok(Encoding::Identity));
        assert_eq!(of(&["GZIP"]), Ok(Encoding::Gzip));
        assert_eq!(of(&["zstd"]), Ok(Encoding::Zstd));
        assert_eq!(of(&["br"]), Err(UnknownEncoding));
        assert_eq!(of(&["gzip, gzip"]), Err(UnknownEncoding));
        assert_eq!(of(&["gzip", "zstd"]), Err(UnknownEncoding));
    }
}
