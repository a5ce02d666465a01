//! Clients of every dialect, cut at random and resumed on any of two gateways while events flow, have each
//! event once and in order; where only the newest of a device is promised, they end with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use serde_json::Value;
use tests::api::Api;
use tests::seed::{Seed, scale};
use tests::stream::Ended;
use tests::wait::within;
use tests::ways::{DEVICE, Frame, KINDS, WAYS, Watcher, Way, numbered, placed};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::pair::Pair;

const TENANT: &str = "acme";
const DEVICES: [&str; 5] = [DEVICE, "bus-1", "bus-2", "depot/gate", "tram-7"];
const CLIENTS_OF_A_WAY: u64 = 4;
/// Connections of each client, at least.
const SESSIONS: u64 = 16;
/// Events that are sent before the writer slows down.
const EVENTS_AT_PACE: usize = 2_000;
/// Longest text in an event, bytes.
const TEXT_MAX: usize = 600;

/// Numbers of events by device, in order.
type Numbers = BTreeMap<String, Vec<u64>>;

/// What was acknowledged: device, kind and number, in order.
type Sent = Vec<(&'static str, &'static str, u64)>;

/// Sends events of all devices.
struct Writer {
    gateways: [Api; 2],
    random: SmallRng,
    sent: Sent,
    next: BTreeMap<&'static str, u64>,
}

impl Writer {
    async fn run(mut self, is_over: Arc<AtomicBool>) -> Self {
        while !is_over.load(Ordering::Relaxed) {
            let batch: Vec<_> = (0..self.random.random_range(1..12))
                .map(|_| {
                    let device = *DEVICES.choose(&mut self.random).expect("devices");
                    (device, *KINDS.choose(&mut self.random).expect("kinds"))
                })
                .collect();
            self.send(&batch).await;
            let pause_ms = if self.sent.len() > EVENTS_AT_PACE {
                200
            } else {
                self.random.random_range(0..30)
            };
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        // Whoever has these has seen everything before.
        for device in DEVICES {
            self.send(&KINDS.map(|kind| (device, kind))).await;
        }
        self
    }

    async fn send(&mut self, batch: &[(&'static str, &'static str)]) {
        let mut events: Vec<Value> = Vec::new();
        for (device, kind) in batch {
            let next = self.next.entry(device).or_default();
            let text = "x".repeat(self.random.random_range(0..TEXT_MAX));
            events.push(numbered(device, kind, *next, &text));
            self.sent.push((device, kind, *next));
            *next += 1;
        }
        let gateway = self.gateways.choose(&mut self.random).expect("gateways");
        gateway.send_events(&events).await;
    }
}

/// What clients of `way` see of it.
fn part_of(way: Way, sent: &Sent) -> Numbers {
    let mut numbers = Numbers::new();
    for (device, kind, number) in sent {
        if way.shows(device, kind) {
            numbers.entry(way.named(device)).or_default().push(*number);
        }
    }
    numbers
}

struct Client {
    way: Way,
    gateways: [Api; 2],
    cursor: Option<String>,
    seen: Numbers,
    random: SmallRng,
}

impl Client {
    async fn open(&mut self) -> Watcher {
        let way = self.way;
        let admin = self.gateways.choose(&mut self.random).expect("gateways");
        let query = match self.cursor {
            Some(_) => "cursor=1",
            None => "cursor=1&since=earliest",
        };
        let opened = way.open(admin, query, self.cursor.as_deref()).await;
        let mut watcher = opened.unwrap_or_else(|ended| panic!("{way:?}: refused: {ended:?}"));
        watcher.choose(way, &DEVICES).await;
        watcher
    }

    /// One connection, cut after some frames or some time, in whatever it is doing then.
    async fn session(&mut self) {
        let frames_max = self.random.random_range(0..40);
        let patience = Duration::from_millis(self.random.random_range(5..400));
        let cut = Instant::now() + patience;
        let Ok(mut watcher) = timeout_at(cut, self.open()).await else {
            return;
        };
        for _ in 0..frames_max {
            let Ok(frame) = timeout_at(cut, watcher.next()).await else {
                return;
            };
            self.take(frame);
        }
    }

    /// Reads until it has the last of everything.
    async fn finish(&mut self, whole: &Numbers) {
        let what = format!("the last frames of {:?}", self.way);
        within(&what, async {
            let mut watcher = self.open().await;
            while !self.has_last(whole) {
                let frame = watcher.next().await;
                self.take(frame);
            }
        })
        .await;
    }

    fn has_last(&self, whole: &Numbers) -> bool {
        whole
            .iter()
            .all(|(name, numbers)| self.seen.get(name).and_then(|seen| seen.last()) == numbers.last())
    }

    fn take(&mut self, frame: Result<Frame, Ended>) {
        let way = self.way;
        let frame = frame.unwrap_or_else(|ended| panic!("{way:?}: ended: {ended:?}"));
        assert!(!frame.is_fault, "{way:?}: {frame:?}");
        if let Some((name, number)) = way.number(&frame.json()) {
            self.seen.entry(name).or_default().push(number);
        }
        if frame.cursor.is_some() {
            self.cursor = frame.cursor;
        }
    }

    fn has_what_is_promised(&self, whole: &Numbers) {
        let way = self.way;
        if !way.is_conflated() {
            for (name, numbers) in whole {
                assert_eq!(self.seen.get(name), Some(numbers), "{way:?}: {name}");
            }
            assert_eq!(self.seen.len(), whole.len(), "{way:?}");
            return;
        }
        for (name, seen) in &self.seen {
            let whole: BTreeSet<&u64> = whole[name].iter().collect();
            assert!(
                seen.iter().all(|number| whole.contains(number)),
                "{way:?}: {name}: {seen:?} of {whole:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_has_what_its_dialect_promises_however_often_it_is_cut() {
    let seed = Seed::of_test();
    let pair = Pair::with(|config| config.open.telemetry.streams_max = 1_000).await;
    let nodes = pair.gateways();
    let admin = placed(&nodes, TENANT, &DEVICES).await;
    let gateways = nodes.map(|node| admin.at(&node.base));
    let mut clients = JoinSet::new();
    for (number, way) in (1..).zip(WAYS.into_iter().flat_map(|way| [way; CLIENTS_OF_A_WAY as usize])) {
        let mut client = Client {
            way,
            gateways: gateways.clone(),
            cursor: None,
            seen: Numbers::new(),
            random: seed.part(number),
        };
        clients.spawn(async move {
            for _ in 0..SESSIONS * scale() {
                client.session().await;
            }
            client
        });
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = Writer {
        gateways,
        random: seed.part(0),
        sent: Sent::new(),
        next: BTreeMap::new(),
    };
    let writing = tokio::spawn(writer.run(Arc::clone(&is_over)));
    let mut clients = clients.join_all().await;
    is_over.store(true, Ordering::Relaxed);
    let sent = writing.await.expect("the writer").sent;
    let (mut seen, mut finished) = (0, JoinSet::new());
    for mut client in clients.drain(..) {
        let whole = part_of(client.way, &sent);
        finished.spawn(async move {
            client.finish(&whole).await;
            client.has_what_is_promised(&whole);
            client.seen.values().map(Vec::len).sum::<usize>()
        });
    }
    while let Some(of_client) = finished.join_next().await {
        seen += of_client.expect("a client");
    }
    println!("{} events, {seen} frames of them", sent.len());
    pair.end().await;
}
