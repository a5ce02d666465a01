//! Answers the requests of dialects that are no streams: does what their steps say, and nothing else.

mod awaiting;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use access::http::authentication::authenticate_text;
use access::http::{Attempt, Body, Handled, HttpService, Path, Problem, Query, authenticate, read_body_metered};
use access::{Directory, EventSink};
use async_trait::async_trait;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use journal::Clock;

use crate::dialect::Refusal;
use crate::dialect::requests::{self, Do, Done, Requests, Step};
use crate::engine::Engine;
use crate::subscription::TenantScope;

/// Limits of the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskSettings {
    /// How long a body may take to arrive.
    pub body_within: Duration,
    /// Bytes of all bodies that are held at once; beyond that requests are answered 503.
    pub held_bytes_max: usize,
}

impl Default for DeskSettings {
    fn default() -> Self {
        Self {
            body_within: Duration::from_secs(30),
            held_bytes_max: 64 << 20,
        }
    }
}

/// Steps of one request; more is a mistake of the dialect.
const STEPS_MAX: usize = 1_000;

/// The requests of every dialect.
pub struct Desk {
    settings: DeskSettings,
    held: AtomicUsize,
    requests: Vec<Arc<dyn Requests>>,
    engine: Engine,
    directory: Arc<Directory>,
    events: Arc<dyn EventSink>,
    clock: Clock,
}

impl Desk {
    /// Answers `requests` from the state that `engine` reads; events are appended through `events`.
    #[must_use]
    pub fn new(
        settings: DeskSettings,
        requests: Vec<Arc<dyn Requests>>,
        engine: Engine,
        directory: Arc<Directory>,
        events: Arc<dyn EventSink>,
        clock: Clock,
    ) -> Self {
        Self {
            settings,
            held: AtomicUsize::new(0),
            requests,
            engine,
            directory,
            events,
            clock,
        }
    }

    async fn answer(
        &self,
        requests: &dyn Requests,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let mut held = Held { desk: self, bytes: 0 };
        let (most, within) = (requests.body_bytes_max(), self.settings.body_within);
        let body = match read_body_metered(body, most, within, |more| held.take(more)).await {
            Ok(body) => body,
            Err(error) => return requests.refuse(&Problem::from(error).into()),
        };
        let head = parts.clone();
        let mut step = requests.begin(requests::Request {
            query: Query::parse(parts.uri.query()),
            parts,
            body,
            now: (self.clock)(),
        });
        for _ in 0..STEPS_MAX {
            match step {
                Step::Answer(response) => return response,
                Step::Do(what, then) => step = then(self.act(what, &head, peer).await),
            }
        }
        tracing::error!(path = head.uri.path(), "a request takes too many steps");
        requests.refuse(&Problem::unavailable("the request could not be answered", 1).into())
    }

    async fn act(&self, what: Do, head: &Parts, peer: IpAddr) -> Done {
        match what {
            Do::Authenticate(surface) => {
                let attempt = Attempt::of(head, peer, (self.clock)());
                let proven = authenticate(&self.directory, surface, attempt).await;
                Done::Principal(proven.map_err(Refusal::from))
            }
            Do::Prove(credential) => {
                let now = (self.clock)();
                let proven = authenticate_text(&self.directory, &credential, peer, now).await;
                Done::Principal(proven.map_err(Refusal::from))
            }
            Do::Ask {
                tenant,
                principal,
                ask,
            } => {
                let tenant = tenant.map_or(TenantScope::All, TenantScope::One);
                Done::Answer(self.engine.ask(&tenant, &principal.devices, ask).await)
            }
            Do::Submit {
                principal,
                submission,
            } => Done::Outcomes(self.events.submit(&principal, submission).await),
            Do::Await(awaited) => Done::Ended(awaiting::ended(&self.engine, (self.clock)(), awaited).await),
            Do::CountStreams(cap) => Done::Count(self.engine.streams_under(cap)),
        }
    }
}

/// Room that the body of one request has.
struct Held<'a> {
    desk: &'a Desk,
    bytes: usize,
}

impl Held<'_> {
    fn take(&mut self, more: usize) -> bool {
        let before = self.desk.held.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        before + more <= self.desk.settings.held_bytes_max
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.desk.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[async_trait]
impl HttpService for Desk {
    fn paths(&self) -> Vec<Path> {
        let all = self.requests.iter().flat_map(|requests| requests.paths());
        all.copied().collect()
    }

    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Handled {
        let (method, path) = (request.method(), request.uri().path());
        let Some(requests) = self.requests.iter().find(|requests| requests.takes(method, path)) else {
            return Handled::NotMine(request);
        };
        Handled::Response(self.answer(&**requests, request, peer.ip()).await)
    }
}
