//! Removing the tables of a layout or build that serves no more. History expires by itself.

use ::scylla::statement::prepared::PreparedStatement;
use journal::Partition;
use schemas::control::Layout;

use super::documents::{BUCKETS_PER_PARTITION, CqlDocuments, bucket_number};
use super::{Cql, Scope};
use crate::{Documents as _, StoreError};

/// Documents read at once while their index rows are removed.
const PAGE: usize = 500;

impl Cql {
    /// Whether anything was ever written to `build` of `layout`, and not removed since.
    ///
    /// # Errors
    /// When the servers do not answer.
    pub async fn is_filled(&self, layout: &Layout, build: u16) -> Result<bool, StoreError> {
        let store = self.store(layout, Some(build)).await?;
        for partition in 0..layout.partitions {
            let page = store.documents.page_of_partition(partition, None, 1).await?;
            if !page.documents.is_empty() || store.progress.applied(partition).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes documents, indexes and progress of `build` of `layout`. No process may use them any
    /// more, nor ever fill them again: writes carry the times of their events, and lose to this. A purge
    /// that was cut off can be run again. Rows of devices that are gone and of locations that were left
    /// stay behind in the indexes, where nothing reads them.
    ///
    /// # Errors
    /// When the servers do not answer.
    pub async fn purge(&self, layout: &Layout, build: u16) -> Result<(), StoreError> {
        let scope = Scope::new(layout, build);
        let documents = CqlDocuments::new(self, scope).await?;
        let statements = Statements::prepare(self).await?;
        for partition in 0..layout.partitions {
            self.purge_partition(&documents, &statements, scope, partition)
                .await?;
        }
        Ok(())
    }

    async fn purge_partition(
        &self,
        documents: &CqlDocuments,
        statements: &Statements,
        scope: Scope,
        partition: Partition,
    ) -> Result<(), StoreError> {
        let generation = scope.generation;
        let mut tenants = std::collections::BTreeSet::new();
        let mut after = None;
        loop {
            let page = documents
                .page_of_partition(partition, after.as_deref(), PAGE)
                .await?;
            for stored in &page.documents {
                let document = &stored.document;
                tenants.insert(document.tenant.clone());
                self.link
                    .execute(
                        &statements.device,
                        &(generation, &*document.id, &*document.tenant),
                    )
                    .await?;
                if let Some(location) = document
                    .location
                    .as_ref()
                    .and_then(|location| location.id.as_deref())
                {
                    let values = (generation, location, &*document.tenant, &*document.id);
                    self.link.execute(&statements.location, &values).await?;
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        for tenant in tenants {
            for sub in 0..BUCKETS_PER_PARTITION {
                let values = (generation, &*tenant, bucket_number(partition, sub));
                self.link.execute(&statements.bucket, &values).await?;
            }
        }
        self.link
            .execute(&statements.applied, &(generation, partition.cast_signed()))
            .await?;
        self.link
            .execute(&statements.tenants, &(generation, partition.cast_signed()))
            .await
    }
}

struct Statements {
    device: PreparedStatement,
    location: PreparedStatement,
    bucket: PreparedStatement,
    applied: PreparedStatement,
    tenants: PreparedStatement,
}

impl Statements {
    async fn prepare(cql: &Cql) -> Result<Self, StoreError> {
        let link = &cql.link;
        Ok(Self {
            device: link
                .prepare("DELETE FROM devices_by_id WHERE generation = ? AND device = ? AND tenant = ?")
                .await?,
            location: link
                .prepare(
                    "DELETE FROM locations_by_id \
                     WHERE generation = ? AND location = ? AND tenant = ? AND device = ?",
                )
                .await?,
            bucket: link
                .prepare("DELETE FROM devices WHERE generation = ? AND tenant = ? AND bucket = ?")
                .await?,
            applied: link
                .prepare("DELETE FROM applied WHERE generation = ? AND partition = ?")
                .await?,
            tenants: link
                .prepare("DELETE FROM tenants_by_partition WHERE generation = ? AND partition = ?")
                .await?,
        })
    }
}
