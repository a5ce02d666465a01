//! When a stream has sent all that the log held as it opened.

use journal::{Offset, Partition};

use super::connection::{Connection, Mode};
use super::hub::Hub;
use super::output::Wire;
use crate::engine::mailbox::BlockKey;
use crate::engine::record::Chunk;

/// What is left before `caught_up`.
pub(crate) struct Ends {
    pub(crate) remaining: Vec<End>,
    pub(crate) from_time: Vec<Partition>,
}

/// The end that one partition had. It may lie behind a hole, at which a tail stands until another
/// record comes; so what lies before it is looked up.
pub(crate) struct End {
    pub(crate) partition: Partition,
    end: Offset,
    seen: Option<Seen>,
}

/// What a look at the log from `from` found.
struct Seen {
    from: Offset,
    /// No record lies before this.
    to: Offset,
    /// A record lies there: the stream will get it, and stand elsewhere then.
    has_record: bool,
}

impl End {
    pub(crate) const fn new(partition: Partition, end: Offset) -> Self {
        Self {
            partition,
            end,
            seen: None,
        }
    }

    /// Whether nothing is left before the end for a stream that reads `next`.
    pub(crate) fn is_reached(&self, next: Offset) -> bool {
        next >= self.end
            || self
                .seen
                .as_ref()
                .is_some_and(|seen| seen.from == next && seen.to >= self.end)
    }

    /// Where to look for a stream that has read all its worker has, up to `next`; `None` while a
    /// record that is known is on its way.
    pub(crate) fn unknown(&self, next: Offset) -> Option<Offset> {
        match &self.seen {
            Some(seen) if seen.from == next && seen.has_record => None,
            Some(seen) if seen.from == next => Some(seen.to),
            Some(_) | None => Some(next),
        }
    }

    /// Takes what a look at `at` found.
    pub(crate) fn see(&mut self, at: Offset, chunk: &Chunk) {
        let from = match &self.seen {
            Some(seen) if seen.to == at && !seen.has_record => seen.from,
            Some(_) | None => at,
        };
        let first = chunk
            .since(at)
            .first()
            .map(|record| record.offset)
            .filter(|first| *first < self.end);
        self.seen = Some(Seen {
            from,
            to: first.unwrap_or(chunk.next),
            has_record: first.is_some(),
        });
    }
}

impl<W: Wire> Connection<W> {
    /// Whether all that the log held when the stream opened is out; then `caught_up` is owed. Asks
    /// whether anything follows at a position that does not move: an end may lie behind a hole.
    pub(crate) fn check_ends(&mut self, hub: &mut Hub) -> bool {
        if self.ends.is_none() || self.owed.caught_up {
            return self.owed.caught_up;
        }
        let mut places = match &self.mode {
            Mode::Live => hub.places_before(self.set, usize::MAX),
            Mode::Behind(behind) => behind.places.to_vec(),
            Mode::Snapshot(_) | Mode::Ended => return false,
        };
        if let Some(latest) = &self.latest {
            latest.hold_back(&self.subscription.partitions, &mut places);
        }
        let set = &hub.sets[self.set];
        let mut holes = Vec::new();
        if let Some(ends) = &mut self.ends {
            ends.remaining.retain(|end| {
                let Some(index) = set.partitions.iter().position(|other| *other == end.partition) else {
                    return false;
                };
                let limit = hub.place(set.feeds[index]);
                match places[index] {
                    None => true,
                    Some(place) if end.is_reached(place.next) => false,
                    Some(place) => {
                        if limit.is_some_and(|limit| limit.next == place.next) {
                            holes.extend(end.unknown(place.next).map(|at| (end.partition, at)));
                        }
                        true
                    }
                }
            });
            self.owed.caught_up = ends.remaining.is_empty();
        }
        for (partition, at) in holes {
            self.ask_block(hub, partition, at);
        }
        if !self.owed.caught_up {
            self.linger(hub);
        }
        self.owed.caught_up
    }

    /// A look at the log from `key.at` found `chunk`.
    pub(crate) fn end_seen(&mut self, key: BlockKey, chunk: &Chunk) {
        for end in self.ends.iter_mut().flat_map(|ends| &mut ends.remaining) {
            if end.partition == key.partition {
                end.see(key.at, chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use journal::{Batch, Headers, Record, Topic};

    use super::*;

    fn chunk(from: Offset, next: Offset, offsets: &[Offset]) -> Chunk {
        let record = |offset: &Offset| Record {
            offset: *offset,
            timestamp_ms: 0,
            key: "t/d".into(),
            value: None,
            headers: Headers::default(),
        };
        let batch = Batch {
            records: offsets.iter().map(record).collect(),
            next,
        };
        Chunk::new(Topic::State, 0, from, batch)
    }

    #[test]
    fn an_end_behind_a_hole_is_reached_once_the_hole_is_seen() {
        let mut end = End::new(0, 9);
        assert!(!end.is_reached(5));
        assert_eq!(end.unknown(5), Some(5));
        end.see(5, &chunk(4, 9, &[4]));
        assert!(end.is_reached(5));
    }

    #[test]
    fn a_hole_that_is_seen_in_parts_is_looked_at_in_each_part_once() {
        let mut end = End::new(0, 9);
        end.see(5, &chunk(5, 7, &[]));
        assert!(!end.is_reached(5));
        assert_eq!(end.unknown(5), Some(7));
        end.see(7, &chunk(5, 9, &[]));
        assert!(end.is_reached(5));
    }

    #[test]
    fn a_record_on_its_way_is_waited_for() {
        let mut end = End::new(0, 9);
        end.see(5, &chunk(5, 8, &[6]));
        assert_eq!(end.unknown(5), None);
        assert!(!end.is_reached(5));
        assert_eq!(end.unknown(7), Some(7));
        end.see(7, &chunk(7, 12, &[10]));
        assert!(end.is_reached(7), "what lies behind the end does not count");
    }
}
