//! The ports over CQL: ScyllaDB, or any server that speaks the same protocol. The only place that
//! names the driver.
//!
//! Nothing here holds state that a restart would miss: what is remembered in memory only saves writes.

mod documents;
mod history;
mod link;
mod migrate;
mod pages;
mod progress;
mod purge;
mod settings;
mod shared;

use std::sync::Arc;

use ::scylla::client::execution_profile::ExecutionProfile;
use ::scylla::client::session::Session;
use ::scylla::client::session_builder::SessionBuilder;
use journal::Clock;
use schemas::control::Layout;

use crate::{Store, StoreError};
use link::Link;

pub use migrate::{MigrateError, Migrated};
pub use settings::{Consistency, Replication, Settings, Words};

/// Servers agree on a change of the schema within so long, or the change is tried again.
const SCHEMA_AGREEMENT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// A connection to a CQL cluster and one keyspace of it.
#[derive(Clone)]
pub struct Cql {
    link: Arc<Link>,
    settings: Arc<Settings>,
    clock: Clock,
}

/// Why no connection could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// A setting that cannot be right.
    #[error("{setting}: {reason}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// None of the servers could be used in time.
    #[error(
        "cannot connect to the CQL servers at {addresses}: {reason}; check that one of them is running and can be \
         reached from here, and the user, the password and the TLS settings"
    )]
    Unreachable {
        /// The contact points.
        addresses: String,
        /// What the driver said last.
        reason: String,
    },
}

impl Cql {
    /// Connects, within [`Settings::connect_timeout`]. The keyspace need not exist yet.
    ///
    /// # Errors
    /// What is wrong with the settings, or which servers could not be reached and why.
    pub async fn connect(settings: Settings, clock: Clock) -> Result<Self, ConnectError> {
        settings.check()?;
        let unreachable = |reason: String| ConnectError::Unreachable {
            addresses: settings.contact_points.join(", "),
            reason,
        };
        let session = async {
            let session = session_builder(&settings)
                .build()
                .await
                .map_err(|error| error.to_string())?;
            Link::new(session, &settings)
                .await
                .map_err(|error| error.to_string())
        };
        let link = match tokio::time::timeout(settings.connect_timeout, Box::pin(session)).await {
            Ok(connected) => connected.map_err(unreachable)?,
            Err(_) => {
                return Err(unreachable(format!(
                    "no answer within {:?}",
                    settings.connect_timeout
                )));
            }
        };
        Ok(Self {
            link: Arc::new(link),
            settings: Arc::new(settings),
            clock,
        })
    }

    /// The ports over the tables of `layout` that serve, or over those of `build` where it is given: a
    /// rebuild fills another build beside those that serve.
    ///
    /// # Errors
    /// When the tables are missing or the servers do not answer.
    pub async fn store(&self, layout: &Layout, build: Option<u16>) -> Result<Store, StoreError> {
        let build = match build {
            Some(build) => build,
            None => self.serving(layout.generation).await?,
        };
        let scope = Scope::new(layout, build);
        Ok(Store {
            documents: Arc::new(documents::CqlDocuments::new(self, scope).await?),
            progress: Arc::new(progress::CqlProgress::new(self, scope).await?),
            history: Arc::new(history::CqlHistory::new(self, scope).await?),
        })
    }
}

fn session_builder(settings: &Settings) -> SessionBuilder {
    let profile = ExecutionProfile::builder()
        .consistency(settings.consistency.to_driver())
        .request_timeout(Some(settings.request_timeout))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&settings.contact_points)
        .default_execution_profile_handle(profile.into_handle())
        .connection_timeout(settings.connect_timeout.min(std::time::Duration::from_secs(5)))
        .schema_agreement_timeout(SCHEMA_AGREEMENT_TIMEOUT)
        .tls_context(settings.tls.clone());
    if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
        builder = builder.user(user, password);
    }
    builder
}

/// Which rows belong to a store: the first part of every partition key, and the base of timestamps.
#[derive(Debug, Clone, Copy)]
struct Scope {
    /// Generation of the layout and build of its tables.
    generation: i64,
    /// When the layout was made: an offset is added to it to give a write's timestamp.
    created_at: i64,
}

impl Scope {
    fn new(layout: &Layout, build: u16) -> Self {
        Self {
            generation: (i64::from(layout.generation) << 16) | i64::from(build),
            created_at: layout.created_at,
        }
    }

    /// Generation of the layout, whichever of its tables serve.
    const fn layout_generation(self) -> i64 {
        self.generation >> 16
    }

    /// The timestamp of a write that comes from the event at `offset`.
    fn timestamp(self, offset: u64) -> i64 {
        self.created_at.saturating_add(offset.cast_signed())
    }
}

impl std::fmt::Debug for Cql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cql")
            .field("contact_points", &self.settings.contact_points)
            .field("keyspace", &self.settings.keyspace)
            .finish_non_exhaustive()
    }
}

/// The driver's session, for the parts that speak of the schema.
fn session(link: &Link) -> &Session {
    link.session()
}
