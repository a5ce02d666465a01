//! Connections beyond the cap: told so where there is room for that, each in its own language.

use std::sync::Arc;

use access::http::{Body, Problem};
use bytes::BytesMut;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use tokio::net::TcpStream;

use super::{Door, head, response};

/// Answers a connection beyond the cap and closes it.
pub(super) async fn refuse(door: Arc<Door>, mut socket: TcpStream) {
    let mut buffer = BytesMut::new();
    let read = head::read(&mut socket, &mut buffer, door.settings.head_bytes_max);
    // Whatever has come by then decides the form of the answer.
    drop(tokio::time::timeout(door.settings.refusal_timeout, read).await);
    if buffer.is_empty() {
        return;
    }
    let wait = rand::random_range(door.settings.retry_refused.0..=door.settings.retry_refused.1);
    let why = "this gateway has no room for more connections";
    let answer = if head::wants_events(&buffer) {
        fault(why, wait)
    } else {
        Problem::unavailable(why, wait.as_secs().max(1)).into_response()
    };
    response::send(&door, socket, answer).await;
}

/// The refusal of an event stream. Any status but 200 makes a browser give up for ever.
pub(crate) fn fault(reason: &str, retry: std::time::Duration) -> Response<Body> {
    let mut data = Vec::new();
    schemas::json::write_string(reason, &mut data);
    let text = format!(
        ": refused\nevent: fault\nretry: {}\ndata: {{\"reason\":{}}}\n\n",
        retry.as_millis(),
        String::from_utf8_lossy(&data),
    );
    let mut response = Response::new(access::http::body(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
