//! What one stream asks the store and the log: pins and pages of snapshots, and where to go on when its
//! position is no longer in the log. A few at a time, in turns by tenant.

pub(crate) mod asked;
mod pages;
mod resets;
mod scan;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use access::{EventSink, Scope};
use journal::{Clock, Journal, Offset, Partition, Topic};
use rustc_hash::FxHashMap;
use state::{Store, Stored};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};

use super::Token;
use super::ends::Ends;
use super::mailbox::{Mailbox, Reply};
use super::schedule::{Schedule, Turn};
use crate::applied::AppliedWatch;
use crate::commands::CommandLimits;
use crate::dialect::{Answer, Ask};
use crate::settings::Settings;
use crate::subscription::{DeviceSet, ResetReason, TenantScope};
use scan::AlertScan;

/// A question of one stream.
pub(crate) enum Lookup {
    /// How far the documents of these partitions are materialised.
    Pin {
        /// Which.
        partitions: Vec<Partition>,
    },
    /// A page of documents.
    Page {
        tenant: TenantScope,
        partitions: Vec<Partition>,
        devices: DeviceSet,
        after: Option<Box<str>>,
        /// Next offsets of `wakeline.state` up to which the documents must be materialised.
        at_least: Vec<(Partition, Offset)>,
    },
    /// What a conversation asks about the state of its tenant.
    Asked {
        tenant: TenantScope,
        scope: Scope,
        ask: Ask,
    },
    /// Where to go on, for a stream that stands outside the log.
    Reset {
        topic: Topic,
        positions: Vec<(Partition, Offset)>,
        time_ms: i64,
    },
}

/// Its answer.
pub(crate) enum LookupAnswer {
    /// To [`Lookup::Asked`].
    Asked(Answer),
    /// To [`Lookup::Pin`].
    Pinned(Vec<Pinned>),
    /// To [`Lookup::Page`].
    Page(SnapshotPage),
    /// To [`Lookup::Reset`]: what to do about each position that lies outside the log.
    Reset(Vec<Moved>),
    /// There is no answer at present. Ask again.
    Failed,
}

/// A position outside the log, and where to go on instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) partition: Partition,
    pub(crate) from: Offset,
    pub(crate) to: Offset,
    pub(crate) reason: ResetReason,
    /// Record time of the first record that there is.
    pub(crate) available_ms: Option<i64>,
}

/// How far one partition is materialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pinned {
    pub(crate) partition: Partition,
    /// Next offset of `wakeline.state`.
    pub(crate) state: Offset,
    /// Next offset of `wakeline.events`.
    pub(crate) source: Offset,
}

/// A page of a snapshot.
pub(crate) struct SnapshotPage {
    pub(crate) documents: Vec<Stored>,
    /// Paging key of what follows; `None` after the last.
    pub(crate) next: Option<Box<str>>,
}

/// Asks.
#[derive(Clone)]
pub(crate) struct Lookups {
    requests: mpsc::Sender<Request>,
}

struct Request {
    lookup: Lookup,
    tenant: Box<str>,
    reply: To,
    /// Others who ask the same.
    also: Vec<To>,
    /// How far its answer is, where it is found in pieces.
    scan: Option<AlertScan>,
}

/// Whom to answer.
struct To {
    token: Token,
    mailbox: Arc<Mailbox>,
}

impl To {
    fn tell(&self, answer: LookupAnswer) {
        self.mailbox.reply(Reply::Lookup {
            token: self.token,
            answer,
        });
    }
}

impl Request {
    /// The alerts of a whole tenant that are asked for, at most so many.
    const fn alerts_of_all(&self) -> Option<usize> {
        let Lookup::Asked {
            scope: Scope::All,
            ask: Ask::Alerts { limit },
            ..
        } = &self.lookup
        else {
            return None;
        };
        Some(*limit)
    }

    /// Whether the answer to `other`, which has not begun, would answer this too.
    fn is_answered_by(&self, other: &Self) -> bool {
        let limit = self.alerts_of_all();
        limit.is_some() && other.scan.is_none() && limit == other.alerts_of_all()
    }
}

/// What answering needs.
pub(crate) struct Sources {
    pub(crate) journal: Journal,
    pub(crate) store: Store,
    pub(crate) ends: Ends,
    pub(crate) access: Arc<dyn super::Access>,
    pub(crate) page_documents: usize,
    /// Takes events, where this process has an ingest.
    pub(crate) events: OnceLock<Arc<dyn EventSink>>,
    pub(crate) commands: CommandLimits,
    pub(crate) clock: Clock,
    pub(crate) reset_slack_ms: i64,
    /// How far the documents are.
    pub(crate) applied: AppliedWatch,
    /// How long a stream that begins with a state waits for it to follow the log.
    pub(crate) applied_within: Duration,
}

impl Lookups {
    /// The asking side, and the task that answers.
    pub(crate) fn new(
        settings: &Settings,
        sources: Arc<Sources>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (requests, inbox) = mpsc::channel(settings.page_queue_max.max(1));
        let reads_max = settings.page_reads_max.max(1);
        let share = settings.page_reads_per_tenant_max.clamp(1, reads_max);
        (Self { requests }, serve(inbox, sources, reads_max, share))
    }

    /// Asks; `reply` gets one answer. False when too many wait.
    pub(crate) fn request(&self, lookup: Lookup, tenant: &str, token: Token, reply: &Arc<Mailbox>) -> bool {
        let request = Request {
            lookup,
            tenant: tenant.into(),
            reply: To {
                token,
                mailbox: Arc::clone(reply),
            },
            also: Vec::new(),
            scan: None,
        };
        self.requests.try_send(request).is_ok()
    }
}

async fn serve(
    mut inbox: mpsc::Receiver<Request>,
    sources: Arc<Sources>,
    reads_max: usize,
    reads_per_tenant_max: usize,
) {
    let mut schedule: Schedule<Request> = Schedule::new(u64::MAX / 2);
    let mut reads = JoinSet::new();
    let mut running: FxHashMap<Id, Box<str>> = FxHashMap::default();
    loop {
        while reads.len() < reads_max {
            let under_way = |tenant: &str| running.values().filter(|other| ***other == *tenant).count();
            let may = |tenant: &str| under_way(tenant) < reads_per_tenant_max;
            let Turn::Now(request) = schedule.next_of(0, may) else {
                break;
            };
            schedule.charge(&request.tenant, 0, 0);
            let tenant = request.tenant.clone();
            let read = reads.spawn(answer(Arc::clone(&sources), request));
            running.insert(read.id(), tenant);
        }
        tokio::select! {
            request = inbox.recv() => match request {
                Some(request) => push(&mut schedule, request),
                None => return,
            },
            Some(read) = reads.join_next_with_id(), if !reads.is_empty() => match read {
                Ok((id, unfinished)) => {
                    running.remove(&id);
                    // It goes on when it is its tenant's turn again, behind what came meanwhile.
                    if let Some(request) = unfinished {
                        schedule.push(&request.tenant.clone(), request, 0);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "an answer to a stream broke off");
                    running.remove(&error.id());
                }
            }
        }
    }
}

/// What waits for an answer that another waits for already waits with it.
fn push(schedule: &mut Schedule<Request>, request: Request) {
    if request.alerts_of_all().is_some()
        && let Some(same) = schedule
            .waiting(&request.tenant)
            .find(|other| request.is_answered_by(other))
    {
        same.also.push(request.reply);
        return;
    }
    schedule.push(&request.tenant.clone(), request, 0);
}

/// Answers, or gives the request back where there is more to read for it.
async fn answer(sources: Arc<Sources>, mut request: Request) -> Option<Request> {
    let answer = match &request.lookup {
        Lookup::Pin { partitions } => pages::pin(&sources, partitions).await,
        Lookup::Page {
            tenant,
            partitions,
            devices,
            after,
            at_least,
        } => {
            if pages::are_at(&sources, at_least).await {
                pages::page(&sources, tenant, partitions, devices, after.as_deref()).await
            } else {
                None
            }
        }
        Lookup::Reset {
            topic,
            positions,
            time_ms,
        } => resets::resolve(&sources, *topic, positions, *time_ms).await,
        Lookup::Asked { tenant, scope, ask } => match (request.alerts_of_all(), tenant.name()) {
            (Some(limit), Some(tenant)) => {
                let scan = request.scan.get_or_insert_with(|| AlertScan::new(limit));
                match scan.step(&sources, tenant).await {
                    Ok(false) => return Some(request),
                    Ok(true) => {
                        let found = scan.take();
                        for other in request.also.drain(..) {
                            other.tell(LookupAnswer::Asked(Answer::Alerts(found.clone())));
                        }
                        Some(LookupAnswer::Asked(Answer::Alerts(found)))
                    }
                    Err(error) => Some(LookupAnswer::Asked(asked::unavailable(&error))),
                }
            }
            _ => Some(LookupAnswer::Asked(
                asked::answer(&sources, tenant, scope, ask.clone()).await,
            )),
        },
    };
    for other in request.also {
        other.tell(LookupAnswer::Asked(Answer::Unavailable));
    }
    request.reply.tell(answer.unwrap_or(LookupAnswer::Failed));
    None
}
