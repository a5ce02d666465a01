//! Sessions: what a browser keeps in a cookie instead of the credential itself.
//!
//! After the prefix, base64url without padding of: version 1, the session as JSON, 32 bytes of
//! HMAC-SHA256 of all that stands before. It names what it was made with and is no better than that: an
//! API token's session has the token's grants of the moment, and ends with it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use schemas::Micros;
use serde::{Deserialize, Serialize};

use super::{NodeKey, SESSION_PREFIX, mac};

const VERSION: u8 = 1;
const TAG_BYTES: usize = 32;
/// Browsers keep cookies of 4,096 bytes, name and attributes included.
const TEXT_BYTES_MAX: usize = 3_800;
/// Begins the subject of a session's revocation.
pub(crate) const SUBJECT_PREFIX: &str = "session:";

/// Signs sessions.
pub(crate) struct SessionKey([u8; 32]);

impl SessionKey {
    pub(crate) fn new(key: &NodeKey) -> Self {
        Self(key.derive("wakeline session 1"))
    }
}

/// What a session says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Names it; begins with its end, so that revocations are in the order in which they become moot.
    pub(crate) id: Box<str>,
    #[serde(rename = "exp")]
    pub(crate) expires_at: Micros,
    #[serde(rename = "of")]
    pub(crate) basis: Basis,
}

/// What a session was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Basis {
    /// An API token, by the id of its record.
    Token(Box<str>),
    /// A device token.
    Device {
        tenant: Box<str>,
        device: Box<str>,
        issued_at: Micros,
        expires_at: Option<Micros>,
    },
    /// The admin token, by its fingerprint: another admin token ends the session.
    Admin([u8; 8]),
    /// A JWT, by what its claims came to.
    Jwt {
        id: Box<str>,
        tenant: Option<Box<str>>,
        roles: u8,
        ambiguous: bool,
        /// Tells the key that proved it.
        key: [u8; 8],
        issued_at: Option<Micros>,
        expires_at: Option<Micros>,
    },
}

/// More than a cookie holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credential says more than a cookie holds")]
pub(crate) struct SessionTooLong;

impl Session {
    /// A session that ends at `expires_at`, named by these random bytes.
    pub(crate) fn new(expires_at: Micros, basis: Basis, random: [u8; 8]) -> Self {
        let random = u64::from_be_bytes(random);
        Self {
            id: format!("{expires_at:016x}-{random:016x}").into(),
            expires_at,
            basis,
        }
    }

    /// The credential.
    pub(crate) fn seal(&self, key: &SessionKey) -> Result<String, SessionTooLong> {
        let mut bytes = vec![VERSION];
        // Strings and numbers only: this cannot fail.
        serde_json::to_writer(&mut bytes, self).map_err(|_| SessionTooLong)?;
        let mut tag = mac(&key.0);
        tag.update(&bytes);
        bytes.extend_from_slice(&tag.finalize().into_bytes());
        let text = format!("{SESSION_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        if text.len() > TEXT_BYTES_MAX {
            return Err(SessionTooLong);
        }
        Ok(text)
    }

    /// Reads a credential without its prefix; the signature is compared in constant time.
    pub(crate) fn open(sealed: &str, key: &SessionKey) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (body, tag) = bytes.split_last_chunk::<TAG_BYTES>()?;
        let mut expected = mac(&key.0);
        expected.update(body);
        expected.verify_slice(tag).ok()?;
        let (version, json) = body.split_first()?;
        if *version != VERSION {
            return None;
        }
        serde_json::from_slice(json).ok()
    }
}

/// Names a session in a revocation.
pub(crate) fn session_subject(id: &str) -> String {
    format!("{SUBJECT_PREFIX}{id}")
}

/// When the session that a revocation names ended or ends by itself; `None` for other subjects.
pub(crate) fn session_end(subject: &str) -> Option<Micros> {
    let (end, _) = subject.strip_prefix(SUBJECT_PREFIX)?.split_once('-')?;
    Micros::from_str_radix(end, 16).ok()
}
