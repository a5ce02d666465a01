//! Whether one of our keys signed a token (RFC 7515, compact form).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::keys::{Algorithm, Key, KeySet, Print};
use crate::Denied;

/// Of the header (RFC 7515, 4.1) what decides which key may prove the token.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    kid: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    crit: Option<&'a RawValue>,
}

/// The claims of a token that one of `set` signed, as the bytes of their JSON, and which key did.
///
/// # Errors
/// [`Denied::UnknownKey`] where newer keys might prove it, [`Denied::UnknownKeyId`] where only newer keys could;
/// [`Denied::Unknown`] where nothing could.
pub(super) fn verified(set: &KeySet, token: &str) -> Result<(Vec<u8>, Print), Denied> {
    let (message, signature) = token.rsplit_once('.').ok_or(Denied::Unknown)?;
    let (header, payload) = message.split_once('.').ok_or(Denied::Unknown)?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Denied::Unknown);
    let header = decode(header)?;
    let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| Denied::Unknown)?;
    // RFC 7515, 4.1.11: an extension that must be understood, and is not.
    if header.crit.is_some() {
        return Err(Denied::Unknown);
    }
    let algorithm = Algorithm::from_word(&header.alg).ok_or(Denied::Unknown)?;
    let kid = header.kid.as_deref();
    let mut named = false;
    for key in set.keys.iter().filter(|key| may_prove(key, algorithm, kid)) {
        named |= key.id.is_some() && kid.is_some();
        if signed(key, message, signature) {
            return decode(payload).map(|claims| (claims, key.print));
        }
    }
    let names_another = kid.is_some() && set.keys.iter().any(|key| key.id.is_some());
    Err(match (named, names_another) {
        // A key that the token names did not sign it: no newer one will have.
        (true, _) => Denied::Unknown,
        (false, true) => Denied::UnknownKeyId,
        (false, false) => Denied::UnknownKey,
    })
}

/// Whether the key is the one that the token names, where both have names.
fn may_prove(key: &Key, algorithm: Algorithm, kid: Option<&str>) -> bool {
    let is_named = match (key.id.as_deref(), kid) {
        (Some(id), Some(kid)) => id == kid,
        (None, _) | (_, None) => true,
    };
    key.algorithm == algorithm && is_named
}

fn signed(key: &Key, message: &str, signature: &str) -> bool {
    jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.key, key.algorithm.library())
        .unwrap_or(false)
}
