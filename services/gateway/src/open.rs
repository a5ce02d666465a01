//! From a request to a stream: who asks, for what, and from where. The engine does the rest.

mod facts;
pub(crate) mod handshake;
mod parameters;
mod resolve;
pub mod settings;

use std::net::IpAddr;
use std::sync::Arc;

use access::administration::TenantRefused;
use access::http::{Attempt, Body, Problem, Query, Surface, authenticate};
use access::{Administration, Directory, Principal, Role};
use http::request::Parts;
use http::{HeaderName, Response};
use journal::{Clock, Journal};
use tokio::sync::Semaphore;

pub use settings::OpenSettings;

use crate::dialect::Dialect;
use crate::dialect::native::Native;
use crate::engine::{Engine, Refused, Seat};
use crate::front_door::refusal;
use crate::subscription::{DeviceSet, Framing, Selection, Start, Subscription, TenantScope, Transport};
use parameters::Parameters;
use resolve::NoStart;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The native stream.
const PATH: &str = "/v1/stream";

/// Opens streams.
pub struct Streams {
    settings: OpenSettings,
    engine: Engine,
    journal: Journal,
    administration: Arc<Administration>,
    clock: Clock,
    time_lookups: Semaphore,
    native: Arc<dyn Dialect>,
}

/// A stream that can begin.
pub struct Opened {
    /// Its place under the caps.
    pub seat: Seat,
    /// What to stream.
    pub subscription: Subscription,
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
            native: Arc::new(Native),
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

    /// Whether `path` is that of a stream.
    #[must_use]
    pub fn is_route(&self, path: &str) -> bool {
        path == PATH
    }

    /// Opens the stream that a request asks for, `GET` and without a body.
    ///
    /// # Errors
    /// The answer that refuses it.
    pub async fn open(&self, parts: &Parts, peer: IpAddr) -> Result<Opened, Response<Body>> {
        let transport = handshake::transport(&parts.headers);
        let attempt = Attempt::of(parts, peer, (self.clock)());
        let principal = authenticate(self.directory(), Surface::STREAM, attempt)
            .await
            .map_err(|refusal| self.explain(transport, refusal.into()))?;
        let query = Query::parse(parts.uri.query());
        let parameters =
            Parameters::read(&query, parts.headers.get(LAST_EVENT_ID), &self.settings).map_err(|bad| {
                Problem::bad_request(bad.to_string())
                    .with("parameter", &*bad.parameter)
                    .into_response()
            })?;
        let tenant = self
            .tenant(&principal, &parameters)
            .map_err(Problem::into_response)?;
        let head = match transport {
            Transport::Sse => handshake::event_stream(),
            Transport::WebSocket => handshake::web_socket(parts).map_err(Problem::into_response)?,
        };
        let seat = self
            .engine
            .reserve(tenant.name())
            .map_err(|refused| self.refusal(transport, refused))?;
        self.settle(&principal, &tenant)
            .await
            .map_err(|problem| self.explain(transport, problem))?;
        let subscription = self.subscribe(transport, principal, tenant, parameters).await?;
        Ok(Opened {
            seat,
            subscription,
            head,
        })
    }

    /// The answer to a stream that the engine refuses. A browser gives an event stream up for ever
    /// after any status but 200.
    #[must_use]
    pub fn refusal(&self, transport: Transport, refused: Refused) -> Response<Body> {
        self.busy(transport, &refused.to_string())
    }

    fn busy(&self, transport: Transport, reason: &str) -> Response<Body> {
        let (least, most) = self.engine.settings().retry_refused;
        let wait = rand::random_range(least..=most.max(least));
        match transport {
            Transport::Sse => refusal::fault(reason, wait),
            Transport::WebSocket => Problem::unavailable(reason, wait.as_secs().max(1)).into_response(),
        }
    }

    /// The answer of a problem; one that passes is told to an event stream in its own way.
    fn explain(&self, transport: Transport, problem: Problem) -> Response<Body> {
        if problem.status() == http::StatusCode::SERVICE_UNAVAILABLE {
            return self.busy(transport, problem.detail());
        }
        problem.into_response()
    }

    fn directory(&self) -> &Directory {
        self.administration.directory()
    }

    /// What the principal may see of what it asks for.
    fn tenant(&self, principal: &Principal, parameters: &Parameters) -> Result<TenantScope, Problem> {
        if !principal.reads() {
            return Err(Problem::forbidden(
                "this credential does not read: streams need a user, admin or system token",
            ));
        }
        let named = parameters.tenant.as_deref();
        let tenant = if principal.role == Role::System && principal.tenant.is_none() && named.is_none() {
            TenantScope::All
        } else {
            TenantScope::One(principal.resolve_tenant(named)?)
        };
        if let DeviceSet::Set(devices) = &parameters.devices
            && let Some(device) = devices.iter().find(|device| !principal.devices.contains(device))
        {
            return Err(
                Problem::forbidden(format!("this credential does not cover device {device:?}"))
                    .with("device", &**device),
            );
        }
        Ok(tenant)
    }

    /// A tenant exists from its first use by a `system` principal; its placement is fixed then.
    async fn settle(&self, principal: &Principal, tenant: &TenantScope) -> Result<(), Problem> {
        let (Role::System, Some(name)) = (principal.role, tenant.name()) else {
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
        tenant: TenantScope,
        parameters: Parameters,
    ) -> Result<Subscription, Response<Body>> {
        let view = parameters.view;
        let bound = matches!(&parameters.devices, DeviceSet::Set(devices) if devices.len() == 1);
        let selection = Selection {
            tenant,
            devices: parameters.devices,
            kinds: parameters.kinds,
            metrics: parameters.metrics,
        };
        let partitions = selection.partitions(&principal.devices, self.directory(), &self.journal.layout);
        let mut start = facts::start(self, view, &parameters.from, parameters.snapshot, &partitions)
            .await
            .map_err(|reason| match reason {
                NoStart::OtherView { .. } | NoStart::NoView { .. } => {
                    Problem::bad_request(reason.to_string()).into_response()
                }
                NoStart::Unavailable { .. } => self.busy(transport, &reason.to_string()),
            })?;
        if starts_live(&start) {
            start.live_ends = Some(self.engine.live_ends(view.topic(), &partitions).await);
        }
        Ok(Subscription {
            view,
            transport,
            framing: Framing::Plain,
            dialect: Arc::clone(&self.native),
            selection,
            delivery: parameters.delivery,
            every: parameters.every,
            partitions,
            start,
            principal,
            bound,
        })
    }
}

/// Whether the stream holds from its response head on: what is acknowledged after that is delivered.
fn starts_live(start: &Start) -> bool {
    start.snapshot.is_none() && start.positions.is_empty()
}
