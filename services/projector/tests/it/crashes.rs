//! A projector that dies between any two effects, as often as it likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use projector::{FaultHook, Point, Settings};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::events::{event, fleet, plan, speed};
use crate::truth::assert_true;
use crate::world::{START, World, device_in, quick, until};

/// Panics the first `times` times that `point` is passed.
fn dies_at(point: Point, times: u32) -> (FaultHook, Arc<AtomicU32>) {
    let left = Arc::new(AtomicU32::new(times));
    let counter = Arc::clone(&left);
    let hook = FaultHook::new(move |passed| {
        if passed == point
            && counter
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok()
        {
            panic!("a crash at {point:?}, as planned");
        }
    });
    (hook, left)
}

async fn survives(point: Point) {
    let world = World::new().await;
    let (hook, left) = dies_at(point, 4);
    let running = world.start(Settings {
        fault: Some(hook),
        batch_records_max: 7,
        ..quick()
    });
    for round in 0..4 {
        world
            .append(&fleet(START + round * 1_000_000, 30, round as u64 + 1))
            .await;
        world.quiet(&world.store).await;
    }
    assert_eq!(left.load(Ordering::SeqCst), 0, "it did die");
    assert_true(&world, &world.store).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_reactions_and_commit_loses_and_doubles_nothing() {
    survives(Point::BetweenReactorAppendAndCommit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_after_the_transaction_loses_and_doubles_nothing() {
    survives(Point::AfterTransaction).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_the_rows_loses_and_doubles_nothing() {
    survives(Point::BeforeRows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_rows_and_applied_loses_and_doubles_nothing() {
    survives(Point::BetweenRowsAndApplied).await;
}

#[test]
fn random_crashes_leave_the_fold_of_the_log() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&plan(), |(seed, appends, crashes)| {
        runtime.block_on(random_crashes(seed, &appends, crashes));
        Ok(())
    });
    result.unwrap();
}

/// Dies after so many points passed, again and again.
async fn random_crashes(seed: u64, appends: &[usize], crashes: Vec<u32>) {
    let world = World::new().await;
    let plan = Mutex::new(crashes);
    let hook = FaultHook::new(move |point| {
        let dies = match plan.lock().last_mut() {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        if dies {
            plan.lock().pop();
            panic!("a crash at {point:?}, as planned");
        }
    });
    let running = world.start(Settings {
        fault: Some(hook),
        batch_records_max: 5,
        ..quick()
    });
    let mut at = START;
    for (round, count) in appends.iter().enumerate() {
        world
            .append(&fleet(at, *count, seed.wrapping_add(round as u64)))
            .await;
        at += 1_000_000;
    }
    world.quiet(&world.store).await;
    assert_true(&world, &world.store).await;
    running.stop().await;
}

/// A gate at which the first task that comes stands still until it is opened.
struct Gate {
    hook: FaultHook,
    reached: Arc<AtomicU32>,
    open: Arc<(Mutex<bool>, parking_lot::Condvar)>,
}

impl Gate {
    fn at(point: Point) -> Self {
        let reached = Arc::new(AtomicU32::new(0));
        let open = Arc::new((Mutex::new(false), parking_lot::Condvar::new()));
        let (counter, gate) = (Arc::clone(&reached), Arc::clone(&open));
        let hook = FaultHook::new(move |passed| {
            if passed == point && counter.fetch_add(1, Ordering::SeqCst) == 0 {
                // The other tasks of this thread must go on.
                tokio::task::block_in_place(|| {
                    let mut is_open = gate.0.lock();
                    gate.1.wait_while(&mut is_open, |is_open| !*is_open);
                });
            }
        });
        Self { hook, reached, open }
    }

    fn open(&self) {
        *self.open.0.lock() = true;
        self.open.1.notify_all();
    }
}

/// One that went to sleep at `point` wakes up after another has taken its partitions and gone on.
async fn a_zombie_harms_nothing(point: Point) {
    let world = World::new().await;
    let gate = Gate::at(point);
    let zombie = world.start(Settings {
        fault: Some(gate.hook.clone()),
        ..quick()
    });
    // Of its two partitions a member keeps the first when others come, and must give up the second.
    let sleeper = device_in(1);
    world.append(&[event("a", &sleeper, START, speed(1))]).await;
    until("the zombie sleeps", async || {
        gate.reached.load(Ordering::SeqCst) > 0
    })
    .await;
    let heir = world.start(quick());
    world.append(&fleet(START + 1_000, 40, 3)).await;
    world
        .append(&[
            event("b", &sleeper, START + 2, speed(2)),
            event("c", &sleeper, START + 3, speed(3)),
        ])
        .await;
    world.quiet(&world.store).await;
    assert_true(&world, &world.store).await;
    gate.open();
    world.append(&fleet(START + 1_000_000, 20, 4)).await;
    zombie.stop().await;
    world.quiet(&world.store).await;
    assert_true(&world, &world.store).await;
    heir.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_zombie_that_wakes_before_its_commit_is_fenced() {
    a_zombie_harms_nothing(Point::BetweenReactorAppendAndCommit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_zombie_that_wakes_before_its_rows_loses_to_newer_ones() {
    a_zombie_harms_nothing(Point::AfterTransaction).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_zombie_that_wakes_before_applied_loses_to_a_newer_one() {
    a_zombie_harms_nothing(Point::BetweenRowsAndApplied).await;
}
