//! The `telemetry` dialect: a tenant's metrics over WebSocket and SSE, and the legacy socket of current
//! state.

pub mod legacy;
pub mod requests;
pub mod stream;

use std::collections::BTreeSet;
use std::sync::Arc;

use access::Role;
use access::http::{Body, Problem, Surface};
use access::principal::Tenancy;
use http::Response;
use schemas::json;

use super::text::quoted;
use super::{Asked, Entrance, Parts, Reason, Refusal};
use crate::open::OpenSettings;
use crate::open::parameters::{BadParameter, From, from};

/// Where a credential may stand; in a WebSocket's query too.
const SURFACE: Surface = Surface {
    bearer: true,
    cookies: &["pulse_session"],
    ..Surface::NONE
};
/// Streams under this name are counted together.
pub(crate) const CAP: &str = "telemetry";

/// The dialect.
pub(super) const PARTS: Parts = Parts {
    name: "telemetry",
    entrances,
    requests: |limits| {
        vec![Arc::new(requests::Telemetry::new(
            limits.open.telemetry.clone(),
            limits.registration_required,
        ))]
    },
    tongue: None,
};

/// The ways in.
fn entrances(settings: &OpenSettings) -> Vec<Arc<dyn Entrance>> {
    let streams_max = settings.telemetry.streams_max;
    vec![
        Arc::new(stream::WebSocket::new(streams_max)),
        Arc::new(stream::EventStream::new(streams_max)),
        Arc::new(legacy::Legacy),
    ]
}

/// The tenant that a stream is about; `None` for an operator without one.
fn tenant(asked: &Asked<'_>) -> Result<Option<Box<str>>, Refusal> {
    let principal = asked.principal;
    if !principal.reads() {
        return Err(Problem::forbidden("Unauthorized role").into());
    }
    let named = asked.query.get("tenant")?;
    let operates = principal.role == Role::System
        || principal
            .realm()
            .is_some_and(|realm| realm.roles.operates() && realm.tenancy == Tenancy::Missing);
    if named.is_none() && principal.tenant.is_none() && operates {
        return Ok(None);
    }
    let tenant = principal.resolve_tenant(named);
    Ok(Some(
        tenant.map_err(|error| Problem::forbidden(error.to_string()))?,
    ))
}

/// The answer that refuses: `{"detail":…}`.
fn refuse(refusal: &Refusal, streams_max: usize) -> Response<Body> {
    let detail = match refusal.reason {
        Reason::NoCredential => "Missing token".to_owned(),
        Reason::BadCredential => "Invalid or expired token".to_owned(),
        Reason::Capped => format!("Max streaming connections ({streams_max}) reached for tenant"),
        Reason::Forbidden
        | Reason::NotFound
        | Reason::BadRequest
        | Reason::UpgradeRequired
        | Reason::TooMany
        | Reason::Unavailable => refusal.detail().to_owned(),
    };
    refusal.with_body(format!("{{\"detail\":{}}}", quoted(&detail)))
}

/// From where a stream runs, by header and query.
fn since(asked: &Asked<'_>) -> Result<From, Refusal> {
    let header = asked.parts.headers.get("last-event-id");
    from(asked.query, header).map_err(|bad: BadParameter| Problem::bad_request(bad.to_string()).into())
}

/// Whether the client asks for cursors.
fn cursors(asked: &Asked<'_>) -> Result<bool, Refusal> {
    Ok(asked.query.get("cursor")?.is_some_and(|cursor| cursor == "1"))
}

/// The names in a list separated by commas.
fn names(asked: &Asked<'_>, parameter: &str) -> BTreeSet<Box<str>> {
    let values = asked.query.all(parameter).flat_map(|values| values.split(','));
    let names = values.map(str::trim).filter(|name| !name.is_empty());
    names.map(Box::from).collect()
}

/// Whether `device` may be named.
fn is_device(device: &str) -> bool {
    json::check_device(device).is_ok()
}

/// A message that is an error.
fn error(message: &str) -> String {
    format!("{{\"type\":\"error\",\"message\":{}}}", quoted(message))
}

#[cfg(test)]
mod tests;
