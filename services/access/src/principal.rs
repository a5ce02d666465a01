//! Whoever a credential proves.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemas::Micros;
use schemas::control::Role;

/// Devices that a grant covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every device of the tenant.
    All,
    /// These only (at most 2,000); an empty set is no device.
    Devices(Arc<BTreeSet<Box<str>>>),
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
