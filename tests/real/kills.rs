//! Processes that are killed while events flow: nothing acknowledged is lost, and clients resume exactly.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tests::api::Api;
use tests::stream::{Carrier, Streaming};
use tests::wait;
use tokio::task::JoinHandle;

use crate::serving::Cluster;

const TENANT: &str = "acme";
const DEVICES: u64 = 6;
/// Events that must be acknowledged between one step and the next, so that each falls into a load.
const BETWEEN: u64 = 60;
/// Pause of a sender or a client that was turned away.
const PAUSE: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_process_is_killed_nothing_acknowledged_is_lost_and_clients_go_on_exactly() {
    let Some(cluster) = Cluster::up().await else {
        return;
    };
    let mut nodes = [
        cluster.start("ingest").await,
        cluster.start("projector").await,
        cluster.start("gateway").await,
        cluster.start("gateway").await,
    ];
    let gateways = [nodes[2].api.clone(), nodes[3].api.clone()];
    let load = Load::start(&nodes[0].api);
    let clients: Vec<Client> = [
        (0, Carrier::Sse),
        (1, Carrier::Sse),
        (0, Carrier::WebSocket),
        (1, Carrier::WebSocket),
    ]
    .map(|(first, carrier)| Client::start(&gateways, first, carrier))
    .into();

    load.more().await;
    for (number, node) in nodes.iter_mut().enumerate() {
        node.kill().await;
        // Whatever is not the way in itself is done without for a while.
        if number != 0 {
            load.more().await;
        }
        node.start_again().await;
        load.more().await;
    }
    let sent = load.finish().await;

    let log = whole_log(&gateways[0]).await;
    check_log(&log, &sent);
    for client in clients {
        let name = client.name.clone();
        let seen = client.finish(&sent).await;
        assert_eq!(seen.len(), log.len(), "{name} has more or less than the log");
        for (device, events) in &log {
            assert_eq!(seen.get(device), Some(events), "{name}: {device}");
        }
    }
    for (device, sent) in &sent.devices {
        documents_end_at(&gateways[1], device, sent.last).await;
    }
}

/// What was sent of one device.
#[derive(Debug, Clone, Default)]
struct OfDevice {
    /// Number of its last event.
    last: u64,
    /// Numbers that were sent more than once, since the first answer did not come.
    again: Vec<u64>,
}

#[derive(Debug, Clone, Default)]
struct Sent {
    devices: BTreeMap<String, OfDevice>,
}

/// A sender that goes on until each event is acknowledged, in order.
struct Load {
    acknowledged: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<Sent>,
}

impl Load {
    fn start(ingest: &Api) -> Self {
        let (acknowledged, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let task = tokio::spawn(send(ingest.clone(), Arc::clone(&acknowledged), Arc::clone(&stop)));
        Self {
            acknowledged,
            stop,
            task,
        }
    }

    /// Waits until more is acknowledged.
    async fn more(&self) {
        let wanted = self.acknowledged.load(Ordering::Acquire) + BETWEEN;
        wait::until("more events are acknowledged", || async {
            (self.acknowledged.load(Ordering::Acquire) >= wanted).then_some(())
        })
        .await;
    }

    async fn finish(self) -> Sent {
        self.stop.store(true, Ordering::Release);
        wait::within("the sender's end", self.task)
            .await
            .expect("the sender")
    }
}

async fn send(ingest: Api, acknowledged: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Sent {
    let mut sent = Sent::default();
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        let batch: Vec<u64> = (number..number + 4).collect();
        number += 4;
        let mut waiting: VecDeque<Value> = batch.into_iter().map(|number| event(number, &mut sent)).collect();
        while !waiting.is_empty() {
            let taken = post(&ingest, &waiting).await;
            let before = waiting.len();
            waiting.retain(|event| !taken.contains(&text(event, "id")));
            acknowledged.fetch_add((before - waiting.len()) as u64, Ordering::AcqRel);
            for event in &waiting {
                let device = sent.devices.entry(text(event, "device")).or_default();
                device
                    .again
                    .push(event["fields"]["n"].as_u64().expect("a number"));
            }
            if !waiting.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
        }
        tokio::time::sleep(PAUSE / 5).await;
    }
    sent
}

fn event(number: u64, sent: &mut Sent) -> Value {
    let name = format!("d-{}", number % DEVICES);
    let device = sent.devices.entry(name.clone()).or_default();
    device.last += 1;
    let n = device.last;
    json!({"device": name, "kind": "telemetry", "id": format!("{name}-{n}"), "fields": {"n": n}})
}

/// Ids of the events that were acknowledged; none when there was no answer.
async fn post(ingest: &Api, events: &VecDeque<Value>) -> Vec<String> {
    let request = ingest
        .request(reqwest::Method::POST, &format!("/v1/events?tenant={TENANT}"))
        .json(events);
    let Ok(response) = request.send().await else {
        return Vec::new();
    };
    let status = response.status();
    let Ok(answer) = response.json::<Value>().await else {
        return Vec::new();
    };
    let Some(rejected) = answer["rejected"].as_array() else {
        return Vec::new();
    };
    assert!(matches!(status.as_u16(), 200 | 207 | 503), "{status} {answer}");
    assert!(
        rejected.iter().all(|item| item["retry"] == json!(true)),
        "{answer}"
    );
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

/// Ids in the order of arrival, by device.
type Seen = BTreeMap<String, Vec<String>>;

/// A client of one gateway that goes to the other when it is turned away or cut.
struct Client {
    name: String,
    stop: tokio::sync::watch::Sender<Option<Sent>>,
    task: JoinHandle<Seen>,
}

impl Client {
    fn start(gateways: &[Api; 2], first: usize, carrier: Carrier) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(None);
        let task = tokio::spawn(watch(gateways.clone(), first, carrier, stopped));
        Self {
            name: format!("{carrier:?} of gateway {first}"),
            stop,
            task,
        }
    }

    /// What it saw, once it has the last of all that was sent.
    async fn finish(self, sent: &Sent) -> Seen {
        self.stop.send_replace(Some(sent.clone()));
        wait::within(&self.name, self.task).await.expect("the client")
    }
}

async fn watch(
    gateways: [Api; 2],
    first: usize,
    carrier: Carrier,
    mut stopped: tokio::sync::watch::Receiver<Option<Sent>>,
) -> Seen {
    let query = format!("tenant={TENANT}&kind=telemetry&since=earliest");
    let (mut seen, mut cursor, mut gateway) = (Seen::new(), None::<String>, first);
    loop {
        let opened = Streaming::open(&gateways[gateway], carrier, &query, cursor.as_deref()).await;
        let Ok(mut stream) = opened else {
            gateway = 1 - gateway;
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        loop {
            let frame = tokio::select! {
                frame = stream.next() => frame,
                // Reads to the end of the log once more, so that what comes twice at the end shows.
                changed = stopped.changed(), if stopped.borrow().is_none() => {
                    changed.expect("the test goes on");
                    break;
                }
            };
            let Ok(frame) = frame else { break };
            assert!(!matches!(frame.kind.as_str(), "reset" | "fault"), "{frame:?}");
            cursor = frame.cursor.or(cursor);
            if frame.kind == "event" {
                seen.entry(text(&frame.data, "device"))
                    .or_default()
                    .push(text(&frame.data, "id"));
            }
            if frame.kind == "caught_up" && stopped.borrow().is_some() {
                return seen;
            }
        }
    }
}

/// What a client that was never cut sees.
async fn whole_log(gateway: &Api) -> Seen {
    let query = format!("tenant={TENANT}&kind=telemetry&since=earliest");
    let mut stream = Streaming::open(gateway, Carrier::Sse, &query, None)
        .await
        .expect("a stream");
    let mut seen = Seen::new();
    for event in stream.rest().await {
        seen.entry(text(&event, "device"))
            .or_default()
            .push(text(&event, "id"));
    }
    seen
}

/// Each acknowledged event is there, in order; only one that was sent again may stand there again.
fn check_log(log: &Seen, sent: &Sent) {
    for (device, of_device) in &sent.devices {
        let mut next = 1;
        for id in &log[device] {
            let n: u64 = id
                .rsplit('-')
                .next()
                .and_then(|n| n.parse().ok())
                .expect("a number");
            if n == next {
                next += 1;
            } else {
                assert!(n < next, "{device}: {n} stands where {next} is missing");
                assert!(
                    of_device.again.contains(&n),
                    "{device}: {n} was sent once and stands there twice"
                );
            }
        }
        assert_eq!(
            next,
            of_device.last + 1,
            "{device}: acknowledged events are missing at the end"
        );
    }
}

async fn documents_end_at(gateway: &Api, device: &str, last: u64) {
    let path = format!("/v1/devices/{device}?tenant={TENANT}");
    wait::until(&format!("the document of {device} ends at {last}"), || async {
        (gateway.get(&path).await.json["fields"]["n"] == json!(last)).then_some(())
    })
    .await;
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}
