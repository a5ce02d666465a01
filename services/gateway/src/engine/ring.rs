//! The newest records of one partition in memory, shared by all workers; and the one budget of all
//! rings together.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use journal::Offset;
use parking_lot::Mutex;

use super::record::Chunk;
use super::tails::Feed;

/// Contiguous chunks of one partition, oldest first.
pub(crate) struct Ring {
    chunks: VecDeque<Arc<Chunk>>,
    start: Place,
    end: Place,
}

/// An offset to read next, and the record time of what came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) next: Offset,
    pub(crate) time_ms: i64,
}

impl Ring {
    pub(crate) fn new(at: Place) -> Self {
        Self {
            chunks: VecDeque::new(),
            start: at,
            end: at,
        }
    }

    /// The first offset that it covers.
    pub(crate) fn start(&self) -> Place {
        self.start
    }

    /// The offset that comes next.
    pub(crate) fn end(&self) -> Place {
        self.end
    }

    /// Adds what follows; `chunk.from` must be [`end`](Self::end).
    pub(crate) fn push(&mut self, chunk: Arc<Chunk>) {
        debug_assert_eq!(chunk.from, self.end.next);
        self.end = after(&chunk, self.end);
        self.chunks.push_back(chunk);
    }

    /// Forgets the oldest chunk.
    pub(crate) fn evict(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            self.start = after(&chunk, self.start);
        }
    }

    /// The chunk that covers `offset`.
    pub(crate) fn chunk_at(&self, offset: Offset) -> Option<Arc<Chunk>> {
        let index = self.chunks.partition_point(|chunk| chunk.next <= offset);
        self.chunks
            .get(index)
            .filter(|chunk| chunk.covers(offset))
            .map(Arc::clone)
    }
}

fn after(chunk: &Chunk, before: Place) -> Place {
    Place {
        next: chunk.next,
        time_ms: chunk
            .records
            .last()
            .map_or(before.time_ms, |record| record.timestamp_ms),
    }
}

/// The bytes of all rings, in the order in which chunks came.
pub(crate) struct Budget {
    bytes_max: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bytes: usize,
    order: VecDeque<(Weak<Feed>, usize)>,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            held: Mutex::default(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.held.lock().bytes
    }

    /// Counts a chunk that was just added to the ring of `feed`, and evicts the oldest chunks of all
    /// rings until they fit again. The newest chunk stays, whatever its size.
    pub(crate) fn charge(&self, feed: &Arc<Feed>, bytes: usize) {
        let mut held = self.held.lock();
        held.bytes += bytes;
        held.order.push_back((Arc::downgrade(feed), bytes));
        while held.bytes > self.bytes_max && held.order.len() > 1 {
            let Some((oldest, bytes)) = held.order.pop_front() else {
                break;
            };
            held.bytes -= bytes;
            if let Some(feed) = oldest.upgrade() {
                feed.evict();
            }
        }
    }

    /// Forgets the chunks of a ring that is emptied.
    pub(crate) fn release(&self, feed: &Arc<Feed>) {
        let mut held = self.held.lock();
        let mut released = 0;
        held.order.retain(|(other, bytes)| {
            let theirs = std::ptr::eq(other.as_ptr(), Arc::as_ptr(feed));
            if theirs {
                released += bytes;
            }
            !theirs
        });
        held.bytes -= released;
    }
}

#[cfg(test)]
mod tests {
    use journal::Topic;

    use super::*;

    fn chunk(from: Offset, next: Offset) -> Arc<Chunk> {
        let batch = journal::Batch {
            records: Vec::new(),
            next,
        };
        Arc::new(Chunk::new(Topic::Events, 0, from, batch))
    }

    fn ring() -> Ring {
        let mut ring = Ring::new(Place { next: 10, time_ms: 0 });
        for (from, next) in [(10, 12), (12, 20), (20, 21)] {
            ring.push(chunk(from, next));
        }
        ring
    }

    #[test]
    fn finds_the_chunk_that_covers_an_offset() {
        let ring = ring();
        for (offset, from) in [(10, 10), (11, 10), (12, 12), (19, 12), (20, 20)] {
            assert_eq!(ring.chunk_at(offset).map(|chunk| chunk.from), Some(from));
        }
        assert!(ring.chunk_at(9).is_none());
        assert!(ring.chunk_at(21).is_none());
    }

    #[test]
    fn what_was_evicted_is_not_found() {
        let mut ring = ring();
        ring.evict();
        assert_eq!((ring.start().next, ring.end().next), (12, 21));
        assert!(ring.chunk_at(11).is_none());
        assert!(ring.chunk_at(12).is_some());
    }
}
