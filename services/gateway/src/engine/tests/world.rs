//! A worker, its services on a virtual clock, the scripted log, and clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use access::Principal;
use journal::{Clock, Cursor, Offset, Partition, Topic};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::{Chooser, Frame, Pipe, Probe, ScriptWire, take_blocks};
use super::fake::{FakeAccess, FakeStore, Log, PARTITIONS, Shelf, store};
use crate::dialect::{Action, Ask, Message};
use crate::engine::mailbox::{Inbox, Mailbox};
use crate::engine::metrics::Metrics;
use crate::engine::seats::Seats;
use crate::engine::tails::Wake;
use crate::engine::worker::{AdoptedStream, Core, Environment};
use crate::engine::{Reading, Token, environment};
use crate::filters::Filters;
use crate::settings::Settings;
use crate::subscription::{
    Delivery, DeviceSet, Framing, KindSet, Selection, SnapshotStart, Start, Subscription, TenantScope, Told,
    Transport, View,
};

struct Deaf;

impl Wake for Deaf {
    fn wake(&self) {}
}

pub(super) struct World {
    pub(super) log: Arc<Log>,
    pub(super) shelf: Arc<FakeStore>,
    pub(super) access: Arc<FakeAccess>,
    pub(super) core: Core<ScriptWire>,
    pub(super) metrics: Arc<Metrics>,
    inbox: Inbox,
    seats: Seats,
    started: Instant,
    /// What the wall clock showed when it started, microseconds.
    pub(super) clock_set: Arc<AtomicI64>,
    env: Arc<Environment>,
    _tasks: JoinSet<()>,
}

/// One client over all its connections.
pub(super) struct Client {
    pub(super) subscription: Subscription,
    pub(super) pipe: Arc<Mutex<Pipe>>,
    pub(super) token: Option<Token>,
    pub(super) frames: Vec<Frame>,
    /// The last cursor of a whole frame.
    pub(super) cursor: Option<Cursor>,
    /// Filters that each connection has so long after its opening and after one another.
    pub(super) choices: (Duration, Vec<Filters>),
    /// What each connection is told first.
    pub(super) first: Vec<Message>,
    /// The devices whose documents each connection asks for.
    pub(super) asks: Vec<Box<str>>,
}

/// Settings that make everything happen with a handful of records.
pub(super) fn small() -> Settings {
    Settings {
        ring_bytes_max: 6_000,
        turn_records_max: 7,
        turn_bytes_max: 700,
        slice_records_max: 5,
        slice_bytes_max: 500,
        tail_grace: Duration::from_millis(40),
        tail_retry: Duration::from_millis(10),
        block_bytes: 600,
        block_align: 4,
        block_cache_bytes_max: 10_000,
        block_answers_max: 3,
        page_documents: 3,
        latest_devices_max: 2,
        keep_alive: Duration::from_millis(500),
        keep_alive_jitter: Duration::from_millis(50),
        ahead_max: Duration::from_millis(200),
        stalled_max: Duration::from_secs(3_600),
        ..Settings::default()
    }
}

impl World {
    pub(super) fn new(settings: &Settings, seed: u64) -> Self {
        let log = Log::new(Duration::from_millis(seed % 4));
        log.now_ms.store(1_000_000, Ordering::Relaxed);
        let shelf = Arc::new(FakeStore(Mutex::new(Shelf::default())));
        let access = Arc::new(FakeAccess::default());
        let started = Instant::now();
        let clock_set = Arc::new(AtomicI64::new(1_000_000_000));
        let set = Arc::clone(&clock_set);
        let clock: Clock = Arc::new(move || {
            set.load(Ordering::Relaxed) + i64::try_from(started.elapsed().as_micros()).unwrap()
        });
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
        let access_port = Arc::clone(&access) as Arc<dyn crate::engine::Access>;
        let (env, _, _, tasks) = environment(
            settings,
            log.journal(),
            store(&shelf),
            access_port,
            clock,
            Arc::clone(&metrics),
            &Handle::current(),
        );
        let (mailbox, inbox) = Mailbox::new(64, 10_000, Box::new(Deaf));
        Self {
            core: Core::new(Arc::clone(&env), mailbox, 1, seed),
            env,
            log,
            shelf,
            access,
            metrics,
            inbox,
            seats: Seats::new(settings.clone()),
            started,
            clock_set,
            _tasks: tasks,
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap() + 1
    }

    pub(super) fn wall_ms(&self) -> i64 {
        1_000_000 + i64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    /// Partitions that are followed.
    pub(super) fn tails(&self) -> usize {
        self.env.tails.count()
    }

    /// Lets everything else run for so many virtual milliseconds, then the worker once.
    pub(super) async fn step(&mut self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.log.now_ms.store(self.wall_ms(), Ordering::Relaxed);
        let now_ms = self.now_ms();
        self.core.set_now(now_ms);
        while let Ok(reply) = self.inbox.replies.try_recv() {
            self.core.reply(reply);
        }
        self.core.turn(now_ms);
    }

    /// Steps until nothing has happened for a while.
    pub(super) async fn settle(&mut self, clients: &mut [Client]) {
        let mut quiet = 0;
        for _ in 0..20_000 {
            self.step(1).await;
            let mut news = 0;
            for client in clients.iter_mut() {
                news += client
                    .take()
                    .iter()
                    .filter(|frame| frame.control() != Some("keepalive"))
                    .count();
            }
            quiet = if news == 0 && self.core.is_waiting() {
                quiet + 1
            } else {
                0
            };
            if quiet > 60 {
                return;
            }
        }
        panic!("the engine never comes to rest");
    }

    /// What is awaited before a stream that starts at the live end is answered.
    pub(super) async fn ensure(&self, topic: Topic) {
        drop(self.env.tails.live_ends(topic, &[0, 1, 2]).await);
        self.log.now_ms.store(self.wall_ms(), Ordering::Relaxed);
    }

    /// Opens a connection of a client: anew, or from its last cursor.
    pub(super) fn open(&mut self, client: &mut Client) {
        let mut subscription = client.subscription.clone();
        let topic = subscription.view.topic();
        if let Some(cursor) = &client.cursor {
            subscription.start.time_ms = cursor.time_ms;
            subscription.start.positions = cursor
                .positions
                .iter()
                .map(|(partition, offset)| (*partition, Some(*offset)))
                .collect();
            subscription.start.snapshot = cursor.snapshot.clone().map(SnapshotStart::Resumed);
            subscription.start.ends = (0..PARTITIONS)
                .map(|partition| (partition, self.log.part(topic, partition).end))
                .collect();
        }
        let mut reading = match &client.choices {
            (_, choices) if choices.is_empty() => Reading::by(Probe),
            (apart, choices) => Reading {
                conversation: Box::new(Chooser::new(*apart, choices)),
                first: vec![Action::Timer(*apart)],
            },
        };
        reading
            .first
            .extend(client.first.iter().cloned().map(Action::Send));
        if !client.asks.is_empty() {
            let ask = Ask::Documents(client.asks.clone());
            reading.first.push(Action::Ask(ask));
        }
        let wire = ScriptWire::default();
        client.pipe = Arc::clone(&wire.0);
        client.token = Some(self.core.next_token());
        let seat = self.seats.reserve(Some("t")).unwrap();
        let now_ms = self.now_ms();
        self.core.set_now(now_ms);
        self.core.adopt(
            wire,
            AdoptedStream(bytes::Bytes::new(), Vec::new(), subscription, seat, reading),
        );
    }

    /// Gives a client room for so many bytes more.
    pub(super) fn give(&mut self, client: &mut Client, bytes: usize) {
        client.pipe.lock().room += bytes;
        if let Some(token) = client.token {
            let now_ms = self.now_ms();
            self.core.set_now(now_ms);
            self.core.writable(token);
        }
    }

    /// Cuts a client's connection. Half a frame that came is lost.
    pub(super) fn cut(&mut self, client: &mut Client) {
        client.take();
        client.pipe.lock().cut = true;
        if let Some(token) = client.token.take() {
            self.core.readable(token);
        }
    }

    pub(super) fn bounds(&self, topic: Topic) -> Vec<(Offset, Offset)> {
        (0..PARTITIONS)
            .map(|partition| {
                let part = self.log.part(topic, partition);
                (part.start, part.end)
            })
            .collect()
    }
}

impl Client {
    pub(super) fn new(view: View, delivery: Delivery, devices: DeviceSet) -> Self {
        let subscription = Subscription {
            view,
            transport: Transport::Sse,
            framing: Framing::Plain,
            dialect: Arc::new(Probe),
            selection: Selection {
                tenant: TenantScope::One("t".into()),
                devices,
                kinds: KindSet::ALL,
                metrics: None,
                filters: None,
                told: Told::default(),
            },
            delivery,
            every: None,
            partitions: (0..PARTITIONS).collect(),
            start: Start::live(1_000_000),
            principal: Arc::new(Principal::system("tester")),
            bound: false,
            cursors: true,
            chooses: false,
        };
        Self {
            subscription,
            pipe: Arc::default(),
            token: None,
            frames: Vec::new(),
            cursor: None,
            choices: (Duration::ZERO, Vec::new()),
            first: Vec::new(),
            asks: Vec::new(),
        }
    }

    /// Starts at these offsets.
    pub(super) fn from(mut self, positions: &[(Partition, Offset)]) -> Self {
        self.subscription.start.positions = positions
            .iter()
            .map(|(partition, offset)| (*partition, Some(*offset)))
            .collect();
        self
    }

    /// Its conversation is told of presence.
    pub(super) fn told(mut self) -> Self {
        self.subscription.selection.told.kinds = KindSet::NONE.with(schemas::Kind::Presence);
        self
    }

    /// Takes the whole frames that have come since.
    pub(super) fn take(&mut self) -> Vec<Frame> {
        let frames = take_blocks(&mut self.pipe.lock().taken);
        for frame in &frames {
            if let Some(cursor) = &frame.cursor {
                self.cursor = Some(cursor.clone());
            }
        }
        self.frames.extend(frames.iter().cloned());
        frames
    }

    pub(super) fn controls(&self) -> Vec<&str> {
        self.frames
            .iter()
            .filter_map(Frame::control)
            .filter(|name| *name != "keepalive")
            .collect()
    }

    pub(super) fn places(&self) -> Vec<(Partition, Offset)> {
        self.frames.iter().filter_map(Frame::place).collect()
    }
}

/// Runs a test on a virtual clock.
pub(super) fn run<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}
