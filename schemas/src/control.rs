//! Event-sourced configuration: the values of `wakeline.control`, keyed `kind/id`.

use crate::Micros;
use crate::event::words;

/// One record of `wakeline.control`. A tombstone removes what its key names.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// `token/<id>`.
    Token(Token),
    /// `tenant/<id>`.
    Tenant(Tenant),
    /// `revocation/<subject>`.
    Revocation(Revocation),
    /// `rule/<tenant>/<id>`.
    Rule(Rule),
    /// `layout/current`.
    Layout(Layout),
}

words! {
    /// What a native token is for.
    Role { System = "system", Admin = "admin", User = "user", Ingest = "ingest", Device = "device" }
}

/// An API token. The secret itself is never stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Its id, which is also the readable part of the credential.
    pub id: Box<str>,
    /// SHA-256 of the credential.
    pub hash: [u8; 32],
    /// Last four characters of the credential, for people.
    pub last_four: Box<str>,
    /// What it is for.
    pub role: Role,
    /// The tenant it belongs to; `None` for `system` and for superusers.
    pub tenant: Option<Box<str>>,
    /// Devices it is limited to; `None` = no limit by device, empty = no device.
    pub devices: Option<Vec<Box<str>>>,
    /// Named permissions, such as `command`.
    pub permissions: Vec<Box<str>>,
    /// Flag of the controller dialect.
    pub staff: bool,
    /// Flag of the controller dialect.
    pub superuser: bool,
    /// Tenants it manages, in the controller dialect.
    pub organizations: Vec<Box<str>>,
    /// When it was made.
    pub created_at: Micros,
    /// When it ends.
    pub expires_at: Option<Micros>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// `[A-Za-z0-9._-]{1,64}`.
    pub id: Box<str>,
    /// Number of distinct partitions that its devices lie in; fixed at creation.
    pub spread: u32,
    /// When it was made.
    pub created_at: Micros,
}

/// Credentials of this subject that were issued before `not_before` are void.
#[derive(Debug, Clone, PartialEq)]
pub struct Revocation {
    /// Device tokens: `device:<tenant>/<device>`; JWT: `jwt:<sub>`; sessions: `session:<id>`.
    pub subject: Box<str>,
    /// The boundary.
    pub not_before: Micros,
}

/// An alert rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its tenant.
    pub tenant: Box<str>,
    /// Its id.
    pub id: Box<str>,
    /// Q expression, `@` allowed.
    pub when: Box<str>,
    /// Q expression that closes it early.
    pub close_when: Option<Box<str>>,
    /// Type of the alerts.
    pub alert_type: Box<str>,
    /// Severity of the alerts.
    pub severity: i64,
    /// Summary of the alerts.
    pub summary: Box<str>,
}

/// Written once by `migrate`; topics, tables and cursors must agree with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Grows with each new epoch.
    pub generation: u32,
    /// When it was written.
    pub created_at: Micros,
    /// Random; names this incarnation of the log.
    pub epoch: u64,
    /// Partitions of `wakeline.events` and of `wakeline.state`.
    pub partitions: u32,
    /// Spread of a tenant that does not say otherwise.
    pub default_spread: u32,
    /// Version of the meaning of events.
    pub fold_version: u32,
    /// A document is at most this long, in bytes.
    pub document_bytes_max: u32,
    /// Whether only `device` events create a device, so that others of an unknown one fold to nothing.
    pub registration_required: bool,
}

impl Control {
    /// The key of this record.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Token(token) => format!("token/{}", token.id),
            Self::Tenant(tenant) => format!("tenant/{}", tenant.id),
            Self::Revocation(revocation) => format!("revocation/{}", revocation.subject),
            Self::Rule(rule) => format!("rule/{}/{}", rule.tenant, rule.id),
            Self::Layout(_) => "layout/current".to_owned(),
        }
    }

    /// The `kind` header of this record.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Tenant(_) => "tenant",
            Self::Revocation(_) => "revocation",
            Self::Rule(_) => "rule",
            Self::Layout(_) => "layout",
        }
    }
}
