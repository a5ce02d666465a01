//! Answers to what the writer was asked.

use std::collections::HashMap;

use journal::{AppendError, CommitError, Position};

use super::{AppendReply, ClaimKey, ClaimReply, CommitReply, Granted, Work};

/// An answer that waits for the sync.
pub(super) enum Answer {
    Append(Vec<Position>, AppendReply),
    Commit(Vec<Position>, CommitReply),
    Claim(ClaimKey, u64, ClaimReply),
}

impl Answer {
    /// What was asked is durable.
    pub(super) fn confirm(self, claims: &HashMap<ClaimKey, Granted>) {
        match self {
            Self::Append(positions, reply) => answer(reply, Ok(positions)),
            Self::Commit(positions, reply) => answer(reply, Ok(positions)),
            Self::Claim(key, epoch, reply) => {
                // After the sync, so that a commit of the owner before is counted.
                let committed = claims.get(&key).and_then(|granted| granted.committed);
                answer(reply, Ok(Granted { epoch, committed }));
            }
        }
    }

    /// The batch failed.
    pub(super) fn fail(self, reason: &str) {
        match self {
            Self::Append(_, reply) => answer(reply, Err(AppendError::Unknown)),
            Self::Commit(_, reply) => {
                answer(
                    reply,
                    Err(CommitError::Unknown {
                        reason: reason.to_owned(),
                    }),
                );
            }
            Self::Claim(_, _, reply) => answer(reply, Err(reason.to_owned())),
        }
    }
}

/// Answers that nothing is written any more.
pub(super) fn refuse(work: Work, reason: &str) {
    let reason = reason.to_owned();
    match work {
        Work::Append { ticket, reply, .. } => {
            if ticket.take() {
                answer(reply, Err(AppendError::Unavailable { reason }));
            }
        }
        Work::Commit { reply, .. } => answer(reply, Err(CommitError::Aborted { reason })),
        Work::Claim { reply, .. } => answer(reply, Err(reason)),
    }
}

/// Answers; whoever asked may have gone away.
pub(super) fn answer<T>(reply: tokio::sync::oneshot::Sender<T>, value: T) {
    drop(reply.send(value));
}
