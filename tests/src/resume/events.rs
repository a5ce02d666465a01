//! View `events`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::api::Api;
use crate::seed::{Seed, scale};
use crate::stream::{Carrier, Frame, Streaming};
use rand::RngExt as _;
use rand::seq::IteratorRandom as _;
use serde_json::Value;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::clients::Client;
use super::devices::settled;
use super::writers::{Accepted, DEVICES, TENANTS, Writers, device, fork};

/// Clients that come and go.
const CLIENTS: usize = 200;
/// Connections of each, at least.
const SESSIONS: u64 = 24;

/// An event as a client tells it from others: id and kind.
type Seen = (String, String);
/// What a client has, by tenant and device, in order of arrival.
type Received = BTreeMap<(String, String), Vec<Seen>>;

/// Clients of the `gateways`, cut at random while events flow: each ends with exactly its events. Panics
/// otherwise. Returns what was done.
pub async fn every_client_ends_with_exactly_its_events(gateways: &[Api; 2], seed: Seed) -> String {
    let wanting = Arc::new(AtomicUsize::new(CLIENTS));
    let ready = Arc::new(Barrier::new(CLIENTS + 1));
    let finished = Arc::new(Barrier::new(CLIENTS + 1));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let viewer = Viewer::new(number, gateways, seed);
        let (wanting, ready, finished) = (Arc::clone(&wanting), Arc::clone(&ready), Arc::clone(&finished));
        clients.spawn(async move {
            let mut viewer = viewer;
            viewer.begin().await;
            ready.wait().await;
            for _ in 0..SESSIONS * scale() {
                viewer.session().await;
            }
            wanting.fetch_sub(1, Ordering::Relaxed);
            finished.wait().await;
            viewer.finish().await;
            viewer
        });
    }
    ready.wait().await;
    let accepted = Writers::start(gateways, seed, &wanting).done().await;
    // What the product itself says of presence comes a little later.
    for tenant in TENANTS {
        settled(&gateways[0], tenant).await;
    }
    finished.wait().await;
    let mut viewers = Vec::new();
    while let Some(viewer) = clients.join_next().await {
        viewers.push(viewer.expect("a client"));
    }
    let mut reference = Streaming::open(&gateways[0], Carrier::Sse, "since=earliest", None)
        .await
        .expect("a stream");
    let mut whole = Received::new();
    reference
        .rest()
        .await
        .iter()
        .for_each(|event| record(&mut whole, event));
    same_as_accepted(&whole, &accepted);
    for viewer in &viewers {
        viewer.has_exactly(&whole);
    }
    format!(
        "{} clients, {} sessions each; {} events, {} received",
        CLIENTS,
        SESSIONS * scale(),
        whole.values().map(Vec::len).sum::<usize>(),
        viewers.iter().map(Viewer::count).sum::<usize>(),
    )
}

/// What the reference stream shows, but for what the product itself says of presence and silence, is what was
/// acknowledged.
fn same_as_accepted(whole: &Received, accepted: &Accepted) {
    let mut sent = whole.clone();
    sent.values_mut()
        .for_each(|events| events.retain(|(_, kind)| kind != "presence" && kind != "alert"));
    for ((tenant, device), ids) in accepted {
        let shown = sent
            .remove(&((*tenant).to_owned(), device.clone()))
            .unwrap_or_default();
        let shown: Vec<&String> = shown.iter().map(|(id, _)| id).collect();
        assert_eq!(
            shown,
            ids.iter().collect::<Vec<_>>(),
            "{tenant}/{device}: left: in the log, right: acknowledged"
        );
    }
    assert_eq!(sent, Received::new(), "nobody sent these");
}

fn record(received: &mut Received, event: &Value) {
    let text = |member: &str| event[member].as_str().expect("a text").to_owned();
    received
        .entry((text("tenant"), text("device")))
        .or_default()
        .push((text("id"), text("kind")));
}

/// A client and what it should see.
struct Viewer {
    client: Client,
    tenant: Option<&'static str>,
    devices: Option<BTreeSet<String>>,
    kinds: Option<BTreeSet<&'static str>>,
    /// Whether it starts at the live end, before anything is written.
    live: bool,
    received: Received,
}

impl Viewer {
    fn new(number: usize, gateways: &[Api; 2], seed: Seed) -> Self {
        let mut random = seed.part(number as u64);
        let tenant = (!random.random_bool(0.1)).then(|| TENANTS[number % 2]);
        let devices = random.random_bool(0.6).then(|| {
            let count = random.random_range(1..8);
            (0..DEVICES)
                .map(device)
                .sample(&mut random, count)
                .into_iter()
                .collect::<BTreeSet<_>>()
        });
        let kinds = random.random_bool(0.4).then(|| {
            let kinds = [
                "telemetry",
                "log",
                "lock",
                "entity",
                "device",
                "deleted",
                "presence",
            ];
            let count = random.random_range(1..4);
            kinds
                .into_iter()
                .sample(&mut random, count)
                .into_iter()
                .collect::<BTreeSet<_>>()
        });
        let live = random.random_bool(0.5);
        let mut query = tenant.map_or_else(String::new, |tenant| format!("tenant={tenant}"));
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
        if !live {
            query.push_str("&since=earliest");
        }
        let client = Client::new(number, query, gateways.clone(), fork(&mut random));
        Self {
            client,
            tenant,
            devices,
            kinds,
            live,
            received: Received::new(),
        }
    }

    /// A stream that starts at the live end holds from here on: it needs a cursor before events flow.
    async fn begin(&mut self) {
        if self.live {
            self.finish().await;
        }
    }

    async fn session(&mut self) {
        let Self { client, received, .. } = self;
        client.session(&mut |frame| take(received, frame)).await;
    }

    /// Reads to the end that the log has now.
    async fn finish(&mut self) {
        let Self { client, received, .. } = self;
        client
            .until(&mut |frame| take(received, frame), |frame| {
                frame.kind == "caught_up"
            })
            .await;
    }

    fn count(&self) -> usize {
        self.received.values().map(Vec::len).sum()
    }

    fn has_exactly(&self, whole: &Received) {
        let mut expected = whole.clone();
        expected.retain(|(tenant, device), events| {
            let kinds = self.kinds.as_ref();
            events.retain(|(_, kind)| kinds.is_none_or(|kinds| kinds.contains(kind.as_str())));
            let devices = self.devices.as_ref();
            let mine = self.tenant.is_none_or(|own| own == tenant)
                && devices.is_none_or(|devices| devices.contains(device));
            mine && !events.is_empty()
        });
        let named = self.client.named();
        for (device, events) in &expected {
            let received = self.received.get(device).map_or(&[][..], Vec::as_slice);
            if let Some(at) =
                (0..events.len().max(received.len())).find(|at| events.get(*at) != received.get(*at))
            {
                panic!(
                    "{named}: {device:?} differs from event {at} of {} on (received {}):\nexpected {:?}\nreceived {:?}",
                    events.len(),
                    received.len(),
                    around(events, at),
                    around(received, at),
                );
            }
        }
        assert_eq!(
            self.received.len(),
            expected.len(),
            "{named} received what it did not ask for"
        );
    }
}

fn around(events: &[Seen], at: usize) -> &[Seen] {
    &events[at.saturating_sub(2).min(events.len())..(at + 4).min(events.len())]
}

fn take(received: &mut Received, frame: &Frame) {
    if frame.kind == "event" {
        record(received, &frame.data);
    }
}
