//! The ceiling of replay on Kafka: a bare librdkafka consumer of the product's own topic, from where its events
//! begin, and nothing done with the records.

use std::time::{Duration, Instant};

use clap::Args;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::error::Error;
use crate::report::say;

/// Events of the product.
const TOPIC: &str = "wakeline.events";
/// Longest answer about offsets.
const ANSWER: Duration = Duration::from_secs(10);
/// Longest silence within a run.
const SILENCE: Duration = Duration::from_secs(20);

/// What it reads.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A broker.
    #[arg(long)]
    kafka: String,
    /// Whose events count.
    #[arg(long)]
    tenant: String,
    /// Where to begin, milliseconds since 1970.
    #[arg(long)]
    since_ms: i64,
    /// Events to read.
    #[arg(long)]
    events: u64,
    /// How many times.
    #[arg(long)]
    runs: u32,
}

/// Prints, for each run, the events read and the seconds that it took from assignment on.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    for _ in 0..arguments.runs {
        let seconds = consume(arguments).map_err(|reason| Error::Server {
            name: "the consumer".to_owned(),
            reason,
        })?;
        say(&format!("{} {seconds}", arguments.events));
    }
    Ok(())
}

fn consume(arguments: &Arguments) -> Result<f64, String> {
    let told = |error: KafkaError| error.to_string();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &arguments.kafka)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .create()
        .map_err(told)?;
    let metadata = consumer.fetch_metadata(Some(TOPIC), ANSWER).map_err(told)?;
    let mut times = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        let at = Offset::Offset(arguments.since_ms);
        times
            .add_partition_offset(TOPIC, partition.id(), at)
            .map_err(told)?;
    }
    let begins = consumer.offsets_for_times(times, ANSWER).map_err(told)?;
    let prefix = format!("{}/", arguments.tenant);
    let begun = Instant::now();
    consumer.assign(&begins).map_err(told)?;
    let mut events = 0;
    while events < arguments.events {
        let message = consumer
            .poll(SILENCE)
            .ok_or_else(|| format!("silent after {events} events"))?;
        let message = message.map_err(told)?;
        if message
            .key()
            .is_some_and(|key| key.starts_with(prefix.as_bytes()))
        {
            events += 1;
        }
    }
    Ok(begun.elapsed().as_secs_f64())
}
