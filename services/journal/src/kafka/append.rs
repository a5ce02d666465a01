//! Appends: one idempotent producer for all callers.
//!
//! How the promise of [`Appender::append`] is kept (a key's records in order, never a hole followed
//! by a success): the broker takes an idempotent producer's batches only in sequence, so a hole can
//! come only from the client giving a batch up and going on. librdkafka gives up by
//! `message.timeout.ms`, which `enable.gapless.guarantee` expressly does not cover: so there is no
//! such timeout here. A caller whose deadline passes is told "unknown" for the rest of its records,
//! which stay in line. What is refused for good stops the producer (gapless) and a new one is made.
//! A partition that acknowledged nothing for a while takes no more, so that one dead partition does
//! not fill the queue of all.

mod delivery;
mod lane;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use self::delivery::{Call, Context, State, Ticket};
use self::lane::Lanes;
use super::metrics::Metrics;
use super::settings::Settings;
use super::{client, record};
use crate::{AppendError, Appender, NewRecord, Position};

/// So many records are handed to the producer on the caller's thread; more on another.
const INLINE_RECORDS_MAX: usize = 256;
/// How long the polling thread waits before it looks whether it should end.
const POLL: Duration = Duration::from_millis(100);

type Outcome = Result<Position, AppendError>;

/// The appending port.
pub(super) struct KafkaAppender {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    lanes: Arc<Lanes>,
    running: Mutex<Option<Arc<Running>>>,
}

/// A producer and the thread that serves its reports.
struct Running {
    producer: Arc<BaseProducer<Context>>,
    state: Arc<State>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Release);
    }
}

impl KafkaAppender {
    pub(super) fn new(settings: Arc<Settings>, metrics: Arc<Metrics>) -> Self {
        let lanes = Arc::new(Lanes::new(settings.append_stall));
        Self {
            settings,
            metrics,
            lanes,
            running: Mutex::new(None),
        }
    }

    /// The producer, made on first use and again after one broke.
    fn running(&self) -> Result<Arc<Running>, AppendError> {
        let mut slot = self.running.lock();
        if let Some(running) = slot.as_ref() {
            if !running.state.broken.load(Ordering::Acquire) {
                return Ok(Arc::clone(running));
            }
            self.metrics.restarts.inc();
            *slot = None;
        }
        let running = Arc::new(
            Running::start(&self.settings, &self.metrics)
                .map_err(|reason| AppendError::Unavailable { reason })?,
        );
        *slot = Some(Arc::clone(&running));
        Ok(running)
    }
}

#[async_trait]
impl Appender for KafkaAppender {
    async fn append(&self, records: Vec<NewRecord>, deadline: Duration) -> Vec<Outcome> {
        let count = records.len();
        if count == 0 {
            return Vec::new();
        }
        let running = match self.running() {
            Ok(running) => running,
            Err(error) => return vec![Err(error); count],
        };
        let call = Arc::new(Call::new(count));
        let wait = async {
            let entry = Entry {
                running,
                lanes: Arc::clone(&self.lanes),
                settings: Arc::clone(&self.settings),
            };
            let for_entry = Arc::clone(&call);
            if count <= INLINE_RECORDS_MAX {
                entry.enqueue(records, &for_entry);
            } else if tokio::task::spawn_blocking(move || entry.enqueue(records, &for_entry))
                .await
                .is_err()
            {
                return;
            }
            call.done.notified().await;
        };
        // At the deadline, what is open is unknown: it stays in line and may yet be appended.
        let _late = tokio::time::timeout(deadline, wait).await;
        let outcomes = call.outcomes();
        self.count(&outcomes);
        outcomes
    }
}

impl KafkaAppender {
    fn count(&self, outcomes: &[Outcome]) {
        let (mut good, mut full, mut unknown, mut refused, mut unavailable) = (0, 0, 0, 0, 0);
        for outcome in outcomes {
            match outcome {
                Ok(_) => good += 1,
                Err(AppendError::Full) => full += 1,
                Err(AppendError::Unknown) => unknown += 1,
                Err(AppendError::Refused { .. }) => refused += 1,
                Err(AppendError::Unavailable { .. }) => unavailable += 1,
            }
        }
        let counts = [good, full, unknown, refused, unavailable];
        for (name, count) in ["ok", "full", "unknown", "refused", "unavailable"]
            .iter()
            .zip(counts)
        {
            if count > 0 {
                self.metrics.appended.with_label_values(&[*name]).inc_by(count);
            }
        }
    }
}

/// The way of one call's records into the producer.
struct Entry {
    running: Arc<Running>,
    lanes: Arc<Lanes>,
    settings: Arc<Settings>,
}

impl Entry {
    /// Hands the records over in order. After a record that was not taken, none of its key follows;
    /// after a full queue, none at all.
    fn enqueue(&self, records: Vec<NewRecord>, call: &Arc<Call>) {
        let names = crate::Topic::ALL.map(|topic| (topic, self.settings.topic_name(topic)));
        let mut full = false;
        let mut held_back: HashSet<Box<str>> = HashSet::new();
        for (index, record) in records.into_iter().enumerate() {
            let outcome = if full {
                Err(AppendError::Full)
            } else if held_back.contains(&record.key) {
                Err(AppendError::Unavailable {
                    reason: "an earlier record of the key was not taken".to_owned(),
                })
            } else {
                let name = names
                    .iter()
                    .find(|(topic, _)| *topic == record.topic)
                    .map_or("", |(_, name)| name);
                self.send(name, &record, index, call)
            };
            if let Err(error) = outcome {
                full |= error == AppendError::Full;
                held_back.insert(record.key);
                call.settle(index, Err(error));
            }
        }
    }

    fn send(&self, topic: &str, new: &NewRecord, index: usize, call: &Arc<Call>) -> Result<(), AppendError> {
        let lane = self.lanes.of(new.topic, new.partition);
        self.lanes.enter(&lane)?;
        let ticket = Box::new(Ticket {
            call: Arc::clone(call),
            index,
            lane,
        });
        let mut message: BaseRecord<'_, str, [u8], Box<Ticket>> = BaseRecord::with_opaque_to(topic, ticket)
            .partition(record::raw_partition(new.partition))
            .key(&*new.key)
            .timestamp(new.timestamp_ms)
            .headers(record::encode_headers(&new.headers));
        if let Some(value) = &new.value {
            message = message.payload(value);
        }
        match self.running.producer.send(message) {
            Ok(()) => Ok(()),
            Err((error, message)) => {
                message.delivery_opaque.lane.withdraw();
                Err(self.running.state.not_taken(&error))
            }
        }
    }
}

impl Running {
    fn start(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Self, String> {
        let mut config = settings.producer();
        config
            .set("linger.ms", settings.append_linger_ms.to_string())
            .set("enable.gapless.guarantee", "true")
            .set("message.timeout.ms", "0")
            .set("retry.backoff.ms", "20")
            .set("retry.backoff.max.ms", "500");
        let state = Arc::new(State::default());
        let context = Context {
            state: Arc::clone(&state),
            metrics: Arc::clone(metrics),
        };
        let producer: Arc<BaseProducer<Context>> =
            Arc::new(client::create(&config, context).map_err(|error| error.to_string())?);
        let polled = Arc::clone(&producer);
        let ended = Arc::clone(&state);
        std::thread::Builder::new()
            .name("kafka-append".to_owned())
            .spawn(move || {
                // The last to hold the producer, which purges and closes here, off the async threads.
                while !ended.stopped.load(Ordering::Acquire) {
                    polled.poll(POLL);
                    polled
                        .context()
                        .metrics
                        .waiting
                        .set(i64::from(polled.in_flight_count()));
                }
            })
            .map_err(|error| error.to_string())?;
        Ok(Self { producer, state })
    }
}
