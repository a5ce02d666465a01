//! Documents between batches. The partition's task is their only writer, so what is here is true.

use std::sync::Arc;

use quick_cache::unsync::Cache as Lru;
use quick_cache::{DefaultHashBuilder, Weighter};
use state::DeviceKey;

use super::Slot;

/// Counted for a slot beside its document's content.
const SLOT_BYTES: u64 = 256;
/// What a document is taken to weigh when the cache lays out its room.
const DOCUMENT_BYTES: u64 = 1_024;

/// A bounded set of slots; what was not used for long goes first.
pub(super) struct Cache(Lru<Arc<DeviceKey>, Slot, BySize>);

#[derive(Clone)]
struct BySize;

impl Weighter<Arc<DeviceKey>, Slot> for BySize {
    fn weight(&self, _: &Arc<DeviceKey>, slot: &Slot) -> u64 {
        let content = slot.document.as_deref().map_or(0, state::fold::size);
        SLOT_BYTES.saturating_add(content as u64)
    }
}

impl Cache {
    pub(super) fn new(bytes_max: u64) -> Self {
        let items = usize::try_from(bytes_max / (SLOT_BYTES + DOCUMENT_BYTES))
            .unwrap_or(usize::MAX)
            .max(1);
        Self(Lru::with(
            items,
            bytes_max,
            BySize,
            DefaultHashBuilder::default(),
            Default::default(),
        ))
    }

    pub(super) fn contains(&self, key: &Arc<DeviceKey>) -> bool {
        self.0.contains_key(key)
    }

    pub(super) fn get(&self, key: &Arc<DeviceKey>) -> Option<Slot> {
        self.0.get(key).cloned()
    }

    pub(super) fn insert(&mut self, key: Arc<DeviceKey>, slot: Slot) {
        self.0.insert(key, slot);
    }
}
