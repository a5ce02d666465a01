//! Clients of streams: cut by what happens to them, and back with the id of the last frame that they read.

mod documents;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IteratorRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

pub use documents::{Map, stable};

use super::findings::Findings;
use super::load::{CANARY, DEVICES, TENANTS, device, text};
use crate::api::Api;
use crate::stream::{Carrier, Ended, Frame, Streaming};

/// How long a client waits for any frame: keep-alives come every 2 s.
const SILENCE_MAX: Duration = Duration::from_secs(8);
/// How long it waits for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(6);
/// How long the last reading to the end may take, when nothing is disturbed any more.
const END_MAX: Duration = Duration::from_secs(60);
/// A connection that ends so long after its gateway's trouble ended for another reason.
const CAUSE_MAX: Duration = Duration::from_secs(20);

/// What the run sees of a client.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Which gateway it is connected to, since when.
    pub connection: Option<(usize, Instant)>,
    /// Connections that ended.
    pub cuts: u32,
    /// When the last of them ended.
    pub cut_at: Option<Instant>,
    /// Devices whose last event it has not seen.
    pub canaries: BTreeSet<String>,
}

/// Shared between the run and its clients.
#[derive(Default)]
pub struct Board {
    statuses: Vec<Mutex<Status>>,
    /// What was done to each gateway last, and when.
    trouble: [Mutex<Option<(String, Instant)>>; 2],
}

impl Board {
    /// For so many clients.
    #[must_use]
    pub fn new(clients: usize) -> Self {
        Self {
            statuses: (0..clients).map(|_| Mutex::default()).collect(),
            trouble: Default::default(),
        }
    }

    /// Says that something is done to a gateway.
    pub fn trouble(&self, gateway: usize, what: &str) {
        *lock(&self.trouble[gateway]) = Some((what.to_owned(), Instant::now()));
    }

    /// What every client is doing.
    #[must_use]
    pub fn all(&self) -> Vec<Status> {
        self.statuses.iter().map(|status| lock(status).clone()).collect()
    }

    fn update(&self, client: usize, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.statuses[client]));
    }

    fn cause(&self, gateway: usize) -> Option<(String, Instant)> {
        let trouble = lock(&self.trouble[gateway]).clone();
        trouble.filter(|(_, at)| at.elapsed() < CAUSE_MAX)
    }
}

/// What a client has seen.
#[derive(Debug)]
pub enum Seen {
    /// View `events`: hashes of id and kind by device, in order of arrival.
    Events(BTreeMap<String, Vec<u64>>),
    /// View `devices`.
    Devices(Map),
}

/// An event as clients tell it from others.
#[must_use]
pub fn mark(id: &str, kind: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, kind).hash(&mut hasher);
    hasher.finish()
}

/// A client.
pub struct Viewer {
    /// Which one.
    pub number: usize,
    /// Whose credential it has.
    pub tenant: &'static str,
    /// The devices that it asked for; `None` for all.
    pub devices: Option<BTreeSet<String>>,
    /// The kinds that it asked for; `None` for all.
    pub kinds: Option<BTreeSet<&'static str>>,
    /// What it has seen.
    pub seen: Seen,
    carrier: Carrier,
    query: String,
    cursor: Option<String>,
    gateways: [Api; 2],
    random: SmallRng,
    board: Arc<Board>,
    findings: Findings,
    /// The connection before ended then, and why.
    away: Option<(String, Instant)>,
}

/// Why a connection is over.
enum Over {
    Cut,
    Refused,
    Stopped,
    Complete,
}

impl Viewer {
    /// The client `number` of `gateways`, which show what `tokens` may see.
    #[must_use]
    pub fn new(
        number: usize,
        gateways: &[Api; 2],
        tokens: &[String; 2],
        seed: u64,
        board: &Arc<Board>,
        findings: &Findings,
    ) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let which = number / 4 % TENANTS.len();
        let of_events = number % 4 < 2;
        let devices = random.random_bool(0.75).then(|| {
            let count = random.random_range(1..6);
            (0..DEVICES)
                .map(device)
                .sample(&mut random, count)
                .into_iter()
                .collect::<BTreeSet<_>>()
        });
        let kinds = (of_events && random.random_bool(0.3))
            .then(|| BTreeSet::from(["presence", ["telemetry", "log", "deleted"][number % 3]]));
        let mut query = String::new();
        if let Some(devices) = &devices {
            let names: Vec<String> = devices.iter().map(|name| name.replace('/', "%2F")).collect();
            query.push_str(&format!("&device={}", names.join(",")));
        }
        if let Some(kinds) = &kinds {
            query.push_str(&format!(
                "&kind={}",
                kinds.iter().copied().collect::<Vec<_>>().join(",")
            ));
        }
        let seen = if of_events {
            query.push_str("&view=events&since=earliest");
            Seen::Events(BTreeMap::new())
        } else {
            let (snapshot, latest) = (random.random_bool(0.5), random.random_bool(0.4));
            query.push_str("&view=devices");
            query.push_str(if snapshot {
                "&snapshot=true"
            } else {
                "&since=earliest"
            });
            query.push_str(if latest { "&deliver=latest" } else { "" });
            Seen::Devices(Map::new(!snapshot && !latest))
        };
        let wanted = devices
            .clone()
            .unwrap_or_else(|| (0..DEVICES).map(device).collect());
        let telemetry = kinds.as_ref().is_none_or(|kinds| kinds.contains("telemetry"));
        board.update(number, |status| {
            status.canaries = if telemetry { wanted } else { BTreeSet::new() };
        });
        Self {
            number,
            tenant: TENANTS[which],
            devices,
            kinds,
            seen,
            carrier: [Carrier::Sse, Carrier::WebSocket][number % 2],
            query: query.trim_start_matches('&').to_owned(),
            cursor: None,
            gateways: gateways.clone().map(|gateway| gateway.with_token(&tokens[which])),
            random,
            board: Arc::clone(board),
            findings: findings.clone(),
            away: None,
        }
    }

    /// Watches until stopped, then reads to the end of the log once more.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Self {
        loop {
            if let Over::Stopped = self.connection(&mut stop, false).await {
                break;
            }
            let pause = self.random.random_range(30..300);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let end = async {
            while !matches!(self.connection(&mut stop, true).await, Over::Complete) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if timeout(END_MAX, end).await.is_err() {
            let named = self.named();
            self.findings.violation(
                "a stream has no end",
                format!("{named}: no caught_up in {END_MAX:?}"),
            );
        }
        self
    }

    /// What tells it from others.
    #[must_use]
    pub fn named(&self) -> String {
        format!(
            "client {} ({:?}, {}, {})",
            self.number, self.carrier, self.tenant, self.query
        )
    }

    async fn connection(&mut self, stop: &mut watch::Receiver<bool>, last: bool) -> Over {
        if *stop.borrow() && !last {
            return Over::Stopped;
        }
        if let (Seen::Devices(map), None) = (&mut self.seen, &self.cursor) {
            map.forget();
        }
        let gateway = self.random.random_range(0..2);
        let opening = Streaming::open(
            &self.gateways[gateway],
            self.carrier,
            &self.query,
            self.cursor.as_deref(),
        );
        let mut stream = match timeout(CONNECT_MAX, opening).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(ended)) => {
                self.refused(&ended);
                return Over::Cut;
            }
            Err(_) => return Over::Cut,
        };
        self.findings.count("connections", 1);
        let since = Instant::now();
        self.board
            .update(self.number, |status| status.connection = Some((gateway, since)));
        let over = loop {
            let next = tokio::select! {
                next = timeout(SILENCE_MAX, stream.next()) => next,
                changed = stop.changed(), if !last => {
                    changed.expect("the run goes on");
                    break Over::Stopped;
                }
            };
            if let Some(over) = self.over_with(next, last) {
                break over;
            }
        };
        if let Over::Cut = over {
            self.was_cut(gateway);
        }
        over
    }

    /// Takes in what came next, and tells whether the connection is over with that.
    fn over_with(&mut self, next: Result<Result<Frame, Ended>, Elapsed>, last: bool) -> Option<Over> {
        match next {
            Ok(Ok(frame)) => {
                self.take(&frame);
                match frame.kind.as_str() {
                    "caught_up" => {
                        if let Some((cause, since)) = self.away.take() {
                            self.findings
                                .took(format!("client live again after {cause}"), since.elapsed());
                        }
                        last.then_some(Over::Complete)
                    }
                    // Not taken in: a herd, or a gateway that is ending.
                    "fault" => Some(Over::Refused),
                    _ => None,
                }
            }
            Ok(Err(ended)) => {
                self.closed(&ended);
                Some(Over::Cut)
            }
            Err(_) => {
                self.findings.count("connections given up by their client", 1);
                Some(Over::Cut)
            }
        }
    }

    fn was_cut(&mut self, gateway: usize) {
        let now = Instant::now();
        let cause = self.board.cause(gateway);
        self.away
            .get_or_insert_with(|| cause.unwrap_or_else(|| ("another cut".to_owned(), now)));
        self.board.update(self.number, |status| {
            status.connection = None;
            status.cuts += 1;
            status.cut_at = Some(now);
        });
    }

    fn refused(&self, ended: &Ended) {
        match ended {
            Ended::Status(429 | 502 | 503 | 504, _) | Ended::Eof => {
                self.findings.count("connections refused", 1)
            }
            Ended::Status(..) | Ended::Closed(_) => {
                self.findings.violation(
                    "a stream is refused",
                    format!("{}: {ended:?}, with {:?}", self.named(), self.cursor),
                );
            }
        }
    }

    fn closed(&self, ended: &Ended) {
        if let Ended::Closed(code @ (4000.. | 1002 | 1003 | 1007 | 1008)) = ended {
            self.findings
                .violation("a stream is closed", format!("{}: {code}", self.named()));
        }
    }

    fn take(&mut self, frame: &Frame) {
        self.findings.count(format!("frames {}", frame.kind), 1);
        if frame.kind == "reset" {
            let evidence = format!("{}: {frame:?}, after {:?}", self.named(), self.cursor);
            self.findings.violation("a stream is reset", evidence);
        }
        let (tenant, name) = match frame.kind.as_str() {
            "event" => (text(&frame.data, "tenant"), text(&frame.data, "device")),
            "device" => (
                text(&frame.data["device"], "tenant"),
                text(&frame.data["device"], "id"),
            ),
            "deleted" => (self.tenant.to_owned(), text(&frame.data, "deleted")),
            _ => (self.tenant.to_owned(), String::new()),
        };
        if tenant != self.tenant
            || self
                .devices
                .as_ref()
                .is_some_and(|mine| !name.is_empty() && !mine.contains(&name))
        {
            let evidence = format!("{}: {frame:?}", self.named());
            self.findings
                .violation("a frame that was not asked for", evidence);
        }
        let canary = match &mut self.seen {
            Seen::Events(events) if frame.kind == "event" => {
                let id = text(&frame.data, "id");
                let canary = id.ends_with(CANARY);
                let kind = text(&frame.data, "kind");
                events.entry(name.clone()).or_default().push(mark(&id, &kind));
                canary
            }
            Seen::Events(_) => false,
            Seen::Devices(map) => {
                if let Err(problem) = map.take(frame) {
                    let evidence = format!("{}: {problem}, after {:?}", self.named(), self.cursor);
                    self.findings.violation("a change is lost or repeated", evidence);
                }
                frame.data["device"]["fields"]["canary"] == Value::Bool(true)
            }
        };
        if canary {
            self.board.update(self.number, |status| {
                status.canaries.remove(&name);
            });
        }
        if let Some(cursor) = &frame.cursor {
            self.cursor = Some(cursor.clone());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
