//! Bodies of requests, read with a limit of size and of time.

use std::time::Duration;

use ::http::StatusCode;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body as HttpBody;

use super::Problem;

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Larger than the limit.
    #[error("the body is larger than {bytes_max} bytes: send it in several requests")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// It ended before its end, or its framing is wrong.
    #[error("the body was cut off or malformed: {reason}")]
    CutOff {
        /// What the connection said.
        reason: String,
    },
    /// Too many bodies are being read at once.
    #[error("too many requests are being read at once")]
    Busy,
    /// It did not come in time.
    #[error("the body did not arrive within {} s", within.as_secs())]
    Slow {
        /// The limit.
        within: Duration,
    },
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::CutOff { .. } => StatusCode::BAD_REQUEST,
            BodyError::Slow { .. } => StatusCode::REQUEST_TIMEOUT,
            BodyError::Busy => return Self::unavailable(error.to_string(), 1),
        };
        Self::new(status, error.to_string())
    }
}

/// What is read and thrown away of a body that is too large, so that its sender, who is still
/// writing, gets to read the answer.
const DISCARD_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Reads a whole body of at most `bytes_max`.
///
/// # Errors
/// When it is too large, cut off or too slow.
pub async fn read_body<B>(body: B, bytes_max: usize, within: Duration) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    read_body_metered(body, bytes_max, within, |_| true).await
}

/// Reads a whole body, asking `meter` for room before each piece is kept.
///
/// # Errors
/// When it is too large, cut off or too slow, or there is no room.
pub async fn read_body_metered<B>(
    body: B,
    bytes_max: usize,
    within: Duration,
    meter: impl FnMut(usize) -> bool,
) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max.saturating_add(DISCARD_BYTES_MAX) {
        return Err(BodyError::TooLarge { bytes_max });
    }
    let outcome = tokio::time::timeout(within, collect(body, bytes_max, announced > bytes_max, meter));
    match outcome.await {
        Ok(outcome) => outcome,
        Err(_) => Err(BodyError::Slow { within }),
    }
}

async fn collect<B>(
    body: B,
    bytes_max: usize,
    mut too_large: bool,
    mut meter: impl FnMut(usize) -> bool,
) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let mut body = std::pin::pin!(body);
    let mut only: Option<Bytes> = None;
    let mut all = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::CutOff {
            reason: error.to_string(),
        })?;
        let Ok(data) = frame.into_data() else {
            continue; // trailers
        };
        length = length.saturating_add(data.len());
        if length > bytes_max || too_large {
            too_large = true;
            (only, all) = (None, BytesMut::new());
            if length > bytes_max.saturating_add(DISCARD_BYTES_MAX) {
                break;
            }
            continue;
        }
        if !meter(data.len()) {
            return Err(BodyError::Busy);
        }
        // Most bodies come in one piece, which needs no copy.
        match only.take() {
            None if all.is_empty() => only = Some(data),
            first => {
                all.extend_from_slice(&first.unwrap_or_default());
                all.extend_from_slice(&data);
            }
        }
    }
    if too_large {
        return Err(BodyError::TooLarge { bytes_max });
    }
    Ok(only.unwrap_or_else(|| all.freeze()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(5);

    fn pieces(pieces: &'static [&'static str]) -> impl HttpBody<Data = Bytes, Error = Infallible> {
        StreamBody::new(futures::stream::iter(
            pieces.iter().map(|piece| Ok(Frame::data(Bytes::from(*piece)))),
        ))
    }

    #[tokio::test]
    async fn pieces_are_put_together() {
        for (given, whole) in [(&["a", "", "bc"][..], "abc"), (&["abc"], "abc"), (&[], "")] {
            assert_eq!(read_body(pieces(given), 3, WITHIN).await.unwrap(), whole);
        }
    }

    #[tokio::test]
    async fn the_limit_holds_for_announced_and_for_streamed_bodies() {
        let too_large = Err(BodyError::TooLarge { bytes_max: 3 });
        assert_eq!(
            read_body(Full::new(Bytes::from("abcd")), 3, WITHIN).await,
            too_large
        );
        assert_eq!(read_body(pieces(&["ab", "cd"]), 3, WITHIN).await, too_large);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let body = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Infallible>>());
        assert_eq!(
            read_body(body, 3, WITHIN).await,
            Err(BodyError::Slow { within: WITHIN })
        );
    }
}
