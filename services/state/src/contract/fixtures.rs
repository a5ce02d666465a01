//! Documents, events and rows for the suite.

use std::sync::Arc;

use journal::{Micros, Offset, Partition};
use schemas::document::DeviceLocation;
use schemas::event::{Alert, AlertStatus, Lock, LockSource, Log, Telemetry};
use schemas::{Body, Document, Event, Fields, Kind, Scalar};

use super::Harness;
use crate::{DeviceKey, HistoryQuery, HistoryRow, Page, Store, Stored, Write};

pub(super) const HOUR: Micros = 3_600_000_000;

pub(super) fn key(tenant: &str, device: &str) -> DeviceKey {
    DeviceKey {
        tenant: tenant.into(),
        device: device.into(),
    }
}

/// A document that tells its source by its version.
pub(super) fn document(tenant: &str, device: &str, version: u64) -> Document {
    Document {
        tenant: tenant.into(),
        id: device.into(),
        created_at: 1,
        updated_at: 2,
        fields: Fields([("speed".into(), Scalar::Integer(version.cast_signed()))].into()),
        version,
        ..Document::default()
    }
}

/// Writes [`document`] of version `source`.
pub(super) fn put(partition: Partition, tenant: &str, device: &str, source: Offset) -> Write {
    put_document(partition, document(tenant, device, source), source)
}

pub(super) fn put_document(partition: Partition, document: Document, source: Offset) -> Write {
    let key = key(&document.tenant, &document.id);
    Write {
        key,
        partition,
        document: Some(Arc::new(document)),
        source,
    }
}

/// As [`put`], at a location.
pub(super) fn put_at(
    partition: Partition,
    tenant: &str,
    device: &str,
    location: &str,
    source: Offset,
) -> Write {
    let location = DeviceLocation {
        id: Some(location.into()),
        ..DeviceLocation::default()
    };
    put_document(
        partition,
        Document {
            location: Some(location),
            ..document(tenant, device, source)
        },
        source,
    )
}

pub(super) fn delete(partition: Partition, tenant: &str, device: &str, source: Offset) -> Write {
    Write {
        key: key(tenant, device),
        partition,
        document: None,
        source,
    }
}

pub(super) async fn write(store: &Store, writes: Vec<Write>) {
    store.documents.write(writes).await.expect("writes are durable");
}

pub(super) async fn get(store: &Store, partition: Partition, tenant: &str, device: &str) -> Option<Stored> {
    let found = store
        .documents
        .get(&[(partition, key(tenant, device))])
        .await
        .expect("the store answers");
    assert_eq!(found.len(), 1);
    found.into_iter().next().flatten()
}

/// The version of a device's document.
pub(super) async fn version(store: &Store, partition: Partition, tenant: &str, device: &str) -> Option<u64> {
    get(store, partition, tenant, device)
        .await
        .map(|stored| stored.document.version)
}

pub(super) fn names(page: &Page) -> Vec<String> {
    page.documents
        .iter()
        .map(|stored| format!("{}/{}", stored.document.tenant, stored.document.id))
        .collect()
}

/// All pages of a tenant in `partitions`, `limit` at a time.
pub(super) async fn all_of_tenant(
    store: &Store,
    tenant: &str,
    partitions: &[Partition],
    limit: usize,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut after: Option<Box<str>> = None;
    loop {
        let page = store
            .documents
            .page(tenant, partitions, after.as_deref(), limit)
            .await
            .expect("a page");
        assert!(page.documents.len() <= limit, "a page is longer than its limit");
        found.extend(names(&page));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

/// All pages of a partition, `limit` at a time.
pub(super) async fn all_of_partition(store: &Store, partition: Partition, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut after: Option<Box<str>> = None;
    loop {
        let page = store
            .documents
            .page_of_partition(partition, after.as_deref(), limit)
            .await
            .expect("a page");
        assert!(page.documents.len() <= limit, "a page is longer than its limit");
        found.extend(names(&page));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

pub(super) fn body(kind: Kind) -> Body {
    match kind {
        Kind::Lock => Body::Lock(Lock {
            locked: true,
            source: LockSource::Rfid,
            code: None,
            metadata: None,
        }),
        Kind::Log => Body::Log(Log {
            level: schemas::event::Level::Info,
            message: "moved".into(),
        }),
        Kind::Alert => Body::Alert(Alert {
            alert_id: "a1".into(),
            alert_type: "HOT".into(),
            severity: 3,
            confidence: None,
            summary: "too hot".into(),
            status: AlertStatus::Open,
            site_id: None,
        }),
        Kind::Telemetry
        | Kind::Presence
        | Kind::Entity
        | Kind::Location
        | Kind::Command
        | Kind::Device
        | Kind::Deleted => Body::Telemetry(Telemetry {
            fields: Fields([("speed".into(), Scalar::Integer(7))].into()),
        }),
    }
}

/// A row of history, whose event's id is its offset.
pub(super) fn row(tenant: &str, device: &str, kind: Kind, received_at: Micros, offset: Offset) -> HistoryRow {
    let event = Event {
        id: offset.to_string().into(),
        tenant: tenant.into(),
        device: device.into(),
        occurred_at: received_at,
        received_at,
        claimed_at: None,
        seq: None,
        body: body(kind),
    };
    HistoryRow {
        partition: 0,
        offset,
        late: false,
        event: Arc::new(event),
    }
}

/// Everything of `kinds` of the last hours.
pub(super) fn query(
    harness: &dyn Harness,
    tenant: &str,
    device: Option<&str>,
    kinds: &[Kind],
) -> HistoryQuery {
    HistoryQuery {
        tenant: tenant.into(),
        device: device.map(Into::into),
        kinds: kinds.to_vec(),
        from: harness.now() - 6 * HOUR,
        to: harness.now() + HOUR,
        page: None,
        limit: 100,
    }
}

/// The rows of all pages.
pub(super) async fn read_all(store: &Store, mut query: HistoryQuery) -> Vec<HistoryRow> {
    let mut rows = Vec::new();
    loop {
        let page = store.history.read(&query).await.expect("a page of history");
        assert!(page.rows.len() <= query.limit, "a page is longer than its limit");
        rows.extend(page.rows);
        match page.next {
            Some(next) => query.page = Some(next),
            None => return rows,
        }
    }
}

pub(super) fn offsets(rows: &[HistoryRow]) -> Vec<Offset> {
    rows.iter().map(|row| row.offset).collect()
}
