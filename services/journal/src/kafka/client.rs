//! What all clients share: logging, the last error for messages, and the first contact.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, util::Timeout};
use std::time::Duration;

use super::settings::Settings;

/// Why there is no connection to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// A property that librdkafka does not take, or that is not the operator's to set.
    #[error("the Kafka property {name} {reason}")]
    Property {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing answered in time.
    #[error(
        "Kafka at {brokers} did not answer within {} s: {reason}; check that a broker runs there, that the \
         address it advertises can be reached from here, and the security properties",
        within.as_secs()
    )]
    Unreachable {
        /// The addresses tried.
        brokers: String,
        /// The time given.
        within: Duration,
        /// What librdkafka said last.
        reason: String,
    },
    /// The metrics are registered already.
    #[error("the metrics of the Kafka engine cannot be registered: {0}")]
    Metrics(String),
}

/// Sends librdkafka's log to `tracing` and remembers its last error.
#[derive(Default)]
pub(super) struct Context {
    last_error: Mutex<Option<String>>,
}

impl Context {
    /// What librdkafka complained of last.
    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        // "All brokers are down" says less than the error before it.
        let code = error.rdkafka_error_code();
        if !is_end(&error) && code != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.last_error.lock() = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}

/// Whether this is the notice that a partition's end was reached.
pub(super) fn is_end(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF)
        || matches!(error, KafkaError::PartitionEOF(_))
}

/// librdkafka's log line, at our levels: a broker that is away is not an error of ours.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "kafka", facility, "{message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::warn!(target: "kafka", facility, "{message}");
        }
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(target: "kafka", facility, "{message}");
        }
    }
}

/// Makes a client; a wrong property is told by its name, never by its value.
pub(super) fn create<T, C>(config: &ClientConfig, context: C) -> Result<T, ConnectError>
where
    C: ClientContext,
    T: FromClientConfigAndContext<C>,
{
    T::from_config_and_context(config, context).map_err(|error| {
        if let KafkaError::ClientConfig(_, reason, name, _) = error {
            ConnectError::Property { name, reason }
        } else {
            ConnectError::Property {
                name: "set".to_owned(),
                reason: format!("is wrong: {error}"),
            }
        }
    })
}

/// Asks the cluster for its identity.
pub(super) async fn cluster_id(settings: &Arc<Settings>) -> Result<String, ConnectError> {
    let settings = Arc::clone(settings);
    let brokers = settings.brokers.clone();
    let within = settings.connect_timeout;
    tokio::task::spawn_blocking(move || ask_cluster_id(&settings))
        .await
        .unwrap_or_else(|error| {
            Err(ConnectError::Unreachable {
                brokers,
                within,
                reason: error.to_string(),
            })
        })
}

fn ask_cluster_id(settings: &Settings) -> Result<String, ConnectError> {
    const TURN: Duration = Duration::from_millis(250);
    let consumer: BaseConsumer<Context> = create(&settings.client(), Context::default())?;
    let started = Instant::now();
    while started.elapsed() < settings.connect_timeout {
        if let Some(id) = consumer.client().fetch_cluster_id(TURN) {
            return Ok(id);
        }
        // Serves the error callback, which knows the reason.
        let _none = consumer.poll(Timeout::After(Duration::ZERO));
    }
    Err(ConnectError::Unreachable {
        brokers: settings.brokers.clone(),
        within: settings.connect_timeout,
        reason: consumer
            .context()
            .last_error()
            .unwrap_or_else(|| "no answer".to_owned()),
    })
}

/// A reason for people: the error, and what librdkafka said last.
pub(super) fn reason(error: &impl fmt::Display, context: &Context) -> String {
    match context.last_error() {
        Some(last) => format!("{error} (last: {last})"),
        None => error.to_string(),
    }
}

/// Drops `value` on a thread of its own, once nobody else holds it: closing a client waits for its
/// threads and, in a group, for the broker.
pub(super) fn drop_elsewhere<T: Send + Sync + 'static>(value: &Arc<T>) {
    const LOOK: Duration = Duration::from_millis(1);
    let last = Arc::clone(value);
    let wait = move || {
        while Arc::strong_count(&last) > 1 {
            std::thread::sleep(LOOK);
        }
        drop(last);
    };
    if let Err(error) = std::thread::Builder::new()
        .name("kafka-close".to_owned())
        .spawn(wait)
    {
        tracing::warn!(target: "kafka", %error, "no thread to close a client on");
    }
}
