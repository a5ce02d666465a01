//! What a feed needs of librdkafka's statistics.

use std::collections::HashMap;

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use serde::Deserialize;

use crate::Partition;
use crate::kafka::client;

/// Keeps the newest statistics until the feed's thread takes them.
#[derive(Default)]
pub(super) struct Context {
    newest: Mutex<Option<Statistics>>,
    client: client::Context,
}

/// See librdkafka's `STATISTICS.md`.
#[derive(Deserialize)]
pub(super) struct Statistics {
    #[serde(default)]
    brokers: HashMap<String, Broker>,
    #[serde(default)]
    topics: HashMap<String, Partitions>,
}

#[derive(Deserialize)]
struct Broker {
    nodeid: i32,
    state: String,
}

#[derive(Deserialize)]
struct Partitions {
    partitions: HashMap<String, Toppar>,
}

#[derive(Deserialize)]
struct Toppar {
    leader: i32,
    fetch_state: String,
    eof_offset: i64,
}

/// What the statistics say of one partition.
pub(super) struct Seen {
    /// Nothing of it is in progress.
    pub(super) stopped: bool,
    /// Its leader is connected.
    pub(super) reachable: bool,
    /// End that the fetcher reached in the present assignment; negative when it is not being fetched.
    pub(super) end: i64,
}

impl Context {
    pub(super) fn take(&self) -> Option<Statistics> {
        self.newest.lock().take()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice(statistics) {
            Ok(parsed) => *self.newest.lock() = Some(parsed),
            Err(error) => {
                tracing::warn!(target: "kafka", %error, "statistics of librdkafka are not as known")
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }
}

impl ConsumerContext for Context {}

impl Statistics {
    pub(super) fn of(&self, topic: &str, partition: Partition) -> Seen {
        let found = self
            .topics
            .get(topic)
            .and_then(|topic| topic.partitions.get(partition.to_string().as_str()));
        let Some(found) = found else {
            return Seen {
                stopped: true,
                reachable: false,
                end: -1,
            };
        };
        let reachable = self
            .brokers
            .values()
            .any(|broker| broker.nodeid == found.leader && broker.state == "UP");
        let active = found.fetch_state == "active";
        let stopped = matches!(found.fetch_state.as_str(), "none" | "stopped");
        Seen {
            stopped,
            reachable,
            end: if active { found.eof_offset } else { -1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_reachable_when_its_leader_is_up_and_its_end_counts_only_while_fetched() {
        let parse = |state: &str, fetch: &str| -> Seen {
            let text = format!(
                r#"{{"brokers":{{"b/1":{{"nodeid":1,"state":"{state}","x":1}}}},
                    "topics":{{"t":{{"topic":"t","partitions":{{"3":{{"leader":1,"fetch_state":"{fetch}","eof_offset":7}}}}}}}}}}"#
            );
            serde_json::from_str::<Statistics>(&text).unwrap().of("t", 3)
        };
        let seen = parse("UP", "active");
        assert!(seen.reachable && !seen.stopped);
        assert_eq!(seen.end, 7);
        let seen = parse("CONNECT", "stopped");
        assert!(!seen.reachable && seen.stopped);
        assert_eq!(seen.end, -1);
    }
}
