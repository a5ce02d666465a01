//! The `controller` dialect: updates of commands, and of the places of mobile devices, for the staff of
//! organizations, which are tenants here.

mod command;
mod earlier;
mod location;
mod opening;
mod path;
pub mod requests;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use access::Principal;
use access::http::{Body, Problem, Surface};
use http::Response;

use super::text::quoted;
use super::{Asked, Entrance, Opening, Parts, Reason, Refusal};
use path::Socket;

/// Where a credential may stand.
const SURFACE: Surface = Surface {
    bearer: true,
    cookies: &["sessionid"],
    ..Surface::NONE
};
/// Any of these lets staff see devices of the organizations that it manages, and their commands.
const DEVICES: &[&str] = &["config.view_device", "config.change_device"];
/// Any of these lets staff send commands to them.
const COMMANDS: &[&str] = &["config.change_device", access::principal::COMMAND];
/// Any of these lets staff see locations.
const LOCATIONS: &[&str] = &["geo.view_location", "geo.change_location"];

/// The words for whoever may not.
const NOT_ALLOWED: &str = "You do not have permission to perform this action.";

/// The dialect.
pub(super) const PARTS: Parts = Parts {
    name: "controller",
    entrances: |_| vec![Arc::new(Controller)],
    requests: |limits| {
        vec![Arc::new(requests::Controller::new(
            limits.native,
            limits.registration_required,
        ))]
    },
    tongue: None,
};

/// The three sockets.
struct Controller;

impl Entrance for Controller {
    fn paths(&self) -> &[&'static str] {
        Socket::PATHS
    }

    fn surface(&self) -> Surface {
        SURFACE
    }

    fn open(&self, asked: &Asked<'_>) -> Result<Opening, Refusal> {
        match Socket::read(asked.parts.uri.path()) {
            Some(Socket::Commands(device)) => opening::commands(asked, device),
            Some(Socket::Location(location)) => opening::location(asked, location),
            Some(Socket::Locations) => opening::locations(asked),
            None => Err(not_allowed()),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        let refusal = match refusal.reason {
            Reason::NoCredential | Reason::BadCredential | Reason::Forbidden | Reason::NotFound => {
                &not_allowed()
            }
            Reason::BadRequest
            | Reason::UpgradeRequired
            | Reason::Capped
            | Reason::TooMany
            | Reason::Unavailable => refusal,
        };
        detail(refusal)
    }
}

fn not_allowed() -> Refusal {
    Problem::forbidden(NOT_ALLOWED).into()
}

/// `{"detail":…}`
fn detail(refusal: &Refusal) -> Response<Body> {
    refusal.with_body(format!("{{\"detail\":{}}}", quoted(refusal.detail())))
}

/// Whether a principal may do something of these in an organization.
fn may(principal: &Principal, organization: &str, permissions: &[&str]) -> bool {
    principal.manages(organization) && principal.has_any_permission(permissions)
}

/// Whether it may in some organization, at present or later.
fn may_anywhere(principal: &Principal, permissions: &[&str]) -> bool {
    principal.is_superuser() || (principal.staff && principal.has_any_permission(permissions))
}

/// Those of the organizations in which it may.
fn allowed(
    principal: &Principal,
    organizations: impl IntoIterator<Item = Box<str>>,
    permissions: &[&str],
) -> BTreeSet<Box<str>> {
    let organizations = organizations.into_iter();
    organizations
        .filter(|organization| may(principal, organization, permissions))
        .collect()
}
