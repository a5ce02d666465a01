//! Transactions of one partition: a producer whose id is the partition's, not the process's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::Message as _;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::util::Timeout;

use crate::kafka::settings::{Settings, millis};
use crate::kafka::{client, record};
use crate::{CommitError, NewRecord, Partition, Position, Topic};

/// A turn of waiting for delivery reports: `BaseProducer::poll` always uses up its time, so this
/// is short. A transaction is 3 to 5 ms.
const TURN: Duration = Duration::from_millis(1);

pub(super) struct Transactions {
    // One at a time; taken on blocking threads only.
    producer: Mutex<BaseProducer<Context>>,
    names: [(Topic, String); 4],
    timeout: Duration,
}

/// Collects the reports of the transaction under way.
struct Context {
    reports: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    positions: Vec<Option<Position>>,
    open: usize,
}

impl Transactions {
    /// Makes the producer and fences whoever had the id before. Blocks.
    pub(super) fn start(settings: &Settings, id: &str) -> Result<Self, String> {
        let timeout = settings.transaction_timeout;
        let mut config = settings.producer();
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", millis(timeout))
            .set("linger.ms", "0")
            // Until the markers of the last transaction are written the next is told to come again;
            // with librdkafka's 100 ms every transaction takes 101 ms, with these 5 ms.
            .set("retry.backoff.ms", "2")
            .set("retry.backoff.max.ms", "5");
        let context = Context {
            reports: Mutex::default(),
        };
        let producer: BaseProducer<Context> =
            client::create(&config, context).map_err(|error| error.to_string())?;
        retrying(Instant::now() + timeout, |left| producer.init_transactions(left))
            .map_err(|error| format!("cannot begin as {id}: {error}"))?;
        let names = Topic::ALL.map(|topic| (topic, settings.topic_name(topic)));
        Ok(Self {
            producer: Mutex::new(producer),
            names,
            timeout,
        })
    }

    /// One transaction: `records` and `offsets`, both or neither. Blocks.
    pub(super) fn commit(
        &self,
        records: &[NewRecord],
        offsets: &TopicPartitionList,
        metadata: &ConsumerGroupMetadata,
    ) -> Result<Vec<Position>, CommitError> {
        let producer = self.producer.lock();
        let until = Instant::now() + self.timeout;
        // Serves what came between transactions.
        producer.poll(Timeout::After(Duration::ZERO));
        producer.context().begin(records.len());
        producer
            .begin_transaction()
            .map_err(|error| fatal_or_unknown(&error))?;
        let prepared = self
            .send_all(&producer, records, until)
            .and_then(|()| {
                retrying(until, |left| {
                    producer.send_offsets_to_transaction(offsets, metadata, left)
                })
            })
            .and_then(|()| await_reports(&producer, until));
        if let Err(error) = prepared {
            return Err(self.abort(&producer, &error));
        }
        match retrying(until, |left| producer.commit_transaction(left)) {
            Ok(()) => producer.context().positions(),
            Err(error) if requires_abort(&error) => Err(self.abort(&producer, &error)),
            Err(error) => Err(fatal_or_unknown(&error)),
        }
    }

    fn send_all(
        &self,
        producer: &BaseProducer<Context>,
        records: &[NewRecord],
        until: Instant,
    ) -> Result<(), KafkaError> {
        for (index, new) in records.iter().enumerate() {
            let topic = self
                .names
                .iter()
                .find(|(topic, _)| *topic == new.topic)
                .map_or("", |(_, name)| name);
            let mut message: BaseRecord<'_, str, [u8], usize> = BaseRecord::with_opaque_to(topic, index)
                .partition(record::raw_partition(new.partition))
                .key(&*new.key)
                .timestamp(new.timestamp_ms)
                .headers(record::encode_headers(&new.headers));
            if let Some(value) = &new.value {
                message = message.payload(value);
            }
            while let Err((error, back)) = producer.send(message) {
                let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
                if !full || Instant::now() >= until {
                    return Err(error);
                }
                producer.poll(TURN);
                message = back;
            }
        }
        Ok(())
    }

    /// Ends the transaction without effect. Says what became of the producer.
    fn abort(&self, producer: &BaseProducer<Context>, cause: &KafkaError) -> CommitError {
        if is_fence(cause) {
            return CommitError::Fenced;
        }
        if producer.client().fatal_error().is_some() {
            return fatal_or_unknown(cause);
        }
        match aborting(producer, Instant::now() + self.timeout) {
            Ok(()) => CommitError::Aborted {
                reason: cause.to_string(),
            },
            Err(error) => fatal_or_unknown(&error),
        }
    }
}

/// Aborts. What was not sent is reported as purged, and librdkafka waits for these reports to be
/// taken, which the call itself does not do.
fn aborting(producer: &BaseProducer<Context>, until: Instant) -> Result<(), KafkaError> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                producer.poll(TURN);
            }
        });
        let result = retrying(until, |left| producer.abort_transaction(left));
        done.store(true, Ordering::Release);
        result
    })
}

/// Calls `operation` with the time that is left until it succeeds or fails for good.
fn retrying(
    until: Instant,
    operation: impl Fn(Duration) -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match operation(left) {
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && !error.txn_requires_abort() && !left.is_zero() => {}
            result => return result,
        }
    }
}

/// Serves delivery reports until all are in.
fn await_reports(producer: &BaseProducer<Context>, until: Instant) -> Result<(), KafkaError> {
    while producer.context().reports.lock().open > 0 {
        if Instant::now() >= until {
            return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
        }
        producer.poll(TURN);
    }
    Ok(())
}

fn requires_abort(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(inner) if inner.txn_requires_abort())
}

fn is_fence(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId)
    )
}

fn fatal_or_unknown(error: &KafkaError) -> CommitError {
    if is_fence(error) {
        CommitError::Fenced
    } else {
        CommitError::Unknown {
            reason: error.to_string(),
        }
    }
}

impl Context {
    fn begin(&self, records: usize) {
        *self.reports.lock() = Reports {
            positions: vec![None; records],
            open: records,
        };
    }

    /// Where the records of the committed transaction lie.
    fn positions(&self) -> Result<Vec<Position>, CommitError> {
        let reports = std::mem::take(&mut *self.reports.lock());
        let positions: Option<Vec<Position>> = reports.positions.into_iter().collect();
        positions.ok_or_else(|| CommitError::Unknown {
            reason: "committed without a report".to_owned(),
        })
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "kafka", %error, reason, "transactions");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let mut reports = self.reports.lock();
        reports.open = reports.open.saturating_sub(1);
        // A failed record makes the transaction one to abort; librdkafka says so at the commit.
        if let (Ok(message), Some(slot)) = (result, reports.positions.get_mut(index)) {
            *slot = Some(Position {
                partition: Partition::try_from(message.partition()).unwrap_or(0),
                offset: record::offset(message.offset()),
            });
        }
    }
}
