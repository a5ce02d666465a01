//! The blocks that are kept: found by any offset that they cover, the longest unused forgotten first.

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::{Offset, Partition, Topic};

use crate::engine::mailbox::BlockKey;
use crate::engine::record::Chunk;

pub(super) struct Cache {
    bytes_max: usize,
    bytes: usize,
    uses: u64,
    blocks: BTreeMap<(Topic, Partition, Offset), Entry>,
}

struct Entry {
    chunk: Arc<Chunk>,
    used: u64,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            uses: 0,
            blocks: BTreeMap::new(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Blocks may overlap: the one that begins last before the offset, or one of those before it.
    pub(super) fn find(&mut self, topic: Topic, partition: Partition, at: Offset) -> Option<Arc<Chunk>> {
        self.uses += 1;
        let uses = self.uses;
        let (_, entry) = self
            .blocks
            .range_mut((topic, partition, 0)..=(topic, partition, at))
            .rev()
            .take(OVERLAP_MAX)
            .find(|(_, entry)| entry.chunk.covers(at))?;
        entry.used = uses;
        Some(Arc::clone(&entry.chunk))
    }

    /// Keeps a block, in the place of one that began at the same offset and was read earlier.
    pub(super) fn insert(&mut self, from: BlockKey, chunk: &Arc<Chunk>) {
        if chunk.next == chunk.from || chunk.bytes > self.bytes_max {
            return;
        }
        self.uses += 1;
        let entry = Entry {
            chunk: Arc::clone(chunk),
            used: self.uses,
        };
        self.bytes += chunk.bytes;
        if let Some(old) = self.blocks.insert((from.topic, from.partition, from.at), entry) {
            self.bytes -= old.chunk.bytes;
        }
        while self.bytes > self.bytes_max {
            let oldest = self
                .blocks
                .iter()
                .min_by_key(|(_, entry)| entry.used)
                .map(|(key, _)| *key);
            let Some(old) = oldest.and_then(|key| self.blocks.remove(&key)) else {
                break;
            };
            self.bytes -= old.chunk.bytes;
        }
    }
}

/// How many blocks before an offset are looked at.
const OVERLAP_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use journal::Batch;

    use super::*;

    fn insert(cache: &mut Cache, from: Offset, next: Offset) {
        let batch = Batch {
            records: Vec::new(),
            next,
        };
        let chunk = Arc::new(Chunk::new(Topic::Events, 0, from, batch));
        let key = BlockKey {
            topic: Topic::Events,
            partition: 0,
            at: from,
        };
        cache.insert(key, &chunk);
    }

    #[test]
    fn a_block_is_found_by_any_offset_in_it_and_no_other() {
        let mut cache = Cache::new(10_000);
        insert(&mut cache, 0, 10);
        insert(&mut cache, 20, 30);
        assert!(cache.find(Topic::Events, 0, 9).is_some());
        assert!(cache.find(Topic::Events, 0, 10).is_none());
        assert!(cache.find(Topic::Events, 0, 20).is_some());
        assert!(cache.find(Topic::Events, 1, 20).is_none());
        assert!(cache.find(Topic::State, 0, 20).is_none());
    }

    #[test]
    fn the_longest_unused_goes_first_and_the_bytes_stay_within_bounds() {
        let mut cache = Cache::new(0);
        insert(&mut cache, 0, 10);
        assert_eq!(cache.bytes(), 0);
        let mut cache = Cache::new(400);
        insert(&mut cache, 0, 10);
        insert(&mut cache, 10, 20);
        assert!(cache.find(Topic::Events, 0, 0).is_some());
        insert(&mut cache, 20, 30);
        assert!(cache.find(Topic::Events, 0, 10).is_none());
        assert!(cache.find(Topic::Events, 0, 0).is_some());
        assert!(cache.bytes() <= 400);
    }
}
