//! Clients that behave: one sender of fifty events a second, ten streams, and how long an event takes
//! from being sent to being had.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tests::api::{Api, reading};
use tests::stream::{Carrier, Streaming};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

const STREAMS: usize = 10;
const SENT_EVERY: Duration = Duration::from_millis(20);

pub(super) struct Good {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    /// When each event was sent.
    sent: Mutex<Vec<Instant>>,
    /// Milliseconds.
    taken: Mutex<Vec<f64>>,
}

pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Good {
    pub(super) async fn start(api: &Api) -> Self {
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for number in 0..STREAMS {
            let carrier = if number % 2 == 0 {
                Carrier::Sse
            } else {
                Carrier::WebSocket
            };
            let stream = Streaming::open(api, carrier, "kind=telemetry&device=good", None)
                .await
                .expect("a stream");
            tasks.spawn(listen(stream, Arc::clone(&shared)));
        }
        tasks.spawn(send(api.clone(), Arc::clone(&shared)));
        Self { shared, tasks }
    }

    /// Latency of what arrives during `phase`.
    pub(super) async fn during(&self, phase: impl Future<Output = ()>) -> Latency {
        self.shared.taken.lock().clear();
        phase.await;
        let mut taken = std::mem::take(&mut *self.shared.taken.lock());
        taken.sort_by(f64::total_cmp);
        assert!(!taken.is_empty(), "nothing arrived");
        let at = |part: f64| taken[((taken.len() - 1) as f64 * part) as usize];
        Latency {
            p50: at(0.5),
            p99: at(0.99),
        }
    }

    pub(super) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn send(api: Api, shared: Arc<Shared>) {
    let mut every = interval(SENT_EVERY);
    for n in 0.. {
        every.tick().await;
        shared.sent.lock().push(Instant::now());
        api.send_events(&[reading("good", n)]).await;
    }
}

async fn listen(mut stream: Streaming, shared: Arc<Shared>) {
    while let Ok(frame) = stream.next().await {
        if frame.kind != "event" {
            continue;
        }
        let n = frame.data["fields"]["n"].as_u64().expect("a number") as usize;
        let sent = shared.sent.lock()[n];
        shared.taken.lock().push(sent.elapsed().as_secs_f64() * 1e3);
    }
}
