//! Figures of the Kafka engine against a real broker; run by hand:
//! `WAKELINE_TEST_KAFKA=… cargo test --release -p journal --test kafka_figures -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use journal::kafka::{self, Settings};
use journal::{ClaimEvent, Headers, Journal, NewRecord, Topic};
use prometheus::Registry;
use schemas::control::Layout;

const PARTITIONS: u32 = 16;
const DEADLINE: Duration = Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "the way in of this test")]
async fn connect() -> Journal {
    let brokers = std::env::var("WAKELINE_TEST_KAFKA").expect("WAKELINE_TEST_KAFKA has the address");
    let mut settings = Settings::new(brokers);
    settings.namespace = format!("figures-{}.", std::process::id());
    let kafka = kafka::connect(settings, &Registry::new())
        .await
        .expect("Kafka answers");
    kafka.admin().create(PARTITIONS, 1).await.expect("topics");
    kafka.journal(Layout {
        generation: 1,
        created_at: now_ms() * 1000,
        epoch: 1,
        partitions: PARTITIONS,
        default_spread: 8,
        fold_version: 1,
        document_bytes_max: 65_536,
        registration_required: false,
    })
}

#[expect(clippy::disallowed_methods, reason = "tests read the clock")]
fn now_ms() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    i64::try_from(now.as_millis()).expect("before the year 292,000,000")
}

/// 200 bytes that do not compress to nothing.
fn records(topic: Topic, count: u32, seed: u32) -> Vec<NewRecord> {
    let now = now_ms();
    let mut state = u64::from(seed) | 1;
    (0..count)
        .map(|number| {
            let mut value = Vec::with_capacity(200);
            while value.len() < 200 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                value.push(b'A' + (state >> 59) as u8);
            }
            NewRecord {
                topic,
                partition: number % PARTITIONS,
                key: format!("acme/bus-{}", number % 1_000).into(),
                value: Some(Bytes::from(value)),
                timestamp_ms: now,
                headers: Headers {
                    kind: "telemetry".into(),
                    generation: 1,
                    ..Headers::default()
                },
            }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; needs a broker and minutes"]
async fn figures() {
    const CALLS: u32 = 400;
    const RECORDS: u32 = 2_000;
    let journal = connect().await;
    let calls: Vec<_> = (0..8_u32)
        .map(|caller| records(Topic::Events, RECORDS, caller))
        .collect();
    let warm = journal.appender.append(calls[0].clone(), DEADLINE).await;
    assert!(warm.iter().all(Result::is_ok));
    let started = Instant::now();
    let callers = calls.iter().map(|call| async {
        for _ in 0..CALLS / 8 {
            let outcomes = journal.appender.append(call.clone(), DEADLINE).await;
            assert!(outcomes.iter().all(Result::is_ok));
        }
    });
    join_all(callers).await;
    let total = f64::from(CALLS * RECORDS);
    println!(
        "append: {:.0} records/s of 200 B, {PARTITIONS} partitions",
        total / started.elapsed().as_secs_f64()
    );

    let mut times = Vec::new();
    for turn in 0..200 {
        let started = Instant::now();
        let outcomes = journal
            .appender
            .append(records(Topic::Events, 1, turn), DEADLINE)
            .await;
        assert!(outcomes.iter().all(Result::is_ok));
        times.push(started.elapsed());
    }
    print_times("append of one record", times);

    let mut times = Vec::new();
    for _ in 0..30 {
        let started = Instant::now();
        let block = journal
            .reader
            .read(Topic::Events, 0, 0, 1024 * 1024)
            .await
            .expect("a block");
        assert!(block.records.len() > 1_000);
        times.push(started.elapsed());
    }
    print_times("read of 1 MiB", times);
    transactions(&journal).await;
    live(&journal).await;
}

async fn transactions(journal: &Journal) {
    let mut membership = journal
        .groups
        .join("figures", Topic::Events)
        .await
        .expect("joined");
    let ClaimEvent::Claimed(mut claim) = membership.next().await else {
        panic!("no claim")
    };
    for count in [0, 1, 100, 1_000] {
        let mut times = Vec::new();
        let mut batch = records(Topic::State, count, 1);
        batch
            .iter_mut()
            .for_each(|record| record.partition = claim.partition());
        for turn in 0..100 {
            let started = Instant::now();
            claim.commit(batch.clone(), turn).await.expect("committed");
            times.push(started.elapsed());
        }
        print_times(&format!("transaction of {count} records and the offset"), times);
    }
}

/// From append to tail.
async fn live(journal: &Journal) {
    let bounds = journal
        .reader
        .bounds(Topic::Events, &[0])
        .await
        .remove(0)
        .expect("bounds");
    let mut tail = journal.tails.open(Topic::Events, 0, bounds.end).await;
    let mut times = Vec::new();
    for turn in 0..200 {
        let started = Instant::now();
        let append = journal.appender.append(records(Topic::Events, 1, turn), DEADLINE);
        let (_, batch) = futures::future::join(append, tail.next()).await;
        assert_eq!(batch.expect("a batch").records.len(), 1);
        times.push(started.elapsed());
    }
    print_times("append to tail", times);
}

#[expect(clippy::print_stdout, reason = "prints figures")]
fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    println!("{what}: median {:.1} ms, p99 {:.1} ms", at(50), at(99));
}
