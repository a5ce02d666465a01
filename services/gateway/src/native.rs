//! The native API's requests that are no streams: devices, their history and commands, alerts and their
//! rules, the summary.
//!
//! Tenants are walls here: what is foreign or out of scope is answered like what does not exist.

mod acting;
mod alerts;
mod answer;
mod commands;
mod delete;
mod devices;
mod history;
mod list;
pub mod registry;
mod route;
mod rules;

pub mod settings;
mod summary;

use std::net::SocketAddr;
use std::sync::Arc;

use access::events::EventSink;
use access::http::{
    Attempt, Body, Handled, HttpService, Path, Problem, Query, Surface, Traceparent, authenticate, read_body,
};
use access::{Administration, Directory, Principal};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use journal::{Clock, Journal, Partition, Placement};
use state::Store;

pub use registry::SchemaRegistry;
pub use settings::NativeSettings;

use crate::applied::AppliedWatch;
use crate::desk::room::{self, Room};
use route::Route;

/// Answers `/v1/devices…`, `/v1/alerts…`, `/v1/rules…` and `/v1/summary`.
pub struct Native {
    settings: NativeSettings,
    journal: Journal,
    store: Store,
    directory: Arc<Directory>,
    administration: Arc<Administration>,
    events: Arc<dyn EventSink>,
    clock: Clock,
    applied: AppliedWatch,
    /// For lists that are under way.
    room: Arc<Room>,
}

/// Who asks, about which tenant, with which query.
struct Caller {
    principal: Arc<Principal>,
    tenant: Box<str>,
    query: Query,
    traceparent: Option<Box<str>>,
}

type Answer = Result<Response<Body>, Problem>;

impl Native {
    /// The native API over `journal` and `store`; events are appended through `events`.
    #[must_use]
    pub fn new(
        settings: NativeSettings,
        journal: Journal,
        store: Store,
        administration: Arc<Administration>,
        events: Arc<dyn EventSink>,
        clock: Clock,
    ) -> Self {
        Self {
            applied: AppliedWatch::new(Arc::clone(&store.progress), settings.applied_poll),
            room: Arc::new(Room::new(room::Limits {
                all: settings.list_held_bytes_max,
                tenant: settings.list_held_tenant_bytes_max,
                // Everybody who is answered is known.
                nameless: 0,
                address: 0,
            })),
            settings,
            journal,
            store,
            directory: Arc::clone(administration.directory()),
            administration,
            events,
            clock,
        }
    }

    async fn answer(&self, route: Route, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        let allowed = route.methods();
        if !allowed
            .split(", ")
            .any(|method| method == request.method().as_str())
        {
            return Err(Problem::method_not_allowed(allowed));
        }
        let caller = self.caller(&request, peer).await?;
        let (head, body) = request.into_parts();
        match (route, &head.method) {
            (Route::Devices, method) => self.devices(&caller, method).await,
            (Route::Device(id), &Method::DELETE) => self.delete(&caller, &id, &[]).await,
            (Route::Device(id), _) => self.device(&caller, &id, &["min_cursor", "wait"]).await,
            (Route::Events(id), _) => self.history(&caller, &id).await,
            (Route::Commands(id), &Method::POST) => {
                let body = self.read(body).await?;
                self.create_command(&caller, &id, &body).await
            }
            (Route::Commands(id), _) => self.list_commands(&caller, &id).await,
            (Route::Command(id, command), _) => self.command(&caller, &id, &command).await,
            (Route::Alerts, _) => self.list_alerts(&caller).await,
            (Route::AlertStep(id, step), _) => self.settle_alert(&caller, &id, step).await,
            (Route::Rules, _) => self.list_rules(&caller),
            (Route::Rule(id), &Method::PUT) => {
                let body = self.read(body).await?;
                self.put_rule(&caller, &id, &body).await
            }
            (Route::Rule(id), &Method::DELETE) => self.delete_rule(&caller, &id).await,
            (Route::Rule(id), _) => self.rule(&caller, &id),
            (Route::Summary, _) => self.summary(&caller).await,
        }
    }

    /// The list, or the device that `?id=` names.
    async fn devices(&self, caller: &Caller, method: &Method) -> Answer {
        let id = caller.query.get("id")?;
        match (id, method) {
            (Some(id), &Method::DELETE) => self.delete(caller, id, &["id"]).await,
            (None, &Method::DELETE) => Err(Problem::bad_request("name the device to delete with ?id=")),
            (Some(id), _) => self.device(caller, id, &["id", "min_cursor", "wait"]).await,
            (None, _) => self.list(caller).await,
        }
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, Problem> {
        let settings = &self.settings;
        Ok(read_body(body, settings.body_bytes_max, settings.body_within).await?)
    }

    async fn caller(&self, request: &Request<Incoming>, peer: SocketAddr) -> Result<Caller, Problem> {
        let attempt = Attempt::of_request(request, peer.ip(), (self.clock)());
        let principal = authenticate(&self.directory, Surface::API, attempt).await?;
        let query = Query::parse(request.uri().query());
        let tenant = principal.resolve_tenant(query.get("tenant")?)?;
        let traced = request.extensions().get::<Traceparent>();
        let sent = || Traceparent::sent(request.headers());
        Ok(Caller {
            traceparent: traced.map(|traced| traced.0.clone()).or_else(sent),
            principal,
            tenant,
            query,
        })
    }

    fn placement(&self, tenant: &str) -> Arc<Placement> {
        self.directory.placement(tenant).unwrap_or_else(|| {
            let layout = &self.journal.layout;
            Arc::new(Placement::new(tenant, layout.default_spread, layout.partitions))
        })
    }

    fn partition(&self, tenant: &str, device: &str) -> Partition {
        self.placement(tenant).of(device)
    }
}

impl Caller {
    fn may_read(&self) -> Result<(), Problem> {
        if self.principal.may_read_tenant(&self.tenant) {
            return Ok(());
        }
        Err(Problem::forbidden(
            "this credential does not read: use a user, admin or system token",
        ))
    }

    /// A parameter that nobody reads is a mistake that would go unseen.
    fn knows(&self, names: &[&str]) -> Result<(), Problem> {
        for name in self.query.names() {
            if name != "tenant" && !names.contains(&name) {
                let known = names.join(", ");
                let detail = format!(
                    "{name}: unknown; this path knows {known}{}tenant",
                    if names.is_empty() { "" } else { ", " }
                );
                return Err(Problem::bad_request(detail).with("parameter", name));
            }
        }
        Ok(())
    }
}

/// What is answered for a device that is not there, or not for the caller.
fn no_device() -> Problem {
    Problem::not_found("there is no such device")
}

#[async_trait]
impl HttpService for Native {
    fn paths(&self) -> Vec<Path> {
        route::PATHS.to_vec()
    }

    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Handled {
        let Some(route) = Route::parse(request.uri().path()) else {
            return Handled::NotMine(request);
        };
        let answer = self.answer(route, request, peer).await;
        Handled::Response(answer.unwrap_or_else(Problem::into_response))
    }
}
