//! How a stream finds its records: alone, by an entry of its own in the index, or in step with all that show the
//! same, who are written what was queued once for the whole cohort.

use bytes::Bytes;

use super::connection::{Connection, Mode};
use super::hub::{Hub, Queued};
use super::output::Wire;
use crate::engine::intern::Id;
use crate::subscription::Told;

/// Devices of a stream in a cohort: to compare more of them each time it falls behind costs more than it saves.
const COHORT_DEVICES_MAX: usize = 64;

/// How a stream finds its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It finds none: it is not live.
    Out,
    /// By itself.
    Alone,
    /// With its cohort.
    With(Id),
}

impl<W: Wire> Connection<W> {
    /// Whether it shows each record as it comes, and nothing else, once it is live.
    fn is_uniform(&self) -> bool {
        let selection = &self.subscription.selection;
        self.latest.is_none()
            && selection.filters.is_none()
            && selection.told == Told::default()
            && self
                .devices
                .len()
                .is_none_or(|devices| devices <= COHORT_DEVICES_MAX)
    }

    /// Has it find its records in the way that fits what it is now. To be called when nothing is queued for its
    /// cohort.
    pub(crate) fn step_in(&mut self, hub: &mut Hub) {
        let is_live = matches!(self.mode, Mode::Live);
        // A stream that ends gives back all it has when it is released.
        if matches!(self.mode, Mode::Ended) {
            return;
        }
        let is_alone = if self.is_uniform() {
            is_live && self.skip.is_some()
        } else {
            true
        };
        match self.step {
            Step::Alone if is_alone => {}
            Step::With(_) if !is_alone && is_live => {}
            Step::Out if !is_alone && !is_live => {}
            Step::Out | Step::Alone | Step::With(_) => {
                self.leave(hub);
                let slot = self.token.slot;
                if is_alone {
                    hub.enlist(&self.subscription, &self.devices, self.filters.as_deref(), slot);
                    self.step = Step::Alone;
                } else if is_live {
                    let looks = (self.set, self.form);
                    let cohort = hub.join_cohort(&self.subscription, &self.devices, looks, slot);
                    self.step = Step::With(cohort);
                }
            }
        }
    }

    /// Leaves its cohort, if it is in one.
    pub(crate) fn step_out(&mut self, hub: &mut Hub) {
        if matches!(self.step, Step::With(_)) {
            self.leave(hub);
        }
    }

    /// Finds no more records.
    pub(crate) fn leave(&mut self, hub: &mut Hub) {
        let slot = self.token.slot;
        match std::mem::replace(&mut self.step, Step::Out) {
            Step::Out => {}
            Step::Alone => hub.delist(&self.subscription, &self.devices, self.filters.as_deref(), slot),
            Step::With(cohort) => hub.leave_cohort(cohort, slot),
        }
    }

    /// Writes what is queued for its cohort, in one call. How many bytes of it are out; what is left goes the way
    /// of [`Self::write_rest`].
    pub(crate) fn write_joined(&mut self, hub: &mut Hub, joined: &Bytes) -> usize {
        if self.out.blocked || self.out.gone || !self.out.is_empty() {
            return 0;
        }
        match self.wire.write(std::slice::from_ref(joined)) {
            Ok(written) => {
                self.out.written += written as u64;
                if written == joined.len() {
                    self.times.stalled = 0;
                    self.touch(hub);
                }
                written
            }
            // Tried again with the rest, which sorts out what is wrong.
            Err(_) => 0,
        }
    }

    /// Writes what is queued for its cohort but for the first `written` bytes. What its client does not take, it
    /// will read again.
    pub(crate) fn write_rest(&mut self, hub: &mut Hub, queued: &[Queued], mut written: usize) {
        self.write(hub);
        let Some(first) = queued.first() else {
            return;
        };
        if self.out.blocked && written == 0 {
            return self.fall_behind(hub, first.mark as usize);
        }
        for Queued { frame, mark } in queued {
            let out = written.min(frame.len());
            written -= out;
            if out == 0 {
                self.out.push(frame.clone(), *mark);
                hub.env.metrics.frames.inc();
            } else if out < frame.len() {
                self.out.keep(frame.slice(out..));
            }
        }
        self.write(hub);
    }
}
