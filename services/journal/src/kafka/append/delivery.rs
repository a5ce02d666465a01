//! What the producer reports: the outcome of each record, and that it cannot go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rdkafka::Message as _;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use tokio::sync::Notify;

use super::Outcome;
use super::lane::Lane;
use crate::kafka::metrics::Metrics;
use crate::kafka::{client, record};
use crate::{AppendError, Position};

#[derive(Default)]
pub(super) struct State {
    /// Going on with this producer would leave a gap.
    pub(super) broken: AtomicBool,
    pub(super) stopped: AtomicBool,
}

/// Receives the reports of one producer.
pub(super) struct Context {
    pub(super) state: Arc<State>,
    pub(super) metrics: Arc<Metrics>,
}

/// One call of `append`.
pub(super) struct Call {
    pub(super) outcomes: Mutex<Vec<Option<Outcome>>>,
    pub(super) open: AtomicUsize,
    pub(super) done: Notify,
}

/// What comes back with the delivery report of one record.
pub(super) struct Ticket {
    pub(super) call: Arc<Call>,
    pub(super) index: usize,
    pub(super) lane: Arc<Lane>,
}

impl State {
    /// Why the producer did not take a record: nothing of it was sent.
    pub(super) fn not_taken(&self, error: &KafkaError) -> AppendError {
        let reason = error.to_string();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => AppendError::Full,
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => AppendError::Refused { reason },
            Some(RDKafkaErrorCode::Fatal) => {
                self.broken.store(true, Ordering::Release);
                AppendError::Unavailable { reason }
            }
            _ => AppendError::Unavailable { reason },
        }
    }
}

impl Call {
    pub(super) fn new(count: usize) -> Self {
        Self {
            outcomes: Mutex::new(vec![None; count]),
            open: AtomicUsize::new(count),
            done: Notify::new(),
        }
    }

    pub(super) fn settle(&self, index: usize, outcome: Outcome) {
        if let Some(slot) = self.outcomes.lock().get_mut(index) {
            *slot = Some(outcome);
        }
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes = self.outcomes.lock();
        outcomes
            .iter_mut()
            .map(|slot| slot.take().unwrap_or(Err(AppendError::Unknown)))
            .collect()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            tracing::warn!(target: "kafka", reason, "the producer is replaced, since going on would leave a gap");
            self.state.broken.store(true, Ordering::Release);
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        ticket.lane.leave();
        let outcome = match result {
            Ok(message) => Ok(Position {
                partition: crate::Partition::try_from(message.partition()).unwrap_or(0),
                offset: record::offset(message.offset()),
            }),
            Err((error, _)) => Err(not_delivered(error)),
        };
        ticket.call.settle(ticket.index, outcome);
    }
}

/// Why a record that the producer had taken was not acknowledged.
fn not_delivered(error: &KafkaError) -> AppendError {
    use RDKafkaErrorCode as Code;
    let reason = error.to_string();
    match error.rdkafka_error_code() {
        Some(
            Code::MessageSizeTooLarge
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidTimestamp
            | Code::InvalidRecord
            | Code::PolicyViolation,
        ) => AppendError::Refused { reason },
        Some(
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::InvalidTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::PurgeQueue,
        ) => AppendError::Unavailable { reason },
        _ => AppendError::Unknown,
    }
}
