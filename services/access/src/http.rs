//! What every HTTP surface shares before it can answer: where a credential stands in a request, and
//! errors as `application/problem+json`.

use std::convert::Infallible;
use std::net::SocketAddr;

use ::http::{Request, Response};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;

/// Body of every response.
pub type Body = BoxBody<Bytes, Infallible>;

/// Answers requests that are no streams. Ingest and gateway each offer one; `node` composes them.
#[async_trait]
pub trait HttpService: Send + Sync {
    /// Answers one request of `peer` (the client's address, after trusted proxies). `None` when the
    /// path is not one of this service's.
    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Handled;
}

/// What a service made of a request.
pub enum Handled {
    /// Its answer.
    Response(Response<Body>),
    /// Not one of its paths: the request goes on to the next service.
    NotMine(Request<Incoming>),
}
