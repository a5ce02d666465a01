//! From a request's head to a principal.
//!
//! A surface says in [`Surface`] where a credential may stand, calls [`authenticate`], and maps a
//! [`Refusal`] to its own answer; native surfaces make a [`Problem`] of it. A credential that stands
//! elsewhere (in a path or a body) goes through [`authenticate_text`], so that failures are counted on
//! every way in.

mod find;

use std::net::IpAddr;
use std::sync::Arc;

use ::http::header::UPGRADE;
use ::http::request::Parts;
use ::http::{HeaderMap, Method, Request, StatusCode, Uri};
use schemas::Micros;

use super::Problem;
use crate::{Denied, Directory, Principal};
use find::{Found, find};

/// The cookie of a session on native surfaces.
pub const SESSION_COOKIE: &str = "wakeline_session";
/// Every name under which a session is set and accepted: the native one, then those of the dialects.
pub const SESSION_COOKIES: [&str; 4] = [SESSION_COOKIE, "sessionid", "devicesdk-session", "pulse_session"];

/// Where a credential may stand in a request.
///
/// What a client puts there itself (bearer, headers, query) comes before cookies, which a browser sends
/// whether the page wants it or not. Where a client gives several, they must agree; an empty one is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surface {
    /// In `Authorization: Bearer`.
    pub bearer: bool,
    /// In these headers, whole; names in lower case.
    pub headers: &'static [&'static str],
    /// In these parameters of the query. For routes that browsers open as a stream only, because they
    /// cannot set headers there; whoever logs must not log the query.
    pub query: &'static [&'static str],
    /// In these cookies: a session, or another credential that a page keeps there. They are tried in
    /// this order until one is good, and count only where [`crate::http::Origins::allow_cookies`] holds
    /// when the request is an upgrade or may change something.
    pub cookies: &'static [&'static str],
}

impl Surface {
    /// Nowhere: the beginning of another surface.
    pub const NONE: Self = Self {
        bearer: false,
        headers: &[],
        query: &[],
        cookies: &[],
    };
    /// A native route: bearer, `X-API-Key`, a session's cookie.
    pub const API: Self = Self {
        bearer: true,
        headers: &["x-api-key"],
        query: &[],
        cookies: &SESSION_COOKIES,
    };
    /// A native stream: also `?token=`.
    pub const STREAM: Self = Self {
        query: &["token"],
        ..Self::API
    };
}

/// What of a request says who sends it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its URI.
    pub uri: &'a Uri,
    /// The client's address, after trusted proxies.
    pub peer: IpAddr,
    /// The time of receipt.
    pub now: Micros,
}

impl<'a> Attempt<'a> {
    /// Of a request's head.
    #[must_use]
    pub const fn of(parts: &'a Parts, peer: IpAddr, now: Micros) -> Self {
        Self {
            method: &parts.method,
            headers: &parts.headers,
            uri: &parts.uri,
            peer,
            now,
        }
    }

    /// Of a request.
    #[must_use]
    pub fn of_request<B>(request: &'a Request<B>, peer: IpAddr, now: Micros) -> Self {
        Self {
            method: request.method(),
            headers: request.headers(),
            uri: request.uri(),
            peer,
            now,
        }
    }
}

/// Why a request has no principal. Every dialect has its own words for it; [`Self::status`] is what the
/// native surfaces answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 503: this node does not know yet who is who, or has no keys yet to check a JWT with, or not its key.
    #[error("this node is still reading its configuration")]
    Unready,
    /// 401: no credential at all, which is no attempt at anything.
    #[error("a credential is needed: Authorization: Bearer, or X-API-Key")]
    Missing,
    /// 401: no credential can be read from it, or two that differ.
    #[error("{0}")]
    Malformed(&'static str),
    /// 401: the credential is not good.
    #[error(transparent)]
    Denied(Denied),
    /// 403: a cookie would do, but the page that sends it may not use it.
    #[error("a cookie counts only with an Origin that is allowed: see the setting allowed-origins")]
    Origin,
    /// 429: not good either, and the address has had too many of those.
    #[error("too many failed authentications from this address")]
    Limited {
        /// When it may fail again.
        retry_after_s: u64,
    },
}

impl Refusal {
    /// The status that says it.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unready => StatusCode::SERVICE_UNAVAILABLE,
            Self::Missing | Self::Malformed(_) | Self::Denied(_) => StatusCode::UNAUTHORIZED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// What `Retry-After` says, in seconds, where it is sent.
    #[must_use]
    pub const fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Unready => Some(1),
            Self::Limited { retry_after_s } => Some(*retry_after_s),
            Self::Missing | Self::Malformed(_) | Self::Denied(_) | Self::Origin => None,
        }
    }

    /// Whether it counts against the address: an attempt that failed.
    const fn counts(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::Denied(_) => true,
            Self::Unready | Self::Missing | Self::Origin | Self::Limited { .. } => false,
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unready => Self::Unready,
            Denied::Unknown
            | Denied::UnknownKey
            | Denied::UnknownKeyId
            | Denied::Expired
            | Denied::Revoked => Self::Denied(denied),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let problem = match refusal.status() {
            StatusCode::UNAUTHORIZED => Self::unauthorized(detail),
            status => Self::new(status, detail),
        };
        match refusal.retry_after_s() {
            Some(seconds) => problem.retry_after(seconds),
            None => problem,
        }
    }
}

/// The principal that the credential of a request proves: [`judge`], and what needs more than the
/// request itself. A JWT whose key is not known waits a moment for the issuer's new keys; failures are
/// counted by address.
///
/// # Errors
/// Without a credential, with one that is not good, or with two that differ. Where an address failed too
/// often, that is all it is told; a good credential is taken from it all the same.
pub async fn authenticate(
    directory: &Directory,
    surface: Surface,
    attempt: Attempt<'_>,
) -> Result<Arc<Principal>, Refusal> {
    let judge = || judge(directory, surface, attempt);
    with_newest_keys(directory, judge, attempt.peer, attempt.now).await
}

/// The same for a credential that stands where no [`Surface`] can say: in a path, a header of its own, or
/// a body. An empty one is none.
///
/// # Errors
/// As [`authenticate`].
pub async fn authenticate_text(
    directory: &Directory,
    credential: &str,
    peer: IpAddr,
    now: Micros,
) -> Result<Arc<Principal>, Refusal> {
    with_newest_keys(directory, || prove(directory, credential, now), peer, now).await
}

/// Judges again with newer keys where the key is not known.
///
/// Such a key may be the issuer's newest, as long as the issuer is not asked: a browser would take a 401 for the
/// last word. It counts against the address all the same, since anybody can name a key; that is not told, so that
/// whoever shows a new one gets in once it is known.
async fn with_newest_keys(
    directory: &Directory,
    judge: impl Fn() -> Result<Arc<Principal>, Refusal>,
    peer: IpAddr,
    now: Micros,
) -> Result<Arc<Principal>, Refusal> {
    let is_unknown = |outcome: &Result<_, Refusal>| {
        matches!(
            outcome,
            Err(Refusal::Denied(Denied::UnknownKey | Denied::UnknownKeyId))
        )
    };
    let mut outcome = judge();
    if is_unknown(&outcome) {
        let has_newer = directory.has_newer_keys().await;
        if has_newer {
            outcome = judge();
        }
        let is_named = outcome == Err(Refusal::Denied(Denied::UnknownKeyId));
        let may_be_good = directory.has_stale_keys() || (is_named && !has_newer);
        if is_unknown(&outcome) && may_be_good {
            directory.failed(peer, now);
            return Err(Refusal::Unready);
        }
    }
    outcome.map_err(|refusal| counted(directory, peer, now, refusal))
}

/// Judges a request from memory: counts nothing and waits for nothing.
///
/// # Errors
/// As [`authenticate`], without [`Refusal::Limited`].
pub fn judge(
    directory: &Directory,
    surface: Surface,
    attempt: Attempt<'_>,
) -> Result<Arc<Principal>, Refusal> {
    let found = find(surface, attempt.headers, attempt.uri).map_err(Refusal::Malformed)?;
    let candidates = match found {
        Found::Given(credential) => return prove(directory, &credential, attempt.now),
        Found::Cookies(candidates) => candidates,
        Found::Nothing => return prove(directory, "", attempt.now),
    };
    let mut first = None;
    for credential in &candidates {
        match prove(directory, credential, attempt.now) {
            Ok(principal) if changes_something(attempt) && !is_allowed(directory, attempt) => {
                tracing::debug!(principal = %principal.id, "a cookie from a page that is not allowed");
                return Err(Refusal::Origin);
            }
            Ok(principal) => return Ok(principal),
            Err(refusal) => first = first.or(Some(refusal)),
        }
    }
    Err(first.unwrap_or(Refusal::Missing))
}

fn prove(directory: &Directory, credential: &str, now: Micros) -> Result<Arc<Principal>, Refusal> {
    if !directory.is_ready() {
        return Err(Refusal::Unready);
    }
    if credential.is_empty() {
        return Err(Refusal::Missing);
    }
    Ok(directory.authenticate(credential, now)?)
}

/// Whether a page of another origin could do harm by sending this with a cookie: an upgrade is not kept
/// from it by a browser, and neither is a request that changes something.
fn changes_something(attempt: Attempt<'_>) -> bool {
    !attempt.method.is_safe() || attempt.headers.contains_key(UPGRADE)
}

fn is_allowed(directory: &Directory, attempt: Attempt<'_>) -> bool {
    directory.origins().allow_cookies(attempt.headers, attempt.uri)
}

fn counted(directory: &Directory, peer: IpAddr, now: Micros, refusal: Refusal) -> Refusal {
    if !refusal.counts() {
        return refusal;
    }
    match directory.failed(peer, now) {
        None => refusal,
        Some(retry_after_s) => Refusal::Limited { retry_after_s },
    }
}
