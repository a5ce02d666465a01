//! The fold of `wakeline.control` in memory: answers who a credential proves, without a lookup.

mod fold;
mod follow;
mod metrics;
mod prove;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use journal::{Offset, Placement};
use parking_lot::RwLock;
use schemas::Micros;
use schemas::control::{Rule, Tenant, Token};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Scope;
use crate::credential::{AdminToken, DeviceKey, DeviceToken, NodeKey, Sealer, SessionKey};
use crate::failures::Failures;
use crate::http::Origins;
use crate::jwt::{self, KeySource};
use fold::Fold;
pub(crate) use follow::{record, tombstone};
use metrics::Metrics;
use tokens::Load;

/// Settings of a [`Directory`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// The secret that the nodes of a deployment share: signs device tokens.
    pub node_key: NodeKey,
    /// Accepted as a `system` token.
    pub admin_token: Option<AdminToken>,
    /// JWTs, where an issuer is known.
    pub jwt: Option<jwt::Settings>,
    /// Origins whose pages may use a session.
    pub allowed_origins: Origins,
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
            jwt: None,
            allowed_origins: Origins::default(),
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
    /// A JWT that no key which we have at present proves: the issuer may have newer ones.
    #[error("unknown or malformed credential")]
    UnknownKey,
    /// The same of one that names its key, which only the issuer's newer ones can be.
    #[error("unknown or malformed credential")]
    UnknownKeyId,
    /// A JWT, and no keys were had yet.
    #[error("the keys that prove this credential are not there yet")]
    Unready,
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
    session_key: SessionKey,
    jwt: Option<jwt::Keys>,
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
            session_key: SessionKey::new(&settings.node_key),
            jwt: settings.jwt.clone().map(jwt::Keys::new),
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

    /// An alert rule.
    #[must_use]
    pub fn rule(&self, tenant: &str, id: &str) -> Option<Arc<Rule>> {
        self.fold.read().rules(tenant)?.get(id).cloned()
    }

    /// The alert rules of a tenant, by id.
    #[must_use]
    pub fn rules(&self, tenant: &str) -> Vec<Arc<Rule>> {
        let fold = self.fold.read();
        fold.rules(tenant)
            .map_or_else(Vec::new, |rules| rules.values().cloned().collect())
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

    /// Origins whose pages may use a session.
    #[must_use]
    pub fn origins(&self) -> &Origins {
        &self.settings.allowed_origins
    }

    /// The keys of JWTs, where an issuer is known.
    #[must_use]
    pub fn jwt_keys(&self) -> Option<&jwt::Keys> {
        self.jwt.as_ref()
    }

    /// Keeps the keys of JWTs those of their issuer until `cancel`, where one is known. To run once.
    pub async fn follow_keys(&self, source: &dyn KeySource, cancel: CancellationToken) {
        if let Some(keys) = &self.jwt {
            let taken_back = || self.changes.send_modify(|count| *count += 1);
            keys.follow(source, &taken_back, cancel).await;
        }
    }

    /// Whether the keys of JWTs were read again because this was called: for a token whose key is not
    /// known.
    pub(crate) async fn has_newer_keys(&self) -> bool {
        match &self.jwt {
            Some(keys) => keys.newer().await,
            None => false,
        }
    }

    /// Whether the keys of JWTs could not be read lately: one that is not known may be good.
    pub(crate) fn has_stale_keys(&self) -> bool {
        self.jwt.as_ref().is_some_and(jwt::Keys::are_stale)
    }

    /// How far the clocks of issuers of JWTs may be ahead.
    pub(crate) fn jwt_leeway(&self) -> Micros {
        let leeway = self
            .jwt
            .as_ref()
            .map_or_else(|| jwt::Settings::default().leeway, jwt::Keys::leeway);
        jwt::micros(leeway)
    }

    /// Encrypts secrets that must not stand in the log in clear.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        Sealer::new(self.settings.node_key.clone())
    }

    /// How many tokens a tenant has, and how many devices they name.
    pub(crate) fn token_load(&self, tenant: &str) -> Load {
        self.fold.read().tokens.load(tenant)
    }

    /// How many of a tenant's devices had tokens taken back.
    pub(crate) fn devices_revoked(&self, tenant: &str) -> usize {
        self.fold.read().devices_revoked(tenant)
    }

    /// The record of an API token.
    pub(crate) fn token(&self, id: &str) -> Option<Token> {
        self.fold.read().tokens.record(id)
    }

    /// The records of API tokens, of one tenant or of all, that are within these devices, newest first: at
    /// most `limit`, after the one named.
    pub(crate) fn tokens(
        &self,
        tenant: Option<&str>,
        devices: &Scope,
        after: Option<(Micros, &str)>,
        limit: usize,
    ) -> Vec<Token> {
        self.fold.read().tokens.records(tenant, devices, after, limit)
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

    /// Revocations of sessions that have ended by `now`, and are moot: at most `most`.
    pub(crate) fn moot_revocations(&self, now: Micros, most: usize) -> Vec<Box<str>> {
        self.fold.read().moot_revocations(now, most)
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
}
