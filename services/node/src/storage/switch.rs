//! A state store whose tables can be replaced while it is open: `wakeline rebuild` fills another build
//! of them and lets it serve; running nodes notice and go over.
//!
//! Readers go over at once. The projector must not write to two builds from one memory of what it
//! wrote, so whoever runs it ends it first and starts it anew after [`Switch::go`].

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use journal::Partition;
use schemas::control::Layout;
use state::scylla::Cql;
use state::{
    Applied, DeviceKey, Documents, History, HistoryPage, HistoryQuery, HistoryRow, Page, Progress, Store,
    StoreError, Stored, Write,
};

/// How often a node asks which build serves.
pub const POLL: Duration = Duration::from_secs(5);

/// The store that serves now, and the way to the next.
pub struct Switch {
    cql: Cql,
    layout: Layout,
    build: std::sync::atomic::AtomicU32,
    current: ArcSwap<Store>,
}

impl Switch {
    /// The store of the build that serves now.
    ///
    /// # Errors
    /// When the servers do not answer.
    pub async fn open(cql: Cql, layout: Layout) -> Result<Arc<Self>, StoreError> {
        let build = cql.serving(layout.generation).await?;
        let store = cql.store(&layout, Some(build)).await?;
        Ok(Arc::new(Self {
            cql,
            layout,
            build: u32::from(build).into(),
            current: ArcSwap::from_pointee(store),
        }))
    }

    /// The ports, which go over with the switch.
    #[must_use]
    pub fn store(self: &Arc<Self>) -> Store {
        Store {
            documents: Arc::clone(self) as _,
            progress: Arc::clone(self) as _,
            history: Arc::clone(self) as _,
        }
    }

    /// Waits until another build serves than the one that is open.
    pub async fn wanted(&self) -> u16 {
        loop {
            tokio::time::sleep(POLL).await;
            match self.cql.serving(self.layout.generation).await {
                Ok(build) if u32::from(build) != self.build.load(std::sync::atomic::Ordering::Acquire) => {
                    return build;
                }
                Ok(_) => {}
                // Told by the store itself wherever it matters.
                Err(error) => tracing::debug!(%error, "which tables serve could not be asked"),
            }
        }
    }

    /// Goes over to `build`.
    ///
    /// # Errors
    /// When the servers do not answer; the old build stays open.
    pub async fn go(&self, build: u16) -> Result<(), StoreError> {
        let store = self.cql.store(&self.layout, Some(build)).await?;
        self.current.store(Arc::new(store));
        self.build
            .store(u32::from(build), std::sync::atomic::Ordering::Release);
        tracing::info!(build, "these tables serve from now on");
        Ok(())
    }

    fn now(&self) -> Arc<Store> {
        self.current.load_full()
    }
}

#[async_trait]
impl Documents for Switch {
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

    async fn tenants_of(&self, device: &str) -> Result<Vec<Box<str>>, StoreError> {
        self.now().documents.tenants_of(device).await
    }

    async fn devices_at(&self, location: &str) -> Result<Vec<DeviceKey>, StoreError> {
        self.now().documents.devices_at(location).await
    }
}

#[async_trait]
impl Progress for Switch {
    async fn applied(&self, partition: Partition) -> Result<Option<Applied>, StoreError> {
        self.now().progress.applied(partition).await
    }

    async fn set_applied(&self, partition: Partition, applied: &Applied) -> Result<(), StoreError> {
        self.now().progress.set_applied(partition, applied).await
    }
}

#[async_trait]
impl History for Switch {
    async fn append(&self, rows: Vec<HistoryRow>) -> Result<(), StoreError> {
        self.now().history.append(rows).await
    }

    async fn read(&self, query: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        self.now().history.read(query).await
    }
}
