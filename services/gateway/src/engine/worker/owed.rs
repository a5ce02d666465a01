//! Control frames, and the cursors that they carry: a cursor tells the truth only when everything before
//! it is out, so what is owed waits for that.

use std::sync::Arc;

use journal::Partition;

use super::connection::{Connection, Mode};
use super::hub::Hub;
use super::output::Wire;
use crate::dialect::Control;
use crate::engine::frames;
use crate::subscription::Reset;

/// Control frames that wait until everything before them is out.
#[derive(Default)]
pub(crate) struct Owed {
    pub(crate) reset: Option<Box<Reset>>,
    pub(crate) degraded: bool,
    pub(crate) updated: bool,
    pub(crate) caught_up: bool,
    pub(crate) keep_alive: bool,
}

impl<W: Wire> Connection<W> {
    /// Tells what is owed. Everything before must be out, so that the cursor tells the truth.
    pub(crate) fn emit_owed(&mut self, hub: &mut Hub) {
        if self.out.blocked || self.out.gone || !self.out.is_empty() {
            return;
        }
        let Owed {
            reset: None,
            degraded: false,
            updated: false,
            caught_up: false,
            keep_alive: false,
        } = self.owed
        else {
            return self.tell_owed(hub);
        };
    }

    fn tell_owed(&mut self, hub: &mut Hub) {
        let Some(cursor) = self.cursor(hub) else {
            return;
        };
        let owed = std::mem::take(&mut self.owed);
        if let Some(reset) = owed.reset {
            hub.env
                .metrics
                .resets
                .with_label_values(&[reset.reason.word()])
                .inc();
            self.keep_control(Control::Reset(&reset), &cursor, None);
        }
        if owed.degraded {
            let partitions = self.degraded_partitions(hub);
            if !partitions.is_empty() || self.told_degraded {
                self.told_degraded = !partitions.is_empty();
                self.keep_control(
                    Control::Degraded {
                        partitions: &partitions,
                    },
                    &cursor,
                    None,
                );
            }
        }
        if owed.updated {
            self.keep_control(Control::Updated, &cursor, None);
        }
        if owed.caught_up {
            let from_time = self.ends.take().map(|ends| ends.from_time).unwrap_or_default();
            self.keep_control(
                Control::CaughtUp {
                    from_time: &from_time,
                },
                &cursor,
                None,
            );
        }
        if owed.keep_alive && self.out.is_empty() {
            self.keep_control(Control::KeepAlive { now: hub.wall() }, &cursor, None);
        }
        self.flush(hub);
    }

    pub(crate) fn keep_control(&mut self, control: Control<'_>, cursor: &str, retry_ms: Option<u64>) {
        let (dialect, carriage) = (&*self.subscription.dialect, self.subscription.carriage());
        if let Some(frame) = frames::control(dialect, carriage, control, cursor, retry_ms) {
            self.out.keep(frame);
        }
    }

    /// Where to resume, everything queued being sent. `None` while a snapshot is not pinned.
    pub(crate) fn cursor(&self, hub: &mut Hub) -> Option<Arc<str>> {
        let start_ms = self.subscription.start.time_ms;
        let pending = self.latest.as_ref().filter(|latest| !latest.is_empty());
        let mut places = match &self.mode {
            Mode::Live if pending.is_none() => return Some(hub.live_cursor(self.set)),
            Mode::Live | Mode::Ended => hub.places_before(self.set, usize::MAX),
            Mode::Behind(behind) => behind.places.to_vec(),
            Mode::Snapshot(snapshot) => {
                let places = snapshot.pinned.as_ref()?;
                let key = Some(snapshot.key());
                return Some(hub.cursor(self.set, places, start_ms, key).into());
            }
        };
        if let Some(latest) = pending {
            latest.hold_back(&self.subscription.partitions, &mut places);
        }
        Some(hub.cursor(self.set, &places, start_ms, None).into())
    }

    pub(crate) fn is_degraded(&self, hub: &Hub) -> bool {
        hub.sets[self.set]
            .feeds
            .iter()
            .any(|number| hub.feeds[*number].unavailable)
    }

    fn degraded_partitions(&self, hub: &Hub) -> Vec<Partition> {
        let set = &hub.sets[self.set];
        let numbered = set.partitions.iter().zip(&set.feeds);
        numbered
            .filter(|(_, number)| hub.feeds[**number].unavailable)
            .map(|(partition, _)| *partition)
            .collect()
    }
}
