//! Taking a partition over, whatever the store and the group still know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use journal::{Block, Bounds, Journal, Offset, Partition, ReadError, Reader, Topic};
use projector::Settings;
use schemas::Kind;
use state::HistoryQuery;

use crate::events::{event, fleet, speed};
use crate::truth::{assert_true, fold_of_log, stored};
use crate::world::{PARTITIONS, START, World, quick, until};

async fn run_until_quiet(world: &World, settings: Settings, store: &state::Store) {
    let running = world.start_with(settings, world.journal.clone(), store.clone());
    world.quiet(store).await;
    running.stop().await;
}

fn group(name: &str) -> Settings {
    Settings {
        group: name.into(),
        ..quick()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_lost_is_restored_from_the_log() {
    let world = World::new().await;
    world.append(&fleet(START, 120, 1)).await;
    run_until_quiet(&world, quick(), &world.store).await;
    let (_other, empty) = World::empty_store().await;
    run_until_quiet(&world, quick(), &empty).await;
    assert_true(&world, &empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_many_records_behind_is_brought_level() {
    let world = World::new().await;
    world.append(&fleet(START, 40, 1)).await;
    run_until_quiet(&world, quick(), &world.store).await;
    let (_other, current) = World::empty_store().await;
    run_until_quiet(&world, quick(), &current).await;
    world.append(&fleet(START + 1_000_000, 150, 2)).await;
    run_until_quiet(&world, quick(), &current).await;
    // Back to the one that was left behind.
    run_until_quiet(&world, quick(), &world.store).await;
    assert_true(&world, &world.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_lost_its_position_folds_nothing_twice() {
    let world = World::new().await;
    world.append(&fleet(START, 120, 1)).await;
    run_until_quiet(&world, group("first"), &world.store).await;
    world.append(&fleet(START + 1_000_000, 50, 2)).await;
    run_until_quiet(&world, group("second"), &world.store).await;
    assert_true(&world, &world.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_and_a_store_that_are_both_lost_come_back_from_state_records() {
    let world = World::new().await;
    world.append(&fleet(START, 120, 1)).await;
    run_until_quiet(&world, group("first"), &world.store).await;
    let (_other, empty) = World::empty_store().await;
    run_until_quiet(&world, group("second"), &empty).await;
    assert_true(&world, &empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_has_every_event_once_after_a_recovery() {
    let world = World::new().await;
    let events: Vec<_> = (0..20)
        .map(|n| event(&format!("e{n}"), "bus", START + n, speed(n % 2)))
        .collect();
    world.append(&events).await;
    let settings = Settings {
        history_kinds: vec![Kind::Telemetry],
        ..quick()
    };
    run_until_quiet(&world, settings.clone(), &world.store).await;
    let (_other, empty) = World::empty_store().await;
    run_until_quiet(&world, settings, &empty).await;
    let query = HistoryQuery {
        tenant: "acme".into(),
        device: Some("bus".into()),
        kinds: vec![Kind::Telemetry],
        from: 0,
        to: i64::MAX,
        page: None,
        limit: 100,
    };
    let kept = world.store.history.read(&query).await.unwrap().rows;
    let again = empty.history.read(&query).await.unwrap().rows;
    assert_eq!((kept.len(), &again), (20, &kept));
}

/// A reader that does not see the last records of state yet, as when a transaction's markers are late.
struct Hiding {
    inner: Arc<dyn Reader>,
    hidden: AtomicBool,
    /// Times that somebody asked where the log ends.
    looks: AtomicU32,
    ends: [Offset; PARTITIONS as usize],
}

impl Hiding {
    fn end(&self, topic: Topic, partition: Partition) -> Option<Offset> {
        let hides = topic == Topic::State && self.hidden.load(Ordering::SeqCst);
        hides.then(|| self.ends[partition as usize])
    }
}

#[async_trait]
impl Reader for Hiding {
    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Block, ReadError> {
        let mut block = self.inner.read(topic, partition, from, bytes_max).await?;
        if let Some(end) = self.end(topic, partition) {
            block.records.retain(|record| record.offset < end);
            block.next = block.next.min(end);
        }
        Ok(block)
    }

    async fn bounds(&self, topic: Topic, partitions: &[Partition]) -> Vec<Result<Bounds, ReadError>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.inner.bounds(topic, partitions).await;
        for (partition, answer) in partitions.iter().zip(&mut answers) {
            if let (Ok(bounds), Some(end)) = (answer, self.end(topic, *partition)) {
                bounds.end = bounds.end.min(end);
            }
        }
        answers
    }

    async fn offset_at(
        &self,
        topic: Topic,
        partitions: &[Partition],
        time_ms: i64,
    ) -> Vec<Result<Offset, ReadError>> {
        self.inner.offset_at(topic, partitions, time_ms).await
    }
}

/// A world with a log of state whose last quarter is hidden, and an empty store.
async fn hidden() -> (World, Arc<Hiding>, Journal) {
    let world = World::new().await;
    world.append(&fleet(START, 120, 1)).await;
    run_until_quiet(&world, quick(), &world.store).await;
    let mut ends = [0; PARTITIONS as usize];
    for (partition, end) in (0..PARTITIONS).zip(&mut ends) {
        *end = world.end(Topic::State, partition).await * 3 / 4;
    }
    let inner = Arc::clone(&world.journal.reader);
    let reader = Arc::new(Hiding {
        inner,
        hidden: AtomicBool::new(true),
        looks: AtomicU32::new(0),
        ends,
    });
    let journal = Journal {
        reader: Arc::clone(&reader) as Arc<dyn Reader>,
        ..world.journal.clone()
    };
    (world, reader, journal)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_records_that_become_visible_late_are_waited_for() {
    let (world, reader, journal) = hidden().await;
    let (_other, empty) = World::empty_store().await;
    let records = world.read_all(Topic::State).await.len();
    let running = world.start_with(quick(), journal, empty.clone());
    until("it looks again and again", async || {
        reader.looks.load(Ordering::SeqCst) > 20
    })
    .await;
    assert!(empty.progress.applied(0).await.unwrap().is_none());
    reader.hidden.store(false, Ordering::SeqCst);
    world.quiet(&empty).await;
    assert_true(&world, &empty).await;
    assert_eq!(
        world.read_all(Topic::State).await.len(),
        records,
        "none was made anew"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_records_that_never_come_are_made_again() {
    let (world, _reader, journal) = hidden().await;
    let (_other, empty) = World::empty_store().await;
    let records = world.read_all(Topic::State).await.len();
    let settings = Settings {
        recovery_patience: Duration::from_millis(50),
        ..quick()
    };
    let running = world.start_with(settings, journal, empty.clone());
    world.quiet(&empty).await;
    assert!(world.read_all(Topic::State).await.len() > records);
    for (partition, expected) in fold_of_log(&world).await {
        assert_eq!(stored(&empty, partition).await, expected);
    }
    running.stop().await;
}
