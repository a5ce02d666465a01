//! Documents of devices.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use fjall::{OwnedWriteBatch, Readable};
use journal::{Micros, Offset, Partition};
use state::{DeviceKey, Documents, Page, StoreError, Stored, Write};

use super::page::{self, List};
use super::row;
use super::{EmbeddedStore, Failure, corrupt, told};
use crate::database::Tables;
use crate::keys;

#[async_trait]
impl Documents for EmbeddedStore {
    async fn get(&self, keys: &[(Partition, DeviceKey)]) -> Result<Vec<Option<Stored>>, StoreError> {
        let generation = self.inner.generation();
        let keys: Vec<Vec<u8>> = keys
            .iter()
            .map(|(partition, key)| row::document_key(generation, *partition, key))
            .collect();
        let read = move |tables: &Tables| {
            keys.into_iter()
                .map(|key| match tables.state.get(key)? {
                    Some(row) => Ok(row::decode(&row)?),
                    None => Ok(None),
                })
                .collect()
        };
        told(self.inner.blocking(read).await)
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        for write in &writes {
            if write.key.tenant.contains('\0') || write.key.device.contains('\0') {
                return Err(corrupt("a document to write", &"its name has a NUL"));
            }
        }
        let inner = Arc::clone(&self.inner);
        let work = move |tables: &Tables| {
            let (generation, now) = (inner.generation(), (inner.clock)());
            // What is read must still hold when the batch is written.
            let _writing = inner.documents.lock();
            let mut batch = tables.database.batch();
            let mut fresh = HashMap::new();
            for write in writes {
                stage(tables, &mut batch, &mut fresh, generation, now, &write)?;
            }
            Ok(batch.commit()?)
        };
        told(self.inner.blocking(work).await)
    }

    async fn page(
        &self,
        tenant: &str,
        partitions: &[Partition],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let (mut first, mut device) = (0, String::new());
        if let Some(after) = after {
            let position = page::decode(List::Tenant, after)?;
            let (number, name) = position.split_first_chunk::<4>().ok_or(StoreError::BadPage)?;
            let number = Partition::from_be_bytes(*number);
            first = partitions
                .iter()
                .position(|other| *other == number)
                .ok_or(StoreError::BadPage)?;
            device = String::from_utf8(name.to_vec()).map_err(|_| StoreError::BadPage)?;
        }
        let generation = self.inner.generation();
        let slots = partitions.get(first..).unwrap_or_default().iter();
        let ranges = slots.map(|partition| {
            let prefix = row::tenant_prefix(generation, *partition, tenant);
            let name = std::mem::take(&mut device);
            Range {
                from: from_after(&prefix, &name),
                prefix,
                list: List::Tenant,
            }
        });
        let ranges = ranges.collect();
        told(
            self.inner
                .blocking(move |tables| read_page(tables, ranges, limit))
                .await,
        )
    }

    async fn page_of_partition(
        &self,
        partition: Partition,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let name = match after {
            None => String::new(),
            Some(after) => {
                String::from_utf8(page::decode(List::Partition, after)?).map_err(|_| StoreError::BadPage)?
            }
        };
        let prefix = row::partition_prefix(self.inner.generation(), partition);
        let range = Range {
            from: from_after(&prefix, &name),
            prefix,
            list: List::Partition,
        };
        told(
            self.inner
                .blocking(move |tables| read_page(tables, vec![range], limit))
                .await,
        )
    }

    async fn has_any(
        &self,
        tenant: &str,
        partitions: &[Partition],
        prefix: &str,
    ) -> Result<bool, StoreError> {
        let generation = self.inner.generation();
        let begins = partitions.iter().map(|partition| {
            let mut begin = row::tenant_prefix(generation, *partition, tenant);
            begin.extend_from_slice(prefix.as_bytes());
            begin
        });
        let begins: Vec<Vec<u8>> = begins.collect();
        let read = move |tables: &Tables| {
            for begin in begins {
                for guard in tables.state.prefix(&begin) {
                    let (key, value) = guard.into_inner()?;
                    // A deleted device leaves a row.
                    if key.len() > begin.len() && row::decode(&value)?.is_some() {
                        return Ok(true);
                    }
                }
            }
            Ok(false)
        };
        told(self.inner.blocking(read).await)
    }

    async fn tenants_of(&self, device: &str) -> Result<Vec<Box<str>>, StoreError> {
        let prefix = row::by_device_prefix(self.inner.generation(), device);
        let read = move |tables: &Tables| {
            let entries = entries(tables, &prefix, prefix.len(), usize::MAX)?;
            Ok(entries.into_iter().map(String::into_boxed_str).collect())
        };
        told(self.inner.blocking(read).await)
    }

    async fn devices_at(
        &self,
        tenant: Option<&str>,
        location: &str,
        limit: usize,
    ) -> Result<Vec<DeviceKey>, StoreError> {
        let prefix = row::by_location_prefix(self.inner.generation(), location);
        let all = prefix.len();
        let mut begin = prefix;
        if let Some(tenant) = tenant {
            begin.extend_from_slice(tenant.as_bytes());
            begin.push(0);
        }
        let read = move |tables: &Tables| {
            let entries = entries(tables, &begin, all, limit)?;
            let devices = entries.iter().filter_map(|entry| {
                let (tenant, device) = entry.split_once('\0')?;
                Some(DeviceKey {
                    tenant: tenant.into(),
                    device: device.into(),
                })
            });
            Ok(devices.collect())
        };
        told(self.inner.blocking(read).await)
    }
}

/// What this batch has already decided about a row: its source and its location.
type Fresh = HashMap<Vec<u8>, (Offset, Option<Box<str>>)>;

/// Adds one write to the batch, unless a newer one stands.
fn stage(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    fresh: &mut Fresh,
    generation: u32,
    now: Micros,
    write: &Write,
) -> Result<(), Failure> {
    let key = row::document_key(generation, write.partition, &write.key);
    let stands = match fresh.get(&key) {
        Some(decided) => Some(decided.clone()),
        None => match tables.state.get(&key)? {
            Some(old) => Some((row::source(&old)?, row::location(&old)?.map(Into::into))),
            None => None,
        },
    };
    let mut old_location = None;
    if let Some((standing, location)) = stands {
        if write.source < standing {
            return Ok(());
        }
        old_location = location;
    }
    let new_location: Option<Box<str>> = match &write.document {
        Some(document) => Some(row::location_of(document))
            .filter(|id| !id.is_empty())
            .map(Into::into),
        None => None,
    };
    if let Some(old) = old_location.filter(|old| Some(old) != new_location.as_ref()) {
        batch.remove(&tables.state, row::by_location(generation, &old, &write.key));
    }
    if let Some(location) = &new_location {
        batch.insert(
            &tables.state,
            row::by_location(generation, location, &write.key),
            [],
        );
    }
    match &write.document {
        Some(document) => {
            batch.insert(&tables.state, row::by_device(generation, &write.key), []);
            batch.insert(&tables.state, key.clone(), row::encode(write.source, document));
        }
        None => {
            batch.remove(&tables.state, row::by_device(generation, &write.key));
            batch.insert(&tables.state, row::deletion_key(now, &key), []);
            batch.insert(&tables.state, key.clone(), row::encode_deleted(write.source, now));
        }
    }
    fresh.insert(key, (write.source, new_location));
    Ok(())
}

/// A part of a list of documents.
struct Range {
    /// What its keys begin with.
    prefix: Vec<u8>,
    /// Where to read from.
    from: Vec<u8>,
    list: List,
}

/// The key after that of `name` under `prefix`; the first one if `name` is empty.
fn from_after(prefix: &[u8], name: &str) -> Vec<u8> {
    let mut from = prefix.to_vec();
    if !name.is_empty() {
        from.extend_from_slice(name.as_bytes());
        from.push(0);
    }
    from
}

fn read_page(tables: &Tables, ranges: Vec<Range>, limit: usize) -> Result<Page, Failure> {
    let limit = limit.max(1);
    let mut page = Page::default();
    let mut last = None;
    // One view for all ranges, so that a page is never half of a write.
    let view = tables.database.snapshot();
    for Range { prefix, from, list } in ranges {
        for guard in view.range(&tables.state, from..keys::after_prefix(&prefix)) {
            let (key, value) = guard.into_inner()?;
            let Some(stored) = row::decode(&value)? else {
                continue;
            };
            if page.documents.len() == limit {
                page.next = last;
                return Ok(page);
            }
            let position = match list {
                List::Tenant => [&key[5..9], &key[prefix.len()..]].concat(),
                List::Partition | List::History => key[prefix.len()..].to_vec(),
            };
            last = Some(page::encode(list, &position));
            page.documents.push(stored);
        }
    }
    Ok(page)
}

/// Of the keys of an index that begin with `prefix`, what comes after `skip` bytes; at most so many.
fn entries(tables: &Tables, prefix: &[u8], skip: usize, limit: usize) -> Result<Vec<String>, Failure> {
    let read = |guard: fjall::Guard| {
        let key = guard.key()?;
        let rest = String::from_utf8(key[skip..].to_vec());
        rest.map_err(|why| Failure::Store(corrupt("an index of devices", &why)))
    };
    tables.state.prefix(prefix).take(limit).map(read).collect()
}
