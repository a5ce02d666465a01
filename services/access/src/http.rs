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
use ::http::{HeaderValue, Request, Response, StatusCode};
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
