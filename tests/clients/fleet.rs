//! Events that are sent, and a node as a process, killed and started again at its address.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::api::Api;
use tests::program::Program;
use tests::wait;

use crate::client::Seen;

/// The tenant of the events.
const TENANT: &str = "acme";
/// Longest text in an event: cuts fall into events more often than between them.
const TEXT_BYTES_MAX: usize = 3_000;
/// Enough of them to lie in several partitions.
const DEVICES: [&str; 6] = ["bus-1", "bus-2", "depot/gate", "tram 7", "bus-5", "ferry-ü"];

/// Numbers of each device's events, in order.
type Sequences = BTreeMap<String, Vec<u64>>;

/// What was sent, and by whom.
pub(crate) struct Sent {
    /// As `system`.
    api: Api,
    /// May send.
    sender: Api,
    /// The credential of a client that reads.
    pub(crate) reader: String,
    sent: Sequences,
}

impl Sent {
    /// Nothing yet, to the node of `api`.
    pub(crate) async fn nothing(api: &Api) -> Self {
        let sender = api.token(&json!({"role": "ingest", "tenant": TENANT})).await;
        let reader = api.token(&json!({"role": "user", "tenant": TENANT})).await;
        Self {
            sender: api.with_token(&sender),
            api: api.clone(),
            reader,
            sent: Sequences::new(),
        }
    }

    /// Sends `count` events of all devices.
    pub(crate) async fn send(&mut self, count: usize, random: &mut SmallRng) {
        for _ in 0..count {
            let device = DEVICES[random.random_range(0..DEVICES.len())];
            self.send_of(device, random).await;
        }
    }

    /// Sends an event of one device; the answer's cursor.
    pub(crate) async fn send_of(&mut self, device: &str, random: &mut SmallRng) -> String {
        let numbers = self.sent.entry(device.to_owned()).or_default();
        let text = "é\n:".repeat(random.random_range(0..TEXT_BYTES_MAX / 4));
        let number = numbers.len() as u64;
        numbers.push(number);
        let event = json!({"device": device, "kind": "telemetry", "seq": number, "fields": {"text": text, "n": number}});
        self.sender.send_events(&[event]).await
    }

    /// Panics unless a client saw every event once, and each device's in order.
    pub(crate) fn assert_seen(&self, who: &str, seen: &[Seen]) {
        let mut found = Sequences::new();
        for frame in seen.iter().filter(|frame| frame.event == "message") {
            let event = &frame.data;
            assert_eq!(event["fields"]["n"], event["seq"], "{who}: {event}");
            let device = event["device"].as_str().expect("a device").to_owned();
            found.entry(device).or_default().push(number(event));
        }
        assert_eq!(found, self.sent, "{who}");
    }

    /// The documents by id, once everything is folded and the reactor has seen every device.
    pub(crate) async fn documents(&self) -> BTreeMap<String, Value> {
        wait::until("every device is folded", || async {
            let listed = self
                .api
                .get(&format!("/v1/devices?tenant={TENANT}&limit=1000"))
                .await;
            let named = |document: &Value| Some((document["id"].as_str()?.to_owned(), document.clone()));
            let documents = listed.json["devices"].as_array()?.iter().map(named);
            let documents: BTreeMap<String, Value> = documents.collect::<Option<_>>()?;
            let is_done = |(device, numbers): (&String, &Vec<u64>)| {
                let document = documents.get(device);
                document
                    .is_some_and(|it| it["fields"]["n"] == json!(numbers.last()) && it["status"] == "ONLINE")
            };
            self.sent.iter().all(is_done).then_some(documents)
        })
        .await
    }
}

/// A node with data of its own, and what it was sent.
pub(crate) struct Fleet {
    data: TempDir,
    arguments: &'static [&'static str],
    program: Option<Program>,
    /// `host:port`; it stays the same over restarts.
    address: String,
    pub(crate) events: Sent,
}

impl Fleet {
    /// A node whose settings are `arguments`.
    pub(crate) async fn start(arguments: &'static [&'static str]) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let (program, api) = Program::serve(data.path(), arguments).await;
        Self {
            data,
            arguments,
            program: Some(program),
            address: api.base.trim_start_matches("http://").to_owned(),
            events: Sent::nothing(&api).await,
        }
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Ends the node as a crash would, and starts it again.
    pub(crate) async fn crash(&mut self) {
        if let Some(program) = self.program.take() {
            program.kill().await;
        }
        let (program, _) = Program::serve_at(&self.address, self.data.path(), self.arguments).await;
        self.program = Some(program);
    }
}

fn number(event: &Value) -> u64 {
    event["seq"].as_u64().expect("a number")
}
