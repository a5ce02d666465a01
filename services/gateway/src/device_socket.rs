//! The socket of one device: `GET /v1/connect`, and those of dialects. Events go up, each answered when it
//! is durable; commands come down; and the connection itself is the device's presence.
//!
//! It keeps nothing that another gateway would need: a device that connects elsewhere gets the commands
//! that are still queued, from the state and then from the log. A command may come twice around a
//! reconnect; its id tells.
//!
//! **Between gateways** a connection knows of another from the log alone: the older ends (4001) when it reads
//! of the newer's connect, and both get what comes down until then. `delivered` says that the command was
//! written to the connection; of a device that is gone without a word, that is noticed by its pings, and a
//! command written meanwhile expires. It is not handed over again: a device that reboots before it answers
//! would reboot at each reconnect.

mod commands;
mod frames;
mod native;
mod peers;
mod right;
mod session;
pub mod settings;
mod uplink;

use std::net::SocketAddr;
use std::sync::Arc;

use access::events::EventSink;
use access::http::{Attempt, Body, Handled, HttpService, Path, Problem, Query, Traceparent, authenticate};
use access::{Directory, Principal, Role, Scope};
use async_trait::async_trait;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use journal::{Clock, Journal, Partition, Placement};
use state::Store;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub(crate) use frames::Step;
pub(crate) use native::Native;
pub use settings::DeviceSocketSettings;

use crate::dialect::tongue::Tongue;
use crate::dialect::{self, Refusal};
use crate::engine::{Engine, Seat};
use crate::open::handshake;
use crate::subscription::Transport;
use peers::Peers;
use session::Session;

/// What device sockets are made of.
pub struct Wiring {
    /// Limits and times.
    pub settings: DeviceSocketSettings,
    /// Delivers the commands.
    pub engine: Engine,
    /// The log.
    pub journal: Journal,
    /// Has the commands that are queued already.
    pub store: Store,
    /// Who is who.
    pub directory: Arc<Directory>,
    /// Takes the events.
    pub events: Arc<dyn EventSink>,
    /// The wall clock.
    pub clock: Clock,
}

/// The sockets of devices. Dropping it cuts those that are open.
pub struct DeviceSockets {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    abort: CancellationToken,
    _guard: DropGuard,
}

/// What every socket needs.
struct Shared {
    settings: DeviceSocketSettings,
    engine: Engine,
    journal: Journal,
    store: Store,
    directory: Arc<Directory>,
    events: Arc<dyn EventSink>,
    clock: Clock,
    peers: Peers,
    /// The process is about to stop.
    closing: CancellationToken,
}

/// A device that may connect.
struct Device {
    tongue: &'static dyn Tongue,
    principal: Arc<Principal>,
    tenant: Box<str>,
    id: Box<str>,
    traceparent: Option<Box<str>>,
}

impl DeviceSockets {
    /// No sockets yet.
    #[must_use]
    pub fn new(wiring: Wiring) -> Self {
        let abort = CancellationToken::new();
        Self {
            shared: Arc::new(Shared {
                settings: wiring.settings,
                engine: wiring.engine,
                journal: wiring.journal,
                store: wiring.store,
                directory: wiring.directory,
                events: wiring.events,
                clock: wiring.clock,
                peers: Peers::default(),
                closing: CancellationToken::new(),
            }),
            tasks: TaskTracker::new(),
            _guard: abort.clone().drop_guard(),
            abort,
        }
    }

    /// Devices that are connected to this process.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.peers.count()
    }

    /// Takes no more sockets, closes those there are, and waits until what they sent is answered and
    /// their presence is appended. To be limited in time by the caller, and to come before the engine's
    /// drain.
    pub async fn drain(&self) {
        self.shared.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn connect(
        &self,
        tongue: &'static dyn Tongue,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::GET {
            return Err(Problem::method_not_allowed("GET").into());
        }
        let device = self.device(tongue, &request, peer).await?;
        if handshake::transport(request.headers()) == Transport::Sse {
            return Err(
                Problem::new(StatusCode::UPGRADE_REQUIRED, "this path speaks WebSocket only")
                    .header(UPGRADE, HeaderValue::from_static("websocket"))
                    .header(CONNECTION, HeaderValue::from_static("Upgrade"))
                    .into(),
            );
        }
        let (parts, body) = request.into_parts();
        let head = handshake::web_socket(&parts)?;
        let seat = self.seat(&device)?;
        let upgrade = hyper::upgrade::on(Request::from_parts(parts, body));
        let shared = Arc::clone(&self.shared);
        let abort = self.abort.clone();
        self.tasks.spawn(async move {
            let served = async {
                match upgrade.await {
                    Ok(upgraded) => Session::run(shared, device, seat, upgraded).await,
                    Err(error) => tracing::debug!(%error, "a device's connection was not upgraded"),
                }
            };
            abort.run_until_cancelled(served).await;
        });
        let (head, ()) = head.into_parts();
        Ok(Response::from_parts(
            head,
            access::http::body(bytes::Bytes::new()),
        ))
    }

    async fn device(
        &self,
        tongue: &'static dyn Tongue,
        request: &Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Device, Refusal> {
        let shared = &self.shared;
        let attempt = Attempt::of_request(request, peer.ip(), (shared.clock)());
        let principal = authenticate(&shared.directory, tongue.surface(), attempt).await?;
        if principal.role != Role::Device {
            return Err(Problem::forbidden("devices connect here, with a device token").into());
        }
        let tenant = principal.resolve_tenant(Query::parse(request.uri().query()).get("tenant")?)?;
        let id = match &principal.devices {
            Scope::Devices(devices) if devices.len() == 1 => devices.iter().next().cloned(),
            Scope::Devices(_) | Scope::All => None,
        };
        let id = id
            .ok_or_else(|| Problem::forbidden("a device connects with a token of its own, for one device"))?;
        if !tongue.is_way_of(request.uri().path(), &id) {
            return Err(Problem::not_found("Device not found").into());
        }
        let traced = request.extensions().get::<Traceparent>();
        Ok(Device {
            tongue,
            traceparent: traced.map(|traced| traced.0.clone()),
            principal,
            tenant,
            id,
        })
    }

    /// A place under the caps. Device sockets are counted apart from the tenant's streams, under a
    /// name that no tenant has.
    fn seat(&self, device: &Device) -> Result<Seat, Problem> {
        if self.shared.closing.is_cancelled() {
            return Err(Problem::unavailable("this gateway is about to stop", 1));
        }
        let counted_as = format!("{}/devices", device.tenant);
        self.shared.engine.reserve(Some(&counted_as)).map_err(|refused| {
            let (least, most) = self.shared.engine.settings().retry_refused;
            let wait = rand::random_range(least..=most.max(least));
            Problem::unavailable(refused.to_string(), wait.as_secs().max(1))
        })
    }
}

impl Shared {
    fn partition(&self, device: &Device) -> Partition {
        let layout = &self.journal.layout;
        let placement = self.directory.placement(&device.tenant).unwrap_or_else(|| {
            Arc::new(Placement::new(
                &device.tenant,
                layout.default_spread,
                layout.partitions,
            ))
        });
        placement.of(&device.id)
    }
}

#[async_trait]
impl HttpService for DeviceSockets {
    fn paths(&self) -> Vec<Path> {
        dialect::tongues().map(Tongue::path).collect()
    }

    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Handled {
        let Some(tongue) = dialect::tongue(request.uri().path()) else {
            return Handled::NotMine(request);
        };
        let answer = self.connect(tongue, request, peer).await;
        Handled::Response(answer.unwrap_or_else(|refusal| tongue.refuse(&refusal)))
    }
}
