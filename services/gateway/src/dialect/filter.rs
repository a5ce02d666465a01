//! The `filter` dialect: devices as they change, of which one of a client's filters holds, and the devices
//! of which a filter holds now.

mod conversation;
mod frames;
pub mod requests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use access::Principal;
use access::http::{Body, Problem, Query, Surface};
use http::Response;

use super::text::quoted;
use super::{Asked, Entrance, Opening, Parts, Reason, Refusal};
use crate::filters::Filters;
use crate::open::parameters::{BadParameter, from};
use crate::subscription::{Delivery, DeviceSet, KindSet, Selection, TenantScope, Told, View};
use conversation::Talk;
use frames::Frames;

/// Shared with the telemetry dialect, whose credential stands elsewhere.
const PATH: &str = "/api/v2/ws";

/// The dialect.
pub(super) const PARTS: Parts = Parts {
    name: "filter",
    entrances: |_| vec![Arc::new(Socket)],
    requests: |limits| vec![Arc::new(requests::Devices::new(limits.open))],
    tongue: None,
};

/// The way in.
struct Socket;

/// `Authorization: Bearer`, and nowhere else.
const SURFACE: Surface = Surface {
    bearer: true,
    ..Surface::NONE
};

impl Entrance for Socket {
    fn paths(&self) -> &[&'static str] {
        &[PATH]
    }

    fn surface(&self) -> Surface {
        SURFACE
    }

    fn open(&self, asked: &Asked<'_>) -> Result<Opening, Refusal> {
        let tenant = tenant(asked.principal, asked.query)?;
        let last_event_id = asked.parts.headers.get("last-event-id");
        let from = from(asked.query, last_event_id)
            .map_err(|bad: BadParameter| Problem::bad_request(bad.to_string()))?;
        let selection = Selection {
            tenant: TenantScope::One(tenant),
            devices: DeviceSet::All,
            kinds: KindSet::ALL,
            metrics: None,
            filters: Some(Filters::silent()),
            told: Told::default(),
        };
        Ok(Opening {
            delivery: Delivery::Latest,
            from,
            cursors: asked.query.get("cursor")? == Some("1"),
            chooses: true,
            conversation: Box::new(Talk::new(asked.settings.filters.clone())),
            ..Opening::of(View::Devices, selection, Arc::new(Frames))
        })
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refuse(refusal)
    }
}

/// The tenant whose devices are shown.
fn tenant(principal: &Principal, query: &Query) -> Result<Box<str>, Refusal> {
    if !principal.reads() {
        return Err(Problem::forbidden("this credential does not read").into());
    }
    Ok(principal.resolve_tenant(query.get("tenant")?)?)
}

/// The answer that refuses: `{"error":…}`.
fn refuse(refusal: &Refusal) -> Response<Body> {
    let error = match refusal.reason {
        Reason::NoCredential | Reason::BadCredential => "unauthorized",
        Reason::Forbidden => "forbidden",
        Reason::NotFound
        | Reason::BadRequest
        | Reason::UpgradeRequired
        | Reason::Capped
        | Reason::TooMany
        | Reason::Unavailable => refusal.detail(),
    };
    refusal.with_body(format!("{{\"error\":{}}}", quoted(error)))
}

/// `{"error":{"<kind>":"…"}}`.
fn error(kind: &str, explanation: &str) -> String {
    format!("{{\"error\":{{\"{kind}\":{}}}}}", quoted(explanation))
}

/// What is wrong with a filter, in words.
const FILTER_PARSE: &str = "filter_parse";
