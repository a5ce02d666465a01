//! Devices that a client adds to those it has chosen, or lets go: done where they are, so that one more
//! of ten thousand costs as much as the first.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::connection::Connection;
use super::hub::Hub;
use super::input::too_many_devices;
use super::output::Wire;
use super::step::Step;
use crate::engine::filtered::Outcome;
use crate::subscription::{DeviceSet, Selection};

/// Work that it is to look through what is pending, in devices that are chosen.
const PENDING_WORK: usize = 256;

type Devices = BTreeSet<Box<str>>;

impl<W: Wire> Connection<W> {
    /// The client has chosen `add` too, and lets `remove` go.
    pub(crate) fn choose(&mut self, hub: &mut Hub, add: Vec<Box<str>>, remove: &[Box<str>]) {
        let selection = &self.subscription.selection;
        let DeviceSet::Set(chosen) = &selection.devices else {
            tracing::error!("a stream of every device has none to choose");
            return;
        };
        let is_simple = self.subscription.chooses && selection.filters.is_none() && !self.talk.may_go_back();
        if !is_simple {
            let mut devices = Devices::clone(chosen);
            devices.extend(add);
            devices.retain(|device| !remove.contains(device));
            let selection = Selection {
                devices: DeviceSet::Set(Arc::new(devices)),
                ..selection.clone()
            };
            return self.narrow(hub, selection);
        }
        let come: Devices = add
            .into_iter()
            .filter(|device| !chosen.contains(device))
            .collect();
        let gone = remove.iter().filter(|device| chosen.contains(&***device));
        let gone: Devices = gone.cloned().collect();
        self.talk.work.add(come.len() + gone.len());
        let devices_max = hub.settings().selection_devices_max;
        if !come.is_empty() && chosen.len() + come.len() > devices_max + gone.len() {
            return self.refuse(hub, &too_many_devices(devices_max));
        }
        self.relist(hub, come, gone);
        self.owed.updated = true;
    }

    fn relist(&mut self, hub: &mut Hub, come: Devices, gone: Devices) {
        self.step_out(hub);
        let is_alone = self.step == Step::Alone;
        let slot = self.token.slot;
        let scope = &self.subscription.principal.devices;
        let (come, gone) = (Arc::new(come), Arc::new(gone));
        let come_within = DeviceSet::Set(Arc::clone(&come)).within(scope);
        let gone_within = DeviceSet::Set(Arc::clone(&gone)).within(scope);
        if is_alone {
            hub.delist(&self.subscription, &gone_within, None, slot);
        }
        let asked = std::mem::replace(&mut self.subscription.selection.devices, DeviceSet::All);
        let left = std::mem::replace(&mut self.devices, DeviceSet::All);
        if is_same(&asked, &left) {
            // Held once, it is changed where it is.
            drop(left);
            let asked = changed(asked, &come, &gone);
            self.devices = asked.clone();
            self.subscription.selection.devices = asked;
        } else {
            self.subscription.selection.devices = changed(asked, &come, &gone);
            self.devices = match (&come_within, &gone_within) {
                (DeviceSet::Set(come), DeviceSet::Set(gone)) => changed(left, come, gone),
                (DeviceSet::All, _) | (_, DeviceSet::All) => left,
            };
        }
        if is_alone {
            hub.enlist(&self.subscription, &come_within, None, slot);
        }
        if !gone.is_empty() {
            self.forget_pending();
        }
    }

    /// Takes what is pending of devices that are not chosen any more away.
    fn forget_pending(&mut self) {
        let Some(mut latest) = self.latest.take() else {
            return;
        };
        let work = if latest.is_empty() { 0 } else { PENDING_WORK };
        self.talk.work.add(work);
        let selection = &self.subscription.selection;
        let is_wanted = |device: &str| self.devices.contains(device);
        latest.retain(
            |record| is_wanted(record.device()).then_some(Outcome::Shown),
            selection,
        );
        self.latest = Some(latest);
    }
}

fn is_same(one: &DeviceSet, other: &DeviceSet) -> bool {
    match (one, other) {
        (DeviceSet::Set(one), DeviceSet::Set(other)) => Arc::ptr_eq(one, other),
        (DeviceSet::All, _) | (_, DeviceSet::All) => false,
    }
}

fn changed(devices: DeviceSet, come: &Devices, gone: &Devices) -> DeviceSet {
    match devices {
        DeviceSet::Set(mut devices) => {
            let own = Arc::make_mut(&mut devices);
            for device in gone {
                own.remove(device);
            }
            own.extend(come.iter().cloned());
            DeviceSet::Set(devices)
        }
        DeviceSet::All => DeviceSet::All,
    }
}
