//! The delivery engine: from the log to sockets.
//!
//! A connection is a cursor. What is live is matched once and its frame shared; what is behind reads on
//! from its own position, from the rings or from shared blocks of the log, at its own pace.

use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use access::{Denied, Directory, EventSink, Principal, Scope};
use bytes::Bytes;
use journal::{Bounds, Clock, Journal, Micros, Partition, ReadError, Topic};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::applied::AppliedWatch;
use crate::dialect::{Action, Answer, Ask, Cap, Conversation};
use crate::settings::Settings;
use crate::subscription::{LiveEnds, Subscription, TenantScope};

mod blocks;
pub mod channel;
mod ends;
mod filter_book;
mod filtered;
mod frames;
mod index;
mod intern;
mod lookups;
mod mailbox;
mod metrics;
pub mod record;
mod ring;
mod schedule;
pub mod seats;
mod sse;
mod tails;
#[cfg(test)]
mod tests;
mod wheel;
mod wire;
mod worker;
mod ws;

pub use channel::{ChannelBody, ChannelInput, ChannelSink};
pub use record::LogRecord;
pub(crate) use ring::Place;
pub use seats::{Refused, Seat};

use blocks::Blocks;
use ends::Ends;
use lookups::{Lookups, Sources};
use mailbox::{Command, Mailbox};
use metrics::Metrics;
use seats::Seats;
use tails::Tails;
use worker::{Environment, Worker};

/// Where a stream's bytes go.
pub enum Sink {
    /// A plain socket, whose request head is read and unanswered; the worker owns it from now on.
    Socket(TcpStream),
    /// hyper, for TLS and HTTP/2.
    Channel(ChannelSink),
}

/// A stream that the engine takes over.
pub struct Adoption {
    /// Its place under the caps.
    pub seat: Seat,
    /// Where its bytes go.
    pub sink: Sink,
    /// Written first: the response head (SSE: `Connection: close` and no length, since the body ends
    /// with the connection), or the 101. Empty behind hyper. The opening of an SSE body (comment and
    /// `hello`) is the engine's.
    pub prelude: Bytes,
    /// What was read from the socket beyond the request head.
    pub leftover: Vec<u8>,
    /// What to stream.
    pub subscription: Subscription,
    /// Who reads its client.
    pub reading: Reading,
}

/// Who reads a client, and what is said and asked first.
pub struct Reading {
    /// The reader.
    pub conversation: Box<dyn Conversation>,
    /// Done before anything else.
    pub first: Vec<Action>,
}

impl Reading {
    /// By `conversation`, which says nothing first.
    #[must_use]
    pub fn by(conversation: impl Conversation + 'static) -> Self {
        Self {
            conversation: Box::new(conversation),
            first: Vec::new(),
        }
    }
}

/// What runs now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Streams.
    pub streams: usize,
    /// Partitions that are followed.
    pub tails: usize,
}

/// The delivery engine of a process. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    seats: Seats,
    env: Arc<Environment>,
    ends: Ends,
    sources: Arc<Sources>,
    mailboxes: Vec<Arc<Mailbox>>,
    workers: Mutex<Vec<Worker>>,
    tasks: Mutex<JoinSet<()>>,
}

/// Names a stream within its worker; never the same for two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Token {
    slot: u32,
    generation: u32,
}

impl Token {
    fn pack(self) -> usize {
        (self.generation as usize & 0x7fff_ffff) << 32 | self.slot as usize
    }

    fn unpack(packed: usize) -> Self {
        Self {
            slot: (packed & 0xffff_ffff) as u32,
            generation: (packed >> 32) as u32,
        }
    }
}

/// What the engine asks of the directory.
pub(crate) trait Access: Send + Sync {
    /// The principal as it stands now.
    fn recheck(&self, principal: &Principal, now: Micros) -> Result<Arc<Principal>, Denied>;

    /// A tenant's spread, where it has its own.
    fn spread(&self, tenant: &str) -> Option<u32>;
}

impl Access for Directory {
    fn recheck(&self, principal: &Principal, now: Micros) -> Result<Arc<Principal>, Denied> {
        Self::recheck(self, principal, now)
    }

    fn spread(&self, tenant: &str) -> Option<u32> {
        self.tenant(tenant).map(|record| record.spread)
    }
}

impl Engine {
    /// Starts the workers' threads and the tasks beside them, on the current tokio runtime.
    ///
    /// # Errors
    /// What the operating system or the registry refused.
    pub fn start(
        settings: Settings,
        journal: Journal,
        store: state::Store,
        directory: Arc<Directory>,
        clock: Clock,
        registry: &prometheus::Registry,
    ) -> Result<Self, StartError> {
        let changes = directory.changes();
        let engine = Self::start_with(settings, journal, store, directory, clock, registry)?;
        let inner = Arc::downgrade(&engine.inner);
        engine.inner.tasks.lock().spawn(async move {
            let mut changes = changes;
            while changes.changed().await.is_ok() {
                let Some(inner) = inner.upgrade() else {
                    return;
                };
                for mailbox in &inner.mailboxes {
                    mailbox.recheck();
                }
            }
        });
        Ok(engine)
    }

    pub(crate) fn start_with(
        settings: Settings,
        journal: Journal,
        store: state::Store,
        access: Arc<dyn Access>,
        clock: Clock,
        registry: &prometheus::Registry,
    ) -> Result<Self, StartError> {
        let runtime = Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let metrics = Arc::new(Metrics::new(registry)?);
        metrics
            .streams_max
            .set(i64::try_from(settings.streams_max).unwrap_or(i64::MAX));
        let (env, ends, sources, mut tasks) =
            environment(&settings, journal, store, access, clock, metrics, &runtime);
        let count = match settings.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let workers = (0..count)
            .map(|number| Worker::start(number, Arc::clone(&env), rand::random()))
            .collect::<Result<Vec<Worker>, std::io::Error>>()?;
        tasks.spawn(observe(Arc::clone(&env)));
        Ok(Self {
            inner: Arc::new(Inner {
                seats: Seats::new(settings),
                env,
                ends,
                sources,
                mailboxes: workers.iter().map(|worker| Arc::clone(&worker.mailbox)).collect(),
                workers: Mutex::new(workers),
                tasks: Mutex::new(tasks),
            }),
        })
    }

    /// A place for one more stream of `tenant` (`None`: of all tenants). Taken before anything is
    /// answered; dropping it gives it back.
    ///
    /// # Errors
    /// The cap that it would pass, or that this gateway drains.
    pub fn reserve(&self, tenant: Option<&str>) -> Result<Seat, Refused> {
        self.inner.seats.reserve(tenant)
    }

    /// The same under a cap of a dialect's own.
    ///
    /// # Errors
    /// The cap that it would pass, or that this gateway drains.
    pub fn reserve_under(&self, tenant: Option<&str>, cap: Option<&Cap>) -> Result<Seat, Refused> {
        self.inner.seats.reserve_under(tenant, cap)
    }

    /// Streams of all tenants under the cap of that name.
    #[must_use]
    pub fn streams_under(&self, cap: &str) -> usize {
        self.inner.seats.taken_under(cap)
    }

    /// Names whom events go to that clients send through streams, such as commands. Once.
    pub fn append_through(&self, events: Arc<dyn EventSink>) {
        if self.inner.sources.events.set(events).is_err() {
            tracing::error!("streams append through one sink only");
        }
    }

    /// What the state says to a question of a dialect, within `scope`.
    pub async fn ask(&self, tenant: &TenantScope, scope: &Scope, ask: Ask) -> Answer {
        lookups::asked::answer(&self.inner.sources, tenant, scope, ask).await
    }

    /// Takes a stream over.
    ///
    /// # Errors
    /// When this gateway drains or its workers are swamped: the socket is dropped, nothing was written.
    pub fn adopt(&self, adoption: Adoption) -> Result<(), Refused> {
        if self.inner.seats.is_closed() {
            return Err(Refused::Draining);
        }
        let load = |mailbox: &&Arc<Mailbox>| mailbox.streams.load(Ordering::Relaxed);
        let mailbox = self
            .inner
            .mailboxes
            .iter()
            .min_by_key(load)
            .ok_or(Refused::Full)?;
        mailbox.streams.fetch_add(1, Ordering::Relaxed);
        mailbox.send(Command::Adopt(Box::new(adoption))).map_err(|_| {
            mailbox.streams.fetch_sub(1, Ordering::Relaxed);
            Refused::Full
        })
    }

    /// Fresh bounds, in the order of `partitions`: the log was asked after this was called. Callers at
    /// the same time share one question. Answers within the setting `ends_timeout`.
    pub async fn bounds(&self, topic: Topic, partitions: &[Partition]) -> Vec<Result<Bounds, ReadError>> {
        self.inner.ends.bounds(topic, partitions).await
    }

    /// Starts to follow `partitions`, waits (at most `ends_timeout`) until each is followed, and tells
    /// from where. To be awaited before the head of a stream that starts at the live end: it starts
    /// there, however long a worker takes to adopt it, and what is acknowledged after the head is
    /// delivered.
    pub async fn live_ends(&self, topic: Topic, partitions: &[Partition]) -> LiveEnds {
        self.inner.env.tails.live_ends(topic, partitions).await
    }

    /// Stops taking streams, ends those there are in waves over `deadline`, and stops threads and tasks.
    pub async fn drain(&self, deadline: Duration) {
        self.inner.seats.close();
        let over_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        for mailbox in &self.inner.mailboxes {
            while mailbox.send(Command::Drain { over_ms }).is_err() {
                tokio::time::sleep(QUEUE_RETRY).await;
            }
        }
        if tokio::time::timeout(deadline, self.inner.seats.vacated())
            .await
            .is_err()
        {
            tracing::warn!(
                streams = self.inner.seats.taken(),
                "not every stream ended within the deadline"
            );
        }
        for mailbox in &self.inner.mailboxes {
            while mailbox.send(Command::Stop).is_err() && !mailbox.is_closed() {
                tokio::time::sleep(QUEUE_RETRY).await;
            }
        }
        let workers = std::mem::take(&mut *self.inner.workers.lock());
        let joined = tokio::task::spawn_blocking(|| workers.into_iter().for_each(Worker::join)).await;
        if let Err(error) = joined {
            tracing::error!(%error, "the workers could not be waited for");
        }
        self.inner.env.tails.stop().await;
        let mut tasks = std::mem::take(&mut *self.inner.tasks.lock());
        tasks.shutdown().await;
    }

    /// What runs now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            streams: self.inner.seats.taken(),
            tails: self.inner.env.tails.count(),
        }
    }

    /// A pair for a stream behind hyper.
    #[must_use]
    pub fn channel(&self) -> (ChannelSink, ChannelBody, ChannelInput) {
        channel::pair(
            self.settings().channel_frames_max,
            self.settings().channel_bytes_max,
        )
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.env.settings
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.env.tails.abort();
        // After a drain there is nobody left to tell.
        for mailbox in &self.mailboxes {
            if mailbox.send(Command::Stop).is_err() {
                tracing::trace!("a worker was stopped before");
            }
        }
    }
}

/// How soon a full queue of a worker is tried again.
const QUEUE_RETRY: Duration = Duration::from_millis(5);
/// How often figures are taken that nobody counts.
const OBSERVE_EVERY: Duration = Duration::from_secs(5);

/// What workers are given, and the tasks that serve it.
fn environment(
    settings: &Settings,
    journal: Journal,
    store: state::Store,
    access: Arc<dyn Access>,
    clock: Clock,
    metrics: Arc<Metrics>,
    runtime: &Handle,
) -> (Arc<Environment>, Ends, Arc<Sources>, JoinSet<()>) {
    let mut tasks = JoinSet::new();
    let (ends, asked) = Ends::new(
        Arc::clone(&journal.reader),
        settings.ends_queue_max,
        settings.ends_timeout,
    );
    tasks.spawn_on(asked, runtime);
    let reader = Arc::clone(&journal.reader);
    let (blocks, read) = Blocks::new(settings, reader, metrics.blocks.clone());
    tasks.spawn_on(read, runtime);
    let progress = Arc::clone(&store.progress);
    let sources = Arc::new(Sources {
        applied: AppliedWatch::new(progress, settings.applied_poll),
        applied_within: settings.applied_within,
        journal: journal.clone(),
        store,
        ends: ends.clone(),
        access: Arc::clone(&access),
        page_documents: settings.page_documents.max(1),
        events: OnceLock::new(),
        commands: settings.commands.clone(),
        clock: Arc::clone(&clock),
        reset_slack_ms: i64::try_from(settings.reset_slack.as_millis()).unwrap_or(i64::MAX),
    });
    let (lookups, answered) = Lookups::new(settings, Arc::clone(&sources));
    tasks.spawn_on(answered, runtime);
    let env = Environment {
        settings: settings.clone(),
        layout: journal.layout.clone(),
        epoch: journal.epoch,
        tails: Tails::new(
            settings.clone(),
            journal,
            ends.clone(),
            Arc::clone(&clock),
            metrics.degraded.clone(),
            runtime.clone(),
        ),
        blocks,
        lookups,
        access,
        clock,
        metrics,
    };
    (Arc::new(env), ends, sources, tasks)
}

async fn observe(env: Arc<Environment>) {
    let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    let mut every = tokio::time::interval(OBSERVE_EVERY);
    loop {
        every.tick().await;
        let metrics = &env.metrics;
        metrics.tails.set(gauge(env.tails.count()));
        metrics.ring_bytes.set(gauge(env.tails.ring_bytes()));
        metrics.block_bytes.set(gauge(env.blocks.cached_bytes()));
    }
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Called outside a tokio runtime.
    #[error("the delivery engine must be started inside a tokio runtime")]
    NoRuntime,
    /// A poll or a thread could not be made.
    #[error("the operating system refused a worker: {0}")]
    Worker(#[from] std::io::Error),
    /// A metric of that name exists.
    #[error("a metric could not be registered: {0}")]
    Metric(#[from] prometheus::Error),
}
