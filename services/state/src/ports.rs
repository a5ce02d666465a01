//! What a state store can do. Both engines implement these traits; one contract suite holds both.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use journal::{Offset, Partition};
use schemas::{Document, Event, Kind, Micros};

/// Names a device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceKey {
    /// Its tenant.
    pub tenant: Box<str>,
    /// Its id within the tenant.
    pub device: Box<str>,
}

/// A document as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The document.
    pub document: Arc<Document>,
    /// Offset of the last source event folded into it.
    pub source: Offset,
}

/// One write to the documents.
#[derive(Debug, Clone)]
pub struct Write {
    /// The device.
    pub key: DeviceKey,
    /// Its partition, by placement.
    pub partition: Partition,
    /// The document; `None` deletes it.
    pub document: Option<Arc<Document>>,
    /// Offset of the source event: a write of a lower one loses, whenever it comes.
    pub source: Offset,
}

/// Where a page of devices ends; opaque outside the store, safe in a cursor.
pub type PageKey = Box<str>;

/// A page of documents in the store's own, stable order.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The documents.
    pub documents: Vec<Stored>,
    /// Where to read on; `None` after the last page.
    pub next: Option<PageKey>,
}

/// Why the store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or did not answer in time. Try again.
    #[error("the state store is unavailable: {reason}")]
    Unavailable {
        /// What the engine said.
        reason: String,
    },
    /// What is stored cannot be read: a bug, or another version wrote it.
    #[error("the state store holds what cannot be read: {reason}")]
    Corrupt {
        /// Which row and why.
        reason: String,
    },
    /// The page key is not one of ours.
    #[error("not a page of this list")]
    BadPage,
}

/// Documents of one page, while a store is looked through.
const HAS_ANY_PAGE: usize = 500;

/// Documents of devices.
#[async_trait]
pub trait Documents: Send + Sync {
    /// The documents of `keys`, in the same order, read concurrently. Each key comes with its partition.
    async fn get(&self, keys: &[(Partition, DeviceKey)]) -> Result<Vec<Option<Stored>>, StoreError>;

    /// Writes concurrently; done when all are durable.
    async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError>;

    /// A page of the documents of `tenant` that lie in `partitions` (its placement, slot order).
    async fn page(
        &self,
        tenant: &str,
        partitions: &[Partition],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError>;

    /// A page of the documents of all tenants that lie in `partition`.
    async fn page_of_partition(
        &self,
        partition: Partition,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError>;

    /// Whether `tenant` has a device whose id begins with `prefix` and goes on; `partitions` as for
    /// [`page`](Self::page). This looks through pages; an engine that can seek does.
    async fn has_any(
        &self,
        tenant: &str,
        partitions: &[Partition],
        prefix: &str,
    ) -> Result<bool, StoreError> {
        let mut after: Option<PageKey> = None;
        loop {
            let page = self
                .page(tenant, partitions, after.as_deref(), HAS_ANY_PAGE)
                .await?;
            let begins = |stored: &Stored| {
                let rest = stored.document.id.strip_prefix(prefix);
                rest.is_some_and(|rest| !rest.is_empty())
            };
            if page.documents.iter().any(begins) {
                return Ok(true);
            }
            after = page.next;
            if after.is_none() {
                return Ok(false);
            }
        }
    }

    /// The tenants that have a device named `device`.
    async fn tenants_of(&self, device: &str) -> Result<Vec<Box<str>>, StoreError>;

    /// The devices of a tenant, or of all, whose location is named `location`. At most `limit` are looked
    /// at, with some that were there; whoever shares the name in another tenant costs a tenant nothing.
    async fn devices_at(
        &self,
        tenant: Option<&str>,
        location: &str,
        limit: usize,
    ) -> Result<Vec<DeviceKey>, StoreError>;
}

/// Counts of one tenant's devices in one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Devices, with or without a status.
    pub devices: u64,
    /// Devices that are ONLINE.
    pub online: u64,
    /// Devices that are STALE.
    pub stale: u64,
    /// Devices that are OFFLINE.
    pub offline: u64,
    /// Alerts that are OPEN.
    pub alerts_open: u64,
    /// Alerts that are ACKNOWLEDGED.
    pub alerts_acknowledged: u64,
}

/// How far one partition is materialised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Next offset of `wakeline.events` that is not yet folded into the documents.
    pub source: Offset,
    /// Next offset of `wakeline.state` that is not yet written to the documents.
    pub state: Offset,
    /// Counts by tenant, as of then.
    pub counts: BTreeMap<Box<str>, Counts>,
}

/// Progress of the projectors.
#[async_trait]
pub trait Progress: Send + Sync {
    /// How far `partition` is; `None` for never begun.
    async fn applied(&self, partition: Partition) -> Result<Option<Applied>, StoreError>;

    /// Records progress. A lower `source` than stored loses.
    async fn set_applied(&self, partition: Partition, applied: &Applied) -> Result<(), StoreError>;

    /// Next offset of `wakeline.control` whose alert rules the documents of `partition` were not held
    /// against yet; 0 for never begun. Tables that a rebuild makes begin with that of those they replace.
    async fn rules_applied(&self, partition: Partition) -> Result<Offset, StoreError>;

    /// Records that. A lower `next` than stored loses.
    async fn set_rules_applied(&self, partition: Partition, next: Offset) -> Result<(), StoreError>;
}

/// A row of history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRow {
    /// Partition of its record.
    pub partition: Partition,
    /// Offset of its record in `wakeline.events`.
    pub offset: Offset,
    /// Telemetry that was older than the newest when it came.
    pub late: bool,
    /// The event.
    pub event: Arc<Event>,
}

/// What to read of history: newest first.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Whose.
    pub tenant: Box<str>,
    /// Of one device, or (kinds lock, alert, command only) of the whole tenant.
    pub device: Option<Box<str>>,
    /// Of these kinds.
    pub kinds: Vec<Kind>,
    /// Received at or after.
    pub from: Micros,
    /// Received before.
    pub to: Micros,
    /// From the `next` of the page before.
    pub page: Option<Box<str>>,
    /// At most so many rows.
    pub limit: usize,
}

/// A page of history.
#[derive(Debug, Clone, Default)]
pub struct HistoryPage {
    /// Rows, newest first.
    pub rows: Vec<HistoryRow>,
    /// How many more were read and left out, because whoever reads may not see them.
    pub left_out: usize,
    /// Where to read on; `None` after the last page.
    pub next: Option<Box<str>>,
}

/// Events of the recent past, by device and by tenant.
#[async_trait]
pub trait History: Send + Sync {
    /// Keeps rows; the same row twice is one row.
    async fn append(&self, rows: Vec<HistoryRow>) -> Result<(), StoreError>;

    /// Reads a page.
    async fn read(&self, query: &HistoryQuery) -> Result<HistoryPage, StoreError>;
}

/// One opened store: its ports.
#[derive(Clone)]
pub struct Store {
    /// Documents.
    pub documents: Arc<dyn Documents>,
    /// Progress of the projectors.
    pub progress: Arc<dyn Progress>,
    /// History.
    pub history: Arc<dyn History>,
}
