//! The first request of a connection: read and understood before anybody else sees it.
//!
//! Only what may be a stream is taken apart here. Whatever else comes, hyper judges, with the bytes
//! that were read.

use std::io;

use bytes::BytesMut;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};
use httparse::Status;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Read at a time.
const READ_BYTES: usize = 2 << 10;

/// How reading a head ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// The end of a head was seen.
    Complete,
    /// The client sent more than a head may have.
    TooLong,
    /// The client closed first.
    Closed,
}

/// Reads into `buffer` until it holds the end of a head, in amortised linear time.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    bytes_max: usize,
) -> io::Result<Read> {
    let mut searched = 0;
    loop {
        if ends(&buffer[searched..]) {
            return Ok(Read::Complete);
        }
        // The end may have begun in what was searched.
        searched = buffer.len().saturating_sub(3);
        if buffer.len() >= bytes_max {
            return Ok(Read::TooLong);
        }
        if buffer.capacity() - buffer.len() < READ_BYTES {
            buffer.reserve(READ_BYTES.max(buffer.len()));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(Read::Closed);
        }
    }
}

fn ends(bytes: &[u8]) -> bool {
    // RFC 9112, 2.2: a bare line feed may end a line.
    bytes
        .windows(2)
        .enumerate()
        .any(|(at, pair)| pair == b"\n\n" || (pair == b"\n\r" && bytes.get(at + 2) == Some(&b'\n')))
}

/// What the first head is.
#[derive(Debug)]
pub(crate) enum Head {
    /// A request without a body for a path that `wanted` accepts.
    Wanted {
        /// The request.
        parts: Box<Parts>,
        /// Its length, bytes; what follows belongs to the stream.
        length: usize,
    },
    /// Anything else, good or bad.
    Other,
}

/// Takes apart a head that is wanted.
pub(crate) fn parse(bytes: &[u8], headers_max: usize, wanted: impl Fn(&str) -> bool) -> Head {
    let mut headers = vec![httparse::EMPTY_HEADER; headers_max];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(Status::Complete(length)) = request.parse(bytes) else {
        return Head::Other;
    };
    let (Some("GET"), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Head::Other;
    };
    let path = target.split('?').next().unwrap_or_default();
    if !wanted(path) || has_body(request.headers) {
        return Head::Other;
    }
    match parts(target, version, request.headers) {
        Some(parts) => Head::Wanted {
            parts: Box::new(parts),
            length,
        },
        None => Head::Other,
    }
}

fn has_body(headers: &[httparse::Header<'_>]) -> bool {
    headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("transfer-encoding")
            || (header.name.eq_ignore_ascii_case("content-length") && header.value != b"0")
    })
}

fn parts(target: &str, version: u8, headers: &[httparse::Header<'_>]) -> Option<Parts> {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = target.parse::<Uri>().ok()?;
    *request.version_mut() = if version == 0 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(header.value).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request.into_parts().0)
}

/// Whether the head asks for an event stream, as a browser's `EventSource` does. Needs no more than
/// the beginning of a head.
pub(crate) fn wants_events(bytes: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    // A head that is cut off gives the headers that are complete.
    if request.parse(bytes).is_err() {
        return false;
    }
    request.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("accept")
            && header
                .value
                .windows(17)
                .any(|part| part.eq_ignore_ascii_case(b"text/event-stream"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(bytes: &[u8]) -> Option<(Parts, usize)> {
        match parse(bytes, 10, |path| path == "/v1/stream") {
            Head::Wanted { parts, length } => Some((*parts, length)),
            Head::Other => None,
        }
    }

    #[tokio::test]
    async fn a_head_is_complete_at_its_blank_line_however_it_comes() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for piece in 1..text.len() {
            let (mut client, mut server) = tokio::io::duplex(piece);
            let write = tokio::io::AsyncWriteExt::write_all(&mut client, text);
            let mut buffer = BytesMut::new();
            let (written, read) = tokio::join!(write, read(&mut server, &mut buffer, 1_000));
            written.unwrap();
            assert_eq!(read.unwrap(), Read::Complete, "in pieces of {piece}");
            assert_eq!(buffer, &text[..]);
        }
    }

    #[tokio::test]
    async fn a_head_that_never_ends_is_given_up_at_the_limit() {
        let mut buffer = BytesMut::new();
        let read = read(&mut tokio::io::repeat(b'a'), &mut buffer, 10_000)
            .await
            .unwrap();
        assert_eq!(read, Read::TooLong);
        assert!(buffer.len() < 30_000);
    }

    #[tokio::test]
    async fn a_client_that_closes_first_is_told_apart() {
        let mut buffer = BytesMut::new();
        assert_eq!(
            read(&mut &b"GET /"[..], &mut buffer, 100).await.unwrap(),
            Read::Closed
        );
    }

    #[test]
    fn a_stream_request_is_taken_apart_and_what_follows_is_left() {
        let text = b"GET /v1/stream?device=a HTTP/1.1\r\nHost: x\r\nLast-Event-ID: c\r\n\r\nrest";
        let (parts, length) = wanted(text).unwrap();
        assert_eq!(parts.uri.query(), Some("device=a"));
        assert_eq!(parts.headers["last-event-id"], "c");
        assert_eq!(text[length..], *b"rest");
    }

    #[test]
    fn everything_else_is_left_to_hyper() {
        for text in [
            "GET /v1/devices HTTP/1.1\r\n\r\n",
            "POST /v1/stream HTTP/1.1\r\n\r\n",
            "GET /v1/stream HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "GET /v1/stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\u{16}\u{3}\u{1}\n\n",
        ] {
            assert!(wanted(text.as_bytes()).is_none(), "{text}");
        }
        let many = format!("GET /v1/stream HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(11));
        assert!(wanted(many.as_bytes()).is_none());
    }

    #[test]
    fn an_event_source_is_known_by_what_it_accepts() {
        assert!(wants_events(
            b"GET / HTTP/1.1\r\nAccept: text/event-stream\r\nX: y"
        ));
        assert!(!wants_events(b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n"));
    }
}
