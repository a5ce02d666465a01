//! Changes of what a stream may and wants to see, while it runs.

use std::sync::Arc;

use access::Principal;
use journal::Partition;

use super::behind::Behind;
use super::connection::{Connection, Mode};
use super::hub::Hub;
use super::output::Wire;
use super::step::Step;
use crate::dialect::Ending;
use crate::engine::ring::Place;
use crate::subscription::{DeviceSet, Selection};

/// A stream whose credential ends is looked at this often.
const EXPIRY_LOOK_MS: u64 = 60_000;

impl<W: Wire> Connection<W> {
    /// The client wants to see something else from now on.
    pub(crate) fn select(&mut self, hub: &mut Hub, selection: Selection) {
        let principal = Arc::clone(&self.subscription.principal);
        let before = self.chosen();
        self.apply(hub, selection, principal);
        self.resume_chosen(hub, &before);
        self.owed.updated = true;
    }

    /// Looks whether the principal still holds, and what its scope is now.
    pub(crate) fn recheck(&mut self, hub: &mut Hub) {
        if matches!(self.mode, Mode::Ended) {
            return;
        }
        let Ok(principal) = hub.env.access.recheck(&self.subscription.principal, hub.wall()) else {
            return self.finish(hub, Ending::Credential);
        };
        if principal == self.subscription.principal {
            return self.set_expiry(hub);
        }
        if !self.subscription.dialect.admits(&self.subscription, &principal) {
            return self.finish(hub, Ending::Scope);
        }
        let selection = self.subscription.dialect.rescope(&self.subscription, &principal);
        if let Err(refused) = self.seat.admit(&selection, &principal.devices) {
            tracing::debug!(%refused, "a stream whose scope has changed keeps its filters");
        }
        if self.subscription.bound && selection.devices.within(&principal.devices).is_empty() {
            return self.finish(hub, Ending::Scope);
        }
        self.apply(hub, selection, principal);
        self.set_expiry(hub);
        self.settle_in_turn(hub);
    }

    /// Sets the timer for the principal's end, or for another look before it: an end is told by wall time,
    /// which may be set, and timers run by another.
    pub(crate) fn set_expiry(&mut self, hub: &Hub) {
        self.times.expiry = self.subscription.principal.expires_at.map_or(0, |expires_at| {
            let left_us = u64::try_from(expires_at.saturating_sub(hub.wall())).unwrap_or(0);
            (hub.now_ms + (left_us / 1_000 + 1).min(EXPIRY_LOOK_MS)).max(1)
        });
    }

    /// Puts another selection, or the same under another scope, in the place of the present one. A
    /// partition that is touched from now on starts at the live end.
    fn apply(&mut self, hub: &mut Hub, selection: Selection, principal: Arc<Principal>) {
        let slot = self.token.slot;
        // What stays is acquired before it is released, and need not be made anew.
        let filters = selection
            .filters
            .as_ref()
            .map(|filters| hub.filters.acquire(filters));
        let devices = selection.devices.within(&principal.devices);
        let old = &self.subscription.selection;
        // A client may add its devices one by one: what stays is left where it is.
        let (gone, come) = if is_alike(old, &selection) {
            (without(&self.devices, &devices), without(&devices, &self.devices))
        } else {
            (self.devices.clone(), devices.clone())
        };
        self.step_out(hub);
        let is_alone = self.step == Step::Alone;
        if is_alone {
            hub.delist(&self.subscription, &gone, self.filters.as_deref(), slot);
        }
        self.devices = devices;

        let layout = &hub.env.layout;
        let spread = |tenant: &str| hub.env.access.spread(tenant);
        let partitions = self
            .subscription
            .touched(&selection, &principal.devices, layout, &spread);
        self.subscription.selection = selection;
        self.subscription.principal = principal;
        if is_alone {
            hub.enlist(&self.subscription, &come, filters.as_deref(), slot);
        }
        let old = std::mem::replace(&mut self.filters, filters);
        hub.filters.release(old.as_deref().unwrap_or_default());
        let form = hub.acquire_form(&self.subscription);
        hub.forms.release(std::mem::replace(&mut self.form, form));
        self.repartition(hub, partitions);
        if let Some(mut latest) = self.latest.take() {
            let selection = &self.subscription.selection;
            latest.retain(
                |record| {
                    let is_covered =
                        self.devices.contains(record.device()) && selection.kinds.contains(record.kind);
                    if is_covered {
                        self.outcome(hub, record)
                    } else {
                        None
                    }
                },
                selection,
            );
            self.latest = Some(latest);
        }
    }

    fn repartition(&mut self, hub: &mut Hub, partitions: Vec<Partition>) {
        if partitions == self.subscription.partitions {
            return;
        }
        let set = hub.acquire_set(self.subscription.view.topic(), &partitions);
        let old = std::mem::replace(&mut self.subscription.partitions, partitions.clone());
        let live = hub.places_before(set, usize::MAX);
        let is_open = live.iter().all(Option::is_some);
        match &mut self.mode {
            Mode::Live if is_open => {}
            Mode::Live => {
                let places = hub.places_before(self.set, usize::MAX);
                let places = mapped(&old, &places, &partitions, &live);
                self.set_mode(hub, Mode::Behind(Box::new(Behind::new(places))));
            }
            Mode::Behind(behind) => {
                behind.places = mapped(&old, &behind.places, &partitions, &live).into_boxed_slice()
            }
            Mode::Snapshot(snapshot) => {
                if let Some(pinned) = &mut snapshot.pinned {
                    *pinned = mapped(&old, pinned, &partitions, &live).into_boxed_slice();
                }
            }
            Mode::Ended => {}
        }
        hub.release_set(std::mem::replace(&mut self.set, set));
        if let Some(ends) = &mut self.ends {
            ends.remaining.retain(|end| partitions.contains(&end.partition));
        }
        self.owed.degraded = true;
        self.linger(hub);
    }
}

/// Whether they differ in no more than devices (and metrics, which no index knows).
fn is_alike(one: &Selection, other: &Selection) -> bool {
    let no_filters = one.filters.is_none() && other.filters.is_none();
    no_filters && (&one.tenant, one.kinds, one.told) == (&other.tenant, other.kinds, other.told)
}

/// The devices of one set that are not in another; all of them where either is no list.
fn without(devices: &DeviceSet, others: &DeviceSet) -> DeviceSet {
    match (devices, others) {
        (DeviceSet::Set(devices), DeviceSet::Set(others)) => {
            DeviceSet::Set(Arc::new(devices.difference(others).cloned().collect()))
        }
        (DeviceSet::All, _) | (_, DeviceSet::All) => devices.clone(),
    }
}

/// Places of other partitions; those that are new start at the live end.
fn mapped(
    old: &[Partition],
    places: &[Option<Place>],
    new: &[Partition],
    live: &[Option<Place>],
) -> Vec<Option<Place>> {
    let kept = |partition: &Partition| {
        let index = old.iter().position(|other| other == partition)?;
        places.get(index).copied()
    };
    new.iter()
        .zip(live)
        .map(|(partition, live)| kept(partition).unwrap_or(*live))
        .collect()
}
