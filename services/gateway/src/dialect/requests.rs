//! Requests of a dialect that are no streams, as pure steps: each step answers, or says what is to be done
//! and goes on with what came of it. The [`Desk`](crate::desk::Desk) does it.

use std::sync::Arc;

use access::http::{Body, Query, Surface};
use access::{Outcome, Principal, Submission};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use journal::Micros;

use super::{Answer, Ask, Refusal};

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
        /// Whose state.
        tenant: Box<str>,
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
    /// Count the streams under a dialect's cap.
    CountStreams(&'static str),
}

/// What came of it.
pub enum Done {
    /// Of [`Do::Authenticate`] and [`Do::Prove`].
    Principal(Result<Arc<Principal>, Refusal>),
    /// Of [`Do::Ask`].
    Answer(Answer),
    /// Of [`Do::Submit`], one for each event.
    Outcomes(Vec<Outcome>),
    /// Of [`Do::CountStreams`].
    Count(usize),
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
            tenant: tenant.into(),
            principal: Arc::clone(principal),
            ask,
        }
    }
}

/// The requests of one dialect.
pub trait Requests: Send + Sync + 'static {
    /// Whether this is one of them.
    fn takes(&self, method: &Method, path: &str) -> bool;

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
