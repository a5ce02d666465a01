//! Tokens: made, changed, listed and taken back, never above the grants of who does it.

use schemas::Micros;
use schemas::control::{Control, Role, Token};

use super::members::InvalidMember;
use super::{Administration, TenantRefused, TokenMembers, WriteError};
use crate::credential::{DeviceToken, NewApiToken, SESSION_SUBJECT, digest, last_four};
use crate::directory::{record, tombstone};
use crate::jwt::SUBJECT_PREFIX as JWT_SUBJECT;
use crate::principal::{device_subject, is_tenant};
use crate::{Principal, Proof, Scope};

/// Begins the id of a device's signed tokens, which have no record.
const DEVICE_ID_PREFIX: &str = "device:";
/// What begins with these is revoked by its subject too: an issuer's JWTs, and sessions. They know no
/// tenant's walls, so that only `system` does it.
const SUBJECT_PREFIXES: [&str; 2] = [JWT_SUBJECT, SESSION_SUBJECT];

/// Longest subject of a revocation that is no device's.
const SUBJECT_BYTES_MAX: usize = 512;
/// How far the clocks of nodes may differ: a device's token that another node has just issued is revoked
/// with the others. Those issued later are of a time after the revocation.
const CLOCK_SKEW: Micros = 5_000_000;

/// Why nothing was done to a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// A member that cannot be.
    #[error(transparent)]
    Invalid(#[from] InvalidMember),
    /// More than the principal's own grants.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The tenant has as many as it may.
    #[error("{0}")]
    TooMany(String),
    /// There is no such token within the principal's reach.
    #[error("there is no such token")]
    NotFound,
    /// Its tenant could not be made.
    #[error(transparent)]
    Tenant(TenantRefused),
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] WriteError),
}

/// A token as people may see it: without hash or secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Visible(pub Token);

/// A token that was just made: the only time that its secret is there to see.
#[derive(Clone)]
pub struct Issued {
    /// The credential.
    pub credential: String,
    /// The rest.
    pub token: Visible,
}

/// Some tokens, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenPage {
    /// The tokens.
    pub tokens: Vec<Visible>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<(Micros, Box<str>)>,
}

impl Administration {
    /// Makes a token. A `device` token is signed and has no record.
    ///
    /// # Errors
    /// When it may not be made, cannot be, or the log does not take it.
    pub async fn create_token(
        &self,
        actor: &Principal,
        members: TokenMembers,
    ) -> Result<Issued, TokenRefused> {
        administers(actor)?;
        let actor = &self.behind_session(actor);
        let now = self.now();
        let mut token = Token {
            id: Box::default(),
            hash: [0; 32],
            last_four: Box::default(),
            role: Role::User,
            tenant: actor.tenant.clone(),
            devices: None,
            permissions: Vec::new(),
            staff: false,
            superuser: false,
            organizations: Vec::new(),
            created_at: now,
            expires_at: actor.expires_at,
        };
        if members.role.is_none() {
            return Err(InvalidMember::new("role", "is needed").into());
        }
        members.apply(&mut token, &self.settings, now)?;
        within_grants(actor, &token)?;
        if let Some(tenant) = &token.tenant
            && actor.role == Role::System
        {
            self.ensure_tenant(tenant).await.map_err(TokenRefused::Tenant)?;
        }
        if token.role == Role::Device {
            return self.sign_device_token(token);
        }
        self.check_room(&token, None)?;
        let mut random = [0; 40];
        getrandom::fill(&mut random).map_err(|error| WriteError::Randomness {
            reason: error.to_string(),
        })?;
        let secret = NewApiToken::new(&random);
        token.hash = digest(&secret.text);
        token.last_four = last_four(&secret.text).into();
        token.id = secret.id.into();
        self.put(&token).await?;
        tracing::info!(token = %token.id, role = token.role.word(), by = %actor.id, "token made");
        Ok(Issued {
            credential: secret.text,
            token: Visible(token),
        })
    }

    /// Changes what the members say; the secret stays.
    ///
    /// # Errors
    /// When it may not be changed so, cannot be, or the log does not take it.
    pub async fn change_token(
        &self,
        actor: &Principal,
        id: &str,
        members: TokenMembers,
    ) -> Result<Visible, TokenRefused> {
        if id.starts_with(DEVICE_ID_PREFIX) {
            let message = "device tokens are signed and cannot be changed: revoke it and make another";
            return Err(InvalidMember::new("id", message).into());
        }
        let actor = &self.behind_session(actor);
        let _turn = self.changing_token.lock().await;
        let before = self.token(actor, id)?.0;
        let mut token = before.clone();
        within_grants(actor, &token)?;
        members.apply(&mut token, &self.settings, self.now())?;
        if token.role == Role::Device {
            return Err(InvalidMember::new("role", "a token cannot become a device token").into());
        }
        within_grants(actor, &token)?;
        self.check_room(&token, Some(&before))?;
        if let Some(tenant) = &token.tenant
            && actor.role == Role::System
        {
            self.ensure_tenant(tenant).await.map_err(TokenRefused::Tenant)?;
        }
        self.put(&token).await?;
        tracing::info!(token = id, by = %actor.id, "token changed");
        Ok(Visible(token))
    }

    /// Takes a token back, or all that was issued until now to a subject: the tokens of a device
    /// (`device:<tenant>/<device>`), somebody's JWTs (`jwt:<sub>`, everybody's: `jwt:*`), a session
    /// (`session:<id>`). JWTs that are issued within the leeway of clocks after it are void too.
    ///
    /// # Errors
    /// When there is none within reach, or the log does not take it.
    pub async fn revoke_token(&self, actor: &Principal, id: &str) -> Result<(), TokenRefused> {
        let now = self.now();
        if let Some(device) = id.strip_prefix(DEVICE_ID_PREFIX) {
            let (tenant, device) = device.split_once('/').ok_or(TokenRefused::NotFound)?;
            let is_device = is_tenant(tenant) && schemas::json::check_device(device).is_ok();
            if !is_device || !actor.may_administer(tenant) || !actor.devices.contains(device) {
                return Err(TokenRefused::NotFound);
            }
            let most = self.settings.devices_revoked_per_tenant_max;
            let is_new = self.directory.not_before(id) == Micros::MIN;
            if is_new && self.directory.devices_revoked(tenant) >= most {
                let message =
                    format!("the tenant has taken back the tokens of {most} devices, and that is the most");
                return Err(TokenRefused::TooMany(message));
            }
            self.revoke(id, now, CLOCK_SKEW).await?;
        } else if SUBJECT_PREFIXES.iter().any(|prefix| id.starts_with(prefix)) {
            if actor.role != Role::System || id.len() > SUBJECT_BYTES_MAX {
                return Err(TokenRefused::NotFound);
            }
            // An issuer's clock may be so much ahead of ours: what it issued until now goes all the same.
            let ahead = if id.starts_with(JWT_SUBJECT) {
                self.directory.jwt_leeway()
            } else {
                0
            };
            self.revoke(id, now, ahead).await?;
        } else {
            let token = self.token(actor, id)?.0;
            let generation = self.layout.generation;
            self.write(tombstone(
                &format!("token/{}", token.id),
                "token",
                generation,
                now,
            ))
            .await?;
        }
        tracing::info!(token = id, by = %actor.id, "token revoked");
        Ok(())
    }

    /// One token.
    ///
    /// # Errors
    /// When there is none within reach.
    pub fn token(&self, actor: &Principal, id: &str) -> Result<Visible, TokenRefused> {
        let token = self.directory.token(id).ok_or(TokenRefused::NotFound)?;
        let within_reach = match token.tenant.as_deref() {
            Some(tenant) => actor.may_administer(tenant),
            None => actor.role == Role::System,
        };
        if within_reach && is_within_devices(actor, &token) {
            Ok(Visible(token))
        } else {
            Err(TokenRefused::NotFound)
        }
    }

    /// At most `limit` tokens of `tenant` that are within the principal's devices, newest first, after the page that ended at `after`.
    /// Without a tenant, those of all and of none: for `system` only.
    ///
    /// # Errors
    /// When the principal may not see them.
    pub fn tokens(
        &self,
        actor: &Principal,
        tenant: Option<&str>,
        after: Option<(Micros, &str)>,
        limit: usize,
    ) -> Result<TokenPage, TokenRefused> {
        administers(actor)?;
        let within_reach = match tenant {
            Some(tenant) => actor.may_administer(tenant),
            None => actor.role == Role::System,
        };
        if !within_reach {
            return Err(TokenRefused::Forbidden(
                "the tokens of that tenant are not yours to see",
            ));
        }
        let devices = &actor.devices;
        let mut tokens = self
            .directory
            .tokens(tenant, devices, after, limit.saturating_add(1));
        let more = tokens.len() > limit;
        tokens.truncate(limit);
        let next = tokens
            .last()
            .filter(|_| more)
            .map(|last| (last.created_at, last.id.clone()));
        Ok(TokenPage {
            tokens: tokens.into_iter().map(Visible).collect(),
            next,
        })
    }

    /// The principal with the end of its credential, where a session stands for it: what somebody makes
    /// from a browser lasts as long as if it were made with the credential itself.
    fn behind_session(&self, actor: &Principal) -> Principal {
        let expires_at = match (&actor.session, actor.proof) {
            (Some(_), Proof::Token) => self.directory.token(&actor.id).and_then(|token| token.expires_at),
            (Some(_), Proof::Node) => None,
            (Some(_), Proof::Device | Proof::Jwt(_)) | (None, _) => actor.expires_at,
        };
        Principal {
            expires_at,
            ..actor.clone()
        }
    }

    fn sign_device_token(&self, mut token: Token) -> Result<Issued, TokenRefused> {
        let tenant = token.tenant.clone().unwrap_or_default();
        let [device] = token.devices.as_deref().unwrap_or_default() else {
            return Err(InvalidMember::new("devices", "a device token names exactly one").into());
        };
        let plain = token.permissions.is_empty() && token.organizations.is_empty();
        if !plain || token.staff || token.superuser {
            let message = "a device token has no permissions, organizations or flags";
            return Err(InvalidMember::new("permissions", message).into());
        }
        let subject = device_subject(&tenant, device);
        // A node whose clock is behind that of the one that revoked would issue a token void at once.
        let issued_at = token.created_at.max(self.directory.not_before(&subject));
        let credential = self.directory.seal(&DeviceToken {
            tenant,
            device: device.clone(),
            issued_at,
            expires_at: token.expires_at,
        });
        token.created_at = issued_at;
        token.last_four = last_four(&credential).into();
        token.id = subject.into();
        Ok(Issued {
            credential,
            token: Visible(token),
        })
    }

    /// Whether the tenant may have this token, in the place of another perhaps.
    fn check_room(&self, token: &Token, before: Option<&Token>) -> Result<(), TokenRefused> {
        let Some(tenant) = token.tenant.as_deref() else {
            return Ok(());
        };
        let load = self.directory.token_load(tenant);
        let before = before.filter(|before| before.tenant == token.tenant);
        let named = |token: &Token| token.devices.as_ref().map_or(0, Vec::len);
        let most = self.settings.tokens_per_tenant_max;
        if before.is_none() && load.tokens >= most {
            let message = format!("the tenant has {most} tokens, and that is the most: revoke one");
            return Err(TokenRefused::TooMany(message));
        }
        let (had, has) = (before.map_or(0, named), named(token));
        let most = self.settings.token_devices_per_tenant_max;
        if has > had && load.devices + has > most + had {
            let message = format!("the tokens of the tenant may name {most} devices, all together");
            return Err(TokenRefused::TooMany(message));
        }
        Ok(())
    }

    async fn put(&self, token: &Token) -> Result<(), WriteError> {
        let control = Control::Token(token.clone());
        self.write(record(&control, self.layout.generation, self.now()))
            .await
    }
}

fn administers(actor: &Principal) -> Result<(), TokenRefused> {
    match actor.role {
        Role::System | Role::Admin => Ok(()),
        Role::User | Role::Ingest | Role::Device => Err(TokenRefused::Forbidden(
            "only admin and system tokens manage tokens",
        )),
    }
}

/// Whether the devices of `token` are among those of `actor`.
fn is_within_devices(actor: &Principal, token: &Token) -> bool {
    match (&actor.devices, &token.devices) {
        (Scope::All, _) => true,
        (Scope::Devices(_), None) => false,
        (Scope::Devices(own), Some(devices)) => devices.iter().all(|device| own.contains(device)),
    }
}

/// Whether `actor` may give what `token` grants.
fn within_grants(actor: &Principal, token: &Token) -> Result<(), TokenRefused> {
    if actor.role == Role::System {
        return Ok(());
    }
    let forbid = |message| Err(TokenRefused::Forbidden(message));
    if token.role == Role::System || token.superuser {
        return forbid("only a system token makes system tokens and superusers");
    }
    if !token
        .tenant
        .as_deref()
        .is_some_and(|tenant| actor.may_administer(tenant))
    {
        return forbid("an admin manages the tokens of its own tenant only");
    }
    if token.staff && !actor.staff {
        return forbid("only staff makes staff");
    }
    let own = |organization: &str| {
        actor.organizations.contains(organization) || actor.tenant.as_deref() == Some(organization)
    };
    if !token.organizations.iter().all(|organization| own(organization)) {
        return forbid("an admin gives its own organizations only");
    }
    // In its own tenant an admin may do everything; elsewhere, what it was permitted.
    let mut organizations = token.organizations.iter();
    let reaches_others = organizations.any(|organization| token.tenant.as_ref() != Some(organization));
    let mut permissions = token.permissions.iter();
    if reaches_others && !permissions.all(|name| actor.has_any_permission(&[name])) {
        return forbid("in organizations other than its tenant an admin gives its own permissions only");
    }
    if !is_within_devices(actor, token) {
        return forbid("an admin that is limited to devices gives these only: name them");
    }
    match (actor.expires_at, token.expires_at) {
        (Some(own), Some(expires_at)) if expires_at <= own => Ok(()),
        (None, _) => Ok(()),
        (Some(_), _) => forbid("a token does not outlive the one that makes it: give an earlier expires"),
    }
}
