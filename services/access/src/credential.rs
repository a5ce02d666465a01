//! The forms of credentials: API tokens, signed device tokens, the node's own admin token.
//!
//! | begins with | is | carries |
//! |---|---|---|
//! | `wlt_` | an API token, `wlt_<id>_<secret>` | the id of its record; the log has the SHA-256 of the whole |
//! | `wld_` | a device token | tenant, device, time of issue, optional expiry, signed with the node key |
//! | `wls_` | a session | what it was made with, its own id and end, signed with the node key |
//! | `ey`, and has two dots | a JWT | claims, signed by an issuer |
//! | anything else | perhaps the admin token | nothing |

mod device;
mod seal;
mod session;

use std::fmt;

use hmac::digest::array::Array;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

pub(crate) use device::{DeviceKey, DeviceToken};
pub use seal::{SealError, Sealer, UnsealError};
pub(crate) use session::{
    Basis, SUBJECT_PREFIX as SESSION_SUBJECT, Session, SessionKey, SessionTooLong, session_end,
    session_subject,
};

/// Longer texts are no credential of ours.
const CREDENTIAL_BYTES_MAX: usize = 4_096;
/// Longer texts are no JWT that we look at: identity providers put much into their claims.
const JWT_BYTES_MAX: usize = 16_384;
/// Shorter admin tokens are refused at start.
pub const ADMIN_TOKEN_CHARS_MIN: usize = 32;
/// Begins an API token.
pub(crate) const API_PREFIX: &str = "wlt_";
/// Begins a device token.
pub(crate) const DEVICE_PREFIX: &str = "wld_";
/// Begins a session.
pub(crate) const SESSION_PREFIX: &str = "wls_";

/// The secret that the nodes of a deployment share: signs device tokens. Every use has a key of its
/// own derived from it.
#[derive(Clone)]
pub struct NodeKey([u8; 32]);

impl NodeKey {
    /// The key of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A key for one `purpose` only.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = mac(&self.0);
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(…)")
    }
}

/// HMAC-SHA256 under a 32-byte key. HMAC pads a short key with zeros up to the block, which is what
/// happens here, so that there is no error to handle.
fn mac(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    Hmac::new(&Array::from(block))
}

/// The credential of a deployment's automation, as its digest: the text itself is not kept.
#[derive(Clone)]
pub struct AdminToken([u8; 32]);

/// An admin token that is too easy to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the admin token has {chars} characters, and {ADMIN_TOKEN_CHARS_MIN} are the least")]
pub struct AdminTokenTooShort {
    /// Its length.
    pub chars: usize,
}

impl AdminToken {
    /// The admin token of this text.
    ///
    /// # Errors
    /// When it is too short.
    pub fn new(text: &str) -> Result<Self, AdminTokenTooShort> {
        let chars = text.chars().count();
        if chars < ADMIN_TOKEN_CHARS_MIN {
            return Err(AdminTokenTooShort { chars });
        }
        Ok(Self(digest(text)))
    }

    pub(crate) fn matches(&self, digest: &[u8; 32]) -> bool {
        self.0.ct_eq(digest).into()
    }

    /// Tells this admin token from a later one, and says nothing of it to who has not the key.
    pub(crate) fn fingerprint(&self, key: &NodeKey) -> [u8; 8] {
        let mut mac = mac(&key.derive("wakeline admin token 1"));
        mac.update(&self.0);
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(&digest[..8]);
        fingerprint
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

/// What a text claims to be; nothing of it is proven yet.
pub(crate) enum Credential<'a> {
    /// An API token, and the id of its record.
    Api { id: &'a str },
    /// A device token, behind its prefix.
    Device { sealed: &'a str },
    /// A session, behind its prefix.
    Session { sealed: &'a str },
    /// A JWT.
    Jwt,
    /// None of them.
    Opaque,
}

impl<'a> Credential<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        if is_jwt(text) {
            return Self::Jwt;
        }
        if text.len() > CREDENTIAL_BYTES_MAX {
            return Self::Opaque;
        }
        if let Some(sealed) = text.strip_prefix(SESSION_PREFIX) {
            return Self::Session { sealed };
        }
        if let Some(sealed) = text.strip_prefix(DEVICE_PREFIX) {
            return Self::Device { sealed };
        }
        match text
            .strip_prefix(API_PREFIX)
            .and_then(|rest| rest.split_once('_'))
        {
            Some((id, _)) => Self::Api { id },
            None => Self::Opaque,
        }
    }
}

/// Whether a text has the form of a JWT: a header that is a JSON object, in base64url, and two dots.
fn is_jwt(text: &str) -> bool {
    text.len() <= JWT_BYTES_MAX
        && text.starts_with("ey")
        && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// SHA-256 of a credential: all that is ever stored of it.
pub(crate) fn digest(credential: &str) -> [u8; 32] {
    Sha256::digest(credential.as_bytes()).into()
}

/// A fresh API token.
pub(crate) struct NewApiToken {
    /// Names it in its record, and readable in the credential.
    pub(crate) id: String,
    /// The credential.
    pub(crate) text: String,
}

impl NewApiToken {
    /// The token of these random bytes.
    pub(crate) fn new(random: &[u8; 40]) -> Self {
        let text = base32(random);
        let (id, secret) = text.split_at(12);
        Self {
            id: id.to_owned(),
            text: format!("{API_PREFIX}{id}_{secret}"),
        }
    }
}

/// Lower case Crockford base 32: no letters that people confuse, none that a URL or a shell minds.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let mut buffer = 0_u32;
    let mut bits = 0;
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[((buffer >> bits) & 31) as usize]));
        }
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[((buffer << (5 - bits)) & 31) as usize]));
    }
    text
}

/// The last four characters, for people to tell credentials apart.
pub(crate) fn last_four(credential: &str) -> &str {
    let cut = credential
        .char_indices()
        .rev()
        .nth(3)
        .map_or(0, |(index, _)| index);
    &credential[cut..]
}

#[cfg(test)]
mod tests;
