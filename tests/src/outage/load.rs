//! Senders of known events, and the record of what was acknowledged: the model.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::findings::Findings;
use crate::api::Api;

/// Tenants; their depots have the same names, and no other devices do.
pub const TENANTS: [&str; 2] = ["fleet", "other"];
/// Devices of each tenant.
pub const DEVICES: usize = 24;
/// Senders of each tenant; each has devices of its own, so that their order is known.
const SENDERS: usize = 3;
/// How long a sender waits for an answer: more than ingest takes to say 503.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest wait of a sender for all to be acknowledged once nothing is disturbed any more.
const SETTLE_MAX: Duration = Duration::from_secs(90);
/// Ends the id of the events that close a run.
pub const CANARY: &str = "-canary";

/// How the names of the devices end that go on when the others have fallen silent.
const FEW: [&str; 3] = ["-3", "-6", "-9"];
/// Between two signs of life of the few: less than `stale-after`, and seldom, so that documents stand still between.
const FEW_EVERY: Duration = Duration::from_millis(2_500);

/// A device of a tenant.
pub type Device = (&'static str, String);

/// What was sent of one device, all of it acknowledged.
#[derive(Debug, Clone, Default)]
pub struct OfDevice {
    /// Ids in the order in which they were sent.
    pub ids: Vec<String>,
    /// How often each id was sent again: so often it may stand in the log once more.
    pub again: BTreeMap<String, u32>,
    /// `fields.n` as the last telemetry left it; `None` when the device was deleted since.
    pub n: Option<usize>,
}

/// What was sent.
pub type Sent = BTreeMap<Device, OfDevice>;

/// The names of a tenant's devices.
pub fn devices(tenant: &str) -> impl Iterator<Item = String> + use<> {
    let vehicle = if tenant == TENANTS[0] { "bus" } else { "tram" };
    (0..DEVICES).map(move |number| {
        if number.is_multiple_of(5) {
            format!("depot/{number}")
        } else {
            format!("{vehicle}-{number}")
        }
    })
}

/// Devices that are deleted now and then, and come again.
#[must_use]
pub fn is_mortal(device: &str) -> bool {
    device.ends_with('7')
}

/// Devices that go on for a while when the others have fallen silent.
#[must_use]
pub fn is_of_few(device: &str) -> bool {
    FEW.iter().any(|end| device.ends_with(end))
}

/// Who still sends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flow {
    All,
    Few,
    None,
}

/// Senders at work.
pub struct Load {
    tasks: JoinSet<Sender>,
    flow: watch::Sender<Flow>,
    /// A sender tells that all its devices but the few have had their last events.
    ebbed: mpsc::Receiver<()>,
    /// Events acknowledged so far.
    pub acknowledged: Arc<AtomicU64>,
}

struct Sender {
    tenant: &'static str,
    devices: Vec<String>,
    ingest: Vec<Api>,
    random: SmallRng,
    sent: Sent,
    quiet_until: BTreeMap<String, Instant>,
    acknowledged: Arc<AtomicU64>,
    findings: Findings,
}

impl Load {
    /// Starts senders to these nodes.
    #[must_use]
    pub fn start(ingest: &[Api], random: &mut SmallRng, findings: &Findings) -> Self {
        let (flow, flow_seen) = watch::channel(Flow::All);
        let (ebb, ebbed) = mpsc::channel(TENANTS.len() * SENDERS);
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for tenant in TENANTS {
            for number in 0..SENDERS {
                let sender = Sender {
                    tenant,
                    devices: devices(tenant).skip(number).step_by(SENDERS).collect(),
                    ingest: ingest.to_vec(),
                    random: SmallRng::seed_from_u64(random.random()),
                    sent: Sent::new(),
                    quiet_until: BTreeMap::new(),
                    acknowledged: Arc::clone(&acknowledged),
                    findings: findings.clone(),
                };
                tasks.spawn(sender.run(flow_seen.clone(), ebb.clone()));
            }
        }
        Self {
            tasks,
            flow,
            ebbed,
            acknowledged,
        }
    }

    /// Sends the last events of every device but a few. These go on.
    pub async fn ebb(&mut self) {
        self.flow.send_replace(Flow::Few);
        for _ in 0..TENANTS.len() * SENDERS {
            self.ebbed.recv().await.expect("a sender");
        }
    }

    /// Sends the last events of the others too. What was sent.
    pub async fn finish(mut self) -> Sent {
        self.flow.send_replace(Flow::None);
        let mut sent = Sent::new();
        while let Some(sender) = self.tasks.join_next().await {
            sent.append(&mut sender.expect("a sender").sent);
        }
        sent
    }
}

impl Sender {
    async fn run(mut self, mut flow: watch::Receiver<Flow>, ebb: mpsc::Sender<()>) -> Self {
        while *flow.borrow_and_update() == Flow::All {
            let count = self.random.random_range(1..6);
            let batch: VecDeque<Value> = (0..count).filter_map(|_| self.event()).collect();
            self.deliver(batch, &flow).await;
            tokio::time::sleep(Duration::from_millis(self.random.random_range(100..350))).await;
        }
        let (few, others): (Vec<String>, Vec<String>) =
            self.devices.iter().cloned().partition(|device| is_of_few(device));
        self.last_events(&others, &flow).await;
        ebb.send(()).await.expect("the run goes on");
        while *flow.borrow_and_update() != Flow::None {
            let batch = few.iter().map(|device| self.sign_of_life(device)).collect();
            self.deliver(batch, &flow).await;
            // Whichever comes first.
            let _changed = tokio::time::timeout(FEW_EVERY, flow.changed()).await;
        }
        self.last_events(&few, &flow).await;
        self
    }

    async fn last_events(&mut self, devices: &[String], flow: &watch::Receiver<Flow>) {
        let canaries = devices.iter().flat_map(|device| self.canaries(device)).collect();
        self.deliver(canaries, flow).await;
    }

    fn sign_of_life(&mut self, device: &str) -> Value {
        let n = self.number_of(device);
        self.record(device, n, json!({"kind": "telemetry", "fields": {"n": n}}), "")
    }

    /// Goes on until every event is acknowledged.
    async fn deliver(&mut self, mut waiting: VecDeque<Value>, flow: &watch::Receiver<Flow>) {
        let mut settling = None;
        while !waiting.is_empty() {
            let taken = self.post(&waiting).await;
            let before = waiting.len();
            waiting.retain(|event| !taken.contains(&text(event, "id")));
            self.acknowledged
                .fetch_add((before - waiting.len()) as u64, Ordering::AcqRel);
            if waiting.is_empty() {
                return;
            }
            self.findings.count("events sent again", waiting.len() as u64);
            self.note_again(&waiting);
            if *flow.borrow() != Flow::All && settling.get_or_insert_with(Instant::now).elapsed() > SETTLE_MAX
            {
                self.findings.violation(
                    "ingest does not recover",
                    format!("{} events of {} after {SETTLE_MAX:?}", waiting.len(), self.tenant),
                );
                return;
            }
            tokio::time::sleep(Duration::from_millis(self.random.random_range(50..250))).await;
        }
    }

    fn note_again(&mut self, waiting: &VecDeque<Value>) {
        for event in waiting {
            let device = (self.tenant, text(event, "device"));
            if let Some(sent) = self.sent.get_mut(&device) {
                *sent.again.entry(text(event, "id")).or_default() += 1;
            }
        }
    }

    /// Ids of the events that were acknowledged; none when there was no answer.
    async fn post(&mut self, events: &VecDeque<Value>) -> Vec<String> {
        let ingest = self.ingest.choose(&mut self.random).expect("nodes").clone();
        let path = format!("/v1/events?tenant={}", self.tenant);
        let begun = Instant::now();
        let request = ingest
            .request(reqwest::Method::POST, &path)
            .json(events)
            .timeout(PATIENCE);
        let Ok(response) = request.send().await else {
            self.findings.count("requests without an answer", 1);
            return Vec::new();
        };
        let status = response.status().as_u16();
        let text_of = response.text().await.unwrap_or_default();
        let Ok(answer) = serde_json::from_str::<Value>(&text_of) else {
            self.findings.count(format!("answers {status} cut off"), 1);
            return Vec::new();
        };
        self.findings.count(format!("answers {status}"), 1);
        if status == 200 {
            self.findings.took("acknowledgement", begun.elapsed());
        }
        let Some(rejected) = answer["rejected"].as_array() else {
            // Access is not known yet, right after a start.
            if status != 503 {
                self.findings
                    .violation("ingest refuses good events", format!("{status} {text_of}"));
            }
            return Vec::new();
        };
        let again = |item: &Value| item["retry"] == json!(true);
        if !matches!(status, 200 | 207 | 503) || !rejected.iter().all(again) {
            self.findings
                .violation("ingest refuses good events", format!("{status} {text_of}"));
        }
        let refused: Vec<u64> = rejected
            .iter()
            .filter_map(|item| item["index"].as_u64())
            .collect();
        let kept = events
            .iter()
            .zip(0..)
            .filter(|(_, index)| !refused.contains(index));
        kept.map(|(event, _)| text(event, "id")).collect()
    }

    fn event(&mut self) -> Option<Value> {
        let device = self.devices.choose(&mut self.random)?.clone();
        let now = Instant::now();
        if self.quiet_until.get(&device).is_some_and(|until| *until > now) {
            return None;
        }
        if self.random.random_bool(0.005) {
            let quiet = Duration::from_secs(self.random.random_range(5..15));
            self.quiet_until.insert(device.clone(), now + quiet);
        }
        let n = self.number_of(&device);
        let drawn = self.random.random_range(0..100);
        let body = match drawn {
            0..60 => json!({"kind": "telemetry", "fields": {"n": n, "load": {"axle": n % 7}}}),
            60..70 => json!({"kind": "log", "level": "info", "message": "x".repeat(n % 300)}),
            70..80 => json!({"kind": "lock", "locked": n.is_multiple_of(2), "source": "keypad"}),
            80..90 => json!({"kind": "entity", "entity_id": format!("lamp-{}", n % 3), "value": n}),
            98.. if is_mortal(&device) => json!({"kind": "deleted"}),
            _ => json!({"kind": "device", "name": format!("Bus {n}"), "tags": ["a"]}),
        };
        Some(self.record(&device, n, body, ""))
    }

    /// The last events of a device, one of each kind that clients may have asked for alone.
    fn canaries(&mut self, device: &str) -> Vec<Value> {
        let mut bodies = vec![json!({"kind": "log", "level": "info", "message": "the last one"})];
        if is_mortal(device) {
            bodies.push(json!({"kind": "deleted"}));
        }
        bodies.push(json!({"kind": "telemetry", "fields": {"canary": true}}));
        let mut events = Vec::new();
        for mut body in bodies {
            let n = self.number_of(device);
            if body["kind"] == "telemetry" {
                body["fields"]["n"] = json!(n);
            }
            events.push(self.record(device, n, body, CANARY));
        }
        events
    }

    fn number_of(&self, device: &str) -> usize {
        let sent = self.sent.get(&(self.tenant, device.to_owned()));
        sent.map_or(1, |sent| sent.ids.len() + 1)
    }

    fn record(&mut self, device: &str, n: usize, mut event: Value, suffix: &str) -> Value {
        let id = format!("{}-{device}-{n}{suffix}", self.tenant);
        let sent = self.sent.entry((self.tenant, device.to_owned())).or_default();
        sent.ids.push(id.clone());
        match event["kind"].as_str() {
            Some("telemetry") => sent.n = Some(n),
            Some("deleted") => sent.n = None,
            _ => {}
        }
        event["device"] = json!(device);
        event["id"] = json!(id);
        event["seq"] = json!(n);
        event
    }
}

/// A text member.
pub(super) fn text(event: &Value, member: &str) -> String {
    event[member].as_str().unwrap_or_default().to_owned()
}
