//! The head of the answer to a stream: an event stream, or the upgrade to a WebSocket.

use access::http::Problem;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tungstenite::error::{Error, ProtocolError};

use crate::subscription::Transport;

/// How the client wants the stream.
pub(crate) fn transport(headers: &HeaderMap) -> Transport {
    let wants_websocket = headers
        .get_all(UPGRADE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"));
    if wants_websocket {
        Transport::WebSocket
    } else {
        Transport::Sse
    }
}

/// The head of an event stream.
pub(crate) fn event_stream() -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// The head that upgrades to a WebSocket, or why that cannot be (RFC 6455, 4.2).
pub(crate) fn web_socket(parts: &Parts) -> Result<Response<()>, Problem> {
    let mut request = Request::new(());
    request.method_mut().clone_from(&parts.method);
    *request.version_mut() = parts.version;
    request.headers_mut().clone_from(&parts.headers);
    tungstenite::handshake::server::create_response(&request).map_err(|error| refusal(&error))
}

fn refusal(error: &Error) -> Problem {
    let version = HeaderValue::from_static("13");
    if let Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) = error {
        let detail = "this service speaks version 13 of WebSocket: send Sec-WebSocket-Version: 13";
        return Problem::new(StatusCode::UPGRADE_REQUIRED, detail)
            .header(SEC_WEBSOCKET_VERSION, version)
            .header(UPGRADE, HeaderValue::from_static("websocket"))
            .header(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    Problem::bad_request(format!("the WebSocket handshake is not complete: {error}"))
        .header(SEC_WEBSOCKET_VERSION, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&'static str, &'static str)]) -> Parts {
        let mut request = Request::new(());
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        request.into_parts().0
    }

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "websocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_sample_handshake_of_the_standard_is_answered_as_it_says() {
        let parts = parts(&GOOD);
        assert_eq!(transport(&parts.headers), Transport::WebSocket);
        let response = web_socket(&parts).unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(
            response.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn another_version_is_told_which_one_is_spoken() {
        let mut headers = GOOD;
        headers[2].1 = "8";
        let response = web_socket(&parts(&headers)).unwrap_err().into_response();
        assert_eq!(response.status(), 426);
        assert_eq!(response.headers()["sec-websocket-version"], "13");
    }

    #[test]
    fn a_handshake_that_lacks_something_is_a_mistake() {
        for missing in [1, 3] {
            let mut headers = GOOD.to_vec();
            headers.remove(missing);
            assert_eq!(web_socket(&parts(&headers)).unwrap_err().status(), 400);
        }
        let mut headers = GOOD;
        headers[3].1 = "short";
        assert_eq!(web_socket(&parts(&headers)).unwrap_err().status(), 400);
    }
}
