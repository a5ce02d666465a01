//! The native API's requests that are no streams: devices, their history, the summary.
//!
//! Tenants are walls here: what is foreign or out of scope is answered like what does not exist.

mod answer;
mod applied;
mod delete;
mod devices;
mod history;
mod list;
pub mod registry;

pub mod settings;
mod summary;

use std::net::SocketAddr;
use std::sync::Arc;

use access::events::EventSink;
use access::http::{Attempt, Body, Handled, HttpService, Problem, Query, Surface, Traceparent, authenticate};
use access::{Directory, Principal};
use async_trait::async_trait;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use journal::{Clock, Journal, Partition, Placement};
use percent_encoding::percent_decode_str;
use state::Store;

pub use registry::SchemaRegistry;
pub use settings::NativeSettings;

use applied::AppliedWatch;

/// Answers `/v1/devices…` and `/v1/summary`.
pub struct Native {
    settings: NativeSettings,
    journal: Journal,
    store: Store,
    directory: Arc<Directory>,
    events: Arc<dyn EventSink>,
    clock: Clock,
    applied: AppliedWatch,
}

/// A path of this service.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    Devices,
    Device(Box<str>),
    Events(Box<str>),
    Summary,
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
        directory: Arc<Directory>,
        events: Arc<dyn EventSink>,
        clock: Clock,
    ) -> Self {
        Self {
            applied: AppliedWatch::new(Arc::clone(&store.progress), settings.applied_poll),
            settings,
            journal,
            store,
            directory,
            events,
            clock,
        }
    }

    async fn answer(&self, route: Route, request: &Request<Incoming>, peer: SocketAddr) -> Answer {
        let allowed = route.methods();
        if !allowed
            .split(", ")
            .any(|method| method == request.method().as_str())
        {
            return Err(Problem::method_not_allowed(allowed));
        }
        let caller = self.caller(request, peer).await?;
        let delete = request.method() == Method::DELETE;
        match route {
            Route::Devices if delete => {
                let id = caller.query.get("id")?;
                let id = id.ok_or_else(|| Problem::bad_request("name the device to delete with ?id="))?;
                self.delete(&caller, id, &["id"]).await
            }
            Route::Devices if caller.query.get("id")?.is_some() => {
                let id = caller.query.get("id")?.unwrap_or_default();
                self.device(&caller, id, &["id", "min_cursor", "wait"]).await
            }
            Route::Devices => self.list(&caller).await,
            Route::Device(id) if delete => self.delete(&caller, &id, &[]).await,
            Route::Device(id) => self.device(&caller, &id, &["min_cursor", "wait"]).await,
            Route::Events(id) => self.history(&caller, &id).await,
            Route::Summary => self.summary(&caller).await,
        }
    }

    async fn caller(&self, request: &Request<Incoming>, peer: SocketAddr) -> Result<Caller, Problem> {
        let headers = request.headers();
        let attempt = Attempt::of_request(request, peer.ip(), (self.clock)());
        let principal = authenticate(&self.directory, Surface::API, attempt).await?;
        let query = Query::parse(request.uri().query());
        let tenant = principal.resolve_tenant(query.get("tenant")?)?;
        let traced = request.extensions().get::<Traceparent>();
        let sent = || headers.get("traceparent")?.to_str().ok().map(Into::into);
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

impl Route {
    fn parse(path: &str) -> Option<Self> {
        if path == "/v1/summary" {
            return Some(Self::Summary);
        }
        let rest = path.strip_prefix("/v1/devices")?;
        if rest.is_empty() {
            return Some(Self::Devices);
        }
        let mut segments = rest.strip_prefix('/')?.split('/');
        let id = percent_decode_str(segments.next()?).decode_utf8().ok()?;
        if id.is_empty() {
            return None;
        }
        let id = Box::from(&*id);
        match (segments.next(), segments.next()) {
            (None, None) => Some(Self::Device(id)),
            (Some("events"), None) => Some(Self::Events(id)),
            (Some(_), _) | (None, Some(_)) => None,
        }
    }

    const fn methods(&self) -> &'static str {
        match self {
            Self::Devices | Self::Device(_) => "GET, DELETE",
            Self::Events(_) | Self::Summary => "GET",
        }
    }
}

#[async_trait]
impl HttpService for Native {
    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Handled {
        let Some(route) = Route::parse(request.uri().path()) else {
            return Handled::NotMine(request);
        };
        let answer = self.answer(route, &request, peer).await;
        Handled::Response(answer.unwrap_or_else(Problem::into_response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_id_is_percent_encoded_in_a_path() {
        assert_eq!(Route::parse("/v1/devices"), Some(Route::Devices));
        assert_eq!(
            Route::parse("/v1/devices/a%2Fb%20c"),
            Some(Route::Device("a/b c".into()))
        );
        assert_eq!(
            Route::parse("/v1/devices/a%2Fb/events"),
            Some(Route::Events("a/b".into()))
        );
        assert_eq!(Route::parse("/v1/summary"), Some(Route::Summary));
    }

    #[test]
    fn other_paths_are_left_to_others() {
        for path in [
            "/v1/devices/",
            "/v1/devicesx",
            "/v1/devices/a/commands",
            "/v1/devices/a/events/b",
            "/v1",
            "/",
        ] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
        assert_eq!(Route::parse("/v1/devices/%ff"), None);
    }
}
