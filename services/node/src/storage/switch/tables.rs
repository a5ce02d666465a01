//! Ports over tables that can be replaced by others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use journal::{Offset, Partition};
use state::{
    Applied, DeviceKey, Documents, History, HistoryPage, HistoryQuery, HistoryRow, Page, Progress, Store,
    StoreError, Stored, Write,
};

/// The tables of one build, and for a while those of the next.
pub(super) struct Tables {
    build: AtomicU16,
    current: ArcSwap<Store>,
    next: ArcSwapOption<Store>,
}

impl Tables {
    pub(super) fn new(build: u16, store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self {
            build: build.into(),
            current: ArcSwap::new(store),
            next: ArcSwapOption::empty(),
        })
    }

    /// The ports, which go over with the tables.
    pub(super) fn ports(self: &Arc<Self>) -> Store {
        Store {
            documents: Arc::clone(self) as _,
            progress: Arc::clone(self) as _,
            history: Arc::clone(self) as _,
        }
    }

    pub(super) fn build(&self) -> u16 {
        self.build.load(Ordering::Acquire)
    }

    pub(super) fn now(&self) -> Arc<Store> {
        self.current.load_full()
    }

    /// Progress is told as the lesser of these tables and `next` from now on.
    pub(super) fn announce(&self, next: Option<Arc<Store>>) {
        self.next.store(next);
    }

    pub(super) fn replace(&self, build: u16, store: Arc<Store>) {
        self.current.store(store);
        self.next.store(None);
        self.build.store(build, Ordering::Release);
    }
}

#[async_trait]
impl Documents for Tables {
    async fn get(&self, keys: &[(Partition, DeviceKey)]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.now().documents.get(keys).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.now().documents.write(writes).await
    }

    async fn page(
        &self,
        tenant: &str,
        partitions: &[Partition],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.now().documents.page(tenant, partitions, after, limit).await
    }

    async fn page_of_partition(
        &self,
        partition: Partition,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.now()
            .documents
            .page_of_partition(partition, after, limit)
            .await
    }

    async fn has_any(
        &self,
        tenant: &str,
        partitions: &[Partition],
        prefix: &str,
    ) -> Result<bool, StoreError> {
        self.now().documents.has_any(tenant, partitions, prefix).await
    }

    async fn tenants_of(&self, device: &str) -> Result<Vec<Box<str>>, StoreError> {
        self.now().documents.tenants_of(device).await
    }

    async fn devices_at(
        &self,
        tenant: Option<&str>,
        location: &str,
        limit: usize,
    ) -> Result<Vec<DeviceKey>, StoreError> {
        self.now().documents.devices_at(tenant, location, limit).await
    }
}

#[async_trait]
impl Progress for Tables {
    async fn applied(&self, partition: Partition) -> Result<Option<Applied>, StoreError> {
        let applied = self.now().progress.applied(partition).await?;
        let Some(next) = self.next.load_full() else {
            return Ok(applied);
        };
        let next = next.progress.applied(partition).await?;
        Ok(applied.zip(next).map(|(applied, next)| Applied {
            source: applied.source.min(next.source),
            state: applied.state.min(next.state),
            ..applied
        }))
    }

    async fn set_applied(&self, partition: Partition, applied: &Applied) -> Result<(), StoreError> {
        self.now().progress.set_applied(partition, applied).await
    }

    async fn rules_applied(&self, partition: Partition) -> Result<Offset, StoreError> {
        self.now().progress.rules_applied(partition).await
    }

    async fn set_rules_applied(&self, partition: Partition, next: Offset) -> Result<(), StoreError> {
        self.now().progress.set_rules_applied(partition, next).await
    }
}

#[async_trait]
impl History for Tables {
    async fn append(&self, rows: Vec<HistoryRow>) -> Result<(), StoreError> {
        self.now().history.append(rows).await
    }

    async fn read(&self, query: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        self.now().history.read(query).await
    }
}
