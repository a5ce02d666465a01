//! JSON Web Tokens of an outside issuer (RFC 7519): which keys prove them, which claims count, and what
//! they come to.
//!
//! Pure but for [`Keys::follow`], which reads keys through the port [`KeySource`]. It never reads a clock,
//! and never believes a token about the algorithm: the key says it.

mod claims;
mod follow;
mod keys;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use schemas::Micros;
use tokio::sync::{Notify, watch};

use crate::credential::digest;
use crate::{Denied, Principal};
use claims::Claims;
use follow::Fetches;

pub(crate) use claims::{micros, principal};
pub use follow::{FetchError, KeySource};
pub use keys::{Algorithm, Form, KeyError, KeySet};

/// Begins the id of a principal that a JWT proved, and the subject of its revocation: `jwt:<sub>`.
pub(crate) const SUBJECT_PREFIX: &str = "jwt:";
/// The subject of a revocation of every JWT.
pub(crate) const EVERYBODY: &str = "jwt:*";

/// Settings of JWTs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What the source of keys holds.
    pub form: Form,
    /// The one algorithm that counts; `None`: each key's own.
    pub algorithm: Option<Algorithm>,
    /// `iss` must be this.
    pub issuer: Option<Box<str>>,
    /// `aud` must be, or have among it, one of these; empty: it is not looked at.
    pub audience: Vec<Box<str>>,
    /// How far `nbf` and `iat` may lie in the future: clocks differ.
    pub leeway: Duration,
    /// How long after `exp` a token is still taken, and its streams go on.
    pub expiry_leeway: Duration,
    /// Keys are read again this often.
    pub refresh_every: Duration,
    /// After keys were read because a token named an unknown one, or could not be read: the least wait
    /// until the next time.
    pub refresh_rest: Duration,
    /// How long a request with an unknown key waits for the keys to be read.
    pub refresh_wait: Duration,
    /// Keys in a set; those beyond are left out.
    pub keys_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            form: Form::Set,
            algorithm: None,
            issuer: None,
            audience: Vec::new(),
            leeway: Duration::from_secs(30),
            expiry_leeway: Duration::ZERO,
            refresh_every: Duration::from_secs(600),
            refresh_rest: Duration::from_secs(10),
            refresh_wait: Duration::from_secs(3),
            keys_max: 64,
        }
    }
}

/// The keys that prove JWTs, as they were last read.
pub struct Keys {
    settings: Settings,
    /// `None` until they were read once.
    set: ArcSwapOption<KeySet>,
    wanted: Notify,
    fetches: watch::Sender<Fetches>,
}

impl Keys {
    /// No keys yet: [`Self::follow`] reads them.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            set: ArcSwapOption::empty(),
            wanted: Notify::new(),
            fetches: watch::Sender::new(Fetches::default()),
        }
    }

    /// The principal that a JWT proves at `now`. Whether it was revoked is not looked at here.
    pub(crate) fn prove(&self, token: &str, now: Micros) -> Result<Principal, Denied> {
        let set = self.set.load();
        let set = set.as_deref().ok_or(Denied::Unready)?;
        let (claims, key) = signature::verified(set, token)?;
        let claims = Claims::read(&claims).ok_or(Denied::Unknown)?;
        claims.check(&self.settings, now)?;
        let id = match &claims.subject {
            Some(subject) => format!("{SUBJECT_PREFIX}{subject}"),
            // Nobody can be named in a revocation; the id still tells tokens apart in a log.
            None => format!("{SUBJECT_PREFIX}{}", hex(&digest(token)[..8])),
        };
        let tenant = claims.tenant();
        Ok(principal(
            &id,
            tenant.name.as_deref(),
            claims.realm(&tenant, key),
            claims.issued_at,
            claims.ends_at(&self.settings),
        ))
    }

    /// Whether what a key proved still holds: the issuer has it.
    pub(crate) fn holds(&self, key: [u8; 8]) -> bool {
        self.set.load().as_deref().is_some_and(|set| set.has(key))
    }

    /// Whether the keys are not those that the issuer has now, as far as is known: they could not be read.
    pub(crate) fn are_stale(&self) -> bool {
        self.fetches.borrow().failed
    }

    /// How far clocks may differ.
    pub(crate) fn leeway(&self) -> Duration {
        self.settings.leeway
    }

    /// Whether keys were read at all.
    #[must_use]
    pub fn are_there(&self) -> bool {
        self.set.load().is_some()
    }

    /// Why the last attempt to read keys failed, if it did.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.fetches.borrow().trouble.clone()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
