//! Pages of documents: a walk over lists (one per tenant and bucket), each ordered by device.
//!
//! Small lists are read several at once: the walk widens while lists come back short of what is
//! wanted, so a page of a small tenant costs a few round trips and one of a big tenant a single read.

use ::scylla::DeserializeRow;
use futures::FutureExt as _;
use journal::Partition;

use super::documents::{BUCKETS_PER_PARTITION, CqlDocuments, bucket, bucket_number, stored};
use super::link::together;
use crate::{Page, PageKey, StoreError};

/// Tenants of a partition that are looked up at once.
const TENANTS_PER_READ: i32 = 256;

#[derive(DeserializeRow)]
#[scylla(crate = "::scylla")]
struct Row {
    device: String,
    document: Vec<u8>,
    source: i64,
}

/// One list and where in it to begin.
#[derive(Clone)]
struct List {
    tenant: Box<str>,
    bucket: i32,
    after: Box<str>,
}

impl CqlDocuments {
    pub(super) async fn page_of_tenant(
        &self,
        tenant: &str,
        partitions: &[Partition],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let buckets = partitions.iter().flat_map(|partition| buckets(*partition));
        let lists = buckets.map(|bucket| List {
            tenant: tenant.into(),
            bucket,
            after: "".into(),
        });
        let mut lists: Vec<List> = lists.collect();
        if let Some(after) = after {
            let (bucket, device) = after.split_once('/').ok_or(StoreError::BadPage)?;
            let bucket: i32 = bucket.parse().map_err(|_| StoreError::BadPage)?;
            let begin = lists
                .iter()
                .position(|list| list.bucket == bucket)
                .ok_or(StoreError::BadPage)?;
            lists.drain(..begin);
            lists[0].after = device.into();
        }
        let mut found = Found::new(limit);
        self.walk(lists, &mut found).await?;
        found.into_page(|list, device| format!("{}/{device}", list.bucket).into())
    }

    /// Whether a device's id begins with `prefix` and goes on: the next device in each list tells.
    pub(super) async fn has_any_of_tenant(
        &self,
        tenant: &str,
        partitions: &[Partition],
        prefix: &str,
    ) -> Result<bool, StoreError> {
        let buckets = partitions.iter().flat_map(|partition| buckets(*partition));
        let lists: Vec<List> = buckets
            .map(|bucket| List {
                tenant: tenant.into(),
                bucket,
                after: prefix.into(),
            })
            .collect();
        let reads = lists.iter().map(|list| self.list(list, 1).boxed());
        let answers = together(self.fan_out, reads.collect()).await?;
        Ok(answers.iter().flatten().any(|row| row.device.starts_with(prefix)))
    }

    pub(super) async fn page_of_all_tenants(
        &self,
        partition: Partition,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut found = Found::new(limit);
        let mut last_tenant = String::new();
        if let Some(after) = after {
            let (list, rest) = parse_partition_key(partition, after)?;
            last_tenant = list.tenant.to_string();
            let mut lists = vec![list];
            lists.extend(rest);
            self.walk(lists, &mut found).await?;
        }
        while !found.is_full() {
            let values = (
                self.scope.generation,
                partition.cast_signed(),
                &last_tenant,
                TENANTS_PER_READ,
            );
            let tenants: Vec<(String,)> = self.link.rows(&self.statements.list_tenants, &values).await?;
            let Some((last,)) = tenants.last() else { break };
            last_tenant.clone_from(last);
            let lists = tenants.iter().flat_map(|(tenant,)| {
                buckets(partition).map(|bucket| List {
                    tenant: tenant.as_str().into(),
                    bucket,
                    after: "".into(),
                })
            });
            self.walk(lists.collect(), &mut found).await?;
        }
        found.into_page(|list, device| {
            let sub = list.bucket.cast_unsigned() % BUCKETS_PER_PARTITION;
            format!("{}/{sub}/{device}", list.tenant).into()
        })
    }

    /// Reads `lists` in order until enough is found.
    async fn walk(&self, lists: Vec<List>, found: &mut Found) -> Result<(), StoreError> {
        let mut width = 1;
        let mut rest = &lists[..];
        while !rest.is_empty() && !found.is_full() {
            let (now, later) = rest.split_at(width.min(rest.len()));
            let missing = i32::try_from(found.missing()).unwrap_or(i32::MAX);
            let reads = now.iter().map(|list| self.list(list, missing).boxed());
            let answers = together(self.fan_out, reads.collect()).await?;
            for (list, rows) in now.iter().zip(answers) {
                found.rows.extend(
                    rows.into_iter()
                        .take(found.missing())
                        .map(|row| (list.clone(), row)),
                );
            }
            rest = later;
            width = (width * 2).min(self.fan_out);
        }
        Ok(())
    }

    async fn list(&self, list: &List, limit: i32) -> Result<Vec<Row>, StoreError> {
        let values = (
            self.scope.generation,
            &*list.tenant,
            list.bucket,
            &*list.after,
            limit,
        );
        self.link.rows(&self.statements.list, &values).await
    }
}

/// Rows found so far: one more than the page holds is looked for, to know whether there is another.
struct Found {
    limit: usize,
    rows: Vec<(List, Row)>,
}

impl Found {
    fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            rows: Vec::new(),
        }
    }

    fn missing(&self) -> usize {
        self.limit.saturating_add(1).saturating_sub(self.rows.len())
    }

    fn is_full(&self) -> bool {
        self.missing() == 0
    }

    fn into_page(mut self, key: impl Fn(&List, &str) -> PageKey) -> Result<Page, StoreError> {
        let more = self.rows.len() > self.limit;
        self.rows.truncate(self.limit);
        let next = self
            .rows
            .last()
            .filter(|_| more)
            .map(|(list, row)| key(list, &row.device));
        let documents = self.rows.iter().map(|(_, row)| stored(&row.document, row.source));
        Ok(Page {
            documents: documents.collect::<Result<_, _>>()?,
            next,
        })
    }
}

fn buckets(partition: Partition) -> impl Iterator<Item = i32> {
    (0..BUCKETS_PER_PARTITION).map(move |sub| bucket_number(partition, sub))
}

/// The list that a key of [`page_of_all_tenants`](CqlDocuments::page_of_all_tenants) names, from that
/// key on, and the tenant's later lists.
fn parse_partition_key(partition: Partition, key: &str) -> Result<(List, Vec<List>), StoreError> {
    let mut parts = key.splitn(3, '/');
    let (Some(tenant), Some(sub), Some(device)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(StoreError::BadPage);
    };
    let sub: u32 = sub.parse().map_err(|_| StoreError::BadPage)?;
    if sub >= BUCKETS_PER_PARTITION || bucket(partition, device) != bucket_number(partition, sub) {
        return Err(StoreError::BadPage);
    }
    let list = |sub, after: &str| List {
        tenant: tenant.into(),
        bucket: bucket_number(partition, sub),
        after: after.into(),
    };
    Ok((
        list(sub, device),
        (sub + 1..BUCKETS_PER_PARTITION)
            .map(|sub| list(sub, ""))
            .collect(),
    ))
}
