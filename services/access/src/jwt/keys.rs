//! Keys, as files and identity providers give them.
//!
//! Each key is for one algorithm, by what it is: an RSA key for RS256, a P-256 key for ES256, a secret
//! for HS256. A token that names another has no key, so that a public key can never be taken for a
//! secret.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::credential::digest;

/// RFC 7518, 3.2: a secret is at least as long as the hash.
const SECRET_BYTES_MIN: usize = 32;
/// RFC 7518, 3.3: an RSA key has 2,048 bits or more.
const MODULUS_BYTES_MIN: usize = 256;
/// Bytes of a coordinate on P-256.
const COORDINATE_BYTES: usize = 32;
/// How a public key begins in DER after its length: RFC 3279, 2.3.1.
const RSA_OID: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// `prime256v1` as the curve of an elliptic key: RFC 5480, 2.1.1.1.
const P256_OID: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// An algorithm that signs JWTs (RFC 7518, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256: issuer and checker share a secret.
    Hs256,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Hs256, Self::Rs256, Self::Es256];

    /// Its name in a header.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm of that name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.word() == word)
    }

    pub(super) const fn library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
        }
    }
}

/// What a source of keys holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One key: a public key as PEM, or a secret as it is.
    Key,
    /// A JWK set (RFC 7517, 5).
    Set,
}

/// Why keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the JSON of a set.
    #[error("is no JWK set: {reason}")]
    NotASet {
        /// What is wrong.
        reason: String,
    },
    /// A set without a key that could prove anything.
    #[error("has no key for {}", wanted.map_or("HS256, RS256 or ES256", Algorithm::word))]
    NoKey {
        /// The algorithm, where one is set.
        wanted: Option<Algorithm>,
    },
    /// A text that is no PEM could be a secret, or anything.
    #[error("is no PEM file: for a secret, say `algorithm = \"HS256\"`")]
    NotPem,
    /// What is public is no secret.
    #[error("is a PEM file, and HS256 needs a secret")]
    NoSecret,
    /// Easy to guess.
    #[error("is a secret of {bytes} bytes, and {SECRET_BYTES_MIN} are the least for HS256")]
    ShortSecret {
        /// Its length.
        bytes: usize,
    },
    /// To check, the public key is enough; a private one has no place on every node.
    #[error("holds a private key: give the public one (-----BEGIN PUBLIC KEY-----)")]
    Private,
    /// PEM of something else.
    #[error("is a PEM file without a public key: give one that begins with -----BEGIN PUBLIC KEY-----")]
    NoPublicKey,
    /// Neither RSA of 2,048 bits or more nor P-256.
    #[error("is neither an RSA key of 2048 bits or more nor an elliptic one on P-256")]
    Unfit,
    /// A key of another algorithm than the one that is set.
    #[error("is a key for {is}, and `algorithm` says {wanted}", is = is.word(), wanted = wanted.word())]
    Other {
        /// What it is for.
        is: Algorithm,
        /// What is set.
        wanted: Algorithm,
    },
}

/// One key.
pub(super) struct Key {
    pub(super) id: Option<Box<str>>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
    /// Tells it from others, whatever it is called.
    pub(super) print: Print,
}

/// The beginning of a key's digest.
pub(super) type Print = [u8; 8];

fn print(material: &[&str]) -> Print {
    let mut print = Print::default();
    print.copy_from_slice(&digest(&material.join("."))[..size_of::<Print>()]);
    print
}

/// Keys that were read together.
pub struct KeySet {
    pub(super) keys: Vec<Key>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.keys.iter().map(|key| (&key.id, key.algorithm));
        f.debug_list().entries(ids).finish()
    }
}

impl KeySet {
    /// Reads what a source of keys holds. In a set, keys that say nothing to us are left out.
    ///
    /// # Errors
    /// When there is no key in it that could prove anything.
    pub fn read(
        form: Form,
        algorithm: Option<Algorithm>,
        bytes: &[u8],
        keys_max: usize,
    ) -> Result<Self, KeyError> {
        match form {
            Form::Key => key(algorithm, bytes).map(|key| Self { keys: vec![key] }),
            Form::Set => set(algorithm, bytes, keys_max),
        }
    }

    /// No key: what an issuer has that took all of them back.
    pub(super) const fn empty() -> Self {
        Self { keys: Vec::new() }
    }

    /// Whether the key of this print is among them.
    pub(super) fn has(&self, print: Print) -> bool {
        self.keys.iter().any(|key| key.print == print)
    }

    /// Whether every key of `other` is among them.
    pub(super) fn has_all_of(&self, other: &Self) -> bool {
        other.keys.iter().all(|key| self.has(key.print))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none: the issuer took back the last.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn key(wanted: Option<Algorithm>, bytes: &[u8]) -> Result<Key, KeyError> {
    let pem = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.contains("-----BEGIN "));
    let (algorithm, key) = match (pem, wanted) {
        (Some(_), Some(Algorithm::Hs256)) => return Err(KeyError::NoSecret),
        (Some(pem), _) => public_key(pem)?,
        (None, Some(Algorithm::Hs256)) => (Algorithm::Hs256, secret(line(bytes))?),
        (None, _) => return Err(KeyError::NotPem),
    };
    match wanted {
        Some(wanted) if wanted != algorithm => Err(KeyError::Other {
            is: algorithm,
            wanted,
        }),
        Some(_) | None => Ok(Key {
            id: None,
            algorithm,
            key,
            print: print(&[&STANDARD.encode(line(bytes))]),
        }),
    }
}

/// A secret without the line end that editors and shells put behind it.
fn line(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

fn secret(bytes: &[u8]) -> Result<DecodingKey, KeyError> {
    if bytes.len() < SECRET_BYTES_MIN {
        return Err(KeyError::ShortSecret { bytes: bytes.len() });
    }
    Ok(DecodingKey::from_secret(bytes))
}

fn public_key(pem: &str) -> Result<(Algorithm, DecodingKey), KeyError> {
    if pem.contains("PRIVATE KEY-----") {
        return Err(KeyError::Private);
    }
    let (_, rest) = pem.split_once("-----BEGIN ").ok_or(KeyError::NoPublicKey)?;
    let (label, rest) = rest.split_once("-----").ok_or(KeyError::NoPublicKey)?;
    let (body, _) = rest.split_once("-----END ").ok_or(KeyError::NoPublicKey)?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| KeyError::NoPublicKey)?;
    let has = |oid: &[u8]| der.windows(oid.len()).take(64).any(|window| window == oid);
    let is_rsa = match label {
        "RSA PUBLIC KEY" => true,
        "PUBLIC KEY" => has(RSA_OID),
        _ => return Err(KeyError::NoPublicKey),
    };
    if is_rsa && der.len() > MODULUS_BYTES_MIN {
        let key = DecodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| KeyError::Unfit)?;
        return Ok((Algorithm::Rs256, key));
    }
    if !is_rsa && has(P256_OID) {
        let key = DecodingKey::from_ec_pem(pem.as_bytes()).map_err(|_| KeyError::Unfit)?;
        return Ok((Algorithm::Es256, key));
    }
    Err(KeyError::Unfit)
}

#[derive(Deserialize)]
struct Jwks<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// A JWK (RFC 7517, 4), and the members of its key (RFC 7518, 6).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<Box<str>>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

fn set(wanted: Option<Algorithm>, bytes: &[u8], keys_max: usize) -> Result<KeySet, KeyError> {
    let jwks: Jwks<'_> = serde_json::from_slice(bytes).map_err(|error| KeyError::NotASet {
        reason: error.to_string(),
    })?;
    // RFC 7517, 5: what is not understood is left out, and does not spoil the rest.
    let keys: Vec<Key> = jwks
        .keys
        .into_iter()
        .filter_map(|text| serde_json::from_str::<Jwk>(text.get()).ok()?.key())
        .filter(|key| wanted.is_none_or(|wanted| key.algorithm == wanted))
        .take(keys_max)
        .collect();
    if keys.is_empty() {
        return Err(KeyError::NoKey { wanted });
    }
    Ok(KeySet { keys })
}

impl Jwk {
    fn key(self) -> Option<Key> {
        let verifies = self
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !verifies || self.purpose.as_ref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let (algorithm, key) = match self.kty.as_str() {
            "RSA" => (Algorithm::Rs256, self.rsa()?),
            "EC" => (Algorithm::Es256, self.p256()?),
            "oct" => {
                let bytes = URL_SAFE_NO_PAD.decode(self.k.as_ref()?).ok()?;
                (Algorithm::Hs256, secret(&bytes).ok()?)
            }
            _ => return None,
        };
        if self.alg.as_ref().is_some_and(|alg| alg != algorithm.word()) {
            return None;
        }
        let material = [&self.n, &self.e, &self.x, &self.y, &self.k];
        let material: Vec<&str> = material.into_iter().flatten().map(String::as_str).collect();
        Some(Key {
            print: print(&material),
            id: self.kid,
            algorithm,
            key,
        })
    }

    fn rsa(&self) -> Option<DecodingKey> {
        let (n, e) = (self.n.as_ref()?, self.e.as_ref()?);
        let modulus = URL_SAFE_NO_PAD.decode(n).ok()?;
        let bytes = modulus.iter().skip_while(|byte| **byte == 0).count();
        if bytes < MODULUS_BYTES_MIN {
            return None;
        }
        DecodingKey::from_rsa_components(n, e).ok()
    }

    fn p256(&self) -> Option<DecodingKey> {
        if self.crv.as_deref() != Some("P-256") {
            return None;
        }
        let (x, y) = (self.x.as_ref()?, self.y.as_ref()?);
        let fits = |text: &str| {
            URL_SAFE_NO_PAD
                .decode(text)
                .is_ok_and(|bytes| bytes.len() == COORDINATE_BYTES)
        };
        if !fits(x) || !fits(y) {
            return None;
        }
        DecodingKey::from_ec_components(x, y).ok()
    }
}
