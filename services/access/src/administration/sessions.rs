//! Sessions: what a browser gets instead of the credential, and gives back.

use schemas::Micros;
use schemas::control::{Control, Revocation};

use super::{Administration, WriteError};
use crate::Principal;
use crate::credential::session_subject;
use crate::directory::{record, tombstone};

/// Moot revocations that one more revocation takes away: more than come, so that they cannot pile up.
const SWEPT_MAX: usize = 8;
/// How long after its end a session's revocation is kept: the clocks of nodes differ.
const SWEPT_AFTER: Micros = 3_600_000_000;

/// A session that was just made.
#[derive(Clone)]
pub struct NewSession {
    /// The credential.
    pub credential: String,
    /// When it ends.
    pub expires_at: Micros,
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefused {
    /// A session that makes sessions would never end.
    #[error("a session is made with the credential itself, not with another session")]
    FromSession,
    /// The principal was proven by nothing that could be shown again.
    #[error("this credential makes no sessions")]
    NoBasis,
    /// More than a cookie holds.
    #[error("this credential says more than a cookie holds: use it as it is")]
    TooLong,
    /// The credential, or its tenant, made too many a moment ago.
    #[error("too many sessions in a minute")]
    TooMany {
        /// When there may be another.
        retry_after_s: u64,
    },
    /// It is no session that is to be ended.
    #[error("this is no session: nothing to end")]
    NoSession,
    /// The log did not take it, or there is no randomness.
    #[error(transparent)]
    Log(#[from] WriteError),
}

impl Administration {
    /// A session of the principal. It lasts as the setting says, and not longer than the credential that
    /// it is made with; what that may do, now or later, it may do.
    ///
    /// # Errors
    /// When none can be made.
    pub fn create_session(&self, actor: &Principal) -> Result<NewSession, SessionRefused> {
        if actor.session.is_some() {
            return Err(SessionRefused::FromSession);
        }
        let tenant = actor.tenant.clone().unwrap_or_default();
        let now = self.now();
        let over = self
            .sessions_of
            .count(actor.id.clone(), now)
            .or_else(|| self.sessions_of_tenant.count(tenant, now));
        if let Some(retry_after_s) = over {
            return Err(SessionRefused::TooMany { retry_after_s });
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| WriteError::Randomness {
            reason: error.to_string(),
        })?;
        let lifetime = Micros::try_from(self.settings.session_lifetime.as_micros()).unwrap_or(Micros::MAX);
        let expires_at = now.saturating_add(lifetime);
        let session = self
            .directory
            .session(actor, expires_at, random)
            .ok_or(SessionRefused::NoBasis)?;
        let credential = self
            .directory
            .seal_session(&session)
            .map_err(|_| SessionRefused::TooLong)?;
        tracing::info!(session = %session.id, by = %actor.id, "session made");
        Ok(NewSession {
            credential,
            expires_at: session.expires_at,
        })
    }

    /// Ends the session that the principal was proven by, on every node; its streams end with it.
    ///
    /// # Errors
    /// When it was proven by none, or the log does not take it.
    pub async fn end_session(&self, actor: &Principal) -> Result<(), SessionRefused> {
        let session = actor.session.as_deref().ok_or(SessionRefused::NoSession)?;
        let now = self.now();
        self.revoke(&session_subject(session), now, 0).await?;
        tracing::info!(session, by = %actor.id, "session ended");
        Ok(())
    }

    /// Voids what was issued to `subject` until `now`, also by a clock that is `ahead` so much.
    pub(super) async fn revoke(&self, subject: &str, now: Micros, ahead: Micros) -> Result<(), WriteError> {
        let generation = self.layout.generation;
        let revocation = Control::Revocation(Revocation {
            subject: subject.into(),
            // What was issued in this very microsecond goes too.
            not_before: now.saturating_add(ahead).saturating_add(1),
        });
        let moot = self
            .directory
            .moot_revocations(now.saturating_sub(SWEPT_AFTER), SWEPT_MAX);
        let mut records: Vec<_> = moot
            .iter()
            .map(|subject| tombstone(&format!("revocation/{subject}"), "revocation", generation, now))
            .collect();
        records.push(record(&revocation, generation, now));
        self.write_all(records).await
    }
}
