//! What an operator can set, and how it becomes properties of librdkafka.

use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;

use super::client::ConnectError;
use crate::Topic;

/// Settings of the Kafka engine. [`Settings::new`] has the defaults.
#[derive(Clone)]
pub struct Settings {
    /// `host:port,…`.
    pub brokers: String,
    /// Further properties of librdkafka (TLS, SASL, …). Those that carry a promise of the log are
    /// refused: `Settings::RESERVED`.
    pub properties: Vec<(String, String)>,
    /// Stands before the name of every topic, group and transactional id. Empty in production, since
    /// the names are a public interface; tests share one broker with it.
    pub namespace: String,
    /// Configuration of the topics that [`Admin::create`](crate::Admin::create) makes.
    pub topics: Vec<TopicSettings>,
    /// For [`connect`](super::connect). 20 s.
    pub connect_timeout: Duration,
    /// For one question to the cluster: ends, time index, metadata, one block. 5 s.
    pub request_timeout: Duration,
    /// For an answer on a connection, before it is taken for dead. 10 s.
    pub socket_timeout: Duration,
    /// Records waiting in the producer; beyond it, [`AppendError::Full`](crate::AppendError). 500,000.
    pub append_queue_records_max: u32,
    /// KiB waiting in the producer; beyond it, [`AppendError::Full`](crate::AppendError). 128 MiB.
    pub append_queue_kbytes_max: u32,
    /// How long a record waits for others to share its batch. 3 ms.
    pub append_linger_ms: u32,
    /// A partition that acknowledged nothing for so long takes no more records until it does. 10 s.
    pub append_stall: Duration,
    /// Longest record, with key and headers, before compression. 1,000,000 bytes.
    pub record_bytes_max: u32,
    /// KiB fetched ahead for each tail. 1 MiB.
    pub tail_buffer_kbytes: u32,
    /// Most records in one batch of a tail. 1,000.
    pub tail_batch_records_max: usize,
    /// How long a broker may wait for records before it answers a fetch. 50 ms.
    pub fetch_wait_ms: u32,
    /// Ranges read at once, per isolation level: each has a consumer of its own. 4.
    pub readers: usize,
    /// Questions (ends, time index) asked at once. 16.
    pub queries: usize,
    /// KiB fetched ahead for each reader. 2 MiB.
    pub reader_buffer_kbytes: u32,
    /// Largest fetch of a reader from one partition, kilobytes as the broker keeps them, so compressed; a
    /// batch that is larger comes whole. 256.
    pub reader_fetch_kbytes: u32,
    /// A group member that was silent for so long loses its partitions. 6 s.
    pub session_timeout: Duration,
    /// How often a member says that it lives. 2 s.
    pub heartbeat: Duration,
    /// How long a rebalance waits until revoked claims are dropped. 4 s.
    pub revocation: Duration,
    /// An open transaction older than this is aborted by the cluster; also the deadline of a commit. 10 s.
    pub transaction_timeout: Duration,
    /// Pause before a partition whose claim was dropped (not revoked) is claimed anew. 250 ms.
    pub reclaim_delay: Duration,
}

/// Configuration of one topic, applied when it is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// Which topic.
    pub topic: Topic,
    /// Kafka's names and values.
    pub config: Vec<(String, String)>,
}

const WEEK_MS: &str = "604800000";
const DAY_MS: &str = "86400000";

impl Settings {
    /// Properties that carry a promise of the log, or that another setting decides.
    pub const RESERVED: [&'static str; 26] = [
        "acks",
        "auto.offset.reset",
        "bootstrap.servers",
        "delivery.timeout.ms",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.gapless.guarantee",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.protocol",
        "isolation.level",
        "linger.ms",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "message.max.bytes",
        "message.send.max.retries",
        "message.timeout.ms",
        "metadata.broker.list",
        "partition.assignment.strategy",
        "queue.buffering.max.ms",
        "request.required.acks",
        "retries",
        "statistics.interval.ms",
        "transaction.timeout.ms",
        "transactional.id",
    ];

    /// The defaults, for the cluster at `brokers`.
    #[must_use]
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            properties: Vec::new(),
            namespace: String::new(),
            topics: Topic::ALL.into_iter().map(TopicSettings::standard).collect(),
            connect_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(5),
            socket_timeout: Duration::from_secs(10),
            append_queue_records_max: 500_000,
            append_queue_kbytes_max: 128 * 1024,
            append_linger_ms: 3,
            append_stall: Duration::from_secs(10),
            record_bytes_max: 1_000_000,
            tail_buffer_kbytes: 1024,
            tail_batch_records_max: 1_000,
            fetch_wait_ms: 50,
            readers: 4,
            queries: 16,
            reader_buffer_kbytes: 2048,
            reader_fetch_kbytes: 256,
            session_timeout: Duration::from_secs(6),
            heartbeat: Duration::from_secs(2),
            revocation: Duration::from_secs(4),
            transaction_timeout: Duration::from_secs(10),
            reclaim_delay: Duration::from_millis(250),
        }
    }

    /// The name of `topic` on this cluster.
    pub(super) fn topic_name(&self, topic: Topic) -> String {
        format!("{}{}", self.namespace, topic.name())
    }

    pub(super) fn check(&self) -> Result<(), ConnectError> {
        for (name, _) in &self.properties {
            if Self::RESERVED.contains(&name.as_str()) {
                return Err(ConnectError::Property {
                    name: name.clone(),
                    reason: "is decided by Wakeline; leave it out".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// What every client has.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("client.id", "wakeline")
            // A broker that comes back is to be found at once, not after the 10 s of the default.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            .set("socket.timeout.ms", millis(self.socket_timeout));
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// A consumer of assigned partitions. `committed`: only records of committed transactions.
    pub(super) fn consumer(&self, committed: bool, buffer_kbytes: u32) -> ClientConfig {
        let mut config = self.client();
        config
            // Assigning needs a name; nothing joins or commits under it.
            .set("group.id", format!("{}wakeline-assigned", self.namespace))
            .set(
                "isolation.level",
                if committed {
                    "read_committed"
                } else {
                    "read_uncommitted"
                },
            )
            .set("auto.offset.reset", "error")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", self.fetch_wait_ms.to_string())
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.error.backoff.ms", "50")
            .set("queued.max.messages.kbytes", buffer_kbytes.to_string())
            .set(
                "fetch.message.max.bytes",
                (buffer_kbytes.saturating_mul(1024)).to_string(),
            );
        config
    }

    /// A producer whose records are durable, unique and in order.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.codec", "zstd")
            .set("message.max.bytes", self.record_bytes_max.to_string())
            .set(
                "queue.buffering.max.messages",
                self.append_queue_records_max.to_string(),
            )
            .set(
                "queue.buffering.max.kbytes",
                self.append_queue_kbytes_max.to_string(),
            );
        config
    }
}

impl TopicSettings {
    /// The configuration for a cluster without particular wishes.
    #[must_use]
    pub fn standard(topic: Topic) -> Self {
        let mut config = vec![
            ("min.insync.replicas", "2"),
            ("unclean.leader.election.enable", "false"),
            ("compression.type", "producer"),
            ("message.timestamp.type", "CreateTime"),
            // A node whose clock is far ahead must fail to append, loudly: its records would never expire.
            ("message.timestamp.after.max.ms", "3600000"),
            ("max.message.bytes", "1048576"),
            ("segment.ms", DAY_MS),
        ];
        config.extend(match topic {
            Topic::Events | Topic::Rejected => {
                [("cleanup.policy", "delete"), ("retention.ms", WEEK_MS)].as_slice()
            }
            Topic::State => [
                ("cleanup.policy", "compact"),
                ("min.compaction.lag.ms", WEEK_MS),
                ("delete.retention.ms", WEEK_MS),
            ]
            .as_slice(),
            Topic::Control => [("cleanup.policy", "compact"), ("delete.retention.ms", WEEK_MS)].as_slice(),
        });
        Self {
            topic,
            config: config
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }
}

/// Values of properties may be secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.properties.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Settings")
            .field("brokers", &self.brokers)
            .field("properties", &names)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

pub(super) fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_that_carries_a_promise_is_refused_by_name() {
        let mut settings = Settings::new("127.0.0.1:9092");
        settings.properties.push(("acks".to_owned(), "1".to_owned()));
        let error = settings.check().unwrap_err();
        assert!(error.to_string().contains("acks"), "{error}");
    }

    #[test]
    fn debug_shows_no_value_of_a_property() {
        let mut settings = Settings::new("127.0.0.1:9092");
        settings
            .properties
            .push(("sasl.password".to_owned(), "hunter2".to_owned()));
        let text = format!("{settings:?}");
        assert!(
            text.contains("sasl.password") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
