//! Requests of a dialect that are no streams, as pure steps: each step answers, or says what is to be done
//! and goes on with what came of it. The [`Desk`](crate::desk::Desk) does it.

use std::sync::Arc;
use std::time::Duration;

use access::http::{Body, Path, Problem, Query, Surface};
use access::{Outcome, Principal, Submission};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use journal::{Micros, Position};
use schemas::event::CommandStatus;
use serde_json::value::RawValue;

use super::{Answer, Ask, Refusal};
use crate::commands::acting;

/// A request as a dialect sees it.
pub struct Request {
    /// Its head.
    pub parts: Parts,
    /// Its query, decoded.
    pub query: Query,
    /// Its whole body.
    pub body: Bytes,
    /// The wall clock.
    pub now: Micros,
}

/// What a dialect does with a request.
pub enum Step {
    /// This is the answer.
    Answer(Response<Body>),
    /// This is to be done; then it goes on.
    Do(Do, Then),
}

/// Goes on with what came of what was done.
pub type Then = Box<dyn FnOnce(Done) -> Step + Send>;

/// What can be done.
pub enum Do {
    /// Find out who asks, by the request's credential in one of these places.
    Authenticate(Surface),
    /// Find out whose credential this is.
    Prove(String),
    /// Look something up in a tenant's state.
    Ask {
        /// Whose state; none for what is asked across tenants.
        tenant: Option<Box<str>>,
        /// Who asks: answered within its scope.
        principal: Arc<Principal>,
        /// What.
        ask: Ask,
    },
    /// Append events.
    Submit {
        /// Who sends them.
        principal: Arc<Principal>,
        /// The events.
        submission: Submission,
    },
    /// Wait until a command ends.
    Await(Await),
    /// Count the streams under a dialect's cap.
    CountStreams(&'static str),
}

/// A command that is waited for.
pub struct Await {
    /// Who waits, and may read the device.
    pub principal: Arc<Principal>,
    /// The device's tenant.
    pub tenant: Box<str>,
    /// The device.
    pub device: Box<str>,
    /// The command.
    pub command_id: Box<str>,
    /// Where the command lies in the log.
    pub after: Position,
    /// For so long.
    pub within: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The last status.
    pub status: CommandStatus,
    /// Its output.
    pub output: Option<Box<str>>,
}

/// What came of it.
pub enum Done {
    /// Of [`Do::Authenticate`] and [`Do::Prove`].
    Principal(Result<Arc<Principal>, Refusal>),
    /// Of [`Do::Ask`].
    Answer(Answer),
    /// Of [`Do::Submit`], one for each event.
    Outcomes(Vec<Outcome>),
    /// Of [`Do::Await`]; `None` where it did not end in time.
    Ended(Option<Ended>),
    /// Of [`Do::CountStreams`].
    Count(usize),
}

impl Done {
    /// Who asks.
    ///
    /// # Errors
    /// Why it is nobody.
    pub fn principal(self) -> Result<Arc<Principal>, Refusal> {
        match self {
            Self::Principal(principal) => principal,
            Self::Answer(_) | Self::Outcomes(_) | Self::Ended(_) | Self::Count(_) => {
                Err(Problem::unavailable("the request could not be answered", 1).into())
            }
        }
    }

    /// What the state says; without an answer, that there is none.
    #[must_use]
    pub fn answer(self) -> Answer {
        match self {
            Self::Answer(answer) => answer,
            Self::Principal(_) | Self::Outcomes(_) | Self::Ended(_) | Self::Count(_) => Answer::Unavailable,
        }
    }

    /// What became of the one event that was submitted.
    #[must_use]
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Outcomes(mut outcomes) => outcomes.pop(),
            Self::Principal(_) | Self::Answer(_) | Self::Ended(_) | Self::Count(_) => None,
        }
    }
}

impl Step {
    /// Does something and goes on.
    #[must_use]
    pub fn then(what: Do, then: impl FnOnce(Done) -> Self + Send + 'static) -> Self {
        Self::Do(what, Box::new(then))
    }
}

impl Do {
    /// Asks about one tenant's state.
    #[must_use]
    pub fn ask(tenant: &str, principal: &Arc<Principal>, ask: Ask) -> Self {
        Self::Ask {
            tenant: Some(tenant.into()),
            principal: Arc::clone(principal),
            ask,
        }
    }

    /// Asks across tenants.
    #[must_use]
    pub fn find(principal: &Arc<Principal>, ask: Ask) -> Self {
        Self::Ask {
            tenant: None,
            principal: Arc::clone(principal),
            ask,
        }
    }

    /// Appends one event of `device` for a caller whose right to it was judged, under its name.
    #[must_use]
    pub fn act(caller: &Principal, tenant: &str, device: &str, event: Box<RawValue>) -> Self {
        Self::Submit {
            principal: Arc::new(acting(caller, tenant, device)),
            submission: Submission {
                tenant: tenant.into(),
                device: Some(device.into()),
                items: vec![event],
                traceparent: None,
            },
        }
    }
}

/// The requests of one dialect.
pub trait Requests: Send + Sync + 'static {
    /// Their paths.
    fn paths(&self) -> &'static [Path];

    /// Whether this is one of them.
    fn takes(&self, method: &Method, path: &str) -> bool {
        let mut paths = self.paths().iter();
        paths.any(|known| known.is(path) && known.takes(method))
    }

    /// Bytes of the largest body.
    fn body_bytes_max(&self) -> usize {
        0
    }

    /// The first step.
    fn begin(&self, request: Request) -> Step;

    /// The answer when the body is larger, cut off or slow, or nothing answers.
    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refusal.problem.clone().into_response()
    }
}
