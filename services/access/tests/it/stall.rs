//! A control topic that cannot be read any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use access::Directory;
use access::directory::Settings;
use async_trait::async_trait;
use journal::{Block, Bounds, Offset, Partition, ReadError, Reader, Topic};
use prometheus::Registry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{World, settings, system, within};

/// A reader whose log can go away.
struct Flaky {
    real: Arc<dyn Reader>,
    gone: AtomicBool,
}

impl Flaky {
    fn check(&self) -> Result<(), ReadError> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(ReadError::Unavailable {
                reason: "gone".to_owned(),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl Reader for Flaky {
    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Block, ReadError> {
        self.check()?;
        self.real.read(topic, partition, from, bytes_max).await
    }

    async fn bounds(&self, topic: Topic, partitions: &[Partition]) -> Vec<Result<Bounds, ReadError>> {
        match self.check() {
            Ok(()) => self.real.bounds(topic, partitions).await,
            Err(error) => vec![Err(error); partitions.len()],
        }
    }

    async fn offset_at(
        &self,
        topic: Topic,
        partitions: &[Partition],
        time_ms: i64,
    ) -> Vec<Result<Offset, ReadError>> {
        self.real.offset_at(topic, partitions, time_ms).await
    }
}

#[tokio::test]
async fn a_log_that_goes_away_is_alarmed_and_what_is_known_serves_on() {
    let world = World::new().await;
    let (_, credential) = world.token(&system(), r#"{"role":"user","tenant":"acme"}"#).await;
    let flaky = Arc::new(Flaky {
        real: Arc::clone(&world.journal.reader),
        gone: AtomicBool::new(true),
    });
    let mut journal = world.journal.clone();
    journal.reader = Arc::clone(&flaky) as Arc<dyn Reader>;
    let settings = Settings {
        check_every: Duration::from_millis(10),
        ..settings()
    };
    let directory = Directory::new(settings, 16, &Registry::new()).unwrap();
    let follower = Arc::clone(&directory);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { follower.follow(&journal, CancellationToken::new()).await });

    // Not ready, and so nobody is a stranger yet, while the log cannot be read at start.
    tokio::task::yield_now().await;
    assert!(!directory.is_ready());
    flaky.gone.store(false, Ordering::Relaxed);
    within(directory.ready()).await;

    for gone in [true, false] {
        flaky.gone.store(gone, Ordering::Relaxed);
        within(async {
            while directory.health().current == gone {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        assert!(directory.health().ready);
        assert!(directory.authenticate(&credential, world.now()).is_ok());
    }
    tasks.shutdown().await;
    world.close().await;
}
