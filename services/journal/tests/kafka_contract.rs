//! The contract suite against a real Kafka, whose address is in `WAKELINE_TEST_KAFKA`; each test is
//! skipped aloud without it. `infra/local/up --only kafka` starts one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use journal::contract::{Compaction, Harness, PARTITIONS};
use journal::kafka::{self, Settings};
use journal::{Admin, AppendError, Headers, Journal, NewRecord, Offset, Partition, Topic};
use prometheus::Registry;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, TopicPartitionList};
use schemas::control::Layout;

struct KafkaHarness {
    brokers: String,
    namespace: String,
    layout: Layout,
}

/// A namespace of its own for each test, so that they share a broker and nothing else.
#[expect(clippy::print_stdout, reason = "a test that is not run must say so")]
async fn harness() -> Option<KafkaHarness> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    #[expect(clippy::disallowed_methods, reason = "the way in of this test")]
    let Ok(brokers) = std::env::var("WAKELINE_TEST_KAFKA") else {
        println!("skipped: WAKELINE_TEST_KAFKA is not set");
        return None;
    };
    let now_ms = now_ms();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let layout = Layout {
        generation: 1,
        created_at: now_ms * 1000,
        epoch: 7,
        partitions: PARTITIONS,
        default_spread: 8,
        fold_version: 1,
        document_bytes_max: 65_536,
        registration_required: false,
    };
    let namespace = format!("t{}-{now_ms}-{number}.", std::process::id());
    let harness = KafkaHarness {
        brokers,
        namespace,
        layout,
    };
    let admin = harness.admin().await;
    admin.create(PARTITIONS, 1).await.expect("topics");
    admin.write_layout(&harness.layout).await.expect("a layout");
    Some(harness)
}

impl KafkaHarness {
    async fn connect(&self) -> kafka::Kafka {
        let mut settings = Settings::new(&self.brokers);
        settings.namespace.clone_from(&self.namespace);
        settings.revocation = Duration::from_secs(1);
        kafka::connect(settings, &Registry::new())
            .await
            .expect("Kafka answers")
    }
}

#[expect(clippy::disallowed_methods, reason = "tests read the clock")]
fn now_ms() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("in range");
    i64::try_from(now.as_millis()).expect("in range")
}

#[async_trait]
impl Harness for KafkaHarness {
    async fn handle(&self) -> Journal {
        self.connect().await.journal(self.layout.clone())
    }

    async fn restarted(&self) -> Journal {
        self.handle().await
    }

    async fn admin(&self) -> Arc<dyn Admin> {
        self.connect().await.admin()
    }

    async fn trim(&self, topic: Topic, partition: Partition, before: Offset) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .expect("in range");
        let mut list = TopicPartitionList::new();
        let name = format!("{}{}", self.namespace, topic.name());
        let at = rdkafka::Offset::Offset(i64::try_from(before).expect("in range"));
        list.add_partition_offset(&name, i32::try_from(partition).expect("in range"), at)
            .expect("in range");
        admin
            .delete_records(&list, &AdminOptions::new())
            .await
            .expect("Kafka answers");
    }

    fn now_ms(&self) -> i64 {
        now_ms()
    }

    /// The cleaner of a broker runs when it likes.
    fn compaction(&self) -> Option<&dyn Compaction> {
        None
    }
}

journal::contract_tests!(harness());

/// A record that the broker, not the client, refuses: its time is far ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_record_stops_what_follows_it_and_the_next_call_goes_on() {
    let Some(harness) = harness().await else { return };
    let journal = harness.handle().await;
    let record = |number: u32, time_ms: i64| NewRecord {
        topic: Topic::Events,
        partition: 0,
        key: "acme/bus".into(),
        value: Some(number.to_string().into()),
        timestamp_ms: time_ms,
        headers: Headers::default(),
    };
    let append = |records| journal.appender.append(records, Duration::from_secs(10));
    let day_ms = 86_400_000;
    let outcome = append(vec![record(0, now_ms() + day_ms)]).await.remove(0);
    assert!(matches!(outcome, Err(AppendError::Refused { .. })), "{outcome:?}");
    let until = Instant::now() + harness.patience();
    loop {
        match append(vec![record(1, now_ms())]).await.remove(0) {
            Ok(position) => break assert_eq!(position.offset, 0, "nothing was appended before"),
            // The producer was being replaced.
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    }
}
