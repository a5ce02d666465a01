//! Whoever a credential proves, and what it may do.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemas::control::Role;
use schemas::{Kind, Micros};

/// The permission that lets a `user` send commands.
pub const COMMAND: &str = "command";

/// Devices that a grant covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every device of the tenant.
    All,
    /// These only (at most 2,000); an empty set is no device.
    Devices(Arc<BTreeSet<Box<str>>>),
}

impl Scope {
    /// Whether `device` is one of them.
    #[must_use]
    pub fn contains(&self, device: &str) -> bool {
        match self {
            Self::All => true,
            Self::Devices(devices) => devices.contains(device),
        }
    }

    /// Whether every device of `other` is one of these.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Devices(_), Self::All) => false,
            (Self::Devices(mine), Self::Devices(theirs)) => theirs.is_subset(mine),
        }
    }
}

/// Whoever a credential proves, and what it may do. One type for every kind of credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Names the credential, never its secret: token id, `device:<tenant>/<device>`, `admin-token`.
    pub id: Box<str>,
    /// What it is for.
    pub role: Role,
    /// Its tenant; `None` for `system` and superusers, who name one with each request.
    pub tenant: Option<Box<str>>,
    /// The devices it covers.
    pub devices: Scope,
    /// Named permissions, such as `command`.
    pub permissions: Arc<BTreeSet<Box<str>>>,
    /// Flag of the controller dialect.
    pub staff: bool,
    /// Flag of the controller dialect.
    pub superuser: bool,
    /// Tenants it manages, in the controller dialect.
    pub organizations: Arc<BTreeSet<Box<str>>>,
    /// When it was issued, where the credential says; void when a revocation is newer.
    pub issued_at: Option<Micros>,
    /// When it ends.
    pub expires_at: Option<Micros>,
}

/// Why a request has no tenant. Says the same of a tenant that exists and of one that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TenantError {
    /// This principal belongs to no tenant, and the request names none.
    #[error("this credential belongs to no tenant: name one with ?tenant=")]
    Required,
    /// Not a name of a tenant.
    #[error("a tenant is 1 to 64 of the characters A-Z a-z 0-9 . _ -")]
    Invalid,
    /// Not this principal's tenant.
    #[error("this credential does not cover that tenant")]
    Foreign,
}

impl Principal {
    /// Somebody who may do everything in every tenant: an operator at the machine itself.
    #[must_use]
    pub fn system(id: &str) -> Self {
        Self {
            id: id.into(),
            role: Role::System,
            tenant: None,
            devices: Scope::All,
            permissions: Arc::default(),
            staff: true,
            superuser: true,
            organizations: Arc::default(),
            issued_at: None,
            expires_at: None,
        }
    }

    /// The device itself, as its signed token proves it.
    #[must_use]
    pub fn device(tenant: &str, device: &str, issued_at: Micros, expires_at: Option<Micros>) -> Self {
        Self {
            id: device_subject(tenant, device).into(),
            role: Role::Device,
            tenant: Some(tenant.into()),
            devices: Scope::Devices(Arc::new(BTreeSet::from([device.into()]))),
            permissions: Arc::default(),
            staff: false,
            superuser: false,
            organizations: Arc::default(),
            issued_at: Some(issued_at),
            expires_at,
        }
    }

    /// Whether anything of `tenant` is within reach at all. Everything else asks this first.
    #[must_use]
    pub fn covers_tenant(&self, tenant: &str) -> bool {
        match self.tenant.as_deref() {
            Some(own) => own == tenant,
            None => self.role == Role::System || self.superuser,
        }
    }

    /// Whether `device` of `tenant` is within its grant, whatever for.
    #[must_use]
    pub fn covers(&self, tenant: &str, device: &str) -> bool {
        self.covers_tenant(tenant) && self.devices.contains(device)
    }

    /// Whether it may read the device's events and state.
    #[must_use]
    pub fn may_read(&self, tenant: &str, device: &str) -> bool {
        self.may_read_tenant(tenant) && self.devices.contains(device)
    }

    /// Whether it may read at all in `tenant`: which devices, [`Self::devices`] says.
    #[must_use]
    pub fn may_read_tenant(&self, tenant: &str) -> bool {
        self.reads() && self.covers_tenant(tenant)
    }

    /// Whether its role reads at all: a stream without `?tenant=` asks this.
    #[must_use]
    pub const fn reads(&self) -> bool {
        match self.role {
            Role::System | Role::Admin | Role::User => true,
            Role::Ingest | Role::Device => false,
        }
    }

    /// Whether it may send an event of `kind` for `device`.
    #[must_use]
    pub fn may_write(&self, tenant: &str, device: &str, kind: Kind) -> bool {
        self.covers(tenant, device) && self.sends(kind)
    }

    /// Whether its role may send events of `kind` at all.
    #[must_use]
    pub const fn sends(&self, kind: Kind) -> bool {
        match self.role {
            Role::System | Role::Admin => true,
            Role::User => false,
            Role::Ingest | Role::Device => device_sends(kind),
        }
    }

    /// Whether it may send a command to `device`.
    #[must_use]
    pub fn may_command(&self, tenant: &str, device: &str) -> bool {
        let role = match self.role {
            Role::System | Role::Admin => true,
            Role::User => self.permissions.contains(COMMAND),
            Role::Ingest | Role::Device => false,
        };
        role && self.covers(tenant, device)
    }

    /// Whether it may take the commands of `device` and report their steps: the device itself.
    #[must_use]
    pub fn may_receive_commands(&self, tenant: &str, device: &str) -> bool {
        self.role == Role::Device && self.covers(tenant, device)
    }

    /// Whether it may manage tokens and rules of `tenant`.
    #[must_use]
    pub fn may_administer(&self, tenant: &str) -> bool {
        match self.role {
            Role::System | Role::Admin => self.covers_tenant(tenant),
            Role::User | Role::Ingest | Role::Device => false,
        }
    }

    /// The tenant that a request is about: its own, or the one that `?tenant=` names.
    ///
    /// # Errors
    /// When it has none and names none, or names one that is not its own.
    pub fn resolve_tenant(&self, named: Option<&str>) -> Result<Box<str>, TenantError> {
        let Some(name) = named.or(self.tenant.as_deref()) else {
            return Err(TenantError::Required);
        };
        if !is_tenant(name) {
            return Err(TenantError::Invalid);
        }
        if !self.covers_tenant(name) {
            return Err(TenantError::Foreign);
        }
        Ok(name.into())
    }
}

/// The kinds that a device may send of itself, and an `ingest` principal for any device.
const fn device_sends(kind: Kind) -> bool {
    match kind {
        Kind::Telemetry
        | Kind::Presence
        | Kind::Lock
        | Kind::Log
        | Kind::Entity
        | Kind::Location
        | Kind::Command
        | Kind::Alert => true,
        Kind::Device | Kind::Deleted => false,
    }
}

/// Names a device's own credentials: the principal's id, and the subject of their revocation.
#[must_use]
pub fn device_subject(tenant: &str, device: &str) -> String {
    format!("device:{tenant}/{device}")
}

/// Whether this can name a tenant: `[A-Za-z0-9._-]{1,64}`.
#[must_use]
pub fn is_tenant(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests;
