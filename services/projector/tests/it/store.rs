//! A store that is away for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use journal::Partition;
use state::{DeviceKey, Documents, Page, Store, StoreError, Stored, Write};

use crate::events::{event, fleet, speed};
use crate::truth::assert_true;
use crate::world::{SECOND, START, World, quick, until};

/// Documents that cannot be reached while `away`.
struct Flaky {
    inner: Arc<dyn Documents>,
    away: Arc<AtomicBool>,
}

impl Flaky {
    fn reach(&self) -> Result<&dyn Documents, StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable {
                reason: "it is away".to_owned(),
            });
        }
        Ok(&*self.inner)
    }
}

#[async_trait]
impl Documents for Flaky {
    async fn get(&self, keys: &[(Partition, DeviceKey)]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.reach()?.get(keys).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.reach()?.write(writes).await
    }

    async fn page(
        &self,
        tenant: &str,
        partitions: &[Partition],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.reach()?.page(tenant, partitions, after, limit).await
    }

    async fn page_of_partition(
        &self,
        partition: Partition,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.reach()?.page_of_partition(partition, after, limit).await
    }

    async fn tenants_of(&self, device: &str) -> Result<Vec<Box<str>>, StoreError> {
        self.reach()?.tenants_of(device).await
    }

    async fn devices_at(
        &self,
        tenant: Option<&str>,
        location: &str,
        limit: usize,
    ) -> Result<Vec<DeviceKey>, StoreError> {
        self.reach()?.devices_at(tenant, location, limit).await
    }
}

fn flaky(store: &Store) -> (Store, Arc<AtomicBool>) {
    let away = Arc::new(AtomicBool::new(false));
    let documents = Arc::new(Flaky {
        inner: Arc::clone(&store.documents),
        away: Arc::clone(&away),
    });
    (
        Store {
            documents,
            ..store.clone()
        },
        away,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_waited_for_with_the_claim_kept() {
    let world = World::new().await;
    let (store, away) = flaky(&world.store);
    let running = world.start_with(quick(), world.journal.clone(), store);
    world.append(&fleet(START, 30, 1)).await;
    world.quiet(&world.store).await;
    away.store(true, Ordering::SeqCst);
    world.append(&fleet(START + 1_000_000, 30, 2)).await;
    until("it says what it waits for", async || !running.health().is_ready()).await;
    assert!(running.counter("wakeline_projector_retries_total") > 0);
    away.store(false, Ordering::SeqCst);
    world.quiet(&world.store).await;
    assert_true(&world, &world.store).await;
    until("it is ready again", async || running.health().is_ready()).await;
    assert_eq!(running.counter("wakeline_projector_restarts_total"), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_its_store_is_away_it_says_so_without_a_break_and_how_late_the_tables_are() {
    let world = World::new().await;
    let (store, away) = flaky(&world.store);
    let running = world.start_with(quick(), world.journal.clone(), store);
    world.append(&fleet(START, 30, 1)).await;
    world.quiet(&world.store).await;
    away.store(true, Ordering::SeqCst);
    world.append(&fleet(START + SECOND, 30, 2)).await;
    let waiting = || running.gauge("wakeline_projector_waiting").len();
    until("both partitions wait", async || waiting() == 2).await;
    world.time.advance(90 * SECOND);
    // Attempt after attempt, with a pause of milliseconds between them.
    let retries = running.counter("wakeline_projector_retries_total");
    while running.counter("wakeline_projector_retries_total") < retries + 20 {
        assert_eq!(waiting(), 2, "between two attempts");
        assert!(!running.health().is_ready());
        tokio::task::yield_now().await;
    }
    let late = running.gauge("wakeline_projector_lag_seconds");
    assert!(late.iter().any(|late| *late >= 89), "{late:?}");
    away.store(false, Ordering::SeqCst);
    until("it is ready again", async || running.health().is_ready()).await;
    until("nothing is late", async || {
        let late = running.gauge("wakeline_projector_lag_seconds");
        late.iter().all(|late| *late == 0)
    })
    .await;
    assert_eq!(waiting(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projector_that_waits_for_its_store_stops_when_asked() {
    let world = World::new().await;
    let (store, away) = flaky(&world.store);
    away.store(true, Ordering::SeqCst);
    let running = world.start_with(quick(), world.journal.clone(), store);
    world.append(&[event("a", "bus", START, speed(1))]).await;
    until("it waits", async || {
        let health = running.health();
        health.joined && !health.is_ready()
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_change_nothing_move_applied_too() {
    let world = World::new().await;
    let running = world.start(quick());
    let first = event("a", "bus", START, speed(1));
    world.append(std::slice::from_ref(&first)).await;
    world.quiet(&world.store).await;
    let records = world.read_all(journal::Topic::State).await.len();
    world.append(&[first.clone(), first]).await;
    world.quiet(&world.store).await;
    assert_eq!(world.read_all(journal::Topic::State).await.len(), records);
    running.stop().await;
}
