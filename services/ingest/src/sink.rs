//! From events that came in together to their outcomes, for every surface.

use std::sync::Arc;
use std::time::Duration;

use access::events::{EventSink, Outcome, Reason};
use access::{Administration, Directory, Principal, Rejection, Role, Submission};
use async_trait::async_trait;
use journal::{Clock, Journal, Placement};
use prometheus::Registry;
use schemas::Micros;

use crate::Settings;
use crate::admission::{Admission, Admitted};
use crate::ids::Ids;
use crate::metrics::Metrics;
use crate::outcome::{Sent, again, settle};
use crate::rate::Rate;
use crate::refused::{Refusals, Refused, Sender};
use crate::room::Room;

/// Ingest of one process: answers `POST /v1/events`, and takes events from other surfaces.
pub struct Ingest {
    pub(crate) core: Arc<Core>,
}

/// What work on a thread of its own holds on to as well.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) journal: Journal,
    pub(crate) directory: Arc<Directory>,
    administration: Arc<Administration>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) refusals: Refusals,
    pub(crate) room: Arc<Room>,
    devices: Rate,
}

/// Where events came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// `POST /v1/events`: as their sender wrote them.
    Api,
    /// Another surface of ours, which knows the commands whose steps it passes on.
    Own,
}

/// Outcomes, and the receipt that they share.
pub(crate) struct Taken {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) received_at: Micros,
}

impl Ingest {
    /// Ingest into this log.
    ///
    /// # Errors
    /// When its metrics are registered already.
    pub fn new(
        settings: Settings,
        journal: Journal,
        directory: Arc<Directory>,
        administration: Arc<Administration>,
        clock: Clock,
        registry: &Registry,
    ) -> Result<Arc<Self>, prometheus::Error> {
        let metrics = Arc::new(Metrics::new(registry)?);
        let appender = Arc::clone(&journal.appender);
        let core = Arc::new(Core {
            refusals: Refusals::new(&settings, appender, &journal.layout, Arc::clone(&metrics)),
            room: Arc::new(Room::new(&settings)),
            devices: Rate::new(
                settings.device_events_per_second,
                settings.device_events_burst,
                settings.devices_watched_max,
            ),
            settings,
            journal,
            directory,
            administration,
            clock,
            metrics,
        });
        Ok(Arc::new(Self { core }))
    }

    /// Waits, at most so long, until refused input that is being kept is in the log. To be called
    /// when no request is under way any more.
    pub async fn drain(&self, within: Duration) {
        if tokio::time::timeout(within, self.core.refusals.drain())
            .await
            .is_err()
        {
            tracing::warn!("some refused input was not kept in time");
        }
    }
}

impl Core {
    /// Judges the events, appends the good ones, and answers when all is known.
    pub(crate) async fn take(
        self: &Arc<Self>,
        principal: &Principal,
        submission: Submission,
        source: Source,
    ) -> Taken {
        let count = submission.items.len();
        let placement = match self.placement(principal, &submission.tenant).await {
            Ok(placement) => placement,
            Err(rejection) => {
                return self.taken(vec![Err(rejection); count], (self.clock)());
            }
        };
        // Not before the tenant is known: an event is confirmed soon after it was received.
        let received_at = (self.clock)();
        let inward = Inward {
            submission,
            source,
            placement,
            received_at,
        };
        let judged = self.judge(principal, inward).await;
        let Judged {
            mut outcomes,
            admitted,
        } = judged;
        let (sent, records) = self.within_rate(admitted, received_at, &mut outcomes);
        if !records.is_empty() {
            let timer = self.metrics.append_seconds.start_timer();
            let append = self.journal.appender.append(records, self.settings.append_within);
            let answers = append.await;
            timer.observe_duration();
            for (index, outcome) in settle(sent, answers, received_at) {
                outcomes[index] = Some(outcome);
            }
        }
        let unanswered = || Err(again("the event was not handled", None));
        let outcomes = outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(unanswered));
        self.taken(outcomes.collect(), received_at)
    }

    fn taken(&self, outcomes: Vec<Outcome>, received_at: Micros) -> Taken {
        self.metrics.judged(&outcomes);
        Taken {
            outcomes,
            received_at,
        }
    }

    /// Where the tenant's devices lie. A tenant exists from its first use by a `system` principal.
    async fn placement(&self, principal: &Principal, tenant: &str) -> Result<Arc<Placement>, Rejection> {
        let forbidden = || Rejection {
            error: "this credential does not cover that tenant".to_owned(),
            reason: Reason::Forbidden,
            seq: None,
        };
        if !principal.covers_tenant(tenant) {
            return Err(forbidden());
        }
        if let Some(placement) = self.directory.placement(tenant) {
            return Ok(placement);
        }
        if principal.role != Role::System {
            return Err(forbidden());
        }
        match self.administration.ensure_tenant(tenant).await {
            Ok(_) => self
                .directory
                .placement(tenant)
                .ok_or_else(|| again("the tenant was removed", None)),
            Err(error) => {
                tracing::warn!(tenant, %error, "a tenant could not be made");
                Err(again("the tenant could not be made yet", None))
            }
        }
    }

    /// Judges every item; of a large submission on a thread for such work.
    async fn judge(self: &Arc<Self>, principal: &Principal, inward: Inward) -> Judged {
        let bytes: usize = inward.submission.items.iter().map(|item| item.get().len()).sum();
        if bytes <= self.settings.inline_bytes_max {
            return self.judge_now(principal, &inward);
        }
        let (this, principal) = (Arc::clone(self), principal.clone());
        let count = inward.submission.items.len();
        let judge = move || this.judge_now(&principal, &inward);
        tokio::task::spawn_blocking(judge).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the judgement of a submission failed");
            Judged {
                outcomes: vec![None; count],
                admitted: Vec::new(),
            }
        })
    }

    fn judge_now(&self, principal: &Principal, inward: &Inward) -> Judged {
        let Inward {
            submission,
            source,
            placement,
            received_at,
        } = inward;
        let received_at = *received_at;
        let mut seed = [0; 10];
        if let Err(error) = getrandom::fill(&mut seed) {
            tracing::error!(%error, "the system gives no random bytes: events cannot be named");
            return Judged {
                outcomes: vec![None; submission.items.len()],
                admitted: Vec::new(),
            };
        }
        let mut ids = Ids::new(seed, received_at);
        let sealer = self.directory.sealer();
        let admission = Admission {
            settings: &self.settings,
            principal,
            tenant: &submission.tenant,
            device: submission.device.as_deref(),
            placement,
            generation: self.journal.layout.generation,
            received_at,
            traceparent: submission.traceparent.as_deref(),
            knows_commands: *source == Source::Own,
            seal: &|tenant, device, secret| sealer.seal(tenant, device, secret),
            opens: &|tenant, device, sealed| sealer.open(tenant, device, sealed).is_ok(),
        };
        let mut judged = Judged {
            outcomes: Vec::with_capacity(submission.items.len()),
            admitted: Vec::with_capacity(submission.items.len()),
        };
        for (index, item) in submission.items.iter().enumerate() {
            match admission.admit(item.get(), &mut || ids.next()) {
                Ok(admitted) => {
                    judged.outcomes.push(None);
                    judged.admitted.push((index, admitted));
                }
                Err(rejection) => judged.outcomes.push(Some(Err(rejection))),
            }
        }
        self.keep_refused(principal, submission, placement, received_at, &judged.outcomes);
        judged
    }

    fn keep_refused(
        &self,
        principal: &Principal,
        submission: &Submission,
        placement: &Placement,
        received_at: Micros,
        outcomes: &[Option<Outcome>],
    ) {
        let sender = Sender {
            principal,
            tenant: &submission.tenant,
            placement: Some(placement),
            received_at,
            traceparent: submission.traceparent.as_deref(),
        };
        let refused = submission
            .items
            .iter()
            .zip(outcomes)
            .filter_map(|(item, outcome)| {
                let rejection = outcome.as_ref()?.as_ref().err()?;
                Some(Refused {
                    reason: &rejection.error,
                    original: item.get(),
                    device: submission.device.as_deref(),
                })
            });
        self.refusals.keep(&sender, refused);
    }

    /// Takes out what comes too fast, and parts the rest into what is asked of the log and what is
    /// told to the sender.
    fn within_rate(
        &self,
        admitted: Vec<(usize, Admitted)>,
        received_at: Micros,
        outcomes: &mut [Option<Outcome>],
    ) -> (Vec<Sent>, Vec<journal::NewRecord>) {
        let keys = admitted.iter().map(|(_, admitted)| &*admitted.record.key);
        let grants = self.devices.take("", keys, received_at);
        let mut sent = Vec::with_capacity(admitted.len());
        let mut records = Vec::with_capacity(admitted.len());
        for ((index, admitted), granted) in admitted.into_iter().zip(grants) {
            let Admitted {
                id,
                seq,
                device,
                record,
            } = admitted;
            if granted {
                sent.push(Sent {
                    index,
                    id,
                    seq,
                    device,
                });
                records.push(record);
            } else {
                let rate = self.settings.device_events_per_second;
                outcomes[index] = Some(Err(Rejection {
                    error: format!("the device sends more than {rate} events a second: send it again later"),
                    reason: Reason::RateLimited,
                    seq,
                }));
            }
        }
        (sent, records)
    }
}

/// Events that came in, and what is known of them before they are judged.
struct Inward {
    submission: Submission,
    source: Source,
    placement: Arc<Placement>,
    received_at: Micros,
}

/// Items judged: an outcome for each that was rejected, and the others.
struct Judged {
    outcomes: Vec<Option<Outcome>>,
    admitted: Vec<(usize, Admitted)>,
}

#[async_trait]
impl EventSink for Ingest {
    async fn submit(&self, principal: &Principal, submission: Submission) -> Vec<Outcome> {
        self.core.take(principal, submission, Source::Own).await.outcomes
    }
}
