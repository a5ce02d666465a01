//! From a credential to a principal, now and again later.

use std::sync::Arc;

use schemas::Micros;
use subtle::ConstantTimeEq as _;

use super::fold::Fold;
use super::{Denied, Directory};
use crate::credential::{Basis, Credential, DeviceToken, Session, SessionTooLong, digest, session_subject};
use crate::jwt;
use crate::principal::{Realm, RealmRoles, Tenancy};
use crate::{Principal, Proof};

/// Id of the principal that the admin token proves.
const ADMIN_TOKEN_ID: &str = "admin-token";

impl Directory {
    /// The principal that `credential` (as it stands in the request) proves at `now`.
    ///
    /// # Errors
    /// When the credential proves nobody.
    pub fn authenticate(&self, credential: &str, now: Micros) -> Result<Arc<Principal>, Denied> {
        let outcome = self.prove(credential, now);
        self.metrics.authenticated(outcome.as_ref().err().copied());
        outcome.map(Arc::new)
    }

    /// The same principal as it stands now: streams call it on every change of [`Self::changes`], and
    /// when its time is over.
    ///
    /// # Errors
    /// When the credential was revoked or has expired since.
    pub fn recheck(&self, principal: &Principal, now: Micros) -> Result<Arc<Principal>, Denied> {
        let fold = self.fold.read();
        let current = match principal.proof {
            // The fold had the record when the principal was made: it was revoked since.
            Proof::Token => fold.tokens.get(&principal.id).ok_or(Denied::Revoked)?.principal(),
            Proof::Jwt(realm) => {
                check_jwt(&fold, principal)?;
                if !self.jwt.as_ref().is_some_and(|keys| keys.holds(realm.key)) {
                    return Err(Denied::Revoked);
                }
                principal.clone()
            }
            Proof::Node | Proof::Device => {
                check_revocation(&fold, &principal.id, principal.issued_at)?;
                principal.clone()
            }
        };
        let current = match &principal.session {
            Some(session) => {
                check_session(&fold, session)?;
                in_session(current, session, principal.expires_at)
            }
            None => current,
        };
        check_expiry(current.expires_at, now)?;
        Ok(Arc::new(current))
    }

    /// A session for whoever proved itself as `principal`; it ends at `expires_at`, and not later than the
    /// credential. `None` when the principal has none that could be shown again.
    pub(crate) fn session(
        &self,
        principal: &Principal,
        expires_at: Micros,
        random: [u8; 8],
    ) -> Option<Session> {
        let basis = match principal.proof {
            Proof::Token => Basis::Token(principal.id.clone()),
            Proof::Device => {
                let (tenant, device) = principal.id.strip_prefix("device:")?.split_once('/')?;
                Basis::Device {
                    tenant: tenant.into(),
                    device: device.into(),
                    issued_at: principal.issued_at?,
                    expires_at: principal.expires_at,
                }
            }
            Proof::Node => Basis::Admin(self.admin_fingerprint()?),
            Proof::Jwt(realm) => Basis::Jwt {
                id: principal.id.clone(),
                tenant: principal.tenant.clone(),
                roles: realm.roles.bits(),
                ambiguous: realm.tenancy == Tenancy::Ambiguous,
                key: realm.key,
                issued_at: principal.issued_at,
                expires_at: principal.expires_at,
            },
        };
        let expires_at = principal.expires_at.map_or(expires_at, |end| end.min(expires_at));
        Some(Session::new(expires_at, basis, random))
    }

    /// The credential of a session.
    pub(crate) fn seal_session(&self, session: &Session) -> Result<String, SessionTooLong> {
        session.seal(&self.session_key)
    }

    fn prove(&self, credential: &str, now: Micros) -> Result<Principal, Denied> {
        let digest = digest(credential);
        if let Some(token) = &self.settings.admin_token
            && token.matches(&digest)
        {
            return Ok(Principal::system(ADMIN_TOKEN_ID));
        }
        match Credential::parse(credential) {
            Credential::Api { id } => {
                let fold = self.fold.read();
                let entry = fold.tokens.get(id).ok_or(Denied::Unknown)?;
                if !bool::from(entry.hash.ct_eq(&digest)) {
                    return Err(Denied::Unknown);
                }
                check_expiry(entry.expires_at(), now)?;
                Ok(entry.principal())
            }
            Credential::Device { sealed } => {
                let token = DeviceToken::open(sealed, &self.device_key).ok_or(Denied::Unknown)?;
                let principal =
                    Principal::device(&token.tenant, &token.device, token.issued_at, token.expires_at);
                self.holds(principal, now)
            }
            Credential::Session { sealed } => {
                let session = Session::open(sealed, &self.session_key).ok_or(Denied::Unknown)?;
                self.prove_session(session, now)
            }
            Credential::Jwt => {
                let keys = self.jwt.as_ref().ok_or(Denied::Unknown)?;
                self.holds(keys.prove(credential, now)?, now)
            }
            Credential::Opaque => Err(Denied::Unknown),
        }
    }

    fn prove_session(&self, session: Session, now: Micros) -> Result<Principal, Denied> {
        let basis = match session.basis {
            Basis::Token(id) => {
                let fold = self.fold.read();
                fold.tokens.get(&id).ok_or(Denied::Revoked)?.principal()
            }
            Basis::Device {
                tenant,
                device,
                issued_at,
                expires_at,
            } => Principal::device(&tenant, &device, issued_at, expires_at),
            Basis::Admin(fingerprint) => {
                // Another admin token, or none: whoever had the old one is out.
                let current = self.admin_fingerprint().ok_or(Denied::Revoked)?;
                if !bool::from(current.ct_eq(&fingerprint)) {
                    return Err(Denied::Revoked);
                }
                Principal::system(ADMIN_TOKEN_ID)
            }
            Basis::Jwt {
                id,
                tenant,
                roles,
                ambiguous,
                key,
                issued_at,
                expires_at,
            } => {
                // An issuer that is believed no more has no sessions either, nor has a key of its past.
                let keys = self.jwt.as_ref().ok_or(Denied::Revoked)?;
                if !keys.are_there() {
                    return Err(Denied::Unready);
                }
                if !keys.holds(key) {
                    return Err(Denied::UnknownKey);
                }
                let tenancy = match (&tenant, ambiguous) {
                    (Some(_), _) => Tenancy::Known,
                    (None, true) => Tenancy::Ambiguous,
                    (None, false) => Tenancy::Missing,
                };
                let roles = RealmRoles::from_bits(roles);
                let realm = Realm { roles, tenancy, key };
                jwt::principal(&id, tenant.as_deref(), realm, issued_at, expires_at)
            }
        };
        check_session(&self.fold.read(), &session.id)?;
        self.holds(in_session(basis, &session.id, Some(session.expires_at)), now)
    }

    /// The principal, if it was neither revoked nor has expired.
    fn holds(&self, principal: Principal, now: Micros) -> Result<Principal, Denied> {
        match principal.proof {
            Proof::Jwt(_) => check_jwt(&self.fold.read(), &principal)?,
            Proof::Node | Proof::Token | Proof::Device => {
                check_revocation(&self.fold.read(), &principal.id, principal.issued_at)?;
            }
        }
        check_expiry(principal.expires_at, now)?;
        Ok(principal)
    }

    fn admin_fingerprint(&self) -> Option<[u8; 8]> {
        let token = self.settings.admin_token.as_ref()?;
        Some(token.fingerprint(&self.settings.node_key))
    }
}

/// The principal as a session stands for it, which ends with whatever ends first.
fn in_session(principal: Principal, session: &str, expires_at: Option<Micros>) -> Principal {
    let ends = [principal.expires_at, expires_at];
    Principal {
        session: Some(session.into()),
        expires_at: ends.into_iter().flatten().min(),
        ..principal
    }
}

fn check_expiry(expires_at: Option<Micros>, now: Micros) -> Result<(), Denied> {
    match expires_at {
        Some(expires_at) if expires_at <= now => Err(Denied::Expired),
        Some(_) | None => Ok(()),
    }
}

fn check_revocation(fold: &Fold, subject: &str, issued_at: Option<Micros>) -> Result<(), Denied> {
    match (fold.not_before(subject), issued_at) {
        (Some(not_before), Some(issued_at)) if issued_at < not_before => Err(Denied::Revoked),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// A JWT is revoked with all others, too.
fn check_jwt(fold: &Fold, principal: &Principal) -> Result<(), Denied> {
    check_revocation(fold, jwt::EVERYBODY, principal.issued_at)?;
    check_revocation(fold, &principal.id, principal.issued_at)
}

/// A session that was ended never holds again.
fn check_session(fold: &Fold, session: &str) -> Result<(), Denied> {
    match fold.not_before(&session_subject(session)) {
        Some(_) => Err(Denied::Revoked),
        None => Ok(()),
    }
}
