//! What a gateway under test appends through, and a state that does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use access::events::{Accepted, EventSink, Outcome, Reason, Rejection, Submission, record};
use access::{Directory, Principal};
use async_trait::async_trait;
use journal::{Clock, Journal};
use schemas::{Event, json};

use super::PATIENCE;

/// A store that does not answer.
pub(super) struct Stuck;

#[async_trait]
impl state::Progress for Stuck {
    async fn applied(&self, _: journal::Partition) -> Result<Option<state::Applied>, state::StoreError> {
        std::future::pending().await
    }

    async fn set_applied(
        &self,
        _: journal::Partition,
        _: &state::Applied,
    ) -> Result<(), state::StoreError> {
        std::future::pending().await
    }

    async fn rules_applied(&self, _: journal::Partition) -> Result<journal::Offset, state::StoreError> {
        std::future::pending().await
    }

    async fn set_rules_applied(
        &self,
        _: journal::Partition,
        _: journal::Offset,
    ) -> Result<(), state::StoreError> {
        std::future::pending().await
    }
}

/// Takes every event for good and appends it.
pub(super) struct Appending {
    pub(super) journal: Journal,
    pub(super) directory: Arc<Directory>,
    pub(super) clock: Clock,
    /// While it is held, nothing is appended.
    pub(super) gate: tokio::sync::RwLock<()>,
    /// Those that came.
    pub(super) submissions: AtomicU64,
}

#[async_trait]
impl EventSink for Appending {
    async fn submit(&self, principal: &Principal, submission: Submission) -> Vec<Outcome> {
        self.submissions.fetch_add(1, Ordering::SeqCst);
        let _open = self.gate.read().await;
        let mut outcomes = Vec::new();
        for item in &submission.items {
            let received_at = (self.clock)();
            let intake = json::Intake {
                tenant: Some(&submission.tenant),
                device: submission.device.as_deref(),
                received_at,
                limits: &json::Limits::default(),
            };
            let parsed = json::parse_event(item.get(), &intake, &mut || "id".into());
            let event: Event = match parsed {
                Ok(parsed)
                    if principal.may_write(
                        &parsed.event.tenant,
                        &parsed.event.device,
                        parsed.event.body.kind(),
                    ) =>
                {
                    parsed.event
                }
                Ok(_) => {
                    outcomes.push(Err(Rejection {
                        error: "not yours".to_owned(),
                        reason: Reason::Forbidden,
                        seq: None,
                    }));
                    continue;
                }
                Err(error) => {
                    outcomes.push(Err(Rejection {
                        error: error.to_string(),
                        reason: Reason::Invalid,
                        seq: None,
                    }));
                    continue;
                }
            };
            let placement = self.directory.placement(&submission.tenant);
            let placement =
                placement.unwrap_or_else(|| Arc::new(journal::Placement::new(&submission.tenant, 2, 4)));
            let record = record(&event, placement.of(&event.device), 1, None);
            let position = self
                .journal
                .appender
                .append(vec![record], PATIENCE)
                .await
                .pop()
                .unwrap()
                .unwrap();
            outcomes.push(Ok(Accepted {
                id: event.id,
                seq: event.seq,
                position,
                received_at,
            }));
        }
        outcomes
    }
}
