//! The opening half of a dialect: from a request to what its stream shall show, or the refusal in the
//! dialect's own words. Pure: what must be looked up first is said, and comes back.

use std::sync::Arc;
use std::time::Duration;

use access::http::authentication;
use access::http::{Body, Path, Problem, Query, Surface};
use access::{Principal, TenantError};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use journal::{Epoch, Micros};

use super::{Action, Answer, Ask, Conversation, Dialect};
use crate::open::OpenSettings;
use crate::open::parameters::From;
use crate::subscription::{Delivery, Selection, TenantScope, Transport, View};

/// What an entrance speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transports {
    /// Server-sent events, or WebSocket for a client that asks to upgrade.
    Both,
    /// WebSocket only: 426 without an upgrade.
    WebSocket,
    /// Server-sent events only.
    Sse,
}

/// Why a request is refused, as far as a dialect's answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No credential stands where one may.
    NoCredential,
    /// The credential is not good.
    BadCredential,
    /// The credential is good, but not for this.
    Forbidden,
    /// There is no such thing, or not for this principal.
    NotFound,
    /// A parameter or the handshake is wrong.
    BadRequest,
    /// A WebSocket is needed.
    UpgradeRequired,
    /// The tenant has as many streams of this dialect as it may.
    Capped,
    /// Too many of something else: to be tried again later.
    TooMany,
    /// Cannot be told at present: to be tried again.
    Unavailable,
}

/// A refusal: what it is for the dialect, and what it says if the dialect has no words of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// Status, headers, and the text for people.
    pub problem: Problem,
}

impl std::convert::From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let reason = match problem.status() {
            StatusCode::UNAUTHORIZED => Reason::BadCredential,
            StatusCode::FORBIDDEN => Reason::Forbidden,
            StatusCode::NOT_FOUND => Reason::NotFound,
            StatusCode::UPGRADE_REQUIRED => Reason::UpgradeRequired,
            StatusCode::TOO_MANY_REQUESTS => Reason::TooMany,
            StatusCode::SERVICE_UNAVAILABLE => Reason::Unavailable,
            _ => Reason::BadRequest,
        };
        Self { reason, problem }
    }
}

impl std::convert::From<authentication::Refusal> for Refusal {
    fn from(refusal: authentication::Refusal) -> Self {
        if refusal == authentication::Refusal::Missing {
            return Self {
                reason: Reason::NoCredential,
                problem: refusal.into(),
            };
        }
        Problem::from(refusal).into()
    }
}

impl std::convert::From<TenantError> for Refusal {
    fn from(error: TenantError) -> Self {
        Problem::from(error).into()
    }
}

impl Refusal {
    /// The answer with the problem's status and headers and a JSON body of the dialect's.
    #[must_use]
    pub fn with_body(&self, json: String) -> Response<Body> {
        let (mut parts, _) = self.problem.clone().into_response().into_parts();
        parts
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Response::from_parts(parts, access::http::body(json))
    }

    /// The text for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.problem.detail()
    }
}

/// A request that is authenticated.
pub struct Asked<'a> {
    /// Who asks.
    pub principal: &'a Arc<Principal>,
    /// The request's head.
    pub parts: &'a Parts,
    /// Its query, decoded.
    pub query: &'a Query,
    /// What it is to be carried by.
    pub transport: Transport,
    /// The wall clock.
    pub now: Micros,
    /// The log that cursors belong to.
    pub epoch: Epoch,
    /// Limits of opening.
    pub settings: &'a OpenSettings,
}

/// A cap of the dialect's own on streams of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    /// Streams under one name are counted together.
    pub name: &'static str,
    /// Streams of one tenant.
    pub streams_max: usize,
}

/// What a stream shall show, and how its client is spoken to.
pub struct Opening {
    /// Events or devices.
    pub view: View,
    /// What it shows at first.
    pub selection: Selection,
    /// What becomes of it when its client is slow.
    pub delivery: Delivery,
    /// With [`Delivery::Latest`]: not more often than this.
    pub every: Option<Duration>,
    /// Whether a snapshot comes first.
    pub snapshot: bool,
    /// From where it runs.
    pub from: From,
    /// Whether data frames over WebSocket carry cursors.
    pub cursors: bool,
    /// Whether it ends when the scope loses the one device that it names.
    pub bound: bool,
    /// Whether its client chooses devices while it runs: it then follows every partition of its scope, so
    /// that a choice holds from the answer on, and from [`Self::from`] on in the beginning.
    pub chooses: bool,
    /// Writes its frames.
    pub dialect: Arc<dyn Dialect>,
    /// Reads its client.
    pub conversation: Box<dyn Conversation>,
    /// What is done before anything else: first frames, a first question, a first timer.
    pub first: Vec<Action>,
    /// A cap of the dialect's own.
    pub cap: Option<Cap>,
    /// What must be known before the head of the answer, and what it means; that may leave another
    /// question.
    pub question: Option<(Ask, Admit)>,
    /// Tenants of which it is noted, before the question is asked, where their live end is: a stream that begins
    /// live begins there. What it asks for and what it shows from then on leave no gap.
    pub begins_before: Option<TenantScope>,
}

/// Goes on with an answer: it may change the stream, or refuse it.
pub type Admit = Box<dyn FnOnce(&mut Opening, Answer) -> Result<(), Refusal> + Send>;

impl Opening {
    /// A live stream of `selection` whose client only listens.
    #[must_use]
    pub fn of(view: View, selection: Selection, dialect: Arc<dyn Dialect>) -> Self {
        Self {
            view,
            selection,
            delivery: Delivery::Every,
            every: None,
            snapshot: false,
            from: From::Live,
            cursors: false,
            bound: false,
            chooses: false,
            dialect,
            conversation: Box::new(super::Silent),
            first: Vec::new(),
            cap: None,
            question: None,
            begins_before: None,
        }
    }
}

/// A way in.
pub trait Entrance: Send + Sync + 'static {
    /// The paths that come in here, by `GET`.
    fn paths(&self) -> &[&'static str];

    /// Whether a request for `path` comes in here.
    fn takes(&self, path: &str) -> bool {
        let mut paths = self.paths().iter();
        paths.any(|pattern| Path::get(pattern).is(path))
    }

    /// What it speaks.
    fn transports(&self) -> Transports {
        Transports::WebSocket
    }

    /// Where a credential may stand.
    fn surface(&self) -> Surface;

    /// What the request asks for.
    ///
    /// # Errors
    /// Why it may not have it.
    fn open(&self, asked: &Asked<'_>) -> Result<Opening, Refusal>;

    /// The answer that refuses, in the dialect's words.
    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refusal.problem.clone().into_response()
    }
}
