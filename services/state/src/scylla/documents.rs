//! Documents, and the indexes that find them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ::scylla::statement::prepared::PreparedStatement;
use async_trait::async_trait;
use futures::FutureExt as _;
use journal::Partition;
use parking_lot::Mutex;
use schemas::Document;
use xxhash_rust::xxh3::xxh3_64;

use super::link::{Link, corrupt, together};
use super::{Cql, Scope};
use crate::{DeviceKey, Documents, Page, StoreError, Stored, Write};

/// Lists that the devices of a tenant in one Kafka partition are spread over, so that no CQL partition
/// grows with the fleet. Part of the tables: another number needs another generation.
pub(super) const BUCKETS_PER_PARTITION: u32 = 4;

pub(super) struct CqlDocuments {
    pub(super) link: Arc<Link>,
    pub(super) scope: Scope,
    pub(super) statements: Statements,
    pub(super) fan_out: usize,
    in_flight: usize,
    indexed_max: usize,
    indexed: Mutex<Indexed>,
}

/// What is known to stand in the indexes. Nothing is ever taken out of them, so what was once seen
/// written stays true, whichever process owns the partition in the meantime.
#[derive(Default)]
struct Indexed {
    tenants: HashSet<(Partition, Box<str>)>,
    /// The location under which the device was indexed last.
    devices: HashMap<DeviceKey, Option<Box<str>>>,
}

pub(super) struct Statements {
    get: PreparedStatement,
    put: PreparedStatement,
    delete: PreparedStatement,
    location: PreparedStatement,
    index_tenant: PreparedStatement,
    index_device: PreparedStatement,
    index_location: PreparedStatement,
    tenants_of: PreparedStatement,
    devices_at: PreparedStatement,
    devices_of_tenant_at: PreparedStatement,
    pub(super) list: PreparedStatement,
    pub(super) list_tenants: PreparedStatement,
}

impl Statements {
    async fn prepare(link: &Link) -> Result<Self, StoreError> {
        const LIST: &str = "SELECT device, document, source FROM devices \
             WHERE generation = ? AND tenant = ? AND bucket = ? AND device > ? LIMIT ?";
        const DEVICE: &str = "WHERE generation = ? AND tenant = ? AND bucket = ? AND device = ?";
        Ok(Self {
            get: link.prepare(&format!("SELECT document, source FROM devices {DEVICE}")).await?,
            put: link
                .prepare(
                    "INSERT INTO devices (generation, tenant, bucket, device, document, version, source, location) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
                )
                .await?,
            delete: link.prepare(&format!("DELETE FROM devices USING TIMESTAMP ? {DEVICE}")).await?,
            location: link.prepare(&format!("SELECT location FROM devices {DEVICE}")).await?,
            index_tenant: link
                .prepare("INSERT INTO tenants_by_partition (generation, partition, tenant) VALUES (?, ?, ?)")
                .await?,
            index_device: link
                .prepare("INSERT INTO devices_by_id (generation, device, tenant, bucket) VALUES (?, ?, ?, ?)")
                .await?,
            index_location: link
                .prepare(
                    "INSERT INTO locations_by_id (generation, location, tenant, device, bucket) \
                     VALUES (?, ?, ?, ?, ?)",
                )
                .await?,
            tenants_of: link
                .prepare("SELECT tenant, bucket FROM devices_by_id WHERE generation = ? AND device = ?")
                .await?,
            devices_at: link
                .prepare(
                    "SELECT tenant, device, bucket FROM locations_by_id \
                     WHERE generation = ? AND location = ? LIMIT ?",
                )
                .await?,
            devices_of_tenant_at: link
                .prepare(
                    "SELECT tenant, device, bucket FROM locations_by_id \
                     WHERE generation = ? AND location = ? AND tenant = ? LIMIT ?",
                )
                .await?,
            list: link.prepare(LIST).await?,
            list_tenants: link
                .prepare(
                    "SELECT tenant FROM tenants_by_partition \
                     WHERE generation = ? AND partition = ? AND tenant > ? LIMIT ?",
                )
                .await?,
        })
    }
}

/// A row that an index must have before a document is written.
enum IndexRow<'a> {
    Tenant(Partition, &'a str),
    Device(&'a DeviceKey, i32),
    Location(&'a str, &'a DeviceKey, i32),
}

impl CqlDocuments {
    pub(super) async fn new(cql: &Cql, scope: Scope) -> Result<Self, StoreError> {
        Ok(Self {
            link: Arc::clone(&cql.link),
            scope,
            statements: Statements::prepare(&cql.link).await?,
            fan_out: cql.settings.page_fan_out_max,
            in_flight: cql.settings.requests_in_flight_max,
            indexed_max: cql.settings.indexed_devices_max,
            indexed: Mutex::default(),
        })
    }

    async fn get_one(&self, partition: Partition, key: &DeviceKey) -> Result<Option<Stored>, StoreError> {
        let bucket = bucket(partition, &key.device);
        let values = (self.scope.generation, &*key.tenant, bucket, &*key.device);
        let rows: Vec<(Vec<u8>, i64)> = self.link.rows(&self.statements.get, &values).await?;
        rows.into_iter()
            .next()
            .map(|(document, source)| stored(&document, source))
            .transpose()
    }

    async fn write_one(&self, write: &Write) -> Result<(), StoreError> {
        let bucket = bucket(write.partition, &write.key.device);
        let timestamp = self.scope.timestamp(write.source);
        let (tenant, device) = (&*write.key.tenant, &*write.key.device);
        let Some(document) = &write.document else {
            let values = (timestamp, self.scope.generation, tenant, bucket, device);
            return self.link.execute(&self.statements.delete, &values).await;
        };
        let bytes = document.encode();
        let (version, source) = (document.version.cast_signed(), write.source.cast_signed());
        let generation = self.scope.generation;
        let location = location(document);
        let values = (
            generation,
            tenant,
            bucket,
            device,
            &bytes[..],
            version,
            source,
            location,
            timestamp,
        );
        self.link.execute(&self.statements.put, &values).await
    }

    /// Makes the index rows that `writes` need and are not known to exist. They are written before the
    /// documents, so that no document exists that an index does not find.
    async fn index(&self, writes: &[Write]) -> Result<(), StoreError> {
        let missing = self
            .not_indexed(writes)
            .into_iter()
            .map(|row| self.write_index(row).boxed());
        together(self.in_flight, missing.collect()).await?;
        let mut indexed = self.indexed.lock();
        if indexed.devices.len() + writes.len() > self.indexed_max {
            *indexed = Indexed::default();
        }
        for (write, document) in documents(writes) {
            indexed
                .tenants
                .insert((write.partition, write.key.tenant.clone()));
            indexed
                .devices
                .insert(write.key.clone(), location(document).map(Into::into));
        }
        Ok(())
    }

    fn not_indexed<'a>(&self, writes: &'a [Write]) -> Vec<IndexRow<'a>> {
        let indexed = self.indexed.lock();
        let mut tenants = HashSet::new();
        let mut missing = Vec::new();
        for (write, document) in documents(writes) {
            let key = &write.key;
            let known_tenant = indexed.tenants.contains(&(write.partition, key.tenant.clone()));
            if !known_tenant && tenants.insert((write.partition, &*key.tenant)) {
                missing.push(IndexRow::Tenant(write.partition, &key.tenant));
            }
            let bucket = bucket(write.partition, &key.device);
            let known = indexed.devices.get(key);
            if known.is_none() {
                missing.push(IndexRow::Device(key, bucket));
            }
            if let Some(location) = location(document)
                && known.is_none_or(|known| known.as_deref() != Some(location))
            {
                missing.push(IndexRow::Location(location, key, bucket));
            }
        }
        missing
    }

    async fn write_index(&self, row: IndexRow<'_>) -> Result<(), StoreError> {
        let (link, statements, generation) = (&self.link, &self.statements, self.scope.generation);
        match row {
            IndexRow::Tenant(partition, tenant) => {
                let values = (generation, partition.cast_signed(), tenant);
                link.execute(&statements.index_tenant, &values).await
            }
            IndexRow::Device(key, bucket) => {
                let values = (generation, &*key.device, &*key.tenant, bucket);
                link.execute(&statements.index_device, &values).await
            }
            IndexRow::Location(location, key, bucket) => {
                let values = (generation, location, &*key.tenant, &*key.device, bucket);
                link.execute(&statements.index_location, &values).await
            }
        }
    }

    /// The location of a device; `None` when there is no such device.
    async fn location_of(&self, key: &DeviceKey, bucket: i32) -> Result<Option<Option<String>>, StoreError> {
        let values = (self.scope.generation, &*key.tenant, bucket, &*key.device);
        let rows: Vec<(Option<String>,)> = self.link.rows(&self.statements.location, &values).await?;
        Ok(rows.into_iter().next().map(|(location,)| location))
    }
}

#[async_trait]
impl Documents for CqlDocuments {
    async fn get(&self, keys: &[(Partition, DeviceKey)]) -> Result<Vec<Option<Stored>>, StoreError> {
        let reads = keys
            .iter()
            .map(|(partition, key)| self.get_one(*partition, key).boxed());
        together(self.in_flight, reads.collect()).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.index(&writes).await?;
        let documents = writes.iter().map(|write| self.write_one(write).boxed());
        together(self.in_flight, documents.collect()).await?;
        Ok(())
    }

    async fn page(
        &self,
        tenant: &str,
        partitions: &[Partition],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.page_of_tenant(tenant, partitions, after, limit).await
    }

    async fn page_of_partition(
        &self,
        partition: Partition,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.page_of_all_tenants(partition, after, limit).await
    }

    async fn has_any(
        &self,
        tenant: &str,
        partitions: &[Partition],
        prefix: &str,
    ) -> Result<bool, StoreError> {
        self.has_any_of_tenant(tenant, partitions, prefix).await
    }

    async fn tenants_of(&self, device: &str) -> Result<Vec<Box<str>>, StoreError> {
        let values = (self.scope.generation, device);
        let known: Vec<(String, i32)> = self.link.rows(&self.statements.tenants_of, &values).await?;
        let checks = known.into_iter().map(|(tenant, bucket)| {
            async move {
                let key = DeviceKey {
                    tenant: tenant.into(),
                    device: device.into(),
                };
                Ok::<_, StoreError>(self.location_of(&key, bucket).await?.map(|_| key.tenant))
            }
            .boxed()
        });
        let found = together(self.in_flight, checks.collect()).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn devices_at(
        &self,
        tenant: Option<&str>,
        location: &str,
        limit: usize,
    ) -> Result<Vec<DeviceKey>, StoreError> {
        let generation = self.scope.generation;
        let limit = i32::try_from(limit).unwrap_or(i32::MAX).max(1);
        let (link, statements) = (&self.link, &self.statements);
        let known: Vec<(String, String, i32)> = match tenant {
            Some(tenant) => {
                let values = (generation, location, tenant, limit);
                link.rows(&statements.devices_of_tenant_at, &values).await?
            }
            None => {
                let values = (generation, location, limit);
                link.rows(&statements.devices_at, &values).await?
            }
        };
        let checks = known.into_iter().map(|(tenant, device, bucket)| {
            async move {
                let key = DeviceKey {
                    tenant: tenant.into(),
                    device: device.into(),
                };
                let found = self.location_of(&key, bucket).await?.flatten();
                Ok::<_, StoreError>((found.as_deref() == Some(location)).then_some(key))
            }
            .boxed()
        });
        let found = together(self.in_flight, checks.collect()).await?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// The bucket of a device: it lies in one Kafka partition.
pub(super) fn bucket(partition: Partition, device: &str) -> i32 {
    let sub = xxh3_64(device.as_bytes()) % u64::from(BUCKETS_PER_PARTITION);
    bucket_number(partition, sub as u32)
}

pub(super) const fn bucket_number(partition: Partition, sub: u32) -> i32 {
    partition
        .wrapping_mul(BUCKETS_PER_PARTITION)
        .wrapping_add(sub)
        .cast_signed()
}

pub(super) fn stored(document: &[u8], source: i64) -> Result<Stored, StoreError> {
    let document = Arc::new(Document::decode(document).map_err(corrupt)?);
    Ok(Stored {
        document,
        source: source.cast_unsigned(),
    })
}

fn documents(writes: &[Write]) -> impl Iterator<Item = (&Write, &Document)> {
    writes
        .iter()
        .filter_map(|write| write.document.as_deref().map(|document| (write, document)))
}

fn location(document: &Document) -> Option<&str> {
    document
        .location
        .as_ref()
        .and_then(|location| location.id.as_deref())
}
