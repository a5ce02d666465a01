//! Pages of documents.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Harness;
use super::fixtures::{all_of_partition, all_of_tenant, delete, names, put, write};
use crate::{StoreError, Write};

const ALL: [u32; 4] = [3, 0, 2, 1];

fn fleet(tenant: &str, devices: u64) -> Vec<Write> {
    (0..devices)
        .map(|number| put(number as u32 % 4, tenant, &format!("device-{number}"), number))
        .collect()
}

fn expected(tenant: &str, devices: impl Iterator<Item = u64>) -> BTreeSet<String> {
    devices
        .map(|number| format!("{tenant}/device-{number}"))
        .collect()
}

/// Every device once, in the same order whatever the size of the pages.
pub async fn pages_hold_each_device_once_in_a_stable_order(harness: &dyn Harness) {
    let store = harness.handle().await;
    write(&store, fleet("acme", 57)).await;
    let at_once = all_of_tenant(&store, "acme", &ALL, 1000).await;
    assert_eq!(at_once.len(), 57);
    assert_eq!(
        at_once.iter().cloned().collect::<BTreeSet<_>>(),
        expected("acme", 0..57)
    );
    for limit in [1, 7, 57, 58] {
        assert_eq!(
            all_of_tenant(&harness.handle().await, "acme", &ALL, limit).await,
            at_once,
            "by {limit}"
        );
    }
    assert_eq!(
        all_of_tenant(&store, "nobody", &ALL, 10).await,
        Vec::<String>::new()
    );
}

/// Writes, new devices and deletes of others between and during the pages hide no device and show none twice.
pub async fn pages_are_complete_while_writes_go_on(harness: &dyn Harness) {
    let store = harness.handle().await;
    write(&store, fleet("acme", 100)).await;
    let done = AtomicBool::new(false);
    let writer = async {
        let other = harness.handle().await;
        let mut round = 1_000;
        while !done.load(Ordering::Relaxed) {
            let mut writes: Vec<_> = (0..100)
                .map(|number| {
                    put(
                        number % 4,
                        "acme",
                        &format!("device-{number}"),
                        round + u64::from(number),
                    )
                })
                .collect();
            writes.push(put(1, "acme", &format!("new-{round}"), round));
            writes.push(delete(2, "acme", &format!("new-{}", round - 1_000), round));
            write(&other, writes).await;
            round += 1_000;
        }
    };
    let reader = async {
        for limit in [3, 10, 33] {
            let found = all_of_tenant(&store, "acme", &ALL, limit).await;
            let distinct: BTreeSet<_> = found.iter().cloned().collect();
            assert_eq!(distinct.len(), found.len(), "a device came twice, by {limit}");
            assert!(
                distinct.is_superset(&expected("acme", 0..100)),
                "a device is missing, by {limit}"
            );
        }
        done.store(true, Ordering::Relaxed);
    };
    // A reader that fails ends the test at once, so the writer need not be told.
    futures::future::join(writer, reader).await;
}

/// A tenant's page is limited to the partitions asked for.
pub async fn a_page_of_some_partitions_holds_only_theirs(harness: &dyn Harness) {
    let store = harness.handle().await;
    write(&store, fleet("acme", 40)).await;
    let found: BTreeSet<_> = all_of_tenant(&store, "acme", &[2, 1], 3)
        .await
        .into_iter()
        .collect();
    assert_eq!(
        found,
        expected("acme", (0..40).filter(|number| [1, 2].contains(&(number % 4))))
    );
    assert_eq!(all_of_tenant(&store, "acme", &[], 3).await, Vec::<String>::new());
}

/// A projector lists exactly the devices of its partition, of all tenants.
pub async fn pages_of_a_partition_hold_exactly_its_devices(harness: &dyn Harness) {
    let store = harness.handle().await;
    let tenants = ["acme", "acme-2", "acme.x", "b"];
    for tenant in tenants {
        write(&store, fleet(tenant, 41)).await;
    }
    write(&store, vec![delete(1, "acme-2", "device-1", 1_000)]).await;
    for limit in [1, 5, 1000] {
        let found = all_of_partition(&store, 1, limit).await;
        let distinct: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(distinct.len(), found.len(), "a device came twice, by {limit}");
        let mut all: BTreeSet<_> = tenants
            .iter()
            .flat_map(|tenant| expected(tenant, (0..41).filter(|number| number % 4 == 1)))
            .collect();
        all.remove("acme-2/device-1");
        assert_eq!(distinct, all, "by {limit}");
    }
}

/// Names that begin alike do not run into one another.
pub async fn pages_of_a_tenant_hold_no_other_tenant(harness: &dyn Harness) {
    let store = harness.handle().await;
    for tenant in ["a", "a-b", "a.b", "ab"] {
        let writes = ["x", "x/y", "-b", "\u{ffff}z"]
            .into_iter()
            .zip(1..)
            .map(|(device, source)| put(0, tenant, device, source));
        write(&store, writes.collect()).await;
    }
    let found = all_of_tenant(&store, "a", &ALL, 3).await;
    let found: BTreeSet<_> = found.iter().map(String::as_str).collect();
    assert_eq!(found, BTreeSet::from(["a/x", "a/x/y", "a/-b", "a/\u{ffff}z"]));
}

/// A page key of another list, or none at all, is told from a good one.
pub async fn a_foreign_page_key_is_refused(harness: &dyn Harness) {
    let store = harness.handle().await;
    write(&store, fleet("acme", 9)).await;
    for key in ["", "nonsense", "\u{fffd}", "-1", "999999999999999999999999/a"] {
        let page = store.documents.page("acme", &ALL, Some(key), 10).await;
        assert_eq!(page.map(|page| names(&page)), Err(StoreError::BadPage), "{key:?}");
        let page = store.documents.page_of_partition(0, Some(key), 10).await;
        assert_eq!(page.map(|page| names(&page)), Err(StoreError::BadPage), "{key:?}");
    }
}

/// A prefix of ids is found in its tenant only, as long as a device has it and goes on after it.
pub async fn a_prefix_of_ids_is_found_while_a_device_has_it(harness: &dyn Harness) {
    let store = harness.handle().await;
    write(
        &store,
        vec![
            put(0, "acme", "house/lamp", 1),
            put(1, "acme", "housekeeper", 2),
            put(2, "globex", "ship/engine", 3),
            put(3, "acme", "depot/", 4),
        ],
    )
    .await;
    for (tenant, prefix, expected) in [
        ("acme", "house/", true),
        ("acme", "hous/", false),
        ("acme", "ship/", false),
        ("acme", "depot/", false),
        ("globex", "ship/", true),
        ("globex", "house/", false),
    ] {
        let found = store.documents.has_any(tenant, &ALL, prefix).await;
        assert_eq!(found, Ok(expected), "{tenant} {prefix}");
    }
    write(&store, vec![delete(0, "acme", "house/lamp", 5)]).await;
    assert_eq!(store.documents.has_any("acme", &ALL, "house/").await, Ok(false));
}
