//! The `realtime` dialect: positions, liveness and locks of the devices that a client subscribes to, and
//! commands to them.

mod conversation;
mod frames;
pub mod requests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use access::http::{Body, Problem, Query, Surface};
use access::{Principal, Role, Scope};
use http::Response;
use schemas::Kind;

use super::text::quoted;
use super::{Action, Asked, Entrance, Opening, Parts, Reason, Refusal};
use crate::open::parameters::{BadParameter, from};
use crate::subscription::{DeviceSet, KindSet, Selection, TenantScope, Told, View};
use conversation::Talk;
use frames::Frames;

/// The dialect.
pub(super) const PARTS: Parts = Parts {
    name: "realtime",
    entrances: |_| vec![Arc::new(Realtime::default())],
    requests: |limits| {
        vec![Arc::new(requests::Realtime {
            rows_max: limits.open.lock_rows_max,
        })]
    },
    tongue: None,
};

/// The way in.
#[derive(Default)]
struct Realtime {
    /// Numbers the connections of this process.
    connections: AtomicU64,
}

/// Where the key may stand; in both, and they differ: it is none.
const SURFACE: Surface = Surface {
    query: &["api_key"],
    headers: &["x-api-key"],
    ..Surface::NONE
};

impl Entrance for Realtime {
    fn paths(&self) -> &[&'static str] {
        &["/realtime"]
    }

    fn surface(&self) -> Surface {
        SURFACE
    }

    fn open(&self, asked: &Asked<'_>) -> Result<Opening, Refusal> {
        let tenant = tenant(asked.principal, asked.query)?;
        let last_event_id = asked.parts.headers.get("last-event-id");
        let from = from(asked.query, last_event_id)
            .map_err(|bad: BadParameter| Problem::bad_request(bad.to_string()))?;
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let connected = format!(
            "{{\"type\":\"connected\",\"connectionId\":\"conn-{}-{number}\"}}",
            asked.now.div_euclid(1_000)
        );
        let selection = Selection {
            tenant: TenantScope::One(tenant),
            devices: DeviceSet::Set(Arc::default()),
            kinds: KindSet::NONE.with(Kind::Telemetry).with(Kind::Lock),
            metrics: None,
            filters: None,
            told: Told {
                kinds: KindSet::NONE.with(Kind::Presence),
                of_all: KindSet::NONE,
            },
        };
        Ok(Opening {
            from,
            cursors: asked.query.get("cursor")? == Some("1"),
            chooses: true,
            conversation: Box::new(Talk::default()),
            first: vec![Action::send(connected)],
            ..Opening::of(View::Events, selection, Arc::new(Frames))
        })
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refuse(refusal)
    }
}

/// The tenant that a request is about: whoever has none, and does not say which, is nobody here.
fn tenant(principal: &Principal, query: &Query) -> Result<Box<str>, Refusal> {
    let unauthorized = || Refusal::from(Problem::unauthorized("Unauthorized"));
    if !principal.reads() {
        return Err(unauthorized());
    }
    let named = query.get("tenant")?;
    principal.resolve_tenant(named).map_err(|_| unauthorized())
}

/// Whether a device is within a principal's scope.
fn is_in_scope(principal: &Principal, device: &str) -> bool {
    is_scoped(principal) && principal.devices.contains(device)
}

/// Whether any device is within it: for a user without a list of devices, none is.
fn is_scoped(principal: &Principal) -> bool {
    match (principal.role, &principal.devices) {
        (Role::User, Scope::All) => false,
        (Role::System | Role::Admin | Role::User | Role::Ingest | Role::Device, _) => true,
    }
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    let error = match refusal.reason {
        Reason::NoCredential | Reason::BadCredential => "Unauthorized",
        Reason::Forbidden
        | Reason::NotFound
        | Reason::BadRequest
        | Reason::UpgradeRequired
        | Reason::Capped
        | Reason::TooMany
        | Reason::Unavailable => refusal.detail(),
    };
    refusal.with_body(format!("{{\"error\":{}}}", quoted(error)))
}
