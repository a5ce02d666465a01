//! Cohorts: live streams that show the same frames. A record is matched, made a frame and queued once for all of
//! them; each then takes what is queued in one write.
//!
//! A stream is in a cohort only while it stands where its worker stands, shows every record that the cohort's
//! selection finds, and shows it as it comes: what is conflated, filtered, skipped or told finds its records alone.

use bytes::Bytes;
use journal::Topic;

use super::Hub;
use crate::engine::filtered::Outcome;
use crate::engine::index::{Index, Slot, Slots};
use crate::engine::intern::Id;
use crate::engine::record::LogRecord;
use crate::subscription::{DeviceSet, KindSet, Subscription, TenantScope, View};

/// What streams of one cohort have in common: what they find, and how their frames look.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shared {
    view: View,
    tenant: TenantScope,
    devices: DeviceSet,
    kinds: KindSet,
    set: Id,
    form: Id,
}

/// The streams of one cohort, and what they are to be sent in this turn.
pub(crate) struct Cohort {
    set: Id,
    form: Id,
    slots: Slots,
    queued: Vec<Queued>,
    bytes: usize,
}

/// A frame, and the worker's moves that lead behind its record: taken back from `mark` on, they lead before it.
pub(crate) struct Queued {
    pub(crate) frame: Bytes,
    pub(crate) mark: u32,
}

/// Cohorts that want a record, and those with something queued.
#[derive(Default)]
pub(crate) struct Cohorts {
    events: Index,
    devices: Index,
    dirty: Vec<Id>,
}

impl Cohorts {
    /// Adds to `wanted` the cohorts that show a record.
    pub(crate) fn find(&self, record: &LogRecord, wanted: &mut Vec<Id>) {
        let index = if record.topic == Topic::Events {
            &self.events
        } else {
            &self.devices
        };
        index.find(record.tenant(), record.device(), record.kind, wanted);
    }

    fn index(&mut self, view: View) -> &mut Index {
        match view {
            View::Events => &mut self.events,
            View::Devices => &mut self.devices,
        }
    }
}

impl Hub {
    /// Puts a stream into the cohort of those that show the same.
    pub(crate) fn join_cohort(
        &mut self,
        subscription: &Subscription,
        devices: &DeviceSet,
        (set, form): (Id, Id),
        slot: Slot,
    ) -> Id {
        let shared = Shared {
            view: subscription.view,
            tenant: subscription.selection.tenant.clone(),
            devices: devices.clone(),
            kinds: subscription.selection.kinds,
            set,
            form,
        };
        let mut is_new = false;
        let id = self.cohorts.acquire(&shared, || {
            is_new = true;
            Cohort {
                set,
                form,
                slots: Slots::default(),
                queued: Vec::new(),
                bytes: 0,
            }
        });
        if is_new {
            let index = self.cohort_index.index(shared.view);
            index.insert(&shared.tenant, &shared.devices, shared.kinds, id);
        }
        self.cohorts[id].slots.insert(slot);
        id
    }

    /// Takes a stream out of its cohort.
    pub(crate) fn leave_cohort(&mut self, id: Id, slot: Slot) {
        let cohort = &mut self.cohorts[id];
        debug_assert!(
            cohort.queued.is_empty(),
            "what is queued is for all that were there"
        );
        cohort.slots.remove(slot);
        if let Some((shared, _)) = self.cohorts.release_entry(id) {
            let index = self.cohort_index.index(shared.view);
            index.remove(&shared.tenant, &shared.devices, shared.kinds, id);
        }
    }

    /// Queues a record for a cohort. True when so much is queued that it is to be written.
    pub(crate) fn queue(&mut self, id: Id, record: &LogRecord, mark: usize) -> bool {
        let Cohort { set, form, .. } = self.cohorts[id];
        let Some(frame) = self.live_frame(form, set, record, Outcome::Shown) else {
            return false;
        };
        let bytes_max = self.settings().turn_bytes_max;
        let cohort = &mut self.cohorts[id];
        if cohort.queued.is_empty() {
            self.cohort_index.dirty.push(id);
        }
        cohort.bytes += frame.len();
        cohort.queued.push(Queued {
            frame,
            mark: u32::try_from(mark).unwrap_or(u32::MAX - 1),
        });
        cohort.bytes > bytes_max
    }

    /// Cohorts that had something queued since this was last asked, each at least once.
    pub(crate) fn dirty_cohorts(&mut self) -> Vec<Id> {
        std::mem::take(&mut self.cohort_index.dirty)
    }

    /// Takes what is queued for a cohort, and adds to `slots` whom it is for.
    pub(crate) fn take_queued(&mut self, id: Id, slots: &mut Vec<Slot>) -> Vec<Queued> {
        let Some(cohort) = self.cohorts.get_mut(id) else {
            return Vec::new();
        };
        cohort.bytes = 0;
        slots.extend_from_slice(cohort.slots.list());
        std::mem::take(&mut cohort.queued)
    }
}
