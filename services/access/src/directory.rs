//! The fold of `wakeline.control` in memory.

use std::sync::Arc;

use schemas::Micros;
use schemas::control::Tenant;

use crate::Principal;

/// Why a credential is not accepted. Says nothing that helps to guess one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Not a credential that we know.
    #[error("unknown or malformed credential")]
    Unknown,
    /// It was good once.
    #[error("the credential has expired")]
    Expired,
    /// It was taken back.
    #[error("the credential was revoked")]
    Revoked,
}

/// The fold of `wakeline.control`: answers from memory.
pub struct Directory {}

impl Directory {
    /// The principal that `credential` (as it stands in the request) proves at `now`.
    ///
    /// # Errors
    /// When the credential proves nobody.
    pub fn authenticate(&self, credential: &str, now: Micros) -> Result<Arc<Principal>, Denied> {
        let _ = (credential, now);
        Err(Denied::Unknown)
    }

    /// The same principal as it stands now: streams call it on every change of [`Self::changes`].
    ///
    /// # Errors
    /// When the credential was revoked or has expired since.
    pub fn recheck(&self, principal: &Principal, now: Micros) -> Result<Arc<Principal>, Denied> {
        let _ = (principal, now);
        Err(Denied::Unknown)
    }

    /// The tenant's record, if the tenant exists.
    #[must_use]
    pub fn tenant(&self, id: &str) -> Option<Arc<Tenant>> {
        let _ = id;
        None
    }

    /// Every tenant.
    #[must_use]
    pub fn tenants(&self) -> Vec<Arc<Tenant>> {
        Vec::new()
    }

    /// A counter that grows with every change.
    #[must_use]
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        tokio::sync::watch::channel(0).1
    }
}
