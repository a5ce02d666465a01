//! Pages of a snapshot: of a tenant, of all tenants, or of a set of devices. A paging key says which of
//! them it belongs to by its first letter; a key of another begins at the beginning.

use std::collections::BTreeSet;
use std::ops::Bound;

use futures::future::try_join_all;
use journal::{Offset, Partition, Placement, Topic};
use state::{DeviceKey, StoreError, Stored};

use super::{LookupAnswer, Pinned, SnapshotPage, Sources};
use crate::subscription::{DeviceSet, TenantScope};

pub(super) async fn pin(sources: &Sources, partitions: &[Partition]) -> Option<LookupAnswer> {
    let applied = try_join_all(
        partitions
            .iter()
            .map(|partition| sources.store.progress.applied(*partition)),
    )
    .await
    .inspect_err(|error| tracing::warn!(%error, "a snapshot cannot be pinned"))
    .ok()?;
    let mut pinned = Vec::with_capacity(partitions.len());
    for (partition, applied) in partitions.iter().zip(applied) {
        let (state, source) = match applied {
            Some(applied) => (applied.state, applied.source),
            None => {
                let mut bounds = sources.ends.bounds(Topic::State, &[*partition]).await;
                (bounds.pop()?.ok()?.start, 0)
            }
        };
        pinned.push(Pinned {
            partition: *partition,
            state,
            source,
        });
    }
    Some(LookupAnswer::Pinned(pinned))
}

/// Whether the documents are materialised as far as that. After a rebuild a gateway may read other tables
/// than the one that pinned a snapshot, and for a while older ones.
pub(super) async fn are_at(sources: &Sources, places: &[(Partition, Offset)]) -> bool {
    let partitions: Vec<Partition> = places.iter().map(|(partition, _)| *partition).collect();
    let Some(LookupAnswer::Pinned(pinned)) = pin(sources, &partitions).await else {
        return false;
    };
    let mut both = pinned.iter().zip(places);
    both.all(|(reached, (_, place))| reached.state >= *place)
}

pub(super) async fn page(
    sources: &Sources,
    tenant: &TenantScope,
    partitions: &[Partition],
    devices: &DeviceSet,
    after: Option<&str>,
) -> Option<LookupAnswer> {
    let read = match (devices, tenant) {
        (DeviceSet::Set(devices), _) => {
            let after = after.and_then(|key| key.strip_prefix('d'));
            let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
            let chosen: Vec<&str> = devices
                .range::<str, _>(range)
                .take(sources.page_documents)
                .map(AsRef::as_ref)
                .collect();
            of_devices(sources, tenant, &chosen).await
        }
        (DeviceSet::All, TenantScope::One(tenant)) => of_tenant(sources, tenant, after).await,
        (DeviceSet::All, TenantScope::Some(tenants)) => of_some(sources, tenants, after).await,
        (DeviceSet::All, TenantScope::All) => of_all(sources, partitions, after).await,
    };
    match read {
        Ok(page) => Some(LookupAnswer::Page(page)),
        Err(error) => {
            tracing::warn!(%error, "a page of a snapshot cannot be read");
            None
        }
    }
}

async fn of_tenant(sources: &Sources, tenant: &str, after: Option<&str>) -> Result<SnapshotPage, StoreError> {
    let layout = &sources.journal.layout;
    let spread = sources.access.spread(tenant).unwrap_or(layout.default_spread);
    let placement = Placement::new(tenant, spread, layout.partitions);
    let after = after.and_then(|key| key.strip_prefix('t'));
    let documents = &sources.store.documents;
    let slots = placement.partitions();
    let page = match documents.page(tenant, slots, after, sources.page_documents).await {
        Err(StoreError::BadPage) => {
            documents
                .page(tenant, slots, None, sources.page_documents)
                .await?
        }
        page => page?,
    };
    Ok(SnapshotPage {
        documents: page.documents,
        next: page.next.map(|key| format!("t{key}").into()),
    })
}

/// Keys `s<tenant>/<key>`: an empty key is the tenant's beginning.
async fn of_some(
    sources: &Sources,
    tenants: &BTreeSet<Box<str>>,
    after: Option<&str>,
) -> Result<SnapshotPage, StoreError> {
    let key = after.and_then(|key| key.strip_prefix('s')?.split_once('/'));
    let current = match key {
        Some((tenant, _)) => tenants
            .range::<str, _>((Bound::Included(tenant), Bound::Unbounded))
            .next(),
        None => tenants.first(),
    };
    let Some(current) = current else {
        return Ok(SnapshotPage {
            documents: Vec::new(),
            next: None,
        });
    };
    let key = key.filter(|(tenant, key)| **tenant == **current && !key.is_empty());
    let mut page = of_tenant(sources, current, key.map(|(_, key)| key)).await?;
    let later = (Bound::Excluded(&**current), Bound::Unbounded);
    page.next = match page.next {
        Some(key) => Some(format!("s{current}/{key}").into()),
        None => tenants
            .range::<str, _>(later)
            .next()
            .map(|tenant| format!("s{tenant}/").into()),
    };
    Ok(page)
}

/// Keys `p<partition>/<key>`: an empty key is the partition's beginning.
async fn of_all(
    sources: &Sources,
    partitions: &[Partition],
    after: Option<&str>,
) -> Result<SnapshotPage, StoreError> {
    let key = after.and_then(|key| key.strip_prefix('p')?.split_once('/'));
    let (current, key) =
        match key.and_then(|(partition, key)| Some((partition.parse::<Partition>().ok()?, key))) {
            Some((partition, key)) => (partition, Some(key).filter(|key| !key.is_empty())),
            None => (partitions.first().copied().unwrap_or(0), None),
        };
    let documents = &sources.store.documents;
    let page = match documents
        .page_of_partition(current, key, sources.page_documents)
        .await
    {
        Err(StoreError::BadPage) => {
            documents
                .page_of_partition(current, None, sources.page_documents)
                .await?
        }
        page => page?,
    };
    let next = match page.next {
        Some(key) => Some(format!("p{current}/{key}").into()),
        None => partitions
            .iter()
            .find(|partition| **partition > current)
            .map(|partition| format!("p{partition}/").into()),
    };
    Ok(SnapshotPage {
        documents: page.documents,
        next,
    })
}

async fn of_devices(
    sources: &Sources,
    tenant: &TenantScope,
    devices: &[&str],
) -> Result<SnapshotPage, StoreError> {
    let keys: Vec<DeviceKey> = match tenant {
        TenantScope::One(tenant) => devices.iter().map(|device| key(tenant, device)).collect(),
        TenantScope::All => {
            let tenants = try_join_all(
                devices
                    .iter()
                    .map(|device| sources.store.documents.tenants_of(device)),
            );
            let pairs = devices.iter().zip(tenants.await?);
            pairs
                .flat_map(|(device, tenants)| tenants.into_iter().map(move |tenant| key(&tenant, device)))
                .collect()
        }
        TenantScope::Some(tenants) => tenants
            .iter()
            .flat_map(|tenant| devices.iter().map(|device| key(tenant, device)))
            .collect(),
    };
    let layout = &sources.journal.layout;
    let keys: Vec<(Partition, DeviceKey)> = keys
        .into_iter()
        .map(|key| {
            let spread = sources
                .access
                .spread(&key.tenant)
                .unwrap_or(layout.default_spread);
            (
                Placement::new(&key.tenant, spread, layout.partitions).of(&key.device),
                key,
            )
        })
        .collect();
    let documents: Vec<Stored> = sources
        .store
        .documents
        .get(&keys)
        .await?
        .into_iter()
        .flatten()
        .collect();
    let full = devices.len() >= sources.page_documents;
    Ok(SnapshotPage {
        documents,
        next: devices
            .last()
            .filter(|_| full)
            .map(|device| format!("d{device}").into()),
    })
}

fn key(tenant: &str, device: &str) -> DeviceKey {
    DeviceKey {
        tenant: tenant.into(),
        device: device.into(),
    }
}
