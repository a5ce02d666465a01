//! The newest logs of a device, looked for in its history, which is in the order of receipt; logs are in
//! the order of their own time.

use std::collections::BTreeMap;

use journal::Micros;
use schemas::event::Level;
use schemas::{Body, Event, Kind};

use super::frames::{self, millis};
use crate::dialect::Ask;

/// Rows read of the history at a time.
const PAGE: usize = 1_000;
/// A device's clock may be ahead of ours by this much.
const AHEAD_US: Micros = 300_000_000;

/// The place of a log among others: its time in milliseconds, then its id.
pub(super) type Place = (Micros, Box<str>);

/// The newest of the logs that it is shown.
#[derive(Debug)]
pub(super) struct Newest {
    most: usize,
    level: Option<Level>,
    /// Only those before this.
    before: Option<Place>,
    found: BTreeMap<Place, String>,
}

impl Newest {
    pub(super) fn new(most: usize, level: Option<Level>, before: Option<Place>) -> Self {
        Self {
            most,
            level,
            before,
            found: BTreeMap::new(),
        }
    }

    /// Takes a log.
    pub(super) fn take(&mut self, event: &Event) {
        let Body::Log(log) = &event.body else {
            return;
        };
        if self.level.is_some_and(|level| level != log.level) {
            return;
        }
        let place = (millis(event.occurred_at), event.id.clone());
        if self.before.as_ref().is_some_and(|before| place >= *before) {
            return;
        }
        self.found.insert(place, frames::log(event, log));
        if self.found.len() > self.most {
            self.found.pop_first();
        }
    }

    /// Whether no log that was received earlier than at this time can be one of them.
    pub(super) fn is_complete(&self, received_at: Micros) -> bool {
        let oldest = self.found.first_key_value().map(|((at, _), _)| *at);
        self.found.len() >= self.most
            && oldest.is_some_and(|oldest| millis(received_at.saturating_add(AHEAD_US)) < oldest)
    }

    /// Oldest first.
    pub(super) fn into_found(self) -> Vec<(Place, String)> {
        self.found.into_iter().collect()
    }
}

/// A page of a device's logs, of so many rows at most.
pub(super) fn ask(device: &str, page: Option<Box<str>>, rows_max: usize) -> Ask {
    Ask::History {
        device: Some(device.into()),
        kinds: vec![Kind::Log],
        from: 0,
        page,
        limit: PAGE.min(rows_max),
    }
}
