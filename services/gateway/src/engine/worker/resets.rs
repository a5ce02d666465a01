//! A stream whose position lies outside the log: it asks where to go on, and says so.

use journal::Offset;

use super::connection::{Connection, Mode};
use super::hub::Hub;
use super::output::Wire;
use super::snapshot::Snapshot;
use crate::engine::lookups::{Lookup, Moved};
use crate::engine::mailbox::BlockKey;
use crate::subscription::{Reset, ResetReason, SnapshotStart, View};
impl<W: Wire> Connection<W> {
    /// Whether the stream stands where a read found that the log does not reach.
    pub(crate) fn stands_outside(&self, hub: &Hub, key: BlockKey, start: Offset, end: Offset) -> bool {
        let Mode::Behind(behind) = &self.mode else {
            return false;
        };
        let set = &hub.sets[self.set];
        let place = set
            .partitions
            .iter()
            .zip(&behind.places)
            .find(|(partition, _)| **partition == key.partition);
        place
            .and_then(|(_, place)| *place)
            .is_some_and(|place| place.next < start || place.next > end)
    }

    /// Asks where to go on: a position may lie outside the log.
    pub(crate) fn ask_reset(&mut self, hub: &mut Hub) {
        let Mode::Behind(behind) = &self.mode else {
            return;
        };
        if self.is_asking {
            return;
        }
        let set = &hub.sets[self.set];
        let known = set.partitions.iter().zip(&behind.places);
        let times = behind.places.iter().flatten().map(|place| place.time_ms);
        let lookup = Lookup::Reset {
            topic: set.topic,
            time_ms: times.min().unwrap_or(self.subscription.start.time_ms),
            positions: known
                .filter_map(|(partition, place)| Some((*partition, place.as_ref()?.next)))
                .collect(),
        };
        self.is_asking = self.ask(hub, lookup);
    }

    pub(crate) fn ask(&mut self, hub: &mut Hub, lookup: Lookup) -> bool {
        let asked = hub.request_lookup(lookup, &self.subscription.share(), self.token);
        if !asked {
            self.retry_later(hub);
        }
        asked
    }

    /// The answer to [`ask_reset`](Self::ask_reset). The stream may have read on since it asked: only a
    /// position that is still where it was is moved.
    pub(crate) fn reset_answered(&mut self, hub: &mut Hub, mut moved: Vec<Moved>) {
        let Mode::Behind(behind) = &mut self.mode else {
            return;
        };
        behind.ahead_since = 0;
        let set = &hub.sets[self.set];
        let mut requested = Vec::new();
        moved.retain(|moved| {
            let index = set.partitions.iter().position(|other| *other == moved.partition);
            let place = index.and_then(|index| behind.places[index].as_mut());
            let Some(place) = place.filter(|place| place.next == moved.from) else {
                return false;
            };
            place.next = moved.to;
            requested.push((moved.partition, place.time_ms));
            true
        });
        if !moved.is_empty() {
            tracing::info!(?moved, "a stream stood outside the log and is reset");
            let is_trimmed = moved.iter().any(|moved| moved.reason == ResetReason::Trimmed);
            if is_trimmed && self.subscription.view == View::Devices {
                let places = behind.places.to_vec();
                self.set_mode(
                    hub,
                    Mode::Snapshot(Box::new(Snapshot::new(SnapshotStart::New, places))),
                );
            }
            self.owed.reset = Some(Box::new(Reset {
                reason: if is_trimmed {
                    ResetReason::Trimmed
                } else {
                    ResetReason::Ahead
                },
                requested,
                available: moved
                    .iter()
                    .filter_map(|moved| Some((moved.partition, moved.available_ms?)))
                    .collect(),
                duplicates: moved.iter().any(|moved| moved.reason == ResetReason::Ahead),
            }));
        }
        self.settle(hub);
    }
}
