//! Requests of a dialect that are no streams, as pure steps: each step answers, or says what is to be done
//! and goes on with what came of it. The [`Desk`](crate::desk::Desk) does it.

use std::sync::Arc;
use std::time::Duration;

use access::http::{Body, Path, Problem, Query, Surface};
use access::{Outcome, Principal, Rejection, Submission};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use journal::Micros;
use schemas::event::CommandStatus;
use serde_json::value::RawValue;

use super::{Answer, Ask, Refusal};
use crate::commands::acting;

/// A request as a dialect sees it; its body is there to be read ([`Do::Body`]).
pub struct Request {
    /// Its head.
    pub parts: Parts,
    /// Its query, decoded.
    pub query: Query,
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
    /// Send a command and wait until it ends.
    Await(Box<Await>),
    /// Count the streams under a dialect's cap.
    CountStreams(&'static str),
    /// Read the body. To be done when it is known who sends it, wherever its head says so: what nobody
    /// answers for has little room.
    Body {
        /// Bytes of the largest.
        bytes_max: usize,
        /// Who sends it; none where only the body itself says.
        principal: Option<Arc<Principal>>,
    },
}

/// A command that is sent and waited for.
pub struct Await {
    /// Who waits, and may read the device.
    pub principal: Arc<Principal>,
    /// The device's tenant.
    pub tenant: Box<str>,
    /// The device.
    pub device: Box<str>,
    /// The command.
    pub command_id: Box<str>,
    /// The event that makes it; the caller's right to it was judged.
    pub event: Box<RawValue>,
    /// For so long.
    pub within: Duration,
}

/// What came of it.
pub enum Waited {
    /// Nobody more can wait here at present: nothing was sent.
    NoRoom,
    /// The command was not taken.
    NotTaken(Option<Rejection>),
    /// It ended, or not in time.
    Until(Option<Ended>),
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
    /// Of [`Do::Await`].
    Ended(Waited),
    /// Of [`Do::CountStreams`].
    Count(usize),
    /// Of [`Do::Body`].
    Body(Result<Bytes, Refusal>),
}

impl Done {
    /// Who asks.
    ///
    /// # Errors
    /// Why it is nobody.
    pub fn principal(self) -> Result<Arc<Principal>, Refusal> {
        match self {
            Self::Principal(principal) => principal,
            Self::Answer(_) | Self::Outcomes(_) | Self::Ended(_) | Self::Count(_) | Self::Body(_) => {
                Err(Problem::unavailable("the request could not be answered", 1).into())
            }
        }
    }

    /// The body.
    ///
    /// # Errors
    /// Why there is none.
    pub fn body(self) -> Result<Bytes, Refusal> {
        match self {
            Self::Body(body) => body,
            Self::Principal(_) | Self::Answer(_) | Self::Outcomes(_) | Self::Ended(_) | Self::Count(_) => {
                Err(Problem::unavailable("the request could not be answered", 1).into())
            }
        }
    }

    /// What the state says; without an answer, that there is none.
    #[must_use]
    pub fn answer(self) -> Answer {
        match self {
            Self::Answer(answer) => answer,
            Self::Principal(_) | Self::Outcomes(_) | Self::Ended(_) | Self::Count(_) | Self::Body(_) => {
                Answer::Unavailable
            }
        }
    }

    /// What became of the one event that was submitted.
    #[must_use]
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Outcomes(mut outcomes) => outcomes.pop(),
            Self::Principal(_) | Self::Answer(_) | Self::Ended(_) | Self::Count(_) | Self::Body(_) => None,
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

    /// The first step.
    fn begin(&self, request: Request) -> Step;

    /// The answer when nothing answers.
    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refusal.problem.clone().into_response()
    }
}
