//! Where events of tests go: into the log, unless there is trouble.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use access::events::{Accepted, EventSink, Outcome, Reason, Rejection, Submission, record};
use access::{Directory, Principal};
use async_trait::async_trait;
use journal::{Clock, Journal};
use schemas::{Event, json};
use tokio::sync::{RwLock, watch};

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What keeps events from the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// None is taken.
    Away,
    /// The first submission is not answered before this is over.
    Slow,
}

/// Takes every event for good and appends it.
pub(crate) struct Appending {
    pub(crate) journal: Journal,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Clock,
    pub(crate) trouble: watch::Sender<Trouble>,
    /// Submissions that met it.
    pub(crate) met: watch::Sender<usize>,
    /// While it is held, nothing is appended.
    pub(crate) gate: RwLock<()>,
    /// Submissions that came.
    pub(crate) submissions: AtomicU64,
}

impl Appending {
    /// Whether the submission is refused.
    async fn meets_trouble(&self) -> bool {
        let trouble = *self.trouble.borrow();
        if trouble == Trouble::None {
            return false;
        }
        let mut earlier = 0;
        self.met.send_modify(|met| {
            earlier = *met;
            *met += 1;
        });
        if trouble == Trouble::Slow && earlier == 0 {
            let mut trouble = self.trouble.subscribe();
            trouble
                .wait_for(|trouble| *trouble == Trouble::None)
                .await
                .unwrap();
        }
        trouble == Trouble::Away
    }
}

#[async_trait]
impl EventSink for Appending {
    async fn submit(&self, principal: &Principal, submission: Submission) -> Vec<Outcome> {
        self.submissions.fetch_add(1, Ordering::SeqCst);
        let _open = self.gate.read().await;
        if self.meets_trouble().await {
            let away = Rejection {
                error: "the log is away".to_owned(),
                reason: Reason::Retry,
                seq: None,
            };
            return vec![Err(away); submission.items.len()];
        }
        self.take(principal, submission).await
    }
}

impl Appending {
    /// The same, whatever trouble there is.
    pub(crate) async fn take(&self, principal: &Principal, submission: Submission) -> Vec<Outcome> {
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
