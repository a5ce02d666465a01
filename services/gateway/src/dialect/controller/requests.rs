//! The requests of the controller dialect: where a device is, and its commands.

mod commands;
mod coordinates;

use std::sync::Arc;

use access::Principal;
use access::http::{Body, Path, Problem, Query};
use access::principal::is_tenant;
use http::{Method, Response};
use state::Stored;

use super::path::Resource;
use super::{COMMANDS, DEVICES, NOT_ALLOWED, SURFACE, allowed, detail, may_anywhere, not_allowed};
use crate::commands::CommandLimits;
use crate::dialect::requests::{Do, Request, Requests, Step};
use crate::dialect::{Answer, Ask, Reason, Refusal, Standing};
use crate::native::NativeSettings;

/// Bodies of requests, bytes.
const BODY_BYTES_MAX: usize = 256 << 10;

/// The requests.
pub struct Controller {
    limits: Limits,
    registration_required: bool,
}

/// Limits that hold for commands however they are made.
#[derive(Debug, Clone)]
struct Limits {
    commands: CommandLimits,
    history_rows_max: usize,
    body_bytes_max: usize,
}

impl Controller {
    /// Under the limits of the native API.
    #[must_use]
    pub fn new(native: &NativeSettings, registration_required: bool) -> Self {
        Self {
            limits: Limits {
                commands: native.commands.clone(),
                history_rows_max: native.history_rows_max,
                body_bytes_max: native.body_bytes_max.min(BODY_BYTES_MAX),
            },
            registration_required,
        }
    }
}

impl Requests for Controller {
    fn paths(&self) -> &'static [Path] {
        Resource::PATHS
    }

    fn begin(&self, request: Request) -> Step {
        let Some(resource) = Resource::read(request.parts.uri.path()) else {
            return refused(&not_found());
        };
        let limits = self.limits.clone();
        match resource {
            Resource::Coordinates(device) => {
                coordinates::begin(device, request, limits.body_bytes_max, self.registration_required)
            }
            Resource::Commands(device) if request.parts.method == Method::POST => {
                enter(request, device, COMMANDS, move |request, found| {
                    Ok(commands::create(request, found, limits))
                })
            }
            Resource::Commands(device) => enter(request, device, DEVICES, move |request, found| {
                commands::list(request, found, &limits)
            }),
            Resource::Command(device, id) => enter(request, device, DEVICES, move |_, found| {
                Ok(commands::one(id, found, &limits))
            }),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refuse(refusal)
    }
}

/// A device that was found.
struct Found {
    principal: Arc<Principal>,
    tenant: Box<str>,
    stored: Stored,
}

/// Finds out who asks, and the device in an organization where that may do something of these.
fn enter(
    request: Request,
    device: Box<str>,
    permissions: &'static [&'static str],
    then: impl FnOnce(Request, Found) -> Result<Step, Refusal> + Send + 'static,
) -> Step {
    Step::then(Do::Authenticate(SURFACE), move |done| {
        let step = done.principal().and_then(|principal| {
            if !may_anywhere(&principal, permissions) {
                return Err(not_allowed());
            }
            if !principal.devices.contains(&device) {
                return Err(not_found());
            }
            let named = named(&request.query)?;
            let ask = Do::find(&principal, Ask::TenantsOf(device.clone()));
            Ok(Step::then(ask, move |done| {
                let Answer::Tenants(tenants) = done.answer() else {
                    return refused(&unavailable());
                };
                let known = allowed(&principal, tenants, permissions);
                let known = known
                    .into_iter()
                    .filter(|tenant| named.as_ref().is_none_or(|named| named == tenant));
                let known: Vec<Box<str>> = known.collect();
                match <[Box<str>; 1]>::try_from(known) {
                    Ok([tenant]) => read(principal, tenant, device, request, then),
                    Err(known) if known.is_empty() => refused(&not_found()),
                    Err(_) => {
                        let several =
                            "several organizations have a device of that id: name one with ?tenant=";
                        refused(&Problem::bad_request(several).into())
                    }
                }
            }))
        });
        step.unwrap_or_else(|refusal| refused(&refusal))
    })
}

fn read(
    principal: Arc<Principal>,
    tenant: Box<str>,
    device: Box<str>,
    request: Request,
    then: impl FnOnce(Request, Found) -> Result<Step, Refusal> + Send + 'static,
) -> Step {
    let ask = Do::ask(&tenant, &principal, Ask::Device(device));
    Step::then(ask, move |done| {
        let Answer::Device(Standing { stored, .. }) = done.answer() else {
            return refused(&unavailable());
        };
        let found = stored.map(|stored| Found {
            principal,
            tenant,
            stored,
        });
        found
            .ok_or_else(not_found)
            .and_then(|found| then(request, found))
            .unwrap_or_else(|refusal| refused(&refusal))
    })
}

/// The organization that the query names.
fn named(query: &Query) -> Result<Option<Box<str>>, Refusal> {
    match query.get("tenant")? {
        None => Ok(None),
        Some(tenant) if is_tenant(tenant) => Ok(Some(tenant.into())),
        Some(_) => Err(not_found()),
    }
}

fn refused(refusal: &Refusal) -> Step {
    Step::Answer(refuse(refusal))
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    let said = match refusal.reason {
        Reason::NoCredential => Problem::unauthorized("Authentication credentials were not provided."),
        Reason::BadCredential => Problem::unauthorized("Invalid token."),
        Reason::Forbidden => Problem::forbidden(NOT_ALLOWED),
        Reason::NotFound
        | Reason::BadRequest
        | Reason::UpgradeRequired
        | Reason::Capped
        | Reason::TooMany
        | Reason::Unavailable => return detail(refusal),
    };
    detail(&said.into())
}

fn not_found() -> Refusal {
    Problem::not_found("Not found.").into()
}

fn unavailable() -> Refusal {
    Problem::unavailable("the state does not answer at present", 1).into()
}

fn bad_request(detail: impl Into<String>) -> Refusal {
    Problem::bad_request(detail.into()).into()
}

/// What became of an event that was not taken.
fn rejected(rejection: &access::Rejection) -> Refusal {
    use access::events::Reason as Rejected;
    match rejection.reason {
        Rejected::Invalid | Rejected::TooLarge | Rejected::Refused => bad_request(rejection.error.clone()),
        Rejected::Forbidden => not_allowed(),
        Rejected::RateLimited | Rejected::Retry => Problem::unavailable(rejection.error.clone(), 1).into(),
    }
}
