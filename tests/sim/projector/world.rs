//! The world that steps change: log, tables, processes, devices, clocks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use journal::{Clock, Headers, Micros, NewRecord, Offset, Partition, Placement, Topic};
use projector::{Projector, Settings};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use schemas::control::Layout;
use schemas::event::{Alert, AlertStatus};
use schemas::{Body, Control, Event, Kind};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::alerts;
use super::faults::Process;
use super::log::Log;
use super::model;
use super::presence;
use super::steps::{Device, FAITHFUL, PROCESSES, Step};
use super::store::Tables;
use crate::fleet::{SECOND, START, TENANTS, event, pick, report};
use crate::runner::Trace;

pub(super) const PARTITIONS: u32 = 2;
/// Who keeps sending sends so often.
const BEAT: Duration = Duration::from_secs(10);
const SLICE: Duration = Duration::from_millis(500);
/// All that is under way ends within this once nothing goes wrong any more.
const PEACE: Duration = Duration::from_secs(90);

pub(super) struct World {
    pub(super) log: Arc<Log>,
    pub(super) tables: Arc<Tables>,
    pub(super) layout: Layout,
    random: StdRng,
    pub(super) settings: Settings,
    begun: Instant,
    jumped: Arc<AtomicI64>,
    running: BTreeMap<usize, Running>,
    sent: Vec<Event>,
    events: u64,
    beats: bool,
    next_beat: Instant,
}

/// A process at work; dropped, all of it is gone at once.
struct Running {
    process: Arc<Process>,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ 0x5eed);
        let log = Log::new(PARTITIONS);
        let tables = Tables::new(&log);
        let settings = Settings {
            poll: Duration::from_millis(500),
            batch_records_max: pick(&mut random, &[1, 4, 1_000]),
            page_size: pick(&mut random, &[1, 3, 500]),
            cached_document_bytes_max: pick(&mut random, &[0, 4_000, 1 << 20]),
            reactions_max: pick(&mut random, &[1, 1_000]),
            history_kinds: Kind::ALL.to_vec(),
            ..Settings::default()
        };
        let world = Self {
            tables,
            log,
            layout: Layout {
                generation: 1,
                created_at: START,
                epoch: 7,
                partitions: PARTITIONS,
                default_spread: PARTITIONS,
                fold_version: state::fold::FOLD_VERSION,
                // Small, so that some events are refused.
                document_bytes_max: 1_500,
                registration_required: false,
            },
            random,
            settings,
            begun: Instant::now(),
            jumped: Arc::default(),
            running: BTreeMap::new(),
            sent: Vec::new(),
            events: 0,
            beats: true,
            next_beat: Instant::now(),
        };
        for tenant in TENANTS {
            world.control(&alerts::rule(tenant, alerts::STEADY, alerts::STEADY_WHEN), true);
            world.control(&alerts::rule(tenant, alerts::MOVES, alerts::MOVES_WHEN), true);
        }
        // These were there before any device was.
        let known = world.log.end(Topic::Control, 0);
        world
            .tables
            .with(|rows| rows.rules = (0..PARTITIONS).map(|partition| (partition, known)).collect());
        world
    }

    /// Puts an alert rule, or removes it.
    fn control(&self, rule: &Control, is_put: bool) {
        self.tell(&rule.key(), rule.kind(), is_put.then(|| rule.encode()));
    }

    /// Tells all processes something.
    fn tell(&self, key: &str, kind: &str, value: Option<Bytes>) {
        self.log.append(vec![NewRecord {
            topic: Topic::Control,
            partition: 0,
            key: key.into(),
            value,
            timestamp_ms: START / 1_000,
            headers: Headers {
                kind: kind.into(),
                generation: 1,
                ..Headers::default()
            },
        }]);
    }

    /// A sender's retry.
    fn send_again(&mut self, back: usize) {
        let again = self
            .sent
            .len()
            .checked_sub(back + 1)
            .and_then(|index| self.sent.get(index));
        if let Some(mut event) = again.cloned() {
            event.received_at = self.received();
            self.send(event);
        }
    }

    /// Closes by hand an alert that a rule opened.
    fn close(&mut self, back: usize) {
        let opened = alerts::opened(self);
        let chosen = opened
            .len()
            .checked_sub(back + 1)
            .and_then(|index| opened.get(index));
        if let Some((key, alert)) = chosen.cloned() {
            self.events += 1;
            let closed = Alert {
                status: AlertStatus::Closed,
                ..alert
            };
            let id = format!("e{}", self.events);
            let event = event(
                &id,
                &key.tenant,
                &key.device,
                self.received(),
                Body::Alert(closed),
            );
            self.send(event);
        }
    }

    pub(super) fn trace(&self) -> Trace {
        self.log.trace.lock().clone()
    }

    pub(super) async fn take(&mut self, step: &Step) {
        match step {
            Step::Send {
                tenant,
                device,
                ago,
                lag_ms,
                body,
            } => {
                let at = self.received() - lag_ms * SECOND / 1_000;
                let mut event = self.event(*tenant, *device, at, (**body).clone());
                event.occurred_at -= ago * SECOND;
                self.send(event);
            }
            Step::Again { back } => self.send_again(*back),
            Step::Close { back } => self.close(*back),
            Step::Rule { is_put } => {
                let rule = alerts::rule(TENANTS[0], alerts::FICKLE, alerts::FICKLE_WHEN);
                self.control(&rule, *is_put);
            }
            Step::Token => self.tell("token/of-somebody", "token", None),
            Step::Late { ms } => *self.log.told_after.lock() = Duration::from_millis(*ms),
            Step::Foreign { partition } => {
                let mut record = record(&event("foreign", TENANTS[0], "x", self.received(), Body::Deleted));
                record.partition = *partition;
                record.value = Some(Bytes::from_static(b"nonsense"));
                self.log.append(vec![record]);
            }
            Step::Wait { ms } => self.pass(Duration::from_millis(*ms)).await,
            Step::Jump { seconds } => {
                self.log.note(&format!("clocks jump by {seconds} s"));
                self.jumped.fetch_add(seconds * SECOND, Ordering::SeqCst);
            }
            Step::Slow { ms } => *self.log.readable_after.lock() = Duration::from_millis(*ms),
            Step::Start { process } => self.start(*process),
            Step::Stop { process } => {
                if let Some(running) = self.running.get(process) {
                    running.cancel.cancel();
                }
            }
            Step::Kill { process } => self.kill(*process),
            Step::Isolate { process, seconds } => {
                self.log
                    .group
                    .lock()
                    .isolate(*process, Duration::from_secs(*seconds));
            }
            Step::Fault {
                process,
                effect,
                skip,
                fault,
            } => {
                if let Some(running) = self.running.get(process) {
                    running.process.plan(*effect, *skip, *fault);
                }
            }
        }
        // Everybody does what can be done at once; but what devices send may come in bursts.
        if !matches!(
            step,
            Step::Send { .. } | Step::Again { .. } | Step::Close { .. } | Step::Foreign { .. }
        ) {
            self.pass(Duration::from_millis(1)).await;
        }
    }

    /// Nothing goes wrong any more: all that was promised must come true.
    pub(super) async fn finish(&mut self) -> Result<(), String> {
        for process in 0..PROCESSES {
            self.kill(process);
        }
        *self.log.readable_after.lock() = Duration::ZERO;
        *self.log.told_after.lock() = Duration::ZERO;
        self.log.group.lock().heal();
        self.tables.settle();
        self.start(0);
        self.pass(PEACE).await;
        self.beats = false;
        self.settled().await?;
        let faithful = self.faithful();
        model::tables_hold(self)?;
        presence::are_online(self, &faithful)?;
        presence::were_never_silent(self, &faithful)?;
        alerts::follow_from_the_log(self)?;
        alerts::stand_where_rules_hold(self)?;
        alerts::end_with_their_reason(self)?;
        self.pass(self.settings.offline_after + PEACE).await;
        self.settled().await?;
        model::tables_hold(self)?;
        presence::are_offline(self)?;
        alerts::follow_from_the_log(self)?;
        alerts::stand_where_rules_hold(self)?;
        alerts::commands_expire(self)?;
        presence::each_silence_is_told_once(self)?;
        presence::whoever_lives_is_called_online(self)
    }

    /// Waits until the tables are level with the log.
    async fn settled(&mut self) -> Result<(), String> {
        let is_level = |world: &Self, partition: Partition| {
            let applied = world
                .tables
                .with(|rows| rows.applied.get(&partition).map(|applied| applied.source));
            applied.unwrap_or(0) == world.log.end(Topic::Events, partition)
        };
        for _ in 0..120 {
            if (0..PARTITIONS).all(|partition| is_level(self, partition)) {
                return Ok(());
            }
            self.pass(SLICE).await;
        }
        let committed: Vec<Option<Offset>> = (0..PARTITIONS)
            .map(|partition| self.log.group.lock().committed(partition))
            .collect();
        Err(format!(
            "the tables are not level with the log; committed is {committed:?}"
        ))
    }

    fn faithful(&self) -> presence::Faithful {
        let of = |tenant: &str, number| (tenant.into(), Device::Faithful(number).name().into());
        TENANTS
            .iter()
            .flat_map(|tenant| (0..FAITHFUL).map(move |number| of(tenant, number)))
            .collect()
    }

    /// Lets time pass; the dead are buried, and who keeps sending sends.
    async fn pass(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            self.running
                .retain(|_, running| !running.process.is_dead() && !running.tasks.is_empty());
            for running in self.running.values_mut() {
                // One that has stopped is gone.
                while running.tasks.try_join_next().is_some() {}
            }
            if self.beats && Instant::now() >= self.next_beat {
                self.next_beat = Instant::now() + BEAT;
                self.beat();
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(SLICE)).await;
        }
    }

    fn beat(&mut self) {
        for tenant in 0..TENANTS.len() {
            for number in 0..FAITHFUL {
                let body = report(&mut self.random);
                let at = self.received();
                let event = self.event(tenant, Device::Faithful(number), at, body);
                self.send(event);
            }
        }
    }

    fn event(&mut self, tenant: usize, device: Device, at: Micros, body: Body) -> Event {
        self.events += 1;
        event(
            &format!("e{}", self.events),
            TENANTS[tenant],
            &device.name(),
            at,
            body,
        )
    }

    fn send(&mut self, event: Event) {
        self.log.append(vec![record(&event)]);
        self.sent.push(event);
    }

    /// The clock of one of the ingest nodes, which differ by a second.
    fn received(&mut self) -> Micros {
        let skew = self.random.random_range(-SECOND / 2..SECOND / 2);
        wall(self.begun, &self.jumped) + skew
    }

    fn start(&mut self, name: usize) {
        if self.running.contains_key(&name) || name >= PROCESSES {
            return;
        }
        self.log.note(&format!("process {name} starts"));
        let process = Process::new(name);
        let (begun, jumped) = (self.begun, Arc::clone(&self.jumped));
        let skew = self.random.random_range(-SECOND / 2..SECOND / 2);
        let clock: Clock = Arc::new(move || wall(begun, &jumped) + skew);
        let projector = Projector::new(
            self.settings.clone(),
            self.log.journal(&process, self.layout.clone()),
            self.tables.store(&process),
            clock,
            &prometheus::Registry::new(),
        )
        .expect("a registry of its own");
        let (cancel, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let stop = cancel.clone();
        tasks.spawn(async move { projector.run(stop).await });
        self.running.insert(
            name,
            Running {
                process,
                cancel,
                tasks,
            },
        );
    }

    fn kill(&mut self, name: usize) {
        if let Some(running) = self.running.remove(&name) {
            self.log.note(&format!("process {name} is killed"));
            running.process.kill();
        }
    }
}

fn wall(begun: Instant, jumped: &AtomicI64) -> Micros {
    let passed = Micros::try_from(begun.elapsed().as_micros()).unwrap_or(Micros::MAX);
    START + passed + jumped.load(Ordering::SeqCst)
}

fn record(event: &Event) -> NewRecord {
    NewRecord {
        topic: Topic::Events,
        partition: Placement::new(&event.tenant, PARTITIONS, PARTITIONS).of(&event.device),
        key: format!("{}/{}", event.tenant, event.device).into(),
        value: Some(event.encode()),
        timestamp_ms: event.received_at / 1_000,
        headers: Headers {
            kind: event.body.kind().name().into(),
            generation: 1,
            ..Headers::default()
        },
    }
}
