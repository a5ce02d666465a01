//! A rolling restart under load, as it is done where no client may be cut twice: the new gateways are ready before the
//! old ones drain, and whoever is cut finds only new ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use tests::api::Api;
use tests::seed::Seed;
use tests::stream::{Carrier, Ended, Streaming};
use tests::wait;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::serving::{Cluster, Serving};

const TENANT: &str = "acme";
const CLIENTS: usize = 80;
const DEVICES: usize = 10;
const SECOND: Duration = Duration::from_secs(1);
/// Between two rounds of events, one for each device.
const ROUND: Duration = Duration::from_millis(50);
/// `--drain` of the gateways.
const DRAIN: [&str; 2] = ["--drain", "6s"];
/// Of the clients that a drain cuts, so many at most within one second: a herd would come back at once.
const TOGETHER_MAX: f64 = 0.6;

/// The gateways that a balancer would offer.
type Front = watch::Receiver<Vec<Api>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_cuts_every_client_once_at_spread_times_and_loses_nothing() {
    let Some(cluster) = Cluster::up().await else {
        return;
    };
    let node = cluster.start("ingest,projector").await;
    let mut old = gateways(&cluster).await;
    let (offer, front) = watch::channel(apis(&old));
    let load = Load::start(&node.api);
    let seed = Seed::of_test();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let mut client = Client::new(number, front.clone(), seed.part(number as u64));
        let first = client.open().await;
        clients.spawn(client.run(first));
    }

    let new = gateways(&cluster).await;
    offer.send_replace(apis(&new));
    let mut begun = Vec::new();
    for gateway in &mut old {
        begun.push(Instant::now());
        gateway.drain().await;
    }
    load.finish().await;

    let mut cuts = Vec::new();
    while let Some(cut) = clients.join_next().await {
        cuts.push(cut.expect("every event once and in order"));
    }
    cuts.sort_unstable();
    let turn = cuts.partition_point(|at| *at < begun[1]);
    for (gateway, of_gateway) in [&cuts[..turn], &cuts[turn..]].into_iter().enumerate() {
        let together = |from: &Instant| {
            let within = of_gateway
                .iter()
                .filter(|at| (*from..*from + SECOND).contains(*at));
            within.count()
        };
        let most = of_gateway.iter().map(together).max().expect("it had clients");
        let all = of_gateway.len();
        assert!(
            most as f64 <= all as f64 * TOGETHER_MAX,
            "gateway {gateway}: {most} of {all} cut within a second"
        );
    }
}

async fn gateways(cluster: &Cluster) -> Vec<Serving> {
    let mut started = Vec::new();
    for _ in 0..2 {
        started.push(cluster.start_with("gateway", &DRAIN).await);
    }
    started
}

fn apis(gateways: &[Serving]) -> Vec<Api> {
    gateways.iter().map(|gateway| gateway.api.clone()).collect()
}

/// A sender of rounds until it is told to stop; its last round says so.
struct Load {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Load {
    fn start(ingest: &Api) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, ingest) = (Arc::clone(&stop), ingest.clone());
        let task = tokio::spawn(async move {
            for n in 1.. {
                let end = told.load(Ordering::Acquire);
                let event = |device: usize| {
                    let fields = json!({"n": n, "end": end});
                    json!({"device": format!("d-{device}"), "kind": "telemetry", "fields": fields})
                };
                let events: Vec<Value> = (0..DEVICES).map(event).collect();
                let path = format!("/v1/events?tenant={TENANT}");
                let answer = ingest.post(&path, &json!(events)).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                if end {
                    return;
                }
                tokio::time::sleep(ROUND).await;
            }
        });
        Self { stop, task }
    }

    async fn finish(self) {
        self.stop.store(true, Ordering::Release);
        wait::within("the sender's end", self.task)
            .await
            .expect("every event is taken");
    }
}

/// Follows one device from its first event to its last.
struct Client {
    number: usize,
    front: Front,
    random: SmallRng,
    cursor: Option<String>,
    next: u64,
}

impl Client {
    fn new(number: usize, front: Front, random: SmallRng) -> Self {
        Self {
            number,
            front,
            random,
            cursor: None,
            next: 1,
        }
    }

    /// When it was cut, which it must be once.
    async fn run(mut self, mut stream: Streaming) -> Instant {
        let mut cuts = Vec::new();
        while !self.follow(stream).await {
            cuts.push(Instant::now());
            stream = self.open().await;
        }
        assert_eq!(cuts.len(), 1, "client {} was cut at {cuts:?}", self.number);
        cuts[0]
    }

    /// Reads a stream to its end. Whether it came to the last event.
    async fn follow(&mut self, mut stream: Streaming) -> bool {
        let number = self.number;
        loop {
            let frame = match wait::within("a frame", stream.next()).await {
                Ok(frame) => frame,
                Err(Ended::Closed(1012)) => return false,
                Err(Ended::Eof) if self.carrier() == Carrier::Sse => return false,
                Err(ended) => panic!("client {number}: {ended:?}"),
            };
            self.cursor = frame.cursor.clone().or(self.cursor.take());
            if frame.kind == "event" {
                let fields = &frame.data["fields"];
                assert_eq!(fields["n"], self.next, "client {number}");
                self.next += 1;
                if fields["end"] == json!(true) {
                    return true;
                }
            } else {
                let is_bad = ["reset", "fault"].contains(&frame.kind.as_str());
                assert!(!is_bad, "client {number}: {frame:?}");
            }
        }
    }

    fn carrier(&self) -> Carrier {
        if self.number.is_multiple_of(2) {
            Carrier::Sse
        } else {
            Carrier::WebSocket
        }
    }

    /// A stream from where it stands, from one of the gateways that are offered.
    async fn open(&mut self) -> Streaming {
        let device = self.number % DEVICES;
        let query = format!("tenant={TENANT}&kind=telemetry&device=d-{device}&since=earliest");
        let gateway = {
            let offered = self.front.borrow();
            offered[self.random.random_range(0..offered.len())].clone()
        };
        Streaming::open(&gateway, self.carrier(), &query, self.cursor.as_deref())
            .await
            .expect("a gateway that is ready takes it")
    }
}
