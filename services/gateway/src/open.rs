//! From a request to a stream: which dialect it comes in by, who asks, for what, and from where. The
//! dialect translates; the engine does the rest.

mod facts;
pub(crate) mod handshake;
pub(crate) mod parameters;
mod resolve;
pub mod settings;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use access::administration::TenantRefused;
use access::http::{Attempt, Body, Path, Problem, Query, authenticate};
use access::{Administration, Directory, Principal, Role};
use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use journal::{Clock, Journal, Partition};
use tokio::sync::Semaphore;

pub use settings::OpenSettings;

use crate::dialect::{self, Answer, Asked, Entrance, Opening, Reason, Refusal, Transports, router};
use crate::engine::{Engine, Place, Reading, Refused, Seat};
use crate::front_door::refusal;
use crate::subscription::{
    DeviceSet, Framing, LiveEnds, Selection, Start, Subscription, TenantScope, Transport, View,
};
use resolve::NoStart;

/// Opens streams.
pub struct Streams {
    settings: OpenSettings,
    engine: Engine,
    journal: Journal,
    administration: Arc<Administration>,
    clock: Clock,
    time_lookups: Semaphore,
    entrances: Vec<Arc<dyn Entrance>>,
}

/// A stream that can begin.
pub struct Opened {
    /// Its place under the caps.
    pub seat: Seat,
    /// What to stream.
    pub subscription: Subscription,
    /// Who reads its client.
    pub reading: Reading,
    /// The head of the answer, without what concerns the connection.
    pub head: Response<()>,
}

impl Streams {
    /// Streams of `journal`, delivered by `engine`.
    #[must_use]
    pub fn new(
        settings: OpenSettings,
        engine: Engine,
        journal: Journal,
        administration: Arc<Administration>,
        clock: Clock,
    ) -> Self {
        Self {
            time_lookups: Semaphore::new(settings.time_lookups_max),
            entrances: dialect::entrances(&settings),
            settings,
            engine,
            journal,
            administration,
            clock,
        }
    }

    /// The engine that delivers.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The paths of streams.
    pub fn paths(&self) -> impl Iterator<Item = Path> {
        let patterns = self.entrances.iter().flat_map(|entrance| entrance.paths());
        patterns.map(|pattern| Path::get(pattern))
    }

    /// Whether `path` is that of a stream.
    #[must_use]
    pub fn is_route(&self, path: &str) -> bool {
        self.entrances.iter().any(|entrance| entrance.takes(path))
    }

    /// Opens the stream that a request asks for, `GET` and without a body.
    ///
    /// # Errors
    /// The answer that refuses it.
    pub async fn open(&self, parts: &Parts, peer: IpAddr) -> Result<Opened, Response<Body>> {
        let entrance = router::choose(&self.entrances, parts).map_err(|refused| *refused)?;
        let transport = transport(&**entrance, parts);
        self.enter(&**entrance, parts, transport, peer)
            .await
            .map_err(|refusal| {
                // One that passes is told to an event stream in its own way.
                if refusal.reason == Reason::Unavailable && transport == Transport::Sse {
                    self.busy(transport, refusal.detail())
                } else {
                    entrance.refuse(&refusal)
                }
            })
    }

    /// The answer to a stream that the engine refuses. A browser gives an event stream up for ever
    /// after any status but 200.
    #[must_use]
    pub fn refusal(&self, transport: Transport, refused: Refused) -> Response<Body> {
        self.busy(transport, &refused.to_string())
    }

    fn busy(&self, transport: Transport, reason: &str) -> Response<Body> {
        match transport {
            Transport::Sse => refusal::fault(reason, self.patience()),
            Transport::WebSocket => self.unavailable(reason).into_response(),
        }
    }

    fn unavailable(&self, reason: &str) -> Problem {
        Problem::unavailable(reason, self.patience().as_secs().max(1))
    }

    fn patience(&self) -> std::time::Duration {
        let (least, most) = self.engine.settings().retry_refused;
        rand::random_range(least..=most.max(least))
    }

    fn directory(&self) -> &Directory {
        self.administration.directory()
    }

    async fn enter(
        &self,
        entrance: &dyn Entrance,
        parts: &Parts,
        transport: Transport,
        peer: IpAddr,
    ) -> Result<Opened, Refusal> {
        let attempt = Attempt::of(parts, peer, (self.clock)());
        let principal = authenticate(self.directory(), entrance.surface(), attempt).await?;
        let query = Query::parse(parts.uri.query());
        let asked = Asked {
            principal: &principal,
            parts,
            query: &query,
            transport,
            now: (self.clock)(),
            epoch: self.journal.epoch,
            settings: &self.settings,
        };
        let mut opening = entrance.open(&asked)?;
        let head = head(entrance, parts, transport)?;
        let (mut seat, before) = self.admitted(&mut opening, &principal).await?;
        let reading = Reading {
            conversation: std::mem::replace(&mut opening.conversation, Box::new(dialect::Silent)),
            first: std::mem::take(&mut opening.first),
        };
        let subscription = self.subscribe(transport, principal, opening, before).await?;
        seat.admit(&subscription.selection, &subscription.principal.devices)
            .map_err(|refused| self.unavailable(&refused.to_string()))?;
        Ok(Opened {
            seat,
            subscription,
            reading,
            head,
        })
    }

    /// Asks what must be known before the stream begins, with its place taken; where it begins, if that is noted
    /// before.
    async fn admitted(
        &self,
        opening: &mut Opening,
        principal: &Principal,
    ) -> Result<(Seat, Option<Before>), Refusal> {
        let mut tenant = opening.selection.tenant.clone();
        let mut seat = self.seat(&tenant.share(principal), opening)?;
        self.settle(principal, &tenant).await?;
        let before = match opening.begins_before.take() {
            Some(tenant) => {
                let selection = Selection {
                    tenant,
                    devices: DeviceSet::All,
                    ..opening.selection.clone()
                };
                Some(self.before(opening.view, &selection, principal).await)
            }
            None => None,
        };
        while let Some((question, admit)) = opening.question.take() {
            let answer = self.engine.ask(&tenant, &principal.devices, question).await;
            if matches!(answer, Answer::Unavailable) {
                return Err(self.unavailable("the state does not answer at present").into());
            }
            admit(opening, answer)?;
            let before = std::mem::replace(&mut tenant, opening.selection.tenant.clone());
            if tenant.share(principal) != before.share(principal) {
                // One stream never counts twice.
                drop(seat);
                seat = self.seat(&tenant.share(principal), opening)?;
            }
        }
        Ok((seat, before))
    }

    async fn before(&self, view: View, selection: &Selection, principal: &Principal) -> Before {
        let partitions = selection.touched(&principal.devices, &self.journal.layout, &self.spread());
        let LiveEnds(places) = self.engine.live_ends(view.topic(), &partitions).await;
        partitions.into_iter().zip(places).collect()
    }

    fn seat(&self, share: &str, opening: &Opening) -> Result<Seat, Refusal> {
        let reserved = self.engine.reserve_under(Some(share), opening.cap.as_ref());
        reserved.map_err(|refused| match refused {
            Refused::Capped(_) => Refusal {
                reason: Reason::Capped,
                problem: Problem::new(StatusCode::TOO_MANY_REQUESTS, refused.to_string())
                    .retry_after(self.patience().as_secs().max(1)),
            },
            Refused::Full | Refused::TenantFull | Refused::FiltersFull | Refused::Draining => {
                self.unavailable(&refused.to_string()).into()
            }
        })
    }

    /// A tenant exists from its first use by a `system` principal; its placement is fixed then.
    async fn settle(&self, principal: &Principal, tenant: &TenantScope) -> Result<(), Problem> {
        let (Role::System, Some(name)) = (principal.role, tenant.name().filter(|name| !name.is_empty()))
        else {
            return Ok(());
        };
        match self.administration.ensure_tenant(name).await {
            Ok(_) => Ok(()),
            Err(TenantRefused::Name(error)) => Err(error.into()),
            Err(refused) => Err(Problem::unavailable(refused.to_string(), 1)),
        }
    }

    async fn subscribe(
        &self,
        transport: Transport,
        principal: Arc<Principal>,
        opening: Opening,
        before: Option<Before>,
    ) -> Result<Subscription, Refusal> {
        let view = opening.view;
        let mut subscription = Subscription {
            view,
            transport,
            framing: Framing::Plain,
            dialect: opening.dialect,
            selection: opening.selection,
            delivery: opening.delivery,
            every: opening.every,
            partitions: Vec::new(),
            start: Start::live(0),
            principal,
            bound: opening.bound,
            cursors: opening.cursors,
            chooses: opening.chooses,
        };
        subscription.partitions = self.partitions(&subscription);
        let partitions = &subscription.partitions;
        let mut start = facts::start(self, view, &opening.from, opening.snapshot, partitions)
            .await
            .map_err(|reason| match reason {
                NoStart::OtherView { .. } | NoStart::NoView { .. } => {
                    Problem::bad_request(reason.to_string())
                }
                NoStart::Unavailable { .. } => self.unavailable(&reason.to_string()),
            })?;
        if starts_live(&start) {
            start.live_ends = Some(match before {
                Some(before) => {
                    let place = |partition| before.get(partition).copied().flatten();
                    LiveEnds(partitions.iter().map(place).collect())
                }
                None => self.engine.live_ends(view.topic(), partitions).await,
            });
        }
        subscription.start = start;
        Ok(subscription)
    }

    fn partitions(&self, subscription: &Subscription) -> Vec<Partition> {
        let selection = &subscription.selection;
        let scope = &subscription.principal.devices;
        subscription.touched(selection, scope, &self.journal.layout, &self.spread())
    }

    fn spread(&self) -> impl Fn(&str) -> Option<u32> {
        |tenant: &str| self.directory().tenant(tenant).map(|record| record.spread)
    }
}

/// Where the live end of partitions was.
type Before = BTreeMap<Partition, Option<Place>>;

/// What the stream is carried by.
fn transport(entrance: &dyn Entrance, parts: &Parts) -> Transport {
    match entrance.transports() {
        Transports::Both => handshake::transport(&parts.headers),
        Transports::WebSocket => Transport::WebSocket,
        Transports::Sse => Transport::Sse,
    }
}

/// The head of the answer.
fn head(entrance: &dyn Entrance, parts: &Parts, transport: Transport) -> Result<Response<()>, Refusal> {
    if transport == Transport::Sse {
        return Ok(handshake::event_stream());
    }
    let upgrades = handshake::transport(&parts.headers) == Transport::WebSocket;
    if entrance.transports() == Transports::WebSocket && !upgrades {
        return Err(
            Problem::new(StatusCode::UPGRADE_REQUIRED, "this path speaks WebSocket only")
                .header(UPGRADE, HeaderValue::from_static("websocket"))
                .header(CONNECTION, HeaderValue::from_static("Upgrade"))
                .into(),
        );
    }
    Ok(handshake::web_socket(parts)?)
}

/// Whether the stream holds from its response head on: what is acknowledged after that is delivered.
fn starts_live(start: &Start) -> bool {
    start.snapshot.is_none() && start.positions.is_empty()
}
