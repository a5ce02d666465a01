//! Progress of the projectors.

use std::collections::BTreeMap;

use journal::{Offset, Partition};

use super::Harness;
use crate::{Applied, Counts, Store};

fn counts(of: &[(&str, u64)]) -> BTreeMap<Box<str>, Counts> {
    of.iter()
        .map(|(tenant, devices)| {
            (
                Box::from(*tenant),
                Counts {
                    devices: *devices,
                    online: 1,
                    alerts_open: 2,
                    ..Counts::default()
                },
            )
        })
        .collect()
}

fn at(source: Offset, of: &[(&str, u64)]) -> Applied {
    Applied {
        source,
        state: source * 2,
        counts: counts(of),
    }
}

async fn set(store: &Store, partition: Partition, applied: &Applied) {
    store
        .progress
        .set_applied(partition, applied)
        .await
        .expect("progress is kept");
}

async fn read(store: &Store, partition: Partition) -> Option<Applied> {
    store.progress.applied(partition).await.expect("an answer")
}

/// A partition that was never begun has no progress, not offset 0.
pub async fn progress_that_was_never_set_is_none(harness: &dyn Harness) {
    let store = harness.handle().await;
    assert_eq!(read(&store, 2).await, None);
    set(&store, 1, &Applied::default()).await;
    assert_eq!(read(&store, 2).await, None);
    assert_eq!(read(&store, 1).await, Some(Applied::default()));
}

/// Each partition has its own progress, which a restart does not lose.
pub async fn progress_is_read_as_it_was_set(harness: &dyn Harness) {
    let store = harness.handle().await;
    let (first, second) = (at(10, &[("acme", 3), ("beta", 1)]), at(20, &[("acme", 5)]));
    set(&store, 0, &first).await;
    set(&store, 3, &second).await;
    assert_eq!(read(&harness.handle().await, 0).await, Some(first.clone()));
    let store = harness.restarted().await;
    assert_eq!(read(&store, 0).await, Some(first));
    assert_eq!(read(&store, 3).await, Some(second));
}

/// A zombie's progress loses.
pub async fn progress_never_goes_back(harness: &dyn Harness) {
    let store = harness.handle().await;
    let newest = at(10, &[("acme", 3)]);
    set(&store, 0, &newest).await;
    set(&harness.handle().await, 0, &at(9, &[("acme", 2), ("beta", 4)])).await;
    assert_eq!(read(&store, 0).await, Some(newest));
    set(&store, 0, &at(11, &[("acme", 2)])).await;
    assert_eq!(
        read(&harness.handle().await, 0)
            .await
            .map(|applied| applied.source),
        Some(11)
    );
}

/// Counts are replaced as a whole.
pub async fn a_tenant_without_devices_leaves_the_counts(harness: &dyn Harness) {
    let store = harness.handle().await;
    set(&store, 0, &at(10, &[("acme", 3), ("beta", 1)])).await;
    let after = at(11, &[("acme", 3)]);
    set(&store, 0, &after).await;
    assert_eq!(read(&store, 0).await, Some(after.clone()));
    assert_eq!(read(&harness.handle().await, 0).await, Some(after));
}

/// A partition moves from one process to another and back.
pub async fn counts_are_right_whichever_process_sets_them(harness: &dyn Harness) {
    let (one, two) = (harness.handle().await, harness.handle().await);
    set(&one, 0, &at(10, &[("acme", 3), ("beta", 1)])).await;
    assert_eq!(read(&two, 0).await, Some(at(10, &[("acme", 3), ("beta", 1)])));
    set(&two, 0, &at(11, &[("acme", 4), ("beta", 1), ("gamma", 1)])).await;
    assert_eq!(
        read(&one, 0).await,
        Some(at(11, &[("acme", 4), ("beta", 1), ("gamma", 1)]))
    );
    let back = at(12, &[("acme", 3), ("beta", 1)]);
    set(&one, 0, &back).await;
    assert_eq!(read(&two, 0).await, Some(back));
}

/// Which rules a partition was held against never goes back, and is each partition's own.
pub async fn rules_applied_never_goes_back(harness: &dyn Harness) {
    let store = harness.handle().await;
    let progress = &store.progress;
    assert_eq!(progress.rules_applied(0).await, Ok(0));
    progress.set_rules_applied(0, 7).await.expect("it is kept");
    let other = harness.handle().await.progress;
    other.set_rules_applied(0, 5).await.expect("an answer");
    assert_eq!(progress.rules_applied(0).await, Ok(7));
    assert_eq!(progress.rules_applied(1).await, Ok(0));
    let store = harness.restarted().await;
    assert_eq!(store.progress.rules_applied(0).await, Ok(7));
}
