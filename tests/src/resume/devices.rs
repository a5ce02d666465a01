//! View `devices`, with snapshots that are cut in their middle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::api::Api;
use crate::seed::{Seed, scale};
use crate::stream::Frame;
use crate::wait::DEADLINE;
use rand::RngExt as _;
use rand::seq::IteratorRandom as _;
use serde_json::Value;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::clients::Client;
use super::writers::{DEVICES, TENANTS, Writers, device, fork};

/// Clients that come and go.
const CLIENTS: usize = 80;
/// Connections of each, at least.
const SESSIONS: u64 = 24;

/// Documents by id.
type Documents = BTreeMap<String, Value>;

/// Clients of the `gateways`, cut at random while events flow: each ends with exactly the final documents.
/// Panics otherwise. Returns what was done.
pub async fn every_client_ends_with_exactly_the_final_documents(gateways: &[Api; 2], seed: Seed) -> String {
    let wanting = Arc::new(AtomicUsize::new(CLIENTS));
    let finished = Arc::new(Barrier::new(CLIENTS + 1));
    let mut clients = JoinSet::new();
    let writers = Writers::start(gateways, seed, &wanting);
    for number in 0..CLIENTS {
        let mut map = Map::new(number, gateways, seed);
        let (wanting, finished) = (Arc::clone(&wanting), Arc::clone(&finished));
        clients.spawn(async move {
            for _ in 0..SESSIONS * scale() {
                map.session().await;
            }
            wanting.fetch_sub(1, Ordering::Relaxed);
            finished.wait().await;
            map.finish().await;
            map
        });
    }
    let accepted = writers.done().await;
    let mut documents = BTreeMap::new();
    for tenant in TENANTS {
        documents.insert(tenant, settled(&gateways[0], tenant).await);
    }
    finished.wait().await;
    let mut snapshots_resumed = 0;
    while let Some(map) = clients.join_next().await {
        let map = map.expect("a client");
        map.has_exactly(&documents[map.tenant]);
        snapshots_resumed += map.snapshots_resumed;
    }
    assert!(snapshots_resumed > 0, "no snapshot was cut in its middle");
    format!(
        "{CLIENTS} clients, {} sessions each, {snapshots_resumed} snapshots resumed; {} events",
        SESSIONS * scale(),
        accepted.values().map(Vec::len).sum::<usize>(),
    )
}

/// The documents of a tenant once nothing more happens to them: the reactor has seen every device, which
/// it says by an event of its own.
pub(super) async fn settled(api: &Api, tenant: &str) -> Documents {
    let until = Instant::now() + DEADLINE;
    let mut last = Documents::new();
    let mut same = 0;
    loop {
        let listed = documents(api, tenant).await;
        // One that was only registered was never seen, and has no status.
        let unseen = |document: &Value| document["last_seen_at"].is_null();
        let told = |document: &Value| document["status"] == "ONLINE" || unseen(document);
        let now: Documents = listed.iter().map(named).collect();
        same = if now == last && listed.iter().all(told) {
            same + 1
        } else {
            0
        };
        if same == 5 {
            return now;
        }
        assert!(Instant::now() < until, "{tenant} is not settled: {listed:#?}");
        last = now;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn documents(api: &Api, tenant: &str) -> Vec<Value> {
    let answer = api.get(&format!("/v1/devices?tenant={tenant}&limit=1000")).await;
    answer.json["devices"].as_array().expect("devices").clone()
}

fn named(document: &Value) -> (String, Value) {
    (
        document["id"].as_str().expect("an id").to_owned(),
        stable(document),
    )
}

/// A document without the times of what did not change: that they moved is no reason to tell a stream.
fn stable(document: &Value) -> Value {
    let mut document = document.clone();
    let members = document.as_object_mut().expect("a document");
    members.remove("last_seen_at");
    if let Some(Value::Object(lock)) = members.get_mut("lock") {
        lock.remove("at");
    }
    if let Some(Value::Object(entities)) = members.get_mut("entities") {
        entities
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(|entity| drop(entity.remove("at")));
    }
    document
}

/// A client that keeps a map of devices, as a product's screen does.
struct Map {
    client: Client,
    tenant: &'static str,
    devices: Option<BTreeSet<String>>,
    documents: Documents,
    snapshots_resumed: usize,
}

impl Map {
    fn new(number: usize, gateways: &[Api; 2], seed: Seed) -> Self {
        let mut random = seed.part(number as u64);
        let tenant = TENANTS[number / 2 % 2];
        let devices = random.random_bool(0.4).then(|| {
            let count = random.random_range(1..12);
            (0..DEVICES)
                .map(device)
                .sample(&mut random, count)
                .into_iter()
                .collect::<BTreeSet<_>>()
        });
        let mut query = format!("tenant={tenant}&view=devices");
        if let Some(devices) = &devices {
            let names: Vec<String> = devices.iter().map(|name| name.replace('/', "%2F")).collect();
            query.push_str(&format!("&device={}", names.join(",")));
        }
        // Changes from the first on make the same map as a snapshot does.
        query.push_str(if random.random_bool(0.8) {
            "&snapshot=true"
        } else {
            "&since=earliest"
        });
        if random.random_bool(0.3) {
            query.push_str("&deliver=latest");
        }
        let client = Client::new(number, query, gateways.clone(), fork(&mut random));
        Self {
            client,
            tenant,
            devices,
            documents: Documents::new(),
            snapshots_resumed: 0,
        }
    }

    async fn session(&mut self) {
        self.forget();
        let Self {
            client, documents, ..
        } = self;
        client.session(&mut |frame| take(documents, frame)).await;
    }

    async fn finish(&mut self) {
        self.forget();
        let Self {
            client, documents, ..
        } = self;
        client
            .until(&mut |frame| take(documents, frame), |frame| {
                frame.kind == "caught_up"
            })
            .await;
    }

    /// What begins anew begins with nothing.
    fn forget(&mut self) {
        match self.client.cursor.as_deref().map(str::parse::<journal::Cursor>) {
            None => self.documents.clear(),
            Some(cursor) => {
                self.snapshots_resumed += usize::from(cursor.expect("a cursor").snapshot.is_some());
            }
        }
    }

    fn has_exactly(&self, documents: &Documents) {
        let mut expected = documents.clone();
        expected.retain(|id, _| self.devices.as_ref().is_none_or(|devices| devices.contains(id)));
        let named = self.client.named();
        for id in expected.keys().chain(self.documents.keys()) {
            assert_eq!(
                self.documents.get(id),
                expected.get(id),
                "{named}: {id}: left: has, right: should have"
            );
        }
    }
}

fn take(documents: &mut Documents, frame: &Frame) {
    match frame.kind.as_str() {
        "device" => {
            let document = stable(&frame.data["device"]);
            let id = document["id"].as_str().expect("an id").to_owned();
            documents.insert(id, document);
        }
        "deleted" => {
            documents.remove(frame.data["deleted"].as_str().expect("an id"));
        }
        _ => {}
    }
}
