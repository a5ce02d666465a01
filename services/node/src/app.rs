//! The process: open, wire, run, drain. Listeners are passed in, so that tests run the real thing.

mod wiring;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::Directory;
use access::http::Path;
use gateway::device_socket::DeviceSockets;
use gateway::front_door::FrontDoor;
use ingest::Ingest;
use journal::Clock;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin_server::{AdminServer, Check};
use crate::client::ClientError;
use crate::config::{Config, Roles, Secret};
use crate::simulate::SimulateError;
use crate::storage::{self, OpenError, Opened};
use crate::tasks::Tasks;

use wiring::{Wiring, address, failed};

/// Part of the drain time that the streams' waves may take; the rest is for batches and the store.
const STREAMS_SHARE: f64 = 0.6;
/// Part of the drain time that the device sockets may take, before the streams.
const DEVICES_SHARE: f64 = 0.1;

/// Why a command ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Storage.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An address cannot be listened on.
    #[error("{setting} {address}: {source}; choose another address, or stop what listens there")]
    Listen {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A part did not start, or ended although it should not.
    #[error("{0}")]
    Task(String),
    /// A node said no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A simulation stopped.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// A recording cannot be used.
    #[error(transparent)]
    Trace(#[from] crate::trace::TraceError),
    /// The system said no.
    #[error("{0}")]
    Io(std::io::Error),
}

/// What a node answers on.
pub struct Listeners {
    /// The public one.
    pub public: TcpListener,
    /// That for operators.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds the addresses of `config`.
    ///
    /// # Errors
    /// The address that cannot be had.
    pub async fn bind(config: &Config) -> Result<Self, RunError> {
        Ok(Self {
            public: bind("listen", config.listen).await?,
            admin: bind("admin-listen", config.admin_listen).await?,
        })
    }
}

async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Listen {
            setting,
            address,
            source,
        })
}

/// A running node.
pub struct Node {
    public: SocketAddr,
    admin: SocketAddr,
    tasks: Tasks,
    streams: Option<gateway::Engine>,
    devices: Option<Arc<DeviceSockets>>,
    directory: Arc<Directory>,
    opened: Opened,
    ingest: Arc<Ingest>,
    paths: Vec<Path>,
    door: CancellationToken,
}

impl Node {
    /// Starts the roles of `config` on what was opened.
    ///
    /// # Errors
    /// The part that did not start.
    pub fn start(
        config: &Config,
        opened: Opened,
        listeners: Listeners,
        clock: Clock,
        registry: Registry,
    ) -> Result<Self, RunError> {
        let (public, admin) = (address(&listeners.public)?, address(&listeners.admin)?);
        let mut tasks = Tasks::new(CancellationToken::new());
        let mut checks: Vec<(&'static str, Check)> = Vec::new();
        let wiring = Wiring {
            config,
            opened: &opened,
            clock: &clock,
            registry: &registry,
        };
        let (directory, administration) = wiring.access(&mut tasks, &mut checks)?;
        wiring.dependencies(&mut tasks, &mut checks)?;
        wiring.engine(&mut tasks, &mut checks);
        wiring.tables(&mut tasks);
        if config.roles.projector {
            wiring.projector(&mut tasks, &mut checks)?;
        }
        let front = wiring.front(&directory, &administration)?;
        let door = FrontDoor::new(front.wiring, &registry).map_err(failed)?;
        let (paths, closing) = (door.paths(), CancellationToken::new());
        let (listening, stop) = (listeners.public, closing.clone());
        tasks.spawn("front door", async move {
            door.serve(listening, stop).await;
            Ok::<(), String>(())
        });
        let server = AdminServer::new(checks, registry, front.schemas);
        let stop = tasks.cancelled();
        tasks.spawn("admin listener", server.serve(listeners.admin, stop));
        tracing::info!(%public, %admin, roles = ?config.roles, "listening");
        Ok(Self {
            public,
            admin,
            tasks,
            streams: front.streams,
            devices: front.devices,
            directory,
            opened,
            ingest: front.ingest,
            paths,
            door: closing,
        })
    }

    /// The address of the public listener.
    #[must_use]
    pub const fn public(&self) -> SocketAddr {
        self.public
    }

    /// The address of the operators' listener.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Every path that the public listener answers.
    #[must_use]
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Resolves once credentials can be judged.
    pub async fn ready(&self) {
        self.directory.ready().await;
    }

    /// Resolves when a part has failed that the node cannot do without; says which and why.
    pub async fn failure(&mut self) -> String {
        self.tasks.first_failure().await
    }

    /// Ends in order, at most `deadline`: no new connections, streams in waves, batches, the store last.
    pub async fn drain(self, deadline: Duration) {
        let begun = tokio::time::Instant::now();
        self.door.cancel();
        if let Some(devices) = &self.devices {
            let within = deadline.mul_f64(DEVICES_SHARE);
            if tokio::time::timeout(within, devices.drain()).await.is_err() {
                tracing::warn!(?within, "device sockets did not close in time");
            }
        }
        if let Some(streams) = &self.streams {
            streams.drain(deadline.mul_f64(STREAMS_SHARE)).await;
        }
        self.ingest.drain(deadline.saturating_sub(begun.elapsed())).await;
        self.tasks.drain(deadline.saturating_sub(begun.elapsed())).await;
        if let Some(engine) = self.opened.engine {
            // Other handles are gone with the tasks; an error here loses nothing that was acknowledged.
            drop((
                self.opened.journal,
                self.opened.store,
                self.ingest,
                self.streams,
                self.devices,
            ));
            if let Err(error) = engine.close().await {
                tracing::error!(%error, "the data directory was not closed cleanly");
            }
        }
        tracing::info!("ended");
    }
}

/// Resolves when the process is told to end: SIGINT or SIGTERM.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        // Without a handler the default action ends the process all the same.
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// A node on free loopback ports that only administers, and a credential for it: for commands that
/// work on storage directly.
///
/// # Errors
/// What kept it from starting.
pub async fn private_node(config: &Config, clock: &Clock) -> Result<(Node, String), RunError> {
    let mut config = config.clone();
    config.roles = Roles {
        ingest: false,
        projector: false,
        gateway: false,
    };
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    (config.listen, config.admin_listen) = (loopback, loopback);
    let token = random_token()?;
    config.admin_token = Some(Secret(token.clone()));
    let registry = Registry::new();
    let opened = storage::open(&config, clock, &registry).await?;
    let listeners = Listeners::bind(&config).await?;
    let node = Node::start(&config, opened, listeners, clock.clone(), registry)?;
    node.ready().await;
    Ok((node, token))
}

/// A credential that nobody can guess.
///
/// # Errors
/// When the system gives no randomness.
pub fn random_token() -> Result<String, RunError> {
    let mut bytes = [0_u8; 24];
    getrandom::fill(&mut bytes)
        .map_err(|error| RunError::Task(format!("the system gives no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
