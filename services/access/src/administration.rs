//! Changes of `wakeline.control`: tokens, sessions, tenants, revocations, alert rules. Each is
//! appended, and answered when this node has folded it.

mod members;
mod rules;
mod sessions;
mod tenants;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use journal::{AppendError, Appender, Clock, Journal, NewRecord};
use schemas::Micros;

use crate::Directory;
use crate::failures::Windows;

pub use members::{InvalidMember, TokenMembers, parse_expiry};
pub use rules::RuleRefused;
pub use sessions::{NewSession, SessionRefused};
pub use tenants::TenantRefused;
pub use tokens::{Issued, TokenPage, TokenRefused, Visible};

/// Settings of [`Administration`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long the log may take to confirm a change.
    pub append_within: Duration,
    /// How long this node may take to fold a confirmed change.
    pub fold_within: Duration,
    /// Devices that a token may name.
    pub devices_max: usize,
    /// Permissions, and organizations, that a token may have.
    pub grants_max: usize,
    /// Tokens of a tenant: every node holds them.
    pub tokens_per_tenant_max: usize,
    /// Devices that all tokens of a tenant name.
    pub token_devices_per_tenant_max: usize,
    /// Devices of a tenant whose tokens were taken back, which is remembered for good.
    pub devices_revoked_per_tenant_max: usize,
    /// Sessions that one credential may make in a minute, in this process: each that is ended is remembered
    /// until it would have ended by itself.
    pub sessions_per_minute: u32,
    /// The same of all credentials of a tenant.
    pub sessions_per_tenant_minute: u32,
    /// How long a session lasts, where its credential does not end before.
    pub session_lifetime: Duration,
    /// Alert rules of a tenant: each change of a device is held against all of them.
    pub rules_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            append_within: Duration::from_secs(10),
            fold_within: Duration::from_secs(5),
            devices_max: 2_000,
            grants_max: 100,
            tokens_per_tenant_max: 100_000,
            token_devices_per_tenant_max: 200_000,
            devices_revoked_per_tenant_max: 200_000,
            sessions_per_minute: 60,
            sessions_per_tenant_minute: 1_200,
            session_lifetime: Duration::from_secs(12 * 3_600),
            rules_max: 200,
        }
    }
}

/// Why a change is not in force on this node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The log did not confirm it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log has it, but this node has not read it back in time: other nodes may act on it.
    #[error("the change is in the log, but this node has not folded it in time")]
    NotFolded,
    /// There is no randomness to make a secret of.
    #[error("the system gives no random bytes: {reason}")]
    Randomness {
        /// What the system said.
        reason: String,
    },
}

/// Appends control records and waits until this node has folded them.
pub struct Administration {
    settings: Settings,
    appender: Arc<dyn Appender>,
    layout: schemas::control::Layout,
    directory: Arc<Directory>,
    clock: Clock,
    /// Held while a tenant is made, so that its first users make one record, not one each.
    making_tenant: tokio::sync::Mutex<()>,
    /// Held while a rule is put, so that a tenant's rules are counted and put in one go.
    putting_rule: tokio::sync::Mutex<()>,
    /// Held while a token is changed, so that each change begins with what the one before has made.
    changing_token: tokio::sync::Mutex<()>,
    /// Sessions made, by credential and by tenant.
    sessions_of: Windows<Box<str>>,
    sessions_of_tenant: Windows<Box<str>>,
}

/// Credentials whose sessions are counted at once.
const COUNTED_MAX: usize = 65_536;

impl Administration {
    /// Administration of the log whose control topic `directory` follows.
    #[must_use]
    pub fn new(settings: Settings, journal: &Journal, directory: Arc<Directory>, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            sessions_of: Windows::new(settings.sessions_per_minute, COUNTED_MAX),
            sessions_of_tenant: Windows::new(settings.sessions_per_tenant_minute, COUNTED_MAX),
            settings,
            appender: Arc::clone(&journal.appender),
            layout: journal.layout.clone(),
            directory,
            clock,
            making_tenant: tokio::sync::Mutex::new(()),
            putting_rule: tokio::sync::Mutex::new(()),
            changing_token: tokio::sync::Mutex::new(()),
        })
    }

    /// The directory that it keeps.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    pub(crate) fn now(&self) -> Micros {
        (self.clock)()
    }

    /// Appends one record and waits until it is folded.
    async fn write(&self, record: NewRecord) -> Result<(), WriteError> {
        self.write_all(vec![record]).await
    }

    /// Appends records and waits until the last is folded, which is the one that matters.
    async fn write_all(&self, records: Vec<NewRecord>) -> Result<(), WriteError> {
        let mut outcomes = self.appender.append(records, self.settings.append_within).await;
        let position = outcomes.pop().unwrap_or(Err(AppendError::Unknown))?;
        let folded = self.directory.folded(position.offset);
        tokio::time::timeout(self.settings.fold_within, folded)
            .await
            .map_err(|_| WriteError::NotFolded)
    }
}
