//! Answers to connections that hyper never sees.

use std::time::Duration;

use access::http::Body;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Door;

/// How long a client has to read an answer after which the connection is closed.
const LINGER: Duration = Duration::from_secs(2);
/// What it may send in the meantime, bytes.
const LINGER_BYTES_MAX: u64 = 256 << 10;

/// Sends a whole answer and closes the connection.
pub(super) async fn send(door: &Door, mut socket: TcpStream, response: Response<Body>) {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes);
    date(door, &mut parts.headers);
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    parts
        .headers
        .insert(CONNECTION, HeaderValue::from_static("close"));
    let mut bytes = BytesMut::from(&head(&Response::from_parts(parts, ()))[..]);
    bytes.extend_from_slice(&body);
    let work = async {
        socket.write_all(&bytes).await?;
        socket.shutdown().await?;
        // Closing with unread input resets the connection, and the client may lose the answer.
        let mut rest = (&mut socket).take(LINGER_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    if let Ok(Err(error)) = tokio::time::timeout(LINGER, work).await {
        tracing::debug!(%error, "a client left before it had its answer");
    }
}

/// The head of a response, as HTTP/1.1 writes it.
pub(super) fn head(response: &Response<()>) -> Bytes {
    let status = response.status();
    let mut bytes = BytesMut::with_capacity(512);
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(status.as_str().as_bytes());
    bytes.extend_from_slice(b" ");
    bytes.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    bytes.extend_from_slice(b"\r\n");
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.freeze()
}

/// Adds the date, as an answer from a server with a clock must have it (RFC 9110, 6.6.1).
pub(super) fn date(door: &Door, headers: &mut HeaderMap) {
    let now = Timestamp::from_microsecond((door.clock)()).ok();
    let text = now.and_then(|now| DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok());
    if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(DATE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_as_http_has_it() {
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        response
            .headers_mut()
            .insert("upgrade", HeaderValue::from_static("websocket"));
        assert_eq!(
            head(&response),
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"
        );
    }
}
