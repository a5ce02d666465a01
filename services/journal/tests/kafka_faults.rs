//! The Kafka engine while its broker is away. Run by hand, since it kills the broker:
//! `infra/local/up --only kafka --dir DIR`, then
//! `WAKELINE_TEST_KAFKA_DIR=DIR cargo test -p journal --test kafka_faults -- --ignored --test-threads 1`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::kafka::{self, Settings};
use journal::{
    AppendError, Claim, ClaimEvent, CommitError, Headers, Journal, NewRecord, ReadError, Tail, TailError,
    Topic,
};
use prometheus::Registry;
use schemas::control::Layout;

const PATIENCE: Duration = Duration::from_secs(60);

struct Broker {
    dir: PathBuf,
}

impl Broker {
    #[expect(clippy::disallowed_methods, reason = "the way in of this test")]
    fn new() -> Self {
        let dir = std::env::var("WAKELINE_TEST_KAFKA_DIR").expect("WAKELINE_TEST_KAFKA_DIR is set");
        Self { dir: dir.into() }
    }

    fn address(&self) -> String {
        let env = std::fs::read_to_string(self.dir.join("env")).expect("the broker was started");
        let line = env
            .lines()
            .find_map(|line| line.strip_prefix("WAKELINE_KAFKA="))
            .expect("an address");
        line.trim_matches('\'').to_owned()
    }

    /// Runs a script of `infra/local`.
    fn tell(&self, script: &str) {
        let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/local/");
        let mut command = Command::new(format!("{scripts}{script}"));
        command
            .arg("--dir")
            .arg(&self.dir)
            .arg("kafka-1")
            .stdout(Stdio::null());
        assert!(command.status().expect("runs").success(), "{script}");
    }

    async fn connect(&self, test: &str) -> Journal {
        let mut settings = Settings::new(self.address());
        settings.namespace = format!("{test}-{}.", std::process::id());
        settings.append_stall = Duration::from_secs(3);
        settings.request_timeout = Duration::from_secs(2);
        settings.socket_timeout = Duration::from_secs(3);
        let kafka = kafka::connect(settings, &Registry::new())
            .await
            .expect("Kafka answers");
        kafka.admin().create(1, 1).await.expect("topics");
        kafka.journal(Layout {
            generation: 1,
            created_at: 0,
            epoch: 1,
            partitions: 1,
            default_spread: 1,
            fold_version: 1,
            document_bytes_max: 65_536,
            registration_required: false,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "tests read the clock")]
fn now_ms() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    i64::try_from(now.as_millis()).expect("before the year 292,000,000")
}

fn records(topic: Topic, numbers: std::ops::Range<usize>) -> Vec<NewRecord> {
    numbers
        .map(|number| NewRecord {
            topic,
            partition: 0,
            key: "acme/bus".into(),
            value: Some(Bytes::from(number.to_string())),
            timestamp_ms: now_ms(),
            headers: Headers {
                kind: "log".into(),
                generation: 1,
                ..Headers::default()
            },
        })
        .collect()
}

async fn follow(tail: &mut dyn Tail, until: u64) -> (Vec<String>, u32) {
    let (mut values, mut unavailable) = (Vec::new(), 0);
    let all = async {
        loop {
            match tail.next().await {
                Ok(batch) => {
                    let text = |value: Option<Bytes>| String::from_utf8(value.unwrap_or_default().to_vec());
                    values.extend(
                        batch
                            .records
                            .into_iter()
                            .map(|record| text(record.value).expect("text")),
                    );
                    if batch.next >= until {
                        break;
                    }
                }
                Err(TailError::Unavailable { .. }) => unavailable += 1,
                Err(error) => panic!("the tail ended: {error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, all)
        .await
        .expect("the tail goes on in time");
    (values, unavailable)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "kills a broker"]
async fn what_was_under_way_when_the_broker_died_goes_on_in_order_when_it_is_back() {
    let broker = Broker::new();
    let journal = broker.connect("died").await;
    let append = |numbers, deadline| journal.appender.append(records(Topic::Events, numbers), deadline);
    assert!(append(0..10, PATIENCE).await.iter().all(Result::is_ok));
    let mut tail = journal.tails.open(Topic::Events, 0, 0).await;
    assert_eq!(follow(&mut *tail, 10).await.0.len(), 10);
    broker.tell("kill");

    let outcomes = append(10..20, Duration::from_secs(2)).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == Err(AppendError::Unknown)),
        "{outcomes:?}"
    );
    let told = tokio::time::timeout(PATIENCE, tail.next())
        .await
        .expect("told in time");
    assert!(matches!(told, Err(TailError::Unavailable { .. })), "{told:?}");
    let started = Instant::now();
    loop {
        let outcome = append(90..91, Duration::from_millis(200)).await.remove(0);
        if matches!(outcome, Err(AppendError::Unavailable { .. })) {
            break;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "a partition that takes nothing is closed"
        );
    }
    let read = journal.reader.read(Topic::Events, 0, 0, 1_000).await;
    assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");

    broker.tell("start");
    let started = Instant::now();
    let position = loop {
        match append(20..21, PATIENCE).await.remove(0) {
            Ok(position) => break position,
            Err(AppendError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
        assert!(started.elapsed() < PATIENCE, "appends go on");
    };
    let (values, _) = follow(&mut *tail, position.offset + 1).await;
    let distinct: Vec<&String> = values.iter().filter(|value| *value != "90").collect();
    let expected: Vec<String> = (10..21).map(|number| number.to_string()).collect();
    assert_eq!(distinct, expected.iter().collect::<Vec<_>>());
}

async fn claim(journal: &Journal) -> (Box<dyn journal::Membership>, Box<dyn Claim>) {
    let mut membership = journal.groups.join("fold", Topic::Events).await.expect("joined");
    match tokio::time::timeout(PATIENCE, membership.next())
        .await
        .expect("a claim in time")
    {
        ClaimEvent::Claimed(claim) => (membership, claim),
        ClaimEvent::Closed { reason } => panic!("{reason:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "kills a broker"]
async fn a_group_commits_on_after_the_broker_died_and_nothing_twice() {
    let broker = Broker::new();
    let journal = broker.connect("group").await;
    let (mut membership, mut held) = claim(&journal).await;
    held.commit(records(Topic::State, 0..3), 3)
        .await
        .expect("committed");
    broker.tell("kill");
    let broken = held.commit(records(Topic::State, 3..6), 6).await;
    assert!(broken.is_err(), "{broken:?}");
    broker.tell("start");
    let done = async {
        let mut claim = matches!(broken, Err(CommitError::Aborted { .. })).then_some(held);
        loop {
            let Some(owned) = claim.as_mut() else {
                match membership.next().await {
                    ClaimEvent::Claimed(next) => claim = Some(next),
                    ClaimEvent::Closed { reason } => panic!("{reason:?}"),
                }
                continue;
            };
            if owned.committed() == Some(6) {
                break;
            }
            match owned.commit(records(Topic::State, 3..6), 6).await {
                Ok(_) => break,
                Err(CommitError::Aborted { .. }) => {}
                Err(CommitError::Fenced | CommitError::Unknown { .. }) => claim = None,
            }
        }
    };
    tokio::time::timeout(PATIENCE, done)
        .await
        .expect("committed in time");
    let mut tail = journal.tails.open(Topic::State, 0, 0).await;
    let end = journal
        .reader
        .bounds(Topic::State, &[0])
        .await
        .remove(0)
        .expect("bounds")
        .end;
    let (values, _) = follow(&mut *tail, end).await;
    assert_eq!(values, ["0", "1", "2", "3", "4", "5"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "freezes a broker"]
async fn a_frozen_broker_is_told_in_time_and_what_was_asked_goes_on_after_it() {
    let broker = Broker::new();
    let journal = broker.connect("frozen").await;
    let append = |numbers, deadline| journal.appender.append(records(Topic::Events, numbers), deadline);
    assert!(append(0..5, PATIENCE).await.iter().all(Result::is_ok));
    let mut tail = journal.tails.open(Topic::Events, 0, 5).await;
    broker.tell("freeze");
    let started = Instant::now();
    let bounds = journal.reader.bounds(Topic::Events, &[0]).await.remove(0);
    let read = journal.reader.read(Topic::Events, 0, 0, 1_000).await;
    let told = tokio::time::timeout(PATIENCE, tail.next()).await;
    let took = started.elapsed();
    let outcome = append(5..6, Duration::from_secs(1)).await.remove(0);
    broker.tell("thaw");
    assert!(matches!(bounds, Err(ReadError::Unavailable { .. })), "{bounds:?}");
    assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");
    assert!(matches!(told, Ok(Err(TailError::Unavailable { .. }))), "{told:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(outcome, Err(AppendError::Unknown));
    let (values, _) = follow(&mut *tail, 6).await;
    assert_eq!(values, ["5"]);
}
