//! Alert rules between processes: what one knows, another may not know yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use journal::{Batch, Headers, Journal, NewRecord, Offset, Partition, Tail, TailError, Tails, Topic};
use parking_lot::Mutex;
use projector::Phase;
use schemas::event::AlertStatus;
use schemas::{Body, Event};
use state::{Applied, DeviceKey, Documents, Page, Progress, Store, StoreError, Stored, Write};
use tokio::sync::watch;

use crate::alerts::{control, log, stands};
use crate::events::{event, speed};
use crate::world::{PARTITIONS, PATIENCE, START, World, device_in, quick, until};

/// A record of `wakeline.control` that is about no rule, read on its own.
async fn token(world: &World, name: &str) {
    let record = NewRecord {
        topic: Topic::Control,
        partition: 0,
        key: format!("token/{name}").into(),
        value: None,
        timestamp_ms: START / 1_000,
        headers: Headers {
            kind: "token".into(),
            generation: 1,
            ..Headers::default()
        },
    };
    for answer in world.journal.appender.append(vec![record], PATIENCE).await {
        answer.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_goes_on_after_a_hand_over_whatever_else_stands_beside_the_rules() {
    let world = World::new().await;
    let running = world.start(quick());
    control(&world, "moving", Some("speed > 0")).await;
    let devices: Vec<String> = (0..PARTITIONS).map(device_in).collect();
    for device in &devices {
        world.append(&[event(device, device, START, speed(5))]).await;
        stands(&world, device, 1).await;
    }
    // Another process may have read all of this with the rule, and say so.
    for name in ["a", "b", "c"] {
        token(&world, name).await;
    }
    let end = world.end(Topic::Control, 0).await;
    for partition in 0..PARTITIONS {
        world
            .store
            .progress
            .set_rules_applied(partition, end)
            .await
            .unwrap();
    }
    // Partitions go to another process, and come back.
    let other = world.start(quick());
    until("another process has partitions", async || {
        !other.health().partitions.is_empty()
    })
    .await;
    other.stop().await;
    for device in &devices {
        world.append(&[event("later", device, START + 1, speed(0))]).await;
        stands(&world, device, 0).await;
    }
    world.quiet(&world.store).await;
    running.stop().await;
}

/// What is swept is never told to those who come after.
struct Forgetful(Arc<dyn Progress>);

#[async_trait]
impl Progress for Forgetful {
    async fn applied(&self, partition: Partition) -> Result<Option<Applied>, StoreError> {
        self.0.applied(partition).await
    }

    async fn set_applied(&self, partition: Partition, applied: &Applied) -> Result<(), StoreError> {
        self.0.set_applied(partition, applied).await
    }

    async fn rules_applied(&self, partition: Partition) -> Result<Offset, StoreError> {
        self.0.rules_applied(partition).await
    }

    async fn set_rules_applied(&self, _: Partition, _: Offset) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Tails of `wakeline.control` that bring nothing until they are let.
struct Held {
    inner: Arc<dyn Tails>,
    open: watch::Receiver<bool>,
}

struct HeldTail {
    inner: Box<dyn Tail>,
    open: watch::Receiver<bool>,
}

#[async_trait]
impl Tails for Held {
    async fn open(&self, topic: Topic, partition: Partition, from: Offset) -> Box<dyn Tail> {
        let inner = self.inner.open(topic, partition, from).await;
        if topic != Topic::Control {
            return inner;
        }
        Box::new(HeldTail {
            inner,
            open: self.open.clone(),
        })
    }
}

#[async_trait]
impl Tail for HeldTail {
    async fn next(&mut self) -> Result<Batch, TailError> {
        self.open.wait_for(|open| *open).await.unwrap();
        self.inner.next().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_know_a_rule_yet_does_not_end_its_alerts() {
    let world = World::new().await;
    let (let_in, open) = watch::channel(false);
    let journal = Journal {
        tails: Arc::new(Held {
            inner: Arc::clone(&world.journal.tails),
            open,
        }),
        ..world.journal.clone()
    };
    let late = world.start_with(quick(), journal, world.store.clone());
    until("the late one has its rules", async || late.health().joined).await;
    let store = Store {
        progress: Arc::new(Forgetful(Arc::clone(&world.store.progress))),
        ..world.store.clone()
    };
    let first = world.start_with(quick(), world.journal.clone(), store);
    until("both have a partition", async || {
        let has = |health: projector::Health| {
            let mut phases = health.partitions.values().map(|partition| &partition.phase);
            phases.any(|phase| *phase == Phase::Following)
        };
        has(late.health()) && has(first.health())
    })
    .await;
    let partition = first.health().partitions.keys().next().copied().unwrap();
    let device = device_in(partition);
    control(&world, "moving", Some("speed > 0")).await;
    world.append(&[event("a", &device, START, speed(5))]).await;
    stands(&world, &device, 1).await;
    first.stop().await;
    world.append(&[event("b", &device, START + 1, speed(6))]).await;
    until("the late one has the partition", async || {
        late.health().partitions.contains_key(&partition)
    })
    .await;
    // It is not about to judge: it waits for the rules.
    until("it says what it waits for, or goes on", async || {
        let waits = late.health().partitions.get(&partition).is_some_and(
            |partition| matches!(&partition.phase, Phase::Waiting { reason } if reason.contains("rules")),
        );
        let end = world.end(Topic::Events, partition).await;
        let applied = world.store.progress.applied(partition).await.unwrap();
        waits || applied.is_some_and(|applied| applied.source == end)
    })
    .await;
    let_in.send(true).unwrap();
    world.quiet(&world.store).await;
    stands(&world, &device, 1).await;
    let steps = |event: Event| {
        let Body::Alert(alert) = event.body else {
            return None;
        };
        Some(alert.status)
    };
    let steps: Vec<AlertStatus> = log(&world).await.into_iter().filter_map(steps).collect();
    assert_eq!(steps, [AlertStatus::Open]);
    late.stop().await;
}

/// Notes whose documents are read page by page.
struct Noting {
    inner: Arc<dyn Documents>,
    tenants: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Documents for Noting {
    async fn get(&self, keys: &[(Partition, DeviceKey)]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.inner.get(keys).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.inner.write(writes).await
    }

    async fn page(
        &self,
        tenant: &str,
        partitions: &[Partition],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.tenants.lock().push(tenant.to_owned());
        self.inner.page(tenant, partitions, after, limit).await
    }

    async fn page_of_partition(
        &self,
        partition: Partition,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.tenants.lock().push("all".to_owned());
        self.inner.page_of_partition(partition, after, limit).await
    }

    async fn tenants_of(&self, device: &str) -> Result<Vec<Box<str>>, StoreError> {
        self.inner.tenants_of(device).await
    }

    async fn devices_at(
        &self,
        tenant: Option<&str>,
        location: &str,
        limit: usize,
    ) -> Result<Vec<DeviceKey>, StoreError> {
        self.inner.devices_at(tenant, location, limit).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_makes_nobody_read_the_devices_of_another_tenant() {
    let world = World::new().await;
    let tenants: Arc<Mutex<Vec<String>>> = Arc::default();
    let store = Store {
        documents: Arc::new(Noting {
            inner: Arc::clone(&world.store.documents),
            tenants: Arc::clone(&tenants),
        }),
        ..world.store.clone()
    };
    let running = world.start_with(quick(), world.journal.clone(), store);
    world.append(&[event("a", "bus", START, speed(5))]).await;
    world.quiet(&world.store).await;
    let before: BTreeSet<String> = std::mem::take(&mut *tenants.lock()).into_iter().collect();
    assert!(before.iter().all(|whose| whose == "all"), "{before:?}");
    control(&world, "moving", Some("speed > 0")).await;
    stands(&world, "bus", 1).await;
    let after: BTreeSet<String> = std::mem::take(&mut *tenants.lock()).into_iter().collect();
    assert_eq!(after, BTreeSet::from(["acme".to_owned()]));
    running.stop().await;
}
