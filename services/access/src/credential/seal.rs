//! Secrets within commands, encrypted before they reach the log: only the device's own socket sees
//! them in clear.
//!
//! base64url without padding of: version 1, 12 bytes of nonce, then ChaCha20-Poly1305 of the text under
//! a key of the tenant, bound to tenant and device.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::NodeKey;

const VERSION: u8 = 1;

/// Why a secret cannot be encrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is no randomness for a nonce.
    #[error("the system gives no random bytes: {reason}")]
    Randomness {
        /// What the system said.
        reason: String,
    },
    /// The text is beyond what the cipher takes.
    #[error("the secret is too long to encrypt")]
    TooLong,
}

/// Not a secret of this device, sealed with this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret cannot be decrypted with this node's key")]
pub struct UnsealError;

/// Encrypts secrets with a key of the deployment.
pub struct Sealer(NodeKey);

impl Sealer {
    /// Seals with a key derived from this one.
    #[must_use]
    pub const fn new(key: NodeKey) -> Self {
        Self(key)
    }

    /// Encrypts `secret` for the socket of `device`.
    ///
    /// # Errors
    /// Without randomness, or when it is enormous.
    pub fn seal(&self, tenant: &str, device: &str, secret: &str) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|error| SealError::Randomness {
            reason: error.to_string(),
        })?;
        let mut sealed = secret.as_bytes().to_vec();
        self.key(tenant)
            .ok_or(SealError::TooLong)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context(tenant, device)),
                &mut sealed,
            )
            .map_err(|_| SealError::TooLong)?;
        let mut bytes = Vec::with_capacity(1 + NONCE_LEN + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Decrypts what [`seal`](Self::seal) gave for the same device.
    ///
    /// # Errors
    /// When it was sealed otherwise, or is damaged.
    pub fn open(&self, tenant: &str, device: &str, sealed: &str) -> Result<String, UnsealError> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| UnsealError)?;
        let (version, rest) = bytes.split_first().ok_or(UnsealError)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(UnsealError)?;
        if *version != VERSION {
            return Err(UnsealError);
        }
        let mut text = rest.to_vec();
        let text = self
            .key(tenant)
            .ok_or(UnsealError)?
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(context(tenant, device)),
                &mut text,
            )
            .map_err(|_| UnsealError)?;
        String::from_utf8(text.to_vec()).map_err(|_| UnsealError)
    }

    /// A key of its own for each tenant keeps random nonces from ever meeting.
    fn key(&self, tenant: &str) -> Option<LessSafeKey> {
        let key = self.0.derive(&format!("wakeline secret 1/{tenant}"));
        UnboundKey::new(&CHACHA20_POLY1305, &key)
            .ok()
            .map(LessSafeKey::new)
    }
}

fn context(tenant: &str, device: &str) -> String {
    format!("{tenant}/{device}")
}
