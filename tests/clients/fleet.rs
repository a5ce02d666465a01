//! A node as a process, killed and started again at its address, and the events that it was sent.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::api::Api;
use tests::program::Program;

use crate::client::Seen;

/// The tenant of the events.
const TENANT: &str = "acme";
/// Longest text in an event: cuts fall into events more often than between them.
const TEXT_BYTES_MAX: usize = 3_000;
/// Enough of them to lie in several partitions.
const DEVICES: [&str; 6] = ["bus-1", "bus-2", "depot/gate", "tram 7", "bus-5", "ferry-ü"];

/// Numbers of each device's events, in order.
type Sequences = BTreeMap<String, Vec<u64>>;

/// A node with data of its own.
pub(crate) struct Fleet {
    data: TempDir,
    arguments: &'static [&'static str],
    program: Option<Program>,
    /// As `system`; the address stays the same over restarts.
    api: Api,
    /// May send.
    sender: Api,
    /// The credential of a client that reads.
    pub(crate) reader: String,
    sent: Sequences,
}

impl Fleet {
    /// A node whose settings are `arguments`.
    pub(crate) async fn start(arguments: &'static [&'static str]) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let (program, api) = Program::serve(data.path(), arguments).await;
        let sender = api.token(&json!({"role": "ingest", "tenant": TENANT})).await;
        let reader = api.token(&json!({"role": "user", "tenant": TENANT})).await;
        Self {
            data,
            arguments,
            program: Some(program),
            sender: api.with_token(&sender),
            api,
            reader,
            sent: Sequences::new(),
        }
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        self.api.base.trim_start_matches("http://")
    }

    /// Ends the node as a crash would, and starts it again.
    pub(crate) async fn crash(&mut self) {
        if let Some(program) = self.program.take() {
            program.kill().await;
        }
        let (program, _) = Program::serve_at(self.address(), self.data.path(), self.arguments).await;
        self.program = Some(program);
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
}

fn number(event: &Value) -> u64 {
    event["seq"].as_u64().expect("a number")
}
