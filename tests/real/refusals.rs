//! What a node refuses to start with: it says what to do and exits with 1.

use std::time::{Duration, Instant};

use node::config::Config;
use node::storage::{self, OpenError};
use prometheus::Registry;
use tests::program::{Ended, Program};

use crate::cluster::{Servers, tool};
use crate::serving::{Cluster, VARIABLES, with_flags};

/// Nothing listens there.
const NOBODY: &str = "127.0.0.1:1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_broker_is_named_within_30_s() {
    let Some(shared) = Servers::shared() else { return };
    let ended = refused(&Servers {
        kafka: NOBODY.to_owned(),
        ..shared.clone()
    })
    .await;
    assert!(
        ended.errors.contains(&format!("Kafka at {NOBODY}")),
        "{}",
        ended.errors
    );
    assert!(
        !ended.errors.contains(&format!("CQL server at {}", shared.cql)),
        "{}",
        ended.errors
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_cql_server_is_named_within_30_s() {
    let Some(shared) = Servers::shared() else { return };
    let ended = refused(&Servers {
        cql: NOBODY.to_owned(),
        ..shared
    })
    .await;
    assert!(
        ended.errors.contains(NOBODY) && !ended.errors.contains("Kafka at"),
        "{}",
        ended.errors
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_were_not_migrated_are_refused_with_the_way_out() {
    let Some(shared) = Servers::shared() else { return };
    let ended = refused(&shared).await;
    assert!(
        ended.errors.contains("run `wakeline migrate`"),
        "{}",
        ended.errors
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_is_refused_unless_weak_durability_is_allowed() {
    let Some(cluster) = Cluster::up().await else {
        return;
    };
    let strict: Vec<_> = VARIABLES
        .into_iter()
        .filter(|(name, _)| !name.contains("WEAK"))
        .collect();
    let ended = Program::run(
        &with_flags(
            "serve",
            &cluster.servers,
            &["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
        ),
        &strict,
    )
    .await;
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(
        ended
            .errors
            .contains("wakeline.events has 1 replicas, fewer than 3"),
        "{}",
        ended.errors
    );
    assert!(
        ended.errors.contains("--allow-weak-durability"),
        "{}",
        ended.errors
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_with_another_number_of_partitions_is_refused() {
    let Some(shared) = Servers::shared() else { return };
    let config = shared.config();
    drop(tests::nodes::Storage::servers(&config).await);
    let topic = format!("{}wakeline.events", config.kafka_settings.namespace);
    let arguments = [
        "--bootstrap-server",
        &shared.kafka,
        "--alter",
        "--topic",
        &topic,
        "--partitions",
        "9",
    ];
    tool("TopicCommand", &arguments).await;
    let reason = tests::wait::until("the broker knows of the new partition", || open(&config)).await;
    assert!(
        matches!(&reason, OpenError::Layout(text) if text.contains("has 9 partitions")),
        "{reason}"
    );
    assert!(reason.to_string().contains("migrate --new-epoch"), "{reason}");
}

/// Why storage does not open, if it does not.
async fn open(config: &Config) -> Option<OpenError> {
    storage::open(config, &node::system_clock(), &Registry::new())
        .await
        .err()
}

/// Starts a node that must not start, and not take long to say so.
async fn refused(servers: &Servers) -> Ended {
    let begun = Instant::now();
    let arguments = with_flags(
        "serve",
        servers,
        &["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
    );
    let ended = Program::run(&arguments, &VARIABLES).await;
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    ended
}
