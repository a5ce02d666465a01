//! What every HTTP surface shares before it can answer: where a credential stands in a request,
//! bodies with a limit, errors as `application/problem+json`; and the routes of administration.

pub mod authentication;
pub mod body;
pub mod origins;
pub mod path;
pub mod problem;
pub mod query;
pub mod routes;

use std::convert::Infallible;
use std::net::SocketAddr;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

pub use authentication::{Attempt, Refusal, Surface, authenticate, authenticate_text};
pub use body::{BodyError, read_body, read_body_metered};
pub use origins::{InvalidOrigin, Origins};
pub use path::Path;
pub use problem::Problem;
pub use query::Query;
pub use routes::AdministrationService;

/// Body of every response.
pub type Body = BoxBody<Bytes, Infallible>;

/// Answers requests that are no streams. Ingest and gateway each offer one; `node` composes them.
#[async_trait]
pub trait HttpService: Send + Sync {
    /// Its paths: it is asked for no other.
    fn paths(&self) -> Vec<Path>;

    /// Answers one request of `peer` (the client's address, after trusted proxies), unless it is not one
    /// of this service's.
    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Handled;
}

/// What a service made of a request.
pub enum Handled {
    /// Its answer.
    Response(Response<Body>),
    /// Not one of its paths: the request goes on to the next service.
    NotMine(Request<Incoming>),
}

/// Extension of a request that is traced: the `traceparent` of the span that serves it, which comes
/// before the one that the client sent.
#[derive(Debug, Clone)]
pub struct Traceparent(pub Box<str>);

impl Traceparent {
    /// The trace context that a client sent, if it is one: version 00 of W3C Trace Context,
    /// `00-<32 hex>-<16 hex>-<2 hex>`, ids not all zero.
    #[must_use]
    pub fn sent(headers: &HeaderMap) -> Option<Box<str>> {
        let text = headers.get("traceparent")?.to_str().ok()?;
        is_traceparent(text).then(|| text.into())
    }
}

fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(5, '-').collect();
    let [version, trace, parent, flags] = parts[..] else {
        return false;
    };
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    version == "00" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2) && !zero(trace) && !zero(parent)
}

/// A body of these bytes.
#[must_use]
pub fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// `application/json`.
#[must_use]
pub fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 204.
#[must_use]
pub fn no_content() -> Response<Body> {
    let mut response = Response::new(body(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_context_is_told_from_garbage() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
