//! Clients of streams: cut by what happens to them, and back with the id of the last frame that they read.

mod board;
mod documents;
mod plan;
mod turner;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub use board::{Board, Canary, Phase, Status};
pub use documents::{Map, stable};
pub use turner::CUT_WHILE_EXCHANGED;

use super::findings::Findings;
use super::load::{CANARY, text};
use super::process::WITHOUT_KEEP_ALIVES;
use crate::api::Api;
use crate::stream::{Carrier, Ended, Frame, Streaming};
use plan::Plan;

/// How long a client waits for any frame: keep-alives come every 2 s.
const SILENCE_MAX: Duration = Duration::from_secs(8);
/// The same where keep-alives are off: only what is to be said is said, and a hanging stream hangs.
const SILENCE_UNTOLD_MAX: Duration = Duration::from_secs(3_600);
/// Why a stream is not taken in that may be tried again.
const REFUSALS: [&str; 5] = [
    "no room",
    "about to stop",
    "as it may have",
    "try again",
    "still reading",
];
/// How long it waits for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(6);
/// Milliseconds before it connects again.
const PAUSE_MS: Range<u64> = 30..300;
/// How long the last reading to the end may take, when nothing is disturbed any more.
const END_MAX: Duration = Duration::from_secs(60);

/// What a client has seen.
#[derive(Debug)]
pub enum Seen {
    /// View `events`: hashes of id and kind by device, in order of arrival.
    Events(BTreeMap<String, Vec<u64>>),
    /// View `devices`.
    Devices(Map),
}

impl Seen {
    const fn events() -> Self {
        Self::Events(BTreeMap::new())
    }
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
    /// The kinds that it asked for; `None` for all.
    pub kinds: Option<BTreeSet<&'static str>>,
    /// What it has seen.
    pub seen: Seen,
    /// The devices of which it may be told.
    pub wanted: BTreeSet<String>,
    carrier: Carrier,
    query: String,
    cursor: Option<String>,
    gateways: [Api; 2],
    random: SmallRng,
    board: Arc<Board>,
    findings: Findings,
    turns: bool,
    /// Since when its connection is open.
    since: Instant,
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

/// When a connection is complete.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Until {
    /// Never, but it may be stopped.
    Stopped,
    /// With so many documents of a snapshot, or its end.
    Documents(usize),
    /// So long after the end of the log was reached.
    Live(Duration),
    /// Once the end of the log is reached.
    End,
}

impl Viewer {
    /// The client `number` of `gateways`, which show what `tokens` may see. One that `turns` pages of snapshots
    /// does that all along.
    #[must_use]
    pub fn new(
        number: usize,
        turns: bool,
        gateways: &[Api; 2],
        tokens: &[String; 2],
        seed: u64,
        board: &Arc<Board>,
        findings: &Findings,
    ) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let plan = if turns {
            Plan::of_snapshots(number)
        } else {
            Plan::draw(number, &mut random)
        };
        board.update(number, |status| status.canaries = plan.canaries());
        Self {
            number,
            wanted: plan.wanted(),
            tenant: plan.tenant,
            kinds: plan.kinds,
            seen: plan.seen,
            carrier: [Carrier::Sse, Carrier::WebSocket][number % 2],
            query: plan.query,
            cursor: None,
            gateways: gateways
                .clone()
                .map(|gateway| gateway.with_token(&tokens[plan.which])),
            random,
            board: Arc::clone(board),
            findings: findings.clone(),
            turns,
            since: Instant::now(),
            away: None,
        }
    }

    /// Watches until stopped, then reads to the end of the log once more.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Self {
        if self.turns {
            self.turn(&mut stop).await;
        }
        loop {
            if let Over::Stopped = self.connection(&mut stop, Until::Stopped).await {
                break;
            }
            sleep(Duration::from_millis(self.random.random_range(PAUSE_MS))).await;
        }
        let end = async {
            while !matches!(self.connection(&mut stop, Until::End).await, Over::Complete) {
                sleep(Duration::from_millis(100)).await;
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

    async fn connection(&mut self, stop: &mut watch::Receiver<bool>, until: Until) -> Over {
        if *stop.borrow() && until != Until::End {
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
                return Over::Refused;
            }
            Err(_) => {
                self.refused(&Ended::Eof);
                return Over::Refused;
            }
        };
        self.findings.count("connections", 1);
        self.since = Instant::now();
        let connection = Some((gateway, self.since));
        self.board
            .update(self.number, |status| status.connection = connection);
        let silence_max = if gateway == WITHOUT_KEEP_ALIVES {
            SILENCE_UNTOLD_MAX
        } else {
            SILENCE_MAX
        };
        let over = self.follow(&mut stream, stop, until, silence_max).await;
        self.board.update(self.number, |status| status.connection = None);
        if let Seen::Devices(map) = &mut self.seen {
            map.resumed();
        }
        if let Over::Cut = over {
            self.was_cut(gateway);
        }
        over
    }

    async fn follow(
        &mut self,
        stream: &mut Streaming,
        stop: &mut watch::Receiver<bool>,
        until: Until,
        silence_max: Duration,
    ) -> Over {
        let (mut frames, mut documents) = (0, 0);
        let mut end: Option<Instant> = None;
        loop {
            let next = tokio::select! {
                next = timeout(silence_max, stream.next()) => next,
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => return Over::Complete,
                changed = stop.changed(), if until != Until::End => {
                    changed.expect("the run goes on");
                    return Over::Stopped;
                }
            };
            let frame = match self.received(next, frames) {
                Ok(frame) => frame,
                Err(over) => return over,
            };
            frames += 1;
            let is_end = frame.kind == "caught_up";
            documents += usize::from(documents::is_of_snapshot(&frame));
            match until {
                Until::End if is_end => return Over::Complete,
                Until::Documents(count) if is_end || documents == count => return Over::Complete,
                Until::Live(duration) if is_end => end = Some(Instant::now() + duration),
                Until::Stopped | Until::End | Until::Documents(_) | Until::Live(_) => {}
            }
        }
    }

    /// Takes in what came next, unless the connection is over with that.
    fn received(
        &mut self,
        next: Result<Result<Frame, Ended>, Elapsed>,
        frames_before: u64,
    ) -> Result<Frame, Over> {
        match next {
            Ok(Ok(frame)) => {
                self.take(&frame);
                match frame.kind.as_str() {
                    "caught_up" => self.is_live(),
                    "fault" => return Err(self.faulted(&frame, frames_before)),
                    _ => {}
                }
                Ok(frame)
            }
            Ok(Err(ended)) => {
                self.closed(&ended);
                Err(Over::Cut)
            }
            Err(_) => {
                self.findings.count("connections given up by their client", 1);
                if self.board.calm().is_some() {
                    let evidence = format!("{}: nothing for {SILENCE_MAX:?}", self.named());
                    self.findings.violation("a stream hangs", evidence);
                }
                Err(Over::Cut)
            }
        }
    }

    /// Not taken in, as by a 503: a herd, a gateway that is about to stop, or one that cannot tell yet where the stream
    /// should run. Nothing else is told so; what was taken in is ended without a word, or for cause, and there is none.
    fn faulted(&self, frame: &Frame, frames_before: u64) -> Over {
        let reason = text(&frame.data, "reason");
        if frames_before == 0 && REFUSALS.iter().any(|refusal| reason.contains(refusal)) {
            self.refused(&Ended::Status(503, reason));
            return Over::Refused;
        }
        let evidence = format!("{}: {frame:?}, after {frames_before} frames", self.named());
        self.findings.violation("a stream is closed", evidence);
        Over::Cut
    }

    fn is_live(&mut self) {
        if let Some((cause, since)) = self.away.take() {
            self.findings
                .took(format!("client live again after {cause}"), since.elapsed());
        }
    }

    fn was_cut(&mut self, gateway: usize) {
        let now = Instant::now();
        let cause = self.board.cause(gateway);
        self.away
            .get_or_insert_with(|| cause.unwrap_or_else(|| ("another cut".to_owned(), now)));
        self.board.update(self.number, |status| {
            status.cuts += 1;
            status.cut_at = Some(now);
        });
    }

    fn refused(&self, ended: &Ended) {
        match ended {
            Ended::Status(429 | 502 | 503 | 504, _) | Ended::Eof => {
                self.findings.count("connections refused", 1);
                if self.board.calm().is_some() {
                    let evidence = format!("{}: {ended:?}, and nothing happens", self.named());
                    self.findings.violation("a stream is refused", evidence);
                }
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
        let faulty = matches!(ended, Ended::Closed(4000..|1002| 1003 | 1007 | 1008 | 1011));
        if faulty || self.board.calm().is_some() {
            let evidence = format!("{}: {ended:?}", self.named());
            self.findings.violation("a stream is closed", evidence);
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
        if tenant != self.tenant || !name.is_empty() && !self.wanted.contains(&name) {
            let evidence = format!("{}: {frame:?}", self.named());
            self.findings
                .violation("a frame that was not asked for", evidence);
        }
        let shown = self.see(frame, &name);
        if !shown.is_empty() && self.board.calm().is_some_and(|calm| self.since < calm) {
            // On a connection that is open since before it was sent: what hangs is not healed by another.
            self.board.update(self.number, |status| {
                let is_shown = |(device, kind): &Canary| *device == name && shown.contains(kind);
                status.canaries.retain(|canary| !is_shown(canary));
            });
        }
        if let Some(cursor) = &frame.cursor {
            self.cursor = Some(cursor.clone());
        }
    }

    /// The kinds of last events that a frame shows.
    fn see(&mut self, frame: &Frame, name: &str) -> &'static [&'static str] {
        match &mut self.seen {
            Seen::Events(events) if frame.kind == "event" => {
                let (id, kind) = (text(&frame.data, "id"), text(&frame.data, "kind"));
                events.entry(name.to_owned()).or_default().push(mark(&id, &kind));
                match kind.as_str() {
                    "presence" if frame.data["status"] == "OFFLINE" => &["presence"],
                    "telemetry" if id.ends_with(CANARY) => &["telemetry"],
                    "log" if id.ends_with(CANARY) => &["log"],
                    "deleted" if id.ends_with(CANARY) => &["deleted"],
                    _ => &[],
                }
            }
            Seen::Events(_) => &[],
            Seen::Devices(map) => {
                if let Err(problem) = map.take(frame) {
                    let evidence = format!("{}: {problem}, after {:?}", self.named(), self.cursor);
                    self.findings.violation("a change is lost or repeated", evidence);
                }
                let document = &frame.data["device"];
                match document["fields"]["canary"] == Value::Bool(true) {
                    // A conflated stream may show only how it ends.
                    true if document["status"] == "OFFLINE" => &["telemetry", "presence"],
                    true => &["telemetry"],
                    false => &[],
                }
            }
        }
    }
}
