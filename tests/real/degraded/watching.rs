//! Streams that stay open over an outage, with all that they were told.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tests::api::Api;
use tests::stream::{Carrier, Ended, Frame, Streaming};
use tests::wait;
use tokio::task::JoinHandle;

use super::TENANT;
use super::fleet::DEVICES;

/// Numbers of each device's events, in the order of arrival.
pub(super) type Seen = BTreeMap<String, Vec<u64>>;

/// One open stream. It is never opened again.
pub(super) struct Watching {
    name: String,
    told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Told {
    frames: Vec<Frame>,
    ended: Option<Ended>,
}

impl Watching {
    /// One stream of every kind.
    pub(super) async fn all(gateway: &Api) -> Vec<Self> {
        let mut all = Vec::new();
        for view in ["events", "devices"] {
            for carrier in [Carrier::Sse, Carrier::WebSocket] {
                all.push(Self::open(gateway, view, carrier).await);
            }
        }
        all
    }

    pub(super) async fn open(gateway: &Api, view: &str, carrier: Carrier) -> Self {
        let query = format!("tenant={TENANT}&kind=telemetry&view={view}");
        let stream = Streaming::open(gateway, carrier, &query, None)
            .await
            .expect("a stream");
        let told: Arc<Mutex<Told>> = Arc::default();
        let task = tokio::spawn(listen(stream, Arc::clone(&told)));
        Self {
            name: format!("{view} over {carrier:?}"),
            told,
            task,
        }
    }

    /// Whether it carries this view.
    pub(super) fn is_of(&self, view: &str) -> bool {
        self.name.starts_with(view)
    }

    /// Waits until every event of `rounds` has come.
    pub(super) async fn has(&self, rounds: u64) {
        wait::until(&format!("{}: {rounds} rounds", self.name), || async {
            let seen = self.seen();
            let all = seen.len() as u64 == DEVICES
                && seen.values().all(|numbers| numbers.last() == Some(&(rounds - 1)));
            all.then_some(())
        })
        .await;
    }

    /// Waits until it says that these many partitions are degraded, at least one or none.
    pub(super) async fn says_degraded(&self, degraded: bool) {
        wait::until(&format!("{}: degraded is {degraded}", self.name), || async {
            let told = self.told.lock();
            let last = told.frames.iter().rfind(|frame| frame.kind == "degraded")?;
            let partitions = last.data["partitions"].as_array()?;
            (partitions.is_empty() != degraded).then_some(())
        })
        .await;
    }

    /// [`Self::seen`] of the rounds from `first` on.
    pub(super) fn seen_from(&self, first: u64) -> Seen {
        from(self.seen(), first)
    }

    /// What it saw, checked: never cut, never reset, each number once or more but never out of order.
    pub(super) fn seen(&self) -> Seen {
        let told = self.told.lock();
        assert_eq!(told.ended, None, "{} was cut", self.name);
        let mut seen = Seen::new();
        for frame in &told.frames {
            assert!(
                !matches!(frame.kind.as_str(), "reset" | "fault"),
                "{}: {frame:?}",
                self.name
            );
            if let Some((device, n)) = number(frame) {
                seen.entry(device).or_default().push(n);
            }
        }
        seen
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a client that comes now sees of the whole log.
pub(super) async fn whole_log(gateway: &Api, view: &str) -> Seen {
    let query = format!("tenant={TENANT}&kind=telemetry&view={view}&since=earliest");
    let mut stream = Streaming::open(gateway, Carrier::Sse, &query, None)
        .await
        .expect("a stream");
    let mut seen = Seen::new();
    loop {
        let frame = wait::within("the log's end", stream.next())
            .await
            .expect("the stream goes on");
        if frame.kind == "caught_up" {
            return seen;
        }
        if let Some((device, n)) = number(&frame) {
            seen.entry(device).or_default().push(n);
        }
    }
}

/// What of `seen` is of the rounds from `first` on. A stream of devices may begin a little earlier: what a
/// transaction made can be read from its document before the end of the topic has passed its marker.
pub(super) fn from(mut seen: Seen, first: u64) -> Seen {
    seen.values_mut()
        .for_each(|numbers| numbers.retain(|n| *n >= first));
    seen
}

/// The log of each view is complete up to `rounds`, and every stream of it saw it from round `first` on.
pub(super) async fn assert_all_saw(streams: &[Watching], gateway: &Api, first: u64, rounds: u64) {
    for view in ["events", "devices"] {
        let log = whole_log(gateway, view).await;
        assert_complete(&log, rounds);
        let log = from(log, first);
        for stream in streams.iter().filter(|stream| stream.is_of(view)) {
            assert_eq!(stream.seen_from(first), log, "{view}");
        }
    }
}

/// Every device has each number up to `rounds`, in order; a number again only after its first time.
fn assert_complete(seen: &Seen, rounds: u64) {
    assert_eq!(seen.len() as u64, DEVICES);
    for (device, numbers) in seen {
        let mut next = 0;
        for n in numbers {
            assert!(
                *n <= next,
                "{device}: {n} stands where {next} is missing: {numbers:?}"
            );
            next = next.max(n + 1);
        }
        assert_eq!(next, rounds, "{device}: {numbers:?}");
    }
}

fn number(frame: &Frame) -> Option<(String, u64)> {
    let document = match frame.kind.as_str() {
        "event" => &frame.data,
        // Presence changes a document too.
        "device" if frame.data["changed"].as_array()?.contains(&json!("fields.n")) => &frame.data["device"],
        _ => return None,
    };
    let device = document
        .get("device")
        .or_else(|| document.get("id"))
        .and_then(Value::as_str)?;
    Some((device.to_owned(), document["fields"]["n"].as_u64()?))
}

async fn listen(mut stream: Streaming, told: Arc<Mutex<Told>>) {
    loop {
        match stream.next().await {
            Ok(frame) => told.lock().frames.push(frame),
            Err(ended) => {
                told.lock().ended = Some(ended);
                return;
            }
        }
    }
}
