//! The `watch` dialect: one device's status, logs and states, and the requests beside it.

mod conversation;
mod device;
mod frames;
mod link;
mod logs;
mod opening;
mod path;
pub mod requests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use access::http::{Body, Problem, Query, Surface};
use access::{Principal, TenantError};
use http::Response;

use super::text::quoted;
use super::{Ask, Asked, Entrance, Opening, Parts, Reason, Refusal, Transports};
use crate::subscription::Transport;
use path::Path;

/// Where a credential may stand in a request.
const SURFACE: Surface = Surface {
    bearer: true,
    cookies: &["devicesdk-session"],
    ..Surface::NONE
};
/// Where it may stand when a stream is opened.
const STREAM: Surface = Surface {
    query: &["token"],
    ..SURFACE
};

/// The dialect.
pub(super) const PARTS: Parts = Parts {
    name: "watch",
    entrances: |_| vec![Arc::new(Watch), Arc::new(LogStream)],
    requests: |limits| {
        vec![Arc::new(requests::Watch::new(
            limits.open.watch.clone(),
            limits.native.commands.clone(),
        ))]
    },
    tongue: Some(&device::Device),
};

/// `…/watch`.
struct Watch;

impl Entrance for Watch {
    fn paths(&self) -> &[&'static str] {
        &[path::WATCH]
    }

    fn surface(&self) -> Surface {
        STREAM
    }

    fn open(&self, asked: &Asked<'_>) -> Result<Opening, Refusal> {
        opening::open(asked, Transport::WebSocket)
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refuse(refusal)
    }
}

/// `…/logs/stream`, which came before it.
struct LogStream;

impl Entrance for LogStream {
    fn paths(&self) -> &[&'static str] {
        &[path::LOG_STREAM]
    }

    fn transports(&self) -> Transports {
        Transports::Sse
    }

    fn surface(&self) -> Surface {
        STREAM
    }

    fn open(&self, asked: &Asked<'_>) -> Result<Opening, Refusal> {
        opening::open(asked, Transport::Sse)
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refuse(refusal)
    }
}

/// A device that a principal asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    tenant: Box<str>,
    /// `None` where there can be no such device for the principal.
    device: Option<Box<str>>,
    /// How ids of the project's devices begin; `None` for the project of devices without one.
    prefix: Option<Box<str>>,
}

impl Target {
    /// What is foreign, and what may not be read, is not there.
    fn of(path: &Path, principal: &Principal, query: &Query) -> Result<Self, Refusal> {
        if !principal.reads() {
            return Err(no_device());
        }
        let tenant = match principal.resolve_tenant(query.get("tenant")?) {
            Ok(tenant) => tenant,
            Err(error @ (TenantError::Required | TenantError::Invalid)) => return Err(error.into()),
            Err(TenantError::Missing | TenantError::Foreign) => return Err(no_project()),
        };
        let is_visible = |device: &str| principal.may_read(&tenant, device);
        Ok(Self {
            device: path.device().filter(|device| is_visible(device)),
            prefix: path.prefix(),
            tenant,
        })
    }

    /// What tells whether the device or its whole project is missing.
    fn missing(&self) -> Option<Ask> {
        self.prefix.clone().map(Ask::HasAny)
    }
}

fn no_device() -> Refusal {
    Problem::not_found("Device not found").into()
}

fn no_project() -> Refusal {
    Problem::not_found("Project not found").into()
}

fn unavailable() -> Refusal {
    Problem::unavailable("the state does not answer at present", 1).into()
}

/// `{"success":false,"error":…}`
fn refuse(refusal: &Refusal) -> Response<Body> {
    let (error, code) = match refusal.reason {
        Reason::NoCredential => ("Missing credentials", Some("missing_credentials")),
        Reason::BadCredential => ("Invalid or expired token", Some("invalid_token")),
        Reason::UpgradeRequired => ("Expected Upgrade: websocket", None),
        Reason::Forbidden
        | Reason::NotFound
        | Reason::BadRequest
        | Reason::Capped
        | Reason::TooMany
        | Reason::Unavailable => (refusal.detail(), None),
    };
    let code = code.map_or_else(String::new, |code| format!(",\"code\":\"{code}\""));
    refusal.with_body(format!("{{\"success\":false,\"error\":{}{code}}}", quoted(error)))
}
