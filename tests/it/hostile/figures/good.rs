//! Clients that behave: one sender of fifty events a second, ten streams, and how long an event takes
//! from when it was due to be sent to being had.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tests::api::{Api, reading};
use tests::stream::{Carrier, Streaming};
use tests::wait;
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
    /// When each event was due: an answer that is late delays the next sending, and that delay counts.
    due: Mutex<Vec<Instant>>,
    /// The event, and milliseconds until a stream had it.
    taken: Mutex<Vec<(usize, f64)>>,
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

    /// Latency of every event that was sent during `phase`, to every stream: what is missing is waited for.
    pub(super) async fn during(&self, phase: impl Future<Output = ()>) -> Latency {
        let first = self.shared.due.lock().len();
        phase.await;
        let end = self.shared.due.lock().len();
        let of_phase = || {
            let taken = self.shared.taken.lock();
            let of_phase = taken.iter().filter(|(n, _)| (first..end).contains(n));
            of_phase.map(|(_, ms)| *ms).collect::<Vec<f64>>()
        };
        let mut taken = wait::until("every stream has every event", || async {
            let taken = of_phase();
            (taken.len() == (end - first) * STREAMS).then_some(taken)
        })
        .await;
        taken.sort_by(f64::total_cmp);
        assert!(!taken.is_empty(), "nothing was sent");
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
        let due = every.tick().await;
        shared.due.lock().push(due);
        api.send_events(&[reading("good", n)]).await;
    }
}

async fn listen(mut stream: Streaming, shared: Arc<Shared>) {
    while let Ok(frame) = stream.next().await {
        if frame.kind != "event" {
            continue;
        }
        let n = frame.data["fields"]["n"].as_u64().expect("a number") as usize;
        let due = shared.due.lock()[n];
        shared.taken.lock().push((n, due.elapsed().as_secs_f64() * 1e3));
    }
}
