//! Tenants: made once, with a spread that holds for good.

use std::sync::Arc;

use schemas::control::{Control, Role, Tenant};

use super::{Administration, WriteError};
use crate::directory::record;
use crate::principal::is_tenant;
use crate::{Principal, TenantError};

/// Why a tenant is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantRefused {
    /// Its name is none, or it is not this principal's.
    #[error(transparent)]
    Name(#[from] TenantError),
    /// Only `system` principals make tenants.
    #[error("only a system token makes tenants")]
    Forbidden,
    /// No tenant can be spread so.
    #[error("spread must be 1 to {partitions}, the partitions of the log, and not {spread}")]
    Spread {
        /// What was asked for.
        spread: u32,
        /// What there is.
        partitions: u32,
    },
    /// It exists with another spread, which is fixed.
    #[error("the tenant exists with a spread of {spread}, which is fixed")]
    Exists {
        /// Its spread.
        spread: u32,
    },
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] WriteError),
}

impl Administration {
    /// The tenant, made with the default spread if it does not exist: what the first use by a
    /// `system` principal does.
    ///
    /// # Errors
    /// When the name is none, or the log does not take the record.
    pub async fn ensure_tenant(&self, id: &str) -> Result<Arc<Tenant>, TenantRefused> {
        if let Some(tenant) = self.directory.tenant(id) {
            return Ok(tenant);
        }
        let spread = self.layout.default_spread.min(self.layout.partitions);
        self.make(id, spread).await.map(|(tenant, _)| tenant)
    }

    /// Makes a tenant. Answers whether it is new; one that exists with the same spread is no error.
    ///
    /// # Errors
    /// When it may not or cannot be made, or exists with another spread.
    pub async fn create_tenant(
        &self,
        actor: &Principal,
        id: &str,
        spread: Option<u32>,
    ) -> Result<(Arc<Tenant>, bool), TenantRefused> {
        if actor.role != Role::System {
            return Err(TenantRefused::Forbidden);
        }
        let partitions = self.layout.partitions;
        let asked = spread.unwrap_or(self.layout.default_spread.min(partitions));
        if !(1..=partitions).contains(&asked) {
            return Err(TenantRefused::Spread {
                spread: asked,
                partitions,
            });
        }
        let (tenant, new) = self.make(id, asked).await?;
        // The first record holds, whoever wrote it: perhaps another node, a moment ago.
        if spread.is_some() && tenant.spread != asked {
            return Err(TenantRefused::Exists {
                spread: tenant.spread,
            });
        }
        Ok((tenant, new))
    }

    async fn make(&self, id: &str, spread: u32) -> Result<(Arc<Tenant>, bool), TenantRefused> {
        if !is_tenant(id) {
            return Err(TenantError::Invalid.into());
        }
        let _turn = self.making_tenant.lock().await;
        if let Some(tenant) = self.directory.tenant(id) {
            return Ok((tenant, false));
        }
        let now = self.now();
        let tenant = Control::Tenant(Tenant {
            id: id.into(),
            spread,
            created_at: now,
        });
        self.write(record(&tenant, self.layout.generation, now)).await?;
        let tenant = self.directory.tenant(id).ok_or(WriteError::NotFolded)?;
        tracing::info!(tenant = id, spread = tenant.spread, "tenant made");
        Ok((tenant, true))
    }
}
