//! What proves a JWT, and what it comes to. Every key is made here.

mod claims;
mod follow;
mod issuer;
mod keys;
mod signature;

use serde_json::{Value, json};

use super::*;
use issuer::Issuer;

/// 2027-01-15, in seconds.
const NOW_S: i64 = 1_800_000_000;
const NOW: Micros = NOW_S * 1_000_000;

/// Keys of this set, without reading them from anywhere.
fn keys(settings: Settings, set: KeySet) -> Keys {
    let keys = Keys::new(settings);
    keys.set.store(Some(Arc::new(set)));
    keys
}

/// Keys that know `issuer` by its JWK.
fn trusting(issuer: &Issuer) -> Keys {
    with(issuer, |_| {})
}

fn with(issuer: &Issuer, change: impl FnOnce(&mut Settings)) -> Keys {
    let mut settings = Settings::default();
    change(&mut settings);
    let set = issuer::jwks(&[issuer]).to_string();
    let set = KeySet::read(Form::Set, settings.algorithm, set.as_bytes(), settings.keys_max);
    keys(settings, set.unwrap())
}

/// Claims of a customer of `acme`.
fn customer() -> Value {
    json!({
        "sub": "somebody",
        "exp": NOW_S + 60,
        "iat": NOW_S,
        "tenant_id": "acme",
        "realm_access": {"roles": ["customer"]},
    })
}

/// The same with `changes` made; null takes a claim away.
fn changed(changes: Value) -> Value {
    let mut claims = customer();
    let members = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    claims
}
