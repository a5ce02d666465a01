//! The record `Control`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{DecodeError, owned, word};
use crate::control::{Layout, Revocation, Role, Rule, Tenant, Token};
use crate::{Control, Micros};

#[derive(Serialize, Deserialize)]
pub(super) struct ControlRecord<'a> {
    kind: &'a str,
    id: Cow<'a, str>,
    #[serde(borrow)]
    body: BodyRecord<'a>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct BodyRecord<'a> {
    #[serde(borrow)]
    token: Option<TokenRecord<'a>>,
    tenant: Option<TenantRecord<'a>>,
    revocation: Option<RevocationRecord<'a>>,
    rule: Option<RuleRecord<'a>>,
    layout: Option<LayoutRecord>,
}

#[derive(Serialize, Deserialize)]
struct TokenRecord<'a> {
    id: &'a str,
    #[serde(borrow)]
    hash: Hash<'a>,
    #[serde(default)]
    last_four: &'a str,
    role: &'a str,
    #[serde(default)]
    tenant: Option<&'a str>,
    #[serde(default)]
    devices: Option<Cow<'a, [Box<str>]>>,
    #[serde(default)]
    permissions: Cow<'a, [Box<str>]>,
    #[serde(default)]
    staff: bool,
    #[serde(default)]
    superuser: bool,
    #[serde(default)]
    organizations: Cow<'a, [Box<str>]>,
    created_at: Micros,
    #[serde(default)]
    expires_at: Option<Micros>,
}

/// Avro `bytes`, which serde would write as a sequence of numbers.
#[derive(Deserialize)]
#[serde(transparent)]
struct Hash<'a>(&'a [u8]);

impl Serialize for Hash<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[derive(Serialize, Deserialize)]
struct TenantRecord<'a> {
    id: &'a str,
    spread: i64,
    created_at: Micros,
}

#[derive(Serialize, Deserialize)]
struct RevocationRecord<'a> {
    subject: &'a str,
    not_before: Micros,
}

#[derive(Serialize, Deserialize)]
struct RuleRecord<'a> {
    tenant: &'a str,
    id: &'a str,
    when: &'a str,
    #[serde(default, borrow)]
    close_when: Option<&'a str>,
    alert_type: &'a str,
    #[serde(default)]
    severity: i64,
    #[serde(default)]
    summary: &'a str,
}

#[derive(Serialize, Deserialize)]
struct LayoutRecord {
    generation: i64,
    created_at: Micros,
    epoch: i64,
    partitions: i64,
    default_spread: i64,
    fold_version: i64,
    document_bytes_max: i64,
    #[serde(default)]
    registration_required: bool,
}

impl<'a> From<&'a Control> for ControlRecord<'a> {
    fn from(control: &'a Control) -> Self {
        let none = BodyRecord::default();
        let (id, body) = match control {
            Control::Token(it) => (
                Cow::Borrowed(&*it.id),
                BodyRecord {
                    token: Some(it.into()),
                    ..none
                },
            ),
            Control::Tenant(it) => (
                Cow::Borrowed(&*it.id),
                BodyRecord {
                    tenant: Some(it.into()),
                    ..none
                },
            ),
            Control::Revocation(it) => {
                let record = RevocationRecord {
                    subject: &it.subject,
                    not_before: it.not_before,
                };
                (
                    Cow::Borrowed(&*it.subject),
                    BodyRecord {
                        revocation: Some(record),
                        ..none
                    },
                )
            }
            Control::Rule(it) => (
                Cow::Owned(format!("{}/{}", it.tenant, it.id)),
                BodyRecord {
                    rule: Some(it.into()),
                    ..none
                },
            ),
            Control::Layout(it) => (
                Cow::Borrowed("current"),
                BodyRecord {
                    layout: Some(it.into()),
                    ..none
                },
            ),
        };
        Self {
            kind: control.kind(),
            id,
            body,
        }
    }
}

const KINDS: [&str; 5] = ["token", "tenant", "revocation", "rule", "layout"];

impl TryFrom<ControlRecord<'_>> for Control {
    type Error = DecodeError;

    fn try_from(record: ControlRecord<'_>) -> Result<Self, DecodeError> {
        let (kind, body) = (record.kind, record.body);
        let control = match kind {
            "token" => body.token.map(Token::try_from).transpose()?.map(Self::Token),
            "tenant" => body.tenant.map(Tenant::try_from).transpose()?.map(Self::Tenant),
            "revocation" => body.revocation.map(|it| {
                Self::Revocation(Revocation {
                    subject: it.subject.into(),
                    not_before: it.not_before,
                })
            }),
            "rule" => body.rule.map(|it| Self::Rule(it.into())),
            "layout" => body.layout.map(Layout::try_from).transpose()?.map(Self::Layout),
            _ => {
                let reason = format!("{kind:?} is none of {}", KINDS.join(", "));
                return Err(DecodeError::member("kind", reason));
            }
        };
        control
            .ok_or_else(|| DecodeError::member("body", format!("kind is {kind:?} but that member is null")))
    }
}

impl<'a> From<&'a Token> for TokenRecord<'a> {
    fn from(it: &'a Token) -> Self {
        Self {
            id: &it.id,
            hash: Hash(&it.hash),
            last_four: &it.last_four,
            role: it.role.word(),
            tenant: it.tenant.as_deref(),
            devices: it.devices.as_deref().map(Cow::Borrowed),
            permissions: Cow::Borrowed(&it.permissions),
            staff: it.staff,
            superuser: it.superuser,
            organizations: Cow::Borrowed(&it.organizations),
            created_at: it.created_at,
            expires_at: it.expires_at,
        }
    }
}

impl TryFrom<TokenRecord<'_>> for Token {
    type Error = DecodeError;

    fn try_from(it: TokenRecord<'_>) -> Result<Self, DecodeError> {
        let hash = it.hash.0;
        Ok(Self {
            id: it.id.into(),
            hash: hash.try_into().map_err(|_| {
                DecodeError::member("body.token.hash", format!("{} bytes instead of 32", hash.len()))
            })?,
            last_four: it.last_four.into(),
            role: word("body.token.role", it.role, Role::WORDS, Role::from_word)?,
            tenant: owned(it.tenant),
            devices: it.devices.map(Cow::into_owned),
            permissions: it.permissions.into_owned(),
            staff: it.staff,
            superuser: it.superuser,
            organizations: it.organizations.into_owned(),
            created_at: it.created_at,
            expires_at: it.expires_at,
        })
    }
}

impl<'a> From<&'a Tenant> for TenantRecord<'a> {
    fn from(it: &'a Tenant) -> Self {
        Self {
            id: &it.id,
            spread: it.spread.into(),
            created_at: it.created_at,
        }
    }
}

impl TryFrom<TenantRecord<'_>> for Tenant {
    type Error = DecodeError;

    fn try_from(it: TenantRecord<'_>) -> Result<Self, DecodeError> {
        let spread = small("body.tenant.spread", it.spread)?;
        Ok(Self {
            id: it.id.into(),
            spread,
            created_at: it.created_at,
        })
    }
}

impl<'a> From<&'a Rule> for RuleRecord<'a> {
    fn from(it: &'a Rule) -> Self {
        Self {
            tenant: &it.tenant,
            id: &it.id,
            when: &it.when,
            close_when: it.close_when.as_deref(),
            alert_type: &it.alert_type,
            severity: it.severity,
            summary: &it.summary,
        }
    }
}

impl From<RuleRecord<'_>> for Rule {
    fn from(it: RuleRecord<'_>) -> Self {
        Self {
            tenant: it.tenant.into(),
            id: it.id.into(),
            when: it.when.into(),
            close_when: owned(it.close_when),
            alert_type: it.alert_type.into(),
            severity: it.severity,
            summary: it.summary.into(),
        }
    }
}

impl From<&Layout> for LayoutRecord {
    fn from(it: &Layout) -> Self {
        Self {
            generation: it.generation.into(),
            created_at: it.created_at,
            epoch: it.epoch.cast_signed(),
            partitions: it.partitions.into(),
            default_spread: it.default_spread.into(),
            fold_version: it.fold_version.into(),
            document_bytes_max: it.document_bytes_max.into(),
            registration_required: it.registration_required,
        }
    }
}

impl TryFrom<LayoutRecord> for Layout {
    type Error = DecodeError;

    fn try_from(it: LayoutRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            generation: small("body.layout.generation", it.generation)?,
            created_at: it.created_at,
            epoch: it.epoch.cast_unsigned(),
            partitions: small("body.layout.partitions", it.partitions)?,
            default_spread: small("body.layout.default_spread", it.default_spread)?,
            fold_version: small("body.layout.fold_version", it.fold_version)?,
            document_bytes_max: small("body.layout.document_bytes_max", it.document_bytes_max)?,
            registration_required: it.registration_required,
        })
    }
}

fn small(member: &'static str, found: i64) -> Result<u32, DecodeError> {
    u32::try_from(found).map_err(|_| DecodeError::member(member, format!("{found} does not fit 32 bits")))
}
