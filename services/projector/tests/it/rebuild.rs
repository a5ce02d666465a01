//! Restoring the tables, and finding out whether they are right.

use std::sync::Arc;

use journal::{Offset, Topic};
use parking_lot::Mutex;
use projector::rebuild::{Kind, Options, Progress, Refold, compare, rebuild, refold};
use state::{DeviceKey, Store, Write};

use crate::events::{event, fleet, speed};
use crate::truth::{assert_true, fold_of_log, stored};
use crate::world::{PARTITIONS, START, World, partition_of, quick};

const NOBODY: &(dyn Fn(Progress) + Send + Sync) = &|_| {};

/// A world whose projector has folded a fleet and stands still.
async fn folded() -> World {
    let world = World::new().await;
    world.append(&fleet(START, 150, 1)).await;
    let running = world.start(quick());
    world.quiet(&world.store).await;
    running.stop().await;
    world
}

fn small() -> Options {
    Options {
        page_size: 3,
        ..Options::default()
    }
}

async fn put(store: &Store, device: &str, source: Offset, number: i64) {
    let sample = event("x", device, START, speed(number));
    let state::Outcome::Changed(change) = state::fold(None, &sample, &state::Limits::default()) else {
        panic!("telemetry makes a device")
    };
    let write = Write {
        key: DeviceKey {
            tenant: sample.tenant.clone(),
            device: device.into(),
        },
        partition: partition_of(&sample),
        document: Some(Arc::new(change.document)),
        source,
    };
    store.documents.write(vec![write]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_store_comes_out_equal() {
    let world = folded().await;
    let (_other, empty) = World::empty_store().await;
    let report = rebuild(&world.journal, &empty, &small(), NOBODY).await.unwrap();
    let mut devices = 0;
    for partition in 0..PARTITIONS {
        let expected = stored(&world.store, partition).await;
        // The state records tell how far events were folded; what only moved times after the last of
        // them is folded by the projector when it takes over.
        let public = |documents: &std::collections::BTreeMap<DeviceKey, schemas::Document>| {
            documents
                .iter()
                .map(|(key, document)| (key.clone(), document.version))
                .collect::<Vec<_>>()
        };
        assert_eq!(public(&stored(&empty, partition).await), public(&expected));
        devices += expected.len() as u64;
    }
    assert_eq!((report.devices, report.deleted), (devices, 0));
    let running = world.start_with(quick(), world.journal.clone(), empty.clone());
    world.quiet(&empty).await;
    assert_true(&world, &empty).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilding_what_is_right_changes_nothing() {
    let world = folded().await;
    let report = rebuild(&world.journal, &world.store, &small(), NOBODY)
        .await
        .unwrap();
    assert_eq!(report.deleted, 0);
    assert_true(&world, &world.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_while_the_projector_works_ends_with_the_truth() {
    let world = World::new().await;
    world.append(&fleet(START, 150, 1)).await;
    let running = world.start(quick());
    for round in 1..4 {
        world
            .append(&fleet(START + round * 1_000_000, 60, round as u64 + 1))
            .await;
        rebuild(&world.journal, &world.store, &small(), NOBODY)
            .await
            .unwrap();
    }
    world.quiet(&world.store).await;
    assert_true(&world, &world.store).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_should_not_be_are_deleted() {
    let world = folded().await;
    put(&world.store, "ghost", 1, 1).await;
    let report = rebuild(&world.journal, &world.store, &small(), NOBODY)
        .await
        .unwrap();
    assert_eq!(report.deleted, 1);
    assert_true(&world, &world.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_ends_with_everything_done() {
    let world = folded().await;
    let (_other, empty) = World::empty_store().await;
    let seen: Mutex<Vec<Progress>> = Mutex::default();
    rebuild(&world.journal, &empty, &small(), &|progress| {
        seen.lock().push(progress)
    })
    .await
    .unwrap();
    let seen = seen.into_inner();
    for partition in 0..PARTITIONS {
        let last = seen
            .iter()
            .rfind(|progress| progress.partition == partition)
            .unwrap();
        assert_eq!(last.done, last.total);
        assert!(last.total > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_are_right_show_no_difference() {
    let world = folded().await;
    let options = Options { slices: 3, ..small() };
    let comparison = compare(&world.journal, &world.store, &options, NOBODY)
        .await
        .unwrap();
    let devices: usize = fold_of_log(&world)
        .await
        .values()
        .map(|documents| documents.len())
        .sum();
    assert_eq!(comparison.differences, []);
    assert_eq!((comparison.devices, comparison.different), (devices as u64, 0));
    assert!(devices > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_after_the_position_of_the_tables_is_no_difference() {
    let world = folded().await;
    let (_other, behind) = World::empty_store().await;
    rebuild(&world.journal, &behind, &small(), NOBODY).await.unwrap();
    // Changes, new devices and deletions, none of which the other tables have seen.
    world.append(&fleet(START + 1_000_000, 150, 2)).await;
    let running = world.start(quick());
    world.quiet(&world.store).await;
    running.stop().await;
    let comparison = compare(&world.journal, &behind, &small(), NOBODY).await.unwrap();
    assert_eq!(comparison.differences, []);
    assert!(comparison.devices > 0);
    // A row that such a deletion has taken away already.
    let (mut deleted, mut gone) = (0, Vec::new());
    for partition in 0..PARTITIONS {
        let left = stored(&world.store, partition).await;
        for (key, _) in stored(&behind, partition).await {
            if !left.contains_key(&key) {
                deleted += 1;
                let source = world.end(Topic::Events, partition).await;
                gone.push(Write {
                    key,
                    partition,
                    document: None,
                    source,
                });
            }
        }
    }
    assert!(deleted > 0, "the fleet deletes devices");
    behind.documents.write(gone).await.unwrap();
    let comparison = compare(&world.journal, &behind, &small(), NOBODY).await.unwrap();
    assert_eq!(comparison.differences, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_missing_and_extra_rows_are_found() {
    let world = World::new().await;
    world
        .append(&[
            event("a", "bus", START, speed(1)),
            event("b", "tram", START, speed(1)),
        ])
        .await;
    let running = world.start(quick());
    world.quiet(&world.store).await;
    running.stop().await;
    // Each at the last position of its partition, so that it stands.
    let last = |device: &str| {
        let probe = event("", device, 0, speed(0));
        (partition_of(&probe), probe)
    };
    let (bus, _) = last("bus");
    put(&world.store, "bus", world.end(Topic::Events, bus).await - 1, 77).await;
    let (tram, probe) = last("tram");
    let gone = Write {
        key: DeviceKey {
            tenant: probe.tenant,
            device: "tram".into(),
        },
        partition: tram,
        document: None,
        source: world.end(Topic::Events, tram).await - 1,
    };
    world.store.documents.write(vec![gone]).await.unwrap();
    put(&world.store, "ghost", 0, 1).await;
    let comparison = compare(&world.journal, &world.store, &small(), NOBODY)
        .await
        .unwrap();
    let of = |device: &str| {
        let found = comparison
            .differences
            .iter()
            .find(|difference| &*difference.key.device == device);
        found.map(|difference| difference.kind.clone())
    };
    assert_eq!(of("ghost"), Some(Kind::Extra));
    assert_eq!(of("tram"), Some(Kind::Missing));
    let Some(Kind::Differs { paths }) = of("bus") else {
        panic!("{comparison:?}")
    };
    assert!(paths.contains(&"fields.speed".to_owned()), "{paths:?}");
    assert_eq!(comparison.different, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folding_again_under_the_same_fold_differs_nowhere_and_writes_nothing() {
    let world = folded().await;
    let again = Refold {
        since: START + 50_000,
        write_to: None,
    };
    let comparison = refold(&world.journal, &world.store, &small(), again, NOBODY)
        .await
        .unwrap();
    assert_eq!(comparison.differences, []);
    assert!(comparison.devices > 0);
    assert_true(&world, &world.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_folded_again_is_written_only_where_it_was_told() {
    let world = folded().await;
    let (_other, target) = World::empty_store().await;
    put(&world.store, "ghost", 0, 1).await;
    let again = Refold {
        since: START,
        write_to: Some(&target),
    };
    let comparison = refold(&world.journal, &world.store, &small(), again, NOBODY)
        .await
        .unwrap();
    assert_eq!(comparison.different, 1);
    let partition = partition_of(&event("", "ghost", 0, speed(0)));
    assert!(
        stored(&world.store, partition)
            .await
            .keys()
            .any(|key| &*key.device == "ghost")
    );
    assert!(
        !stored(&target, partition)
            .await
            .keys()
            .any(|key| &*key.device == "ghost")
    );
}
