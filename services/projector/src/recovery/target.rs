//! What recovery works on: a store or memory, whole or in part.

use std::sync::Arc;

use journal::{Offset, Partition, Reader};
use rustc_hash::{FxHashMap, FxHashSet};
use schemas::Micros;
use state::{DeviceKey, Documents, History, StoreError, Stored, Write};

use crate::source::{StateRecord, record_key};

/// Where documents are read and written.
pub(crate) enum Target<'a> {
    /// A store.
    Store(&'a dyn Documents),
    /// Memory, for comparisons.
    Memory(&'a mut FxHashMap<Arc<DeviceKey>, ScratchRow>),
}

/// A row in memory. A deleted device keeps its source.
#[derive(Debug, Clone)]
pub(crate) struct ScratchRow {
    pub(crate) document: Option<Arc<schemas::Document>>,
    pub(crate) source: Offset,
}

impl Target<'_> {
    pub(super) async fn get(
        &self,
        partition: Partition,
        keys: &[Arc<DeviceKey>],
    ) -> Result<Vec<Option<Stored>>, StoreError> {
        match self {
            Self::Store(documents) => {
                let keys: Vec<_> = keys
                    .iter()
                    .map(|key| (partition, DeviceKey::clone(key)))
                    .collect();
                documents.get(&keys).await
            }
            Self::Memory(rows) => {
                let stored = |key: &Arc<DeviceKey>| {
                    let row = rows.get(key)?;
                    let document = Arc::clone(row.document.as_ref()?);
                    Some(Stored {
                        document,
                        source: row.source,
                    })
                };
                Ok(keys.iter().map(stored).collect())
            }
        }
    }

    pub(super) async fn write(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        match self {
            Self::Store(documents) => documents.write(writes).await,
            Self::Memory(rows) => {
                for write in writes {
                    let row = ScratchRow {
                        document: write.document,
                        source: write.source,
                    };
                    let known = rows.entry(Arc::new(write.key)).or_insert_with(|| row.clone());
                    if known.source <= row.source {
                        *known = row;
                    }
                }
                Ok(())
            }
        }
    }
}

/// The ports that recovery uses.
pub(crate) struct Ports<'a> {
    pub(crate) reader: &'a dyn Reader,
    pub(crate) documents: Target<'a>,
    pub(crate) history: Option<&'a dyn History>,
}

/// What a recovery covers, beside the rules of its partition.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope {
    /// Rows of history are written for events received at or after this.
    pub(crate) history_from: Micros,
    /// From this event on the fold alone says what happened, and state records say nothing.
    pub(crate) refold_from: Option<Offset>,
    /// From this event on nothing is said, even where there are state records: what has happened meanwhile.
    pub(crate) until: Option<Offset>,
    /// Only devices of this slice: number, of how many.
    pub(crate) slice: Option<(u32, u32)>,
}

impl Scope {
    pub(crate) fn covers(&self, key: &DeviceKey) -> bool {
        self.slice.is_none_or(|(number, of)| {
            let hash = xxhash_rust::xxh3::xxh3_64(record_key(key).as_bytes());
            hash % u64::from(of.max(1)) == u64::from(number)
        })
    }
}

/// Devices by a hash of their keys that is long enough for no two to meet.
#[derive(Debug, Default)]
pub(crate) struct LiveKeys(FxHashSet<u128>);

impl LiveKeys {
    pub(crate) fn contains(&self, key: &DeviceKey) -> bool {
        self.0.contains(&Self::hash(key))
    }

    pub(super) fn note(&mut self, record: &StateRecord) {
        let hash = Self::hash(&record.key);
        if record.document.is_some() {
            self.0.insert(hash);
        } else {
            self.0.remove(&hash);
        }
    }

    fn hash(key: &DeviceKey) -> u128 {
        xxhash_rust::xxh3::xxh3_128(record_key(key).as_bytes())
    }
}
