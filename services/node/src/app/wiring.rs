//! Which part is made of what. The only place where ingest, projector and gateway meet.

mod credentials;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use access::http::{AdministrationService, HttpService, routes};
use access::{Administration, Directory, EventSink};
use gateway::desk::Desk;
use gateway::device_socket::{self, DeviceSockets};
use gateway::front_door::{self, Observer};
use gateway::native::{Native, SchemaRegistry};
use gateway::open::Streams;
use ingest::Ingest;
use journal::Clock;
use projector::Projector;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::RunError;
use crate::admin_server::{Check, Condition};
use crate::config::Config;
use crate::dependencies::{Dependencies, Dependency};
use crate::storage::Opened;
use crate::storage::switch::Switch;
use crate::tasks::Tasks;
use crate::traces::{self, Traced};

/// Checks that `/ready` reports.
type Checks = Vec<(&'static str, Check)>;

/// What everything is made from.
pub(super) struct Wiring<'a> {
    pub(super) config: &'a Config,
    pub(super) opened: &'a Opened,
    pub(super) clock: &'a Clock,
    pub(super) registry: &'a Registry,
}

/// What the public listener is made of.
pub(super) struct Front {
    pub(super) wiring: front_door::Wiring,
    pub(super) streams: Option<gateway::Engine>,
    pub(super) devices: Option<Arc<DeviceSockets>>,
    pub(super) schemas: Arc<dyn HttpService>,
    pub(super) ingest: Arc<Ingest>,
}

impl Wiring<'_> {
    /// Reads other tables when `rebuild` says so.
    pub(super) fn tables(&self, tasks: &mut Tasks) {
        let Some(switch) = self.opened.switch.clone() else {
            return;
        };
        let cancel = tasks.cancelled();
        tasks.spawn("tables", async move {
            cancel.run_until_cancelled(switch.follow()).await;
            Ok::<(), String>(())
        });
    }

    /// Asks the servers whether they answer, where there are any.
    pub(super) fn dependencies(&self, tasks: &mut Tasks, checks: &mut Checks) -> Result<(), RunError> {
        if self.opened.engine.is_some() || self.opened.cql.is_none() {
            return Ok(());
        }
        let known = Dependencies::new(self.config.dependencies.clone(), self.registry).map_err(failed)?;
        for dependency in [Dependency::Kafka, Dependency::Cql] {
            let known = known.clone();
            checks.push((
                dependency.name(),
                Box::new(move || {
                    known
                        .check(dependency)
                        .map_or_else(Condition::Degraded, |()| Condition::Good)
                }),
            ));
        }
        let (journal, store) = (self.opened.journal.clone(), self.opened.store.clone());
        let cancel = tasks.cancelled();
        tasks.spawn("dependencies", async move {
            known.watch(&journal, &store, cancel).await;
            Ok::<(), String>(())
        });
        Ok(())
    }

    /// Maintenance of the embedded engine, where it is the storage.
    pub(super) fn engine(&self, tasks: &mut Tasks, checks: &mut Checks) {
        let Some(engine) = self.opened.engine.clone() else {
            return;
        };
        let watched = engine.clone();
        checks.push((
            "engine",
            Box::new(move || watched.failure().map_or(Condition::Good, Condition::Failed)),
        ));
        let cancel = tasks.cancelled();
        tasks.spawn("engine maintenance", async move {
            engine.run_maintenance(cancel).await;
            Ok::<(), String>(())
        });
    }

    /// The projector.
    pub(super) fn projector(&self, tasks: &mut Tasks, checks: &mut Checks) -> Result<(), RunError> {
        let mut settings = self.config.projector.clone();
        if self.config.otlp_endpoint.is_some() {
            settings.traces = traces::of_records();
        }
        if self.config.history_off {
            settings.history_kinds.clear();
        }
        let store = match &self.opened.switch {
            Some(switch) => switch.projector_store(),
            None => self.opened.store.clone(),
        };
        let projector = Projector::new(
            settings,
            self.opened.journal.clone(),
            store,
            Arc::clone(self.clock),
            self.registry,
        );
        let projector = Arc::new(projector.map_err(failed)?);
        let judged = Arc::clone(&projector);
        let serves = self.config.roles.ingest || self.config.roles.gateway;
        let was_ready = AtomicBool::new(false);
        checks.push((
            "projector",
            Box::new(move || {
                let health = judged.health();
                if health.is_ready() {
                    was_ready.store(true, Ordering::Relaxed);
                    return Condition::Good;
                }
                let waiting = health
                    .partitions
                    .iter()
                    .find_map(|(partition, health)| match &health.phase {
                        projector::Phase::Waiting { reason } => {
                            Some(format!("partition {partition}: {reason}"))
                        }
                        projector::Phase::Recovering | projector::Phase::Following => None,
                    });
                let reason = waiting
                    .or(health.trouble)
                    .unwrap_or_else(|| "not a member of its group yet".to_owned());
                // What else the process does goes on meanwhile.
                if serves && was_ready.load(Ordering::Relaxed) {
                    Condition::Degraded(reason)
                } else {
                    Condition::Failed(reason)
                }
            }),
        ));
        let (cancel, switch) = (tasks.cancelled(), self.opened.switch.clone());
        tasks.spawn("projector", async move {
            match switch {
                Some(switch) => run_switching(&projector, &switch, cancel).await,
                None => projector.run(cancel).await,
            }
            Ok::<(), String>(())
        });
        Ok(())
    }
}

impl Wiring<'_> {
    /// The public listener with the surfaces of this process's roles.
    pub(super) fn front(
        &self,
        directory: &Arc<Directory>,
        administration: &Arc<Administration>,
    ) -> Result<Front, RunError> {
        let (config, opened) = (self.config, self.opened);
        // Every role admits events: the native API and the device sockets append by the same rules.
        let ingest = Ingest::new(
            config.ingest.clone(),
            opened.journal.clone(),
            Arc::clone(directory),
            Arc::clone(administration),
            Arc::clone(self.clock),
            self.registry,
        );
        let ingest = ingest.map_err(failed)?;
        let schemas: Arc<dyn HttpService> = Arc::new(SchemaRegistry);
        let mut services: Vec<Arc<dyn HttpService>> = Vec::new();
        if config.roles.ingest {
            services.push(Arc::clone(&ingest) as _);
        }
        let (mut streams, mut devices) = (None, None);
        if config.roles.gateway {
            let opened_streams = self.streams(directory, administration)?;
            let sockets = self.device_sockets(&opened_streams, directory, &ingest);
            services.push(Arc::clone(&sockets) as _);
            services.push(self.desk(&opened_streams, directory, &ingest));
            opened_streams
                .engine()
                .append_through(Arc::clone(&ingest) as Arc<dyn EventSink>);
            devices = Some(sockets);
            streams = Some(opened_streams);
            services.push(Arc::new(Native::new(
                config.native.clone(),
                opened.journal.clone(),
                opened.store.clone(),
                Arc::clone(administration),
                Arc::clone(&ingest) as Arc<dyn EventSink>,
                Arc::clone(self.clock),
            )));
        }
        let tls = self.tls()?;
        let routes = routes::Settings {
            secure_cookies: tls.is_some(),
            ..routes::Settings::default()
        };
        let routes = AdministrationService::new(routes, Arc::clone(administration));
        services.push(Arc::new(routes));
        services.push(Arc::clone(&schemas));
        let engine = streams
            .as_ref()
            .map(|streams: &Arc<Streams>| streams.engine().clone());
        let observer: Arc<dyn Observer> = if config.otlp_endpoint.is_some() {
            Arc::new(Traced::default())
        } else {
            Arc::new(front_door::Log)
        };
        let wiring = front_door::Wiring {
            settings: config.front_door.clone(),
            streams,
            services,
            tls,
            observer,
            clock: Arc::clone(self.clock),
        };
        Ok(Front {
            wiring,
            streams: engine,
            devices,
            schemas,
            ingest,
        })
    }

    fn streams(
        &self,
        directory: &Arc<Directory>,
        administration: &Arc<Administration>,
    ) -> Result<Arc<Streams>, RunError> {
        let mut settings = self.config.gateway.clone();
        if self.config.otlp_endpoint.is_some() {
            settings.traces = traces::of_records();
        }
        let engine = gateway::Engine::start(
            settings,
            self.opened.journal.clone(),
            self.opened.store.clone(),
            Arc::clone(directory),
            Arc::clone(self.clock),
            self.registry,
        );
        Ok(Arc::new(Streams::new(
            self.config.open.clone(),
            engine.map_err(failed)?,
            self.opened.journal.clone(),
            Arc::clone(administration),
            Arc::clone(self.clock),
        )))
    }

    fn device_sockets(
        &self,
        streams: &Streams,
        directory: &Arc<Directory>,
        ingest: &Arc<Ingest>,
    ) -> Arc<DeviceSockets> {
        Arc::new(DeviceSockets::new(device_socket::Wiring {
            settings: self.config.device_socket.clone(),
            engine: streams.engine().clone(),
            journal: self.opened.journal.clone(),
            store: self.opened.store.clone(),
            directory: Arc::clone(directory),
            events: Arc::clone(ingest) as Arc<dyn EventSink>,
            clock: Arc::clone(self.clock),
        }))
    }

    /// The dialects' requests that are no streams.
    fn desk(
        &self,
        streams: &Streams,
        directory: &Arc<Directory>,
        ingest: &Arc<Ingest>,
    ) -> Arc<dyn HttpService> {
        let journal = &self.opened.journal;
        let config = self.config;
        let registration_required = journal.layout.registration_required;
        let requests = gateway::dialect::requests(&config.open, &config.native, registration_required);
        Arc::new(Desk::new(
            self.config.desk.clone(),
            requests,
            streams.engine().clone(),
            Arc::clone(directory),
            Arc::clone(ingest) as Arc<dyn EventSink>,
            Arc::clone(self.clock),
        ))
    }

    fn tls(&self) -> Result<Option<Arc<rustls::ServerConfig>>, RunError> {
        let (Some(chain), Some(key)) = (&self.config.tls_cert, &self.config.tls_key) else {
            return Ok(None);
        };
        let read = |setting: &str, path: &std::path::Path| {
            std::fs::read(path)
                .map_err(|error| RunError::Task(format!("{setting} {}: {error}", path.display())))
        };
        let (chain, key) = (read("tls-cert", chain)?, read("tls-key", key)?);
        front_door::tls::server_config(&chain, &key)
            .map(Some)
            .map_err(failed)
    }
}

/// Runs the projector on the tables that serve; when others do, it gives up its partitions and takes
/// them again, so that it begins with what those tables hold.
async fn run_switching(projector: &Projector, switch: &Switch, cancel: CancellationToken) {
    while !cancel.is_cancelled() {
        let stop = cancel.child_token();
        let mut run = std::pin::pin!(projector.run(stop.clone()));
        let build = tokio::select! {
            () = &mut run => continue,
            build = switch.projector_wanted() => build,
        };
        stop.cancel();
        run.await;
        if let Err(error) = switch.projector_goes(build).await {
            tracing::warn!(%error, build, "the new tables could not be opened; trying again");
        }
    }
}

/// The address that a listener has.
pub(super) fn address(listener: &TcpListener) -> Result<SocketAddr, RunError> {
    listener.local_addr().map_err(RunError::Io)
}

/// A part that did not start.
pub(super) fn failed(error: impl std::fmt::Display) -> RunError {
    RunError::Task(error.to_string())
}
