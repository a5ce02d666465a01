//! Whoever a credential proves, and what it may do.

mod realm;

use std::collections::BTreeSet;
use std::sync::Arc;

use schemas::control::Role;
use schemas::{Kind, Micros};

pub use realm::{Realm, RealmRole, RealmRoles, Tenancy};

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

/// What proved a principal: decides how it is judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The node itself: its admin token, or an operator at the machine.
    Node,
    /// An API token, which has a record.
    Token,
    /// A device's signed token.
    Device,
    /// A JWT, and what its claims say.
    Jwt(Realm),
}

/// Whoever a credential proves, and what it may do. One type for every kind of credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Names the credential, never its secret: token id, `device:<tenant>/<device>`, `jwt:<sub>`,
    /// `admin-token`; of a session, what it was made with.
    pub id: Box<str>,
    /// What proved it.
    pub proof: Proof,
    /// The session that stands for the proof, where one does.
    pub session: Option<Box<str>>,
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
    /// This principal has no tenant, and may name none: a JWT whose claims say none.
    #[error("this credential has no tenant")]
    Missing,
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
            proof: Proof::Node,
            session: None,
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
            proof: Proof::Device,
            session: None,
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

    /// Whoever the claims of a JWT describe. Without a role that we know it may do nothing, and without a
    /// tenant there is nothing that it may do it to.
    #[must_use]
    pub fn from_jwt(
        id: &str,
        tenant: Option<&str>,
        realm: Realm,
        issued_at: Option<Micros>,
        expires_at: Option<Micros>,
    ) -> Self {
        let permissions = if realm.roles.operates() {
            Arc::new(BTreeSet::from([COMMAND.into()]))
        } else {
            Arc::default()
        };
        let devices = if realm.roles.is_empty() {
            Scope::Devices(Arc::default())
        } else {
            Scope::All
        };
        Self {
            id: id.into(),
            proof: Proof::Jwt(realm),
            session: None,
            role: realm.roles.native(),
            tenant: tenant.map(Into::into),
            devices,
            permissions,
            staff: false,
            superuser: false,
            organizations: Arc::default(),
            issued_at,
            expires_at,
        }
    }

    /// What the claims of its JWT say, where it was proven by one.
    #[must_use]
    pub const fn realm(&self) -> Option<Realm> {
        match self.proof {
            Proof::Jwt(realm) => Some(realm),
            Proof::Node | Proof::Token | Proof::Device => None,
        }
    }

    /// Whether it is beyond every organization's rules, in the controller dialect.
    #[must_use]
    pub fn is_superuser(&self) -> bool {
        self.superuser || self.role == Role::System
    }

    /// Whether it manages `organization`, in the controller dialect: a superuser any, staff those that it
    /// lists.
    #[must_use]
    pub fn manages(&self, organization: &str) -> bool {
        self.is_superuser() || (self.staff && self.organizations.contains(organization))
    }

    /// Whether it has one of these named permissions; a superuser has every one.
    #[must_use]
    pub fn has_any_permission(&self, names: &[&str]) -> bool {
        self.is_superuser() || names.iter().any(|name| self.permissions.contains(*name))
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
            Role::System | Role::Admin => true,
            Role::User => !self.is_stranger(),
            Role::Ingest | Role::Device => false,
        }
    }

    /// Whether it was proven by a JWT that has no role that we know: it may do nothing at all.
    const fn is_stranger(&self) -> bool {
        match self.realm() {
            Some(realm) => realm.roles.is_empty(),
            None => false,
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

    /// Whether it may manage what concerns every device of `tenant`, such as rules.
    #[must_use]
    pub fn may_administer_all(&self, tenant: &str) -> bool {
        self.may_administer(tenant) && self.devices == Scope::All
    }

    /// The tenant that a request is about: its own, or the one that `?tenant=` names.
    ///
    /// # Errors
    /// When it has none and names none, or names one that is not its own.
    pub fn resolve_tenant(&self, named: Option<&str>) -> Result<Box<str>, TenantError> {
        let Some(name) = named.or(self.tenant.as_deref()) else {
            let any = self.role == Role::System || self.superuser;
            return Err(if any {
                TenantError::Required
            } else {
                TenantError::Missing
            });
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
