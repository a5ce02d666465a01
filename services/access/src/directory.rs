//! The fold of `wakeline.control` in memory: answers who a credential proves, without a lookup.

mod fold;
mod follow;
mod metrics;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use journal::{Offset, Placement};
use parking_lot::RwLock;
use schemas::Micros;
use schemas::control::{Role, Tenant, Token};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use crate::Principal;
use crate::credential::{
    AdminToken, CREDENTIAL_BYTES_MAX, Credential, DeviceKey, DeviceToken, NodeKey, Sealer, digest,
};
use crate::failures::Failures;
use fold::Fold;
pub(crate) use follow::{record, tombstone};
use metrics::Metrics;

/// Id of the principal that the admin token proves.
const ADMIN_TOKEN_ID: &str = "admin-token";

/// Settings of a [`Directory`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// The secret that the nodes of a deployment share: signs device tokens.
    pub node_key: NodeKey,
    /// Accepted as a `system` token.
    pub admin_token: Option<AdminToken>,
    /// Failed authentications of one address in a minute before it is told 429.
    pub failed_authentications_per_minute: u32,
    /// Addresses whose failures are counted at once; beyond that the oldest are forgotten.
    pub failed_addresses_max: usize,
    /// Bytes of control records read at once at start.
    pub read_bytes_max: usize,
    /// How often the log is asked whether the fold is at its end still.
    pub check_every: Duration,
}

impl Settings {
    /// The defaults, with this key.
    #[must_use]
    pub fn new(node_key: NodeKey) -> Self {
        Self {
            node_key,
            admin_token: None,
            failed_authentications_per_minute: 20,
            failed_addresses_max: 65_536,
            read_bytes_max: 1024 * 1024,
            check_every: Duration::from_secs(10),
        }
    }
}

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

/// How well the directory knows `wakeline.control` at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// It has folded all that stood in the log when it started.
    pub ready: bool,
    /// It is at the log's end, as far as the log can be asked. When it is not, the directory goes on
    /// answering from what it knows.
    pub current: bool,
}

/// The fold of `wakeline.control`: answers from memory.
pub struct Directory {
    settings: Settings,
    device_key: DeviceKey,
    partitions: u32,
    fold: RwLock<Fold>,
    /// Offset after the last record folded.
    position: watch::Sender<Offset>,
    health: watch::Sender<Health>,
    changes: watch::Sender<u64>,
    failures: Failures,
    metrics: Metrics,
}

impl Directory {
    /// An empty directory of a log whose events have `partitions`; [`Self::follow`] fills it.
    ///
    /// # Errors
    /// When its metrics are registered already.
    pub fn new(
        settings: Settings,
        partitions: u32,
        registry: &prometheus::Registry,
    ) -> Result<Arc<Self>, prometheus::Error> {
        Ok(Arc::new(Self {
            device_key: DeviceKey::new(&settings.node_key),
            partitions,
            fold: RwLock::new(Fold::new(partitions)),
            position: watch::Sender::new(0),
            health: watch::Sender::new(Health {
                ready: false,
                current: false,
            }),
            changes: watch::Sender::new(0),
            failures: Failures::new(
                settings.failed_authentications_per_minute,
                settings.failed_addresses_max,
            ),
            metrics: Metrics::new(registry)?,
            settings,
        }))
    }

    /// The principal that `credential` (as it stands in the request) proves at `now`.
    ///
    /// # Errors
    /// When the credential proves nobody.
    pub fn authenticate(&self, credential: &str, now: Micros) -> Result<Arc<Principal>, Denied> {
        let outcome = self.prove(credential, now);
        self.metrics.authenticated(outcome.as_ref().err().copied());
        outcome.map(Arc::new)
    }

    /// The same principal as it stands now: streams call it on every change of [`Self::changes`].
    ///
    /// # Errors
    /// When the credential was revoked or has expired since.
    pub fn recheck(&self, principal: &Principal, now: Micros) -> Result<Arc<Principal>, Denied> {
        let fold = self.fold.read();
        let current = if *principal.id == *ADMIN_TOKEN_ID || Self::is_signed(principal) {
            check_revocation(&fold, &principal.id, principal.issued_at)?;
            principal.clone()
        } else {
            // The fold had the record when the principal was made: it was revoked since.
            fold.tokens.get(&principal.id).ok_or(Denied::Revoked)?.principal()
        };
        check_expiry(current.expires_at, now)?;
        Ok(Arc::new(current))
    }

    /// The tenant's record, if the tenant exists.
    #[must_use]
    pub fn tenant(&self, id: &str) -> Option<Arc<Tenant>> {
        self.fold
            .read()
            .tenants
            .get(id)
            .map(|entry| Arc::clone(&entry.tenant))
    }

    /// Where the tenant's devices lie, if the tenant exists.
    #[must_use]
    pub fn placement(&self, tenant: &str) -> Option<Arc<Placement>> {
        self.fold
            .read()
            .tenants
            .get(tenant)
            .map(|entry| Arc::clone(&entry.placement))
    }

    /// Every tenant, by id.
    #[must_use]
    pub fn tenants(&self) -> Vec<Arc<Tenant>> {
        let mut tenants: Vec<_> = self
            .fold
            .read()
            .tenants
            .values()
            .map(|entry| Arc::clone(&entry.tenant))
            .collect();
        tenants.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        tenants
    }

    /// A counter that grows with every change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How well the directory knows the log at present.
    #[must_use]
    pub fn health(&self) -> Health {
        *self.health.borrow()
    }

    /// Whether it has folded all that stood in the log when it started; before, nobody can be told
    /// from a stranger.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.health().ready
    }

    /// Returns once [`is_ready`](Self::is_ready) holds.
    pub async fn ready(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        drop(self.health.subscribe().wait_for(|health| health.ready).await);
    }

    /// Encrypts secrets that must not stand in the log in clear.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        Sealer::new(self.settings.node_key.clone())
    }

    /// The record of an API token.
    pub(crate) fn token(&self, id: &str) -> Option<Token> {
        self.fold.read().tokens.record(id)
    }

    /// The records of API tokens, of one tenant or of all, newest first: at most `limit`, after the
    /// one named.
    pub(crate) fn tokens(
        &self,
        tenant: Option<&str>,
        after: Option<(Micros, &str)>,
        limit: usize,
    ) -> Vec<Token> {
        self.fold.read().tokens.records(tenant, after, limit)
    }

    /// The time from which credentials of `subject` must be to be good; the earliest without a
    /// revocation.
    pub(crate) fn not_before(&self, subject: &str) -> Micros {
        self.fold.read().not_before(subject).unwrap_or(Micros::MIN)
    }

    /// Returns once the record at `offset` is folded.
    pub(crate) async fn folded(&self, offset: Offset) {
        drop(self.position.subscribe().wait_for(|next| *next > offset).await);
    }

    /// A credential of this device.
    pub(crate) fn seal(&self, token: &DeviceToken) -> String {
        token.seal(&self.device_key)
    }

    /// Counts a failed authentication; answers for how many seconds the address has had too many.
    pub(crate) fn failed(&self, peer: IpAddr, now: Micros) -> Option<u64> {
        let over = self.failures.count(peer, now);
        if over.is_some() {
            self.metrics.limited();
        }
        over
    }

    fn prove(&self, credential: &str, now: Micros) -> Result<Principal, Denied> {
        if credential.len() > CREDENTIAL_BYTES_MAX {
            return Err(Denied::Unknown);
        }
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
            Credential::Device { sealed } => self.prove_device(sealed, now),
            Credential::Opaque => Err(Denied::Unknown),
        }
    }

    fn prove_device(&self, sealed: &str, now: Micros) -> Result<Principal, Denied> {
        let token = DeviceToken::open(sealed, &self.device_key).ok_or(Denied::Unknown)?;
        let principal = Principal::device(&token.tenant, &token.device, token.issued_at, token.expires_at);
        check_revocation(&self.fold.read(), &principal.id, principal.issued_at)?;
        check_expiry(principal.expires_at, now)?;
        Ok(principal)
    }

    /// Whether the principal was made from a signed credential, which has no record. The id of a
    /// record has no colon.
    fn is_signed(principal: &Principal) -> bool {
        principal.role == Role::Device && principal.id.contains(':')
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
