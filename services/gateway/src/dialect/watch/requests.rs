//! The requests of the watch dialect: older logs, the status, and commands that wait for their answer.

mod command;
mod logs;
mod status;

use std::sync::Arc;
use std::time::Duration;

use access::Principal;
use access::http::{Body, Path as HttpPath, Query, json};
use http::{Response, StatusCode};
use state::Stored;

use super::path::{self, Path, Tail};
use super::{SURFACE, Target, no_device, no_project, refuse, unavailable};
use crate::commands::CommandLimits;
use crate::dialect::requests::{Do, Request, Requests, Step};
use crate::dialect::{Answer, Ask, Refusal, Standing};

/// Limits and times of the watch dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A command waits so long for the device's answer.
    pub answer_within: Duration,
    /// Body of a command, bytes.
    pub command_bytes_max: usize,
    /// Rows of the history that are looked through for older logs when a stream begins.
    pub backfill_rows_max: usize,
    /// Rows of the history that are looked through for one page of older logs.
    pub logs_rows_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            answer_within: Duration::from_secs(5),
            command_bytes_max: 64 << 10,
            backfill_rows_max: 20_000,
            logs_rows_max: 200_000,
        }
    }
}

/// The requests.
pub struct Watch {
    settings: Settings,
    commands: CommandLimits,
}

impl Watch {
    /// Under these limits.
    #[must_use]
    pub const fn new(settings: Settings, commands: CommandLimits) -> Self {
        Self { settings, commands }
    }
}

impl Requests for Watch {
    fn paths(&self) -> &'static [HttpPath] {
        const {
            &[
                HttpPath::get(path::LOGS),
                HttpPath::get(path::STATUS),
                HttpPath::new("POST", path::COMMAND),
            ]
        }
    }

    fn begin(&self, request: Request) -> Step {
        let Some((path, tail)) = Path::read(request.parts.uri.path()) else {
            return Step::Answer(refuse(&no_device()));
        };
        let (settings, limits) = (self.settings.clone(), self.commands.clone());
        Step::then(Do::Authenticate(SURFACE), move |done| {
            let step = done.principal().and_then(|principal| match tail {
                Tail::Logs => logs::begin(principal, &path, &request.query, settings.logs_rows_max),
                Tail::Status => status::begin(principal, &path, &request.query),
                Tail::Command => Ok(command::begin(principal, path, request, settings, limits)),
                Tail::Watch | Tail::LogStream | Tail::Connect => Err(no_device()),
            });
            step.unwrap_or_else(|refusal| Step::Answer(refuse(&refusal)))
        })
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

/// Looks the device up, and goes on with it.
fn find(
    principal: Arc<Principal>,
    path: &Path,
    query: &Query,
    then: impl FnOnce(Found) -> Step + Send + 'static,
) -> Result<Step, Refusal> {
    let target = Target::of(path, &principal, query)?;
    let Some(device) = target.device.clone() else {
        return missing(&principal, &target);
    };
    let ask = Do::ask(&target.tenant, &principal, Ask::Device(device));
    Ok(Step::then(ask, move |done| {
        let Answer::Device(Standing { stored, .. }) = done.answer() else {
            return Step::Answer(refuse(&unavailable()));
        };
        match stored {
            Some(stored) => then(Found {
                principal,
                tenant: target.tenant,
                stored,
            }),
            None => missing(&principal, &target).unwrap_or_else(|refusal| Step::Answer(refuse(&refusal))),
        }
    }))
}

/// There is no such device: finds out whether there is such a project.
fn missing(principal: &Arc<Principal>, target: &Target) -> Result<Step, Refusal> {
    let ask = target.missing().ok_or_else(no_device)?;
    Ok(Step::then(Do::ask(&target.tenant, principal, ask), |done| {
        let Answer::HasAny(has_devices) = done.answer() else {
            return Step::Answer(refuse(&unavailable()));
        };
        let refusal = if has_devices { no_device() } else { no_project() };
        Step::Answer(refuse(&refusal))
    }))
}

/// `{"success":true,"result":…}`
fn success(result: &str) -> Step {
    Step::Answer(json(
        StatusCode::OK,
        format!("{{\"success\":true,\"result\":{result}}}"),
    ))
}
