//! The public listener: takes connections, reads the first request of each, and gives streams on
//! plain sockets to the engine's workers and everything else to hyper.
//!
//! It knows no route itself: [`Streams`] says what is a stream, and the services what they answer. It
//! never logs a query, where a credential may stand.

pub(crate) mod cors;
pub(crate) mod head;
mod metrics;
mod places;
mod plain;
pub(crate) mod proxies;
pub(crate) mod refusal;
mod response;
pub mod settings;
mod tasks;
pub mod tls;
mod via_hyper;
mod watched;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::http::{HttpService, Path};
use http::StatusCode;
use http::request::Parts;
use journal::Clock;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::Span;

pub use cors::InvalidOrigin;
pub use settings::FrontDoorSettings;

use crate::open::Streams;
use bytes::BytesMut;
use cors::Cors;
use metrics::Metrics;
use places::{Place, Places};
use tasks::{Owner, Tasks};

/// Between attempts to accept after one failed, for want of file descriptors mostly.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Sees each request, for traces.
pub trait Observer: Send + Sync {
    /// A request begins. What the span is needed for later, such as `access::http::Traceparent`, may
    /// be put into the extensions. The URI's query may hold a credential and must not be recorded.
    fn begin(&self, parts: &mut Parts, client: SocketAddr) -> Span {
        tracing::debug_span!("request", method = %parts.method, path = parts.uri.path(), %client)
    }

    /// Its answer has this status.
    fn end(&self, span: &Span, status: StatusCode) {
        tracing::debug!(parent: span, status = status.as_u16(), "answered");
    }
}

/// An observer that only logs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

impl Observer for Log {}

/// What a front door is made of.
pub struct Wiring {
    /// Limits and times.
    pub settings: FrontDoorSettings,
    /// The streams, where this process has them.
    pub streams: Option<Arc<Streams>>,
    /// Asked in order for everything else.
    pub services: Vec<Arc<dyn HttpService>>,
    /// TLS, by [`tls::server_config`].
    pub tls: Option<Arc<ServerConfig>>,
    /// Sees each request.
    pub observer: Arc<dyn Observer>,
    /// The wall clock.
    pub clock: Clock,
}

/// Why there is no front door.
#[derive(Debug, thiserror::Error)]
pub enum FrontDoorError {
    /// A setting is wrong.
    #[error(transparent)]
    Origin(#[from] InvalidOrigin),
    /// A metric of that name exists.
    #[error("a metric could not be registered: {0}")]
    Metric(#[from] prometheus::Error),
}

/// The public listener. Clones are the same one.
#[derive(Clone)]
pub struct FrontDoor {
    door: Arc<Door>,
}

/// What every connection needs.
struct Door {
    settings: FrontDoorSettings,
    streams: Option<Arc<Streams>>,
    /// Each with its paths.
    services: Vec<(Vec<Path>, Arc<dyn HttpService>)>,
    tls: Option<TlsAcceptor>,
    observer: Arc<dyn Observer>,
    clock: Clock,
    cors: Cors,
    metrics: Metrics,
    places: Places,
    refusals: Arc<Semaphore>,
}

impl FrontDoor {
    /// A front door; [`serve`](Self::serve) opens it.
    ///
    /// # Errors
    /// When a setting is wrong or its metrics are registered already.
    pub fn new(wiring: Wiring, registry: &prometheus::Registry) -> Result<Self, FrontDoorError> {
        let settings = wiring.settings;
        let metrics = Metrics::new(registry)?;
        Ok(Self {
            door: Arc::new(Door {
                cors: Cors::new(&settings.allowed_origins, settings.preflight_max_age)?,
                places: Places::new(&settings, metrics.connections.clone()),
                metrics,
                refusals: Arc::new(Semaphore::new(settings.refusals_max)),
                streams: wiring.streams,
                services: wiring
                    .services
                    .into_iter()
                    .map(|service| (service.paths(), service))
                    .collect(),
                tls: wiring.tls.map(TlsAcceptor::from),
                observer: wiring.observer,
                clock: wiring.clock,
                settings,
            }),
        })
    }

    /// Every path that is answered here; what is not among them reaches nobody.
    #[must_use]
    pub fn paths(&self) -> Vec<Path> {
        let streams = self.door.streams.iter().flat_map(|streams| streams.paths());
        let services = self.door.services.iter().flat_map(|(paths, _)| paths);
        streams.chain(services.copied()).collect()
    }

    /// Answers on `listener` until `cancel`; then takes no more connections and returns once the
    /// requests under way are answered. Streams are not waited for on plain sockets; behind hyper
    /// they end when the engine drains. Dropping the future cuts what is left.
    pub async fn serve(&self, listener: TcpListener, cancel: CancellationToken) {
        let owner = Owner::new();
        loop {
            let accepted = tokio::select! {
                () = cancel.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => self.take(socket, peer, owner.tasks(), &cancel),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    self.door.metrics.broken.inc();
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
        drop(listener);
        owner.join().await;
    }

    fn take(&self, socket: TcpStream, peer: SocketAddr, tasks: &Tasks, cancel: &CancellationToken) {
        let door = Arc::clone(&self.door);
        // Frames are small and must not wait for each other; the system refuses only dead sockets.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended at once");
        }
        if let Some(place) = door.places.take(peer) {
            tasks.spawn(connection(
                door,
                socket,
                peer,
                place,
                tasks.clone(),
                cancel.clone(),
            ));
            return;
        }
        door.metrics.refused.inc();
        // Over TLS an answer would cost the handshake, which is what there is no room for.
        if door.tls.is_none()
            && let Ok(place) = Arc::clone(&door.refusals).try_acquire_owned()
        {
            tasks.spawn(async move {
                refusal::refuse(door, socket).await;
                drop(place);
            });
        }
    }
}

async fn connection(
    door: Arc<Door>,
    socket: TcpStream,
    peer: SocketAddr,
    place: Place,
    tasks: Tasks,
    cancel: CancellationToken,
) {
    match door.tls.clone() {
        None => plain::serve(door, socket, peer, place, tasks, cancel).await,
        Some(tls) => {
            secured(door, tls, socket, peer, tasks, cancel).await;
            drop(place);
        }
    }
}

async fn secured(
    door: Arc<Door>,
    tls: TlsAcceptor,
    socket: TcpStream,
    peer: SocketAddr,
    tasks: Tasks,
    cancel: CancellationToken,
) {
    let handshake = tokio::time::timeout(door.settings.handshake_timeout, tls.accept(socket));
    let mut stream = match cancel.run_until_cancelled(handshake).await {
        None => return,
        Some(Ok(Ok(stream))) => stream,
        Some(Ok(Err(error))) => {
            tracing::debug!(%error, %peer, "a TLS handshake failed");
            door.metrics.broken.inc();
            return;
        }
        Some(Err(_)) => {
            tracing::debug!(%peer, "a TLS handshake took too long");
            door.metrics.broken.inc();
            return;
        }
    };
    // hyper waits for the version without a deadline.
    let mut buffer = BytesMut::new();
    let head = head::read(&mut stream, &mut buffer, door.settings.head_bytes_max);
    let head = tokio::time::timeout(door.settings.head_timeout, head);
    let Some(Ok(Ok(_))) = cancel.run_until_cancelled(head).await else {
        return;
    };
    let (read, write) = tokio::io::split(stream);
    let again = tokio::io::AsyncReadExt::chain(std::io::Cursor::new(buffer.freeze()), read);
    via_hyper::serve(door, tokio::io::join(again, write), peer, tasks, cancel).await;
}
