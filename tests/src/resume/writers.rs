//! Devices that report all along, and the record of what was acknowledged: the model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::api::Api;
use crate::seed::Seed;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Tenants that are written to; both have devices of the same names.
pub(super) const TENANTS: [&str; 2] = ["fleet", "other"];
/// Devices of each tenant.
pub(super) const DEVICES: usize = 24;
/// Writers of each tenant; each has devices of its own, so that their order is known.
const WRITERS: usize = 2;
/// Events that all writers together append before they slow down.
const EVENTS_AT_PACE: usize = 4_000;

/// A device of a tenant.
pub(super) type Device = (&'static str, String);

/// Ids of what was acknowledged, by device, in order; a sender's retry stands twice.
pub(super) type Accepted = BTreeMap<Device, Vec<String>>;

/// The name of a device.
pub(super) fn device(number: usize) -> String {
    format!("bus/{number}")
}

/// How many clients still want events to flow.
pub(super) type Wanting = Arc<AtomicUsize>;

/// Writers at work.
pub(super) struct Writers(JoinSet<Accepted>);

impl Writers {
    /// Starts them; each writes while `wanting` is not zero.
    pub(super) fn start(gateways: &[Api; 2], seed: Seed, wanting: &Wanting) -> Self {
        let mut tasks = JoinSet::new();
        for (at, tenant) in TENANTS.into_iter().enumerate() {
            for number in 0..WRITERS {
                let writer = Writer {
                    tenant,
                    name: format!("{tenant}-{number}"),
                    devices: (0..DEVICES).skip(number).step_by(WRITERS).map(device).collect(),
                    gateways: gateways.clone(),
                    random: seed.part(1_000_000 + (at * WRITERS + number) as u64),
                    accepted: Accepted::new(),
                    count: 0,
                };
                tasks.spawn(writer.run(Arc::clone(wanting)));
            }
        }
        Self(tasks)
    }

    /// What they have written, when they are done.
    pub(super) async fn done(mut self) -> Accepted {
        let mut accepted = Accepted::new();
        while let Some(part) = self.0.join_next().await {
            accepted.append(&mut part.expect("a writer"));
        }
        accepted
    }
}

struct Writer {
    tenant: &'static str,
    name: String,
    devices: Vec<String>,
    gateways: [Api; 2],
    random: SmallRng,
    accepted: Accepted,
    count: usize,
}

impl Writer {
    async fn run(mut self, wanting: Wanting) -> Accepted {
        while wanting.load(Ordering::Relaxed) > 0 {
            let mut batch: Vec<Value> = (0..self.random.random_range(1..12))
                .map(|_| self.event())
                .collect();
            // What a sender does that did not see the answer: the same again.
            let again = self.random.random_bool(0.1);
            self.send(&batch).await;
            if again {
                batch.truncate(3);
                self.send(&batch).await;
            }
            let slow = self.count > EVENTS_AT_PACE / (TENANTS.len() * WRITERS);
            let pause = if slow {
                300
            } else {
                self.random.random_range(0..40)
            };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.accepted
    }

    async fn send(&mut self, batch: &[Value]) {
        let api = self.gateways.choose(&mut self.random).expect("gateways");
        let path = format!("/v1/events?tenant={}", self.tenant);
        let answer = api.post(&path, &json!(batch)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        for event in batch {
            let device = (self.tenant, text(event, "device"));
            self.accepted.entry(device).or_default().push(text(event, "id"));
        }
    }

    fn event(&mut self) -> Value {
        self.count += 1;
        let count = self.count;
        let device = self.devices.choose(&mut self.random).expect("devices");
        let mut event = match self.random.random_range(0..100) {
            0..60 => json!({"kind": "telemetry", "fields": {"n": count, "load": {"axle": count % 7}}}),
            60..70 => json!({"kind": "log", "level": "info", "message": "x".repeat(count % 900)}),
            70..80 => json!({"kind": "lock", "locked": count.is_multiple_of(2), "source": "keypad"}),
            80..90 => json!({"kind": "entity", "entity_id": format!("lamp-{}", count % 3), "value": count}),
            90..96 => json!({"kind": "device", "name": format!("Bus {count}"), "tags": ["a"]}),
            _ => json!({"kind": "deleted"}),
        };
        event["device"] = json!(device);
        event["id"] = json!(format!("{}-{count}", self.name));
        event["seq"] = json!(count);
        event
    }
}

fn text(event: &Value, member: &str) -> String {
    event[member].as_str().expect("a text").to_owned()
}

/// A generator seeded from another.
pub(super) fn fork(random: &mut SmallRng) -> SmallRng {
    SmallRng::seed_from_u64(random.random())
}
