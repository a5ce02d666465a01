//! Answers the requests of dialects that are no streams: does what their steps say, and nothing else.

mod awaiting;
pub(crate) mod room;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use access::http::authentication::authenticate_text;
use access::http::{
    Attempt, Body, Handled, HttpService, Path, Problem, Query, authenticate, read_body_metered,
};
use access::{Directory, EventSink, Principal};
use async_trait::async_trait;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use journal::Clock;

use crate::dialect::Refusal;
use crate::dialect::requests::{self, Do, Done, Requests, Step, Then};
use crate::engine::Engine;
use crate::subscription::TenantScope;
use room::{Held, Limits, Room, Sender};

/// Limits of the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskSettings {
    /// How long a body may take to arrive.
    pub body_within: Duration,
    /// Bytes of all bodies that are held at once; beyond that requests are answered 503.
    pub held_bytes_max: usize,
    /// Those of one tenant, so that it leaves room to others.
    pub held_tenant_bytes_max: usize,
    /// Those that nobody answers for: who sent them stands in the body.
    pub held_nameless_bytes_max: usize,
    /// Those of one address of which nobody answers for.
    pub held_address_bytes_max: usize,
    /// Bodies longer than this are taken apart on a thread of their own.
    pub inline_bytes_max: usize,
}

impl Default for DeskSettings {
    fn default() -> Self {
        Self {
            body_within: Duration::from_secs(30),
            held_bytes_max: 64 << 20,
            held_tenant_bytes_max: 24 << 20,
            held_nameless_bytes_max: 32 << 20,
            held_address_bytes_max: 8 << 20,
            inline_bytes_max: 64 << 10,
        }
    }
}

/// Steps of one request; more is a mistake of the dialect.
const STEPS_MAX: usize = 1_000;

/// The requests of every dialect.
pub struct Desk {
    settings: DeskSettings,
    room: Arc<Room>,
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
            room: Arc::new(Room::new(Limits {
                all: settings.held_bytes_max,
                tenant: settings.held_tenant_bytes_max,
                nameless: settings.held_nameless_bytes_max,
                address: settings.held_address_bytes_max,
            })),
            settings,
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
        let mut asked = Asked {
            head: parts.clone(),
            peer,
            body: Some(body),
            held: None,
        };
        let mut step = requests.begin(requests::Request {
            query: Query::parse(parts.uri.query()),
            parts,
            now: (self.clock)(),
        });
        for _ in 0..STEPS_MAX {
            match step {
                Step::Answer(response) => return response,
                Step::Do(what, then) => {
                    let done = self.act(what, &mut asked).await;
                    match self.go_on(then, done, &mut asked.held).await {
                        Ok(next) => step = next,
                        Err(problem) => return requests.refuse(&problem.into()),
                    }
                }
            }
        }
        tracing::error!(path = asked.head.uri.path(), "a request takes too many steps");
        requests.refuse(&Problem::unavailable("the request could not be answered", 1).into())
    }

    /// Goes on, with a long body on a thread of its own, so that it holds up no other request.
    async fn go_on(&self, then: Then, done: Done, held: &mut Option<Held>) -> Result<Step, Problem> {
        let is_long = matches!(&done, Done::Body(Ok(body)) if body.len() > self.settings.inline_bytes_max);
        if !is_long {
            return Ok(then(done));
        }
        // Its room goes along, and comes back: the body is there even when nobody waits any more.
        let lent = held.take();
        let work = tokio::task::spawn_blocking(move || (then(done), lent));
        match work.await {
            Ok((step, returned)) => {
                *held = returned;
                Ok(step)
            }
            Err(error) => {
                tracing::error!(%error, "a body could not be taken apart");
                Err(Problem::unavailable("the body could not be handled", 1))
            }
        }
    }

    /// Reads the body, within the room of whoever sends it.
    async fn read(
        &self,
        asked: &mut Asked,
        bytes_max: usize,
        principal: Option<&Principal>,
    ) -> Result<bytes::Bytes, Refusal> {
        let Some(body) = asked.body.take() else {
            return Err(Problem::unavailable("the body was read already", 1).into());
        };
        let sender = Sender::of(principal, asked.peer);
        let held = asked.held.insert(self.room.held(sender));
        let body = read_body_metered(body, bytes_max, self.settings.body_within, |more| held.take(more));
        body.await.map_err(|error| Problem::from(error).into())
    }

    async fn act(&self, what: Do, asked: &mut Asked) -> Done {
        let peer = asked.peer;
        match what {
            Do::Body { bytes_max, principal } => {
                Done::Body(self.read(asked, bytes_max, principal.as_deref()).await)
            }
            Do::Authenticate(surface) => {
                let attempt = Attempt::of(&asked.head, peer, (self.clock)());
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
            Do::Await(awaited) => {
                let now = (self.clock)();
                Done::Ended(awaiting::sent(&self.engine, &*self.events, now, *awaited).await)
            }
            Do::CountStreams(cap) => Done::Count(self.engine.streams_under(cap)),
        }
    }
}

/// A request that is being answered.
struct Asked {
    head: Parts,
    peer: IpAddr,
    /// The body, until it is read.
    body: Option<Incoming>,
    /// The room that it has.
    held: Option<Held>,
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
