//! Progress of the projectors.
//!
//! Stored as source offset and state offset (u64 each), then for each tenant its name (varint length,
//! bytes) and its six counts (varints, in the order of `Counts`).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use journal::{Offset, Partition};
use state::{Applied, Counts, Progress, StoreError};

use super::{EmbeddedStore, corrupt, row, told};
use crate::database::Tables;
use crate::{keys, record};

#[async_trait]
impl Progress for EmbeddedStore {
    async fn applied(&self, partition: Partition) -> Result<Option<Applied>, StoreError> {
        let key = row::progress_key(self.inner.generation(), partition);
        let read = move |tables: &Tables| match tables.state.get(key)? {
            Some(bytes) => Ok(Some(
                decode(&bytes).map_err(|why| corrupt("the progress of a partition", &why))?,
            )),
            None => Ok(None),
        };
        told(self.inner.blocking(read).await)
    }

    async fn set_applied(&self, partition: Partition, applied: &Applied) -> Result<(), StoreError> {
        let key = row::progress_key(self.inner.generation(), partition);
        let (source, bytes) = (applied.source, encode(applied));
        let inner = Arc::clone(&self.inner);
        let work = move |tables: &Tables| {
            let _writing = inner.documents.lock();
            let standing = tables.state.get(&key)?.and_then(|bytes| keys::u64_at(&bytes));
            if standing.is_none_or(|standing| standing <= source) {
                tables.state.insert(key, bytes)?;
            }
            Ok(())
        };
        told(self.inner.blocking(work).await)
    }

    async fn rules_applied(&self, partition: Partition) -> Result<Offset, StoreError> {
        let key = row::rules_key(self.inner.generation(), partition);
        let read = move |tables: &Tables| {
            let bytes = tables.state.get(key)?;
            Ok(bytes.and_then(|bytes| keys::u64_at(&bytes)).unwrap_or(0))
        };
        told(self.inner.blocking(read).await)
    }

    async fn set_rules_applied(&self, partition: Partition, next: Offset) -> Result<(), StoreError> {
        let key = row::rules_key(self.inner.generation(), partition);
        let inner = Arc::clone(&self.inner);
        let work = move |tables: &Tables| {
            let _writing = inner.documents.lock();
            let standing = tables.state.get(&key)?.and_then(|bytes| keys::u64_at(&bytes));
            if standing.is_none_or(|standing| standing <= next) {
                tables.state.insert(key, next.to_be_bytes())?;
            }
            Ok(())
        };
        told(self.inner.blocking(work).await)
    }
}

fn encode(applied: &Applied) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + applied.counts.len() * 32);
    bytes.extend_from_slice(&applied.source.to_be_bytes());
    bytes.extend_from_slice(&applied.state.to_be_bytes());
    for (tenant, counts) in &applied.counts {
        record::put_text(&mut bytes, tenant);
        let Counts {
            devices,
            online,
            stale,
            offline,
            alerts_open,
            alerts_acknowledged,
        } = *counts;
        for count in [devices, online, stale, offline, alerts_open, alerts_acknowledged] {
            record::put_varint(&mut bytes, count);
        }
    }
    bytes
}

fn decode(bytes: &[u8]) -> Result<Applied, &'static str> {
    let (source, rest) = bytes.split_first_chunk::<8>().ok_or("cut off")?;
    let (state, rest) = rest.split_first_chunk::<8>().ok_or("cut off")?;
    let mut rest = record::Input(rest);
    let mut counts = BTreeMap::new();
    while !rest.0.is_empty() {
        let tenant = rest.text()?.into();
        let count = Counts {
            devices: rest.varint()?,
            online: rest.varint()?,
            stale: rest.varint()?,
            offline: rest.varint()?,
            alerts_open: rest.varint()?,
            alerts_acknowledged: rest.varint()?,
        };
        counts.insert(tenant, count);
    }
    Ok(Applied {
        source: u64::from_be_bytes(*source),
        state: u64::from_be_bytes(*state),
        counts,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn progress_survives_its_stored_form(
            source: u64, state: u64,
            counts in proptest::collection::btree_map("[a-z]{1,20}", any::<[u64; 6]>(), 0..5),
        ) {
            let counts = counts.into_iter().map(|(tenant, [a, b, c, d, e, f])| {
                let counts = Counts {
                    devices: a, online: b, stale: c, offline: d, alerts_open: e, alerts_acknowledged: f,
                };
                (tenant.into(), counts)
            });
            let applied = Applied { source, state, counts: counts.collect() };
            prop_assert_eq!(decode(&encode(&applied)), Ok(applied));
        }
    }
}
