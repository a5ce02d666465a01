//! Which claims count, and what they come to.

use std::time::Duration;

use schemas::Micros;
use serde_json::{Map, Value};

use super::Settings;
use crate::principal::{Realm, RealmRoles, Tenancy, is_tenant};
use crate::{Denied, Principal};

/// The claims that count (RFC 7519, 4.1, and those of identity providers).
#[derive(Debug, PartialEq)]
pub(super) struct Claims {
    pub(super) subject: Option<Box<str>>,
    pub(super) issued_at: Option<Micros>,
    issuer: Option<Box<str>>,
    audience: Vec<Box<str>>,
    expires_at: Micros,
    not_before: Option<Micros>,
    organizations: Vec<Box<str>>,
    tenant_id: Option<Box<str>>,
    roles: RealmRoles,
}

/// The tenant that claims name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: Option<Box<str>>,
    pub(super) tenancy: Tenancy,
}

impl Claims {
    /// Reads the payload of a token; `None` when it is no object, or when a claim that counts is not what
    /// the standard says. A token without an end is none that we take.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let claims: Map<String, Value> = serde_json::from_slice(payload).ok()?;
        Some(Self {
            subject: text(&claims, "sub")?,
            issuer: text(&claims, "iss")?,
            audience: names(claims.get("aud")),
            expires_at: date(&claims, "exp")??,
            not_before: date(&claims, "nbf")?,
            issued_at: date(&claims, "iat")?,
            organizations: names(claims.get("organization")),
            tenant_id: claims.get("tenant_id").and_then(Value::as_str).map(Into::into),
            roles: roles(&claims),
        })
    }

    /// Whether the token is for us, and for now.
    pub(super) fn check(&self, settings: &Settings, now: Micros) -> Result<(), Denied> {
        if settings.issuer.is_some() && settings.issuer != self.issuer {
            return Err(Denied::Unknown);
        }
        let is_for_us = settings.audience.is_empty()
            || settings
                .audience
                .iter()
                .any(|audience| self.audience.contains(audience));
        if !is_for_us {
            return Err(Denied::Unknown);
        }
        let soon = now.saturating_add(micros(settings.leeway));
        let is_early = |at: Option<Micros>| at.is_some_and(|at| at > soon);
        // One from the future could not be revoked: a revocation goes by the time of issue.
        if is_early(self.not_before) || is_early(self.issued_at) {
            return Err(Denied::Unknown);
        }
        match self.ends_at(settings) {
            Some(end) if end <= now => Err(Denied::Expired),
            Some(_) | None => Ok(()),
        }
    }

    /// When its streams end.
    pub(super) fn ends_at(&self, settings: &Settings) -> Option<Micros> {
        Some(self.expires_at.saturating_add(micros(settings.expiry_leeway)))
    }

    /// The tenant: the one organization; of several, that which `tenant_id` names; `tenant_id` where there
    /// is no organization.
    pub(super) fn tenant(&self) -> Named {
        let named = match self.organizations.as_slice() {
            [] => self.tenant_id.as_ref(),
            [only] => Some(only),
            several => {
                let chosen = several.iter().find(|name| Some(*name) == self.tenant_id.as_ref());
                if chosen.is_none() {
                    return Named {
                        name: None,
                        tenancy: Tenancy::Ambiguous,
                    };
                }
                chosen
            }
        };
        let name = named.filter(|name| is_tenant(name)).cloned();
        Named {
            tenancy: if name.is_some() {
                Tenancy::Known
            } else {
                Tenancy::Missing
            },
            name,
        }
    }

    pub(super) fn realm(&self, tenant: &Named, key: [u8; 8]) -> Realm {
        Realm {
            roles: self.roles,
            tenancy: tenant.tenancy,
            key,
        }
    }
}

/// The principal of a JWT, also where a session stands for it.
pub(crate) fn principal(
    id: &str,
    tenant: Option<&str>,
    realm: Realm,
    issued_at: Option<Micros>,
    expires_at: Option<Micros>,
) -> Principal {
    // Without a time of issue, any revocation is newer.
    Principal::from_jwt(
        id,
        tenant,
        realm,
        Some(issued_at.unwrap_or(Micros::MIN)),
        expires_at,
    )
}

/// A claim that is a text; the outer `None` when it is something else.
fn text(claims: &Map<String, Value>, name: &str) -> Option<Option<Box<str>>> {
    match claims.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(value) => value.as_str().map(|text| Some(text.into())),
    }
}

/// A claim that is a NumericDate (RFC 7519, 2): seconds, perhaps with a fraction. The outer `None` when it
/// is something else.
fn date(claims: &Map<String, Value>, name: &str) -> Option<Option<Micros>> {
    let Some(value) = claims.get(name).filter(|value| !value.is_null()) else {
        return Some(None);
    };
    if let Some(seconds) = value.as_i64() {
        return Some(Some(seconds.saturating_mul(1_000_000)));
    }
    // Casting saturates, so that the far future is the far future.
    value.as_f64().map(|seconds| Some((seconds * 1e6) as Micros))
}

/// Names in a claim that identity providers write as one text, a list, or an object by name; in its order,
/// each once.
fn names(claim: Option<&Value>) -> Vec<Box<str>> {
    let mut found: Vec<Box<str>> = match claim {
        Some(Value::String(name)) => vec![name.as_str().into()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(Into::into).collect(),
        Some(Value::Object(names)) => names.keys().map(|name| name.as_str().into()).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => Vec::new(),
    };
    let mut index = 0;
    while index < found.len() {
        let is_repeat = found[..index].contains(&found[index]);
        if is_repeat || found[index].is_empty() {
            drop(found.remove(index));
        } else {
            index += 1;
        }
    }
    found
}

fn roles(claims: &Map<String, Value>) -> RealmRoles {
    let roles = claims
        .get("realm_access")
        .and_then(|access| access.get("roles"))
        .and_then(Value::as_array);
    RealmRoles::from_words(roles.into_iter().flatten().filter_map(Value::as_str))
}

pub(crate) fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}
