//! Which streams want a record: by tenant, device and kind, so that a record costs what it is wanted,
//! not what is connected. Pure.

use rustc_hash::FxHashMap;

use crate::subscription::{DeviceSet, KindSet, TenantScope};

/// Number of a connection in its worker.
pub(crate) type Slot = u32;

/// Streams of one topic.
#[derive(Default)]
pub(crate) struct Index {
    everyone: Group,
    tenants: FxHashMap<Box<str>, OfTenant>,
    /// Streams of all tenants that name devices.
    devices: FxHashMap<Box<str>, Group>,
}

#[derive(Default)]
struct OfTenant {
    all: Group,
    devices: FxHashMap<Box<str>, Group>,
}

impl OfTenant {
    fn is_empty(&self) -> bool {
        self.all.is_empty() && self.devices.is_empty()
    }
}

impl Index {
    /// Adds a stream.
    pub(crate) fn insert(&mut self, tenant: &TenantScope, devices: &DeviceSet, kinds: KindSet, slot: Slot) {
        let insert = |all: &mut Group, by_device: &mut FxHashMap<Box<str>, Group>| match devices {
            DeviceSet::All => all.insert(kinds, slot),
            DeviceSet::Set(devices) => {
                for device in &**devices {
                    by_device.entry(device.clone()).or_default().insert(kinds, slot);
                }
            }
        };
        match tenant {
            TenantScope::All => insert(&mut self.everyone, &mut self.devices),
            TenantScope::One(_) | TenantScope::Some(_) => {
                for tenant in names(tenant) {
                    let of_tenant = self.tenants.entry(tenant.clone()).or_default();
                    insert(&mut of_tenant.all, &mut of_tenant.devices);
                }
            }
        }
    }

    /// Removes a stream that was added with the same arguments.
    pub(crate) fn remove(&mut self, tenant: &TenantScope, devices: &DeviceSet, kinds: KindSet, slot: Slot) {
        let remove = |all: &mut Group, by_device: &mut FxHashMap<Box<str>, Group>| match devices {
            DeviceSet::All => all.remove(kinds, slot),
            DeviceSet::Set(devices) => {
                for device in &**devices {
                    if let Some(group) = by_device.get_mut(device) {
                        group.remove(kinds, slot);
                        if group.is_empty() {
                            by_device.remove(device);
                        }
                    }
                }
            }
        };
        match tenant {
            TenantScope::All => remove(&mut self.everyone, &mut self.devices),
            TenantScope::One(_) | TenantScope::Some(_) => {
                for tenant in names(tenant) {
                    let Some(of_tenant) = self.tenants.get_mut(tenant) else {
                        continue;
                    };
                    remove(&mut of_tenant.all, &mut of_tenant.devices);
                    if of_tenant.is_empty() {
                        self.tenants.remove(tenant);
                    }
                }
            }
        }
    }

    /// Adds to `wanted` the streams that want a record. A stream is in at most one group that matches,
    /// so none comes twice.
    pub(crate) fn find(
        &self,
        tenant: &str,
        device: &str,
        kind: Option<schemas::Kind>,
        wanted: &mut Vec<Slot>,
    ) {
        self.everyone.find(kind, wanted);
        if let Some(group) = self.devices.get(device) {
            group.find(kind, wanted);
        }
        if let Some(of_tenant) = self.tenants.get(tenant) {
            of_tenant.all.find(kind, wanted);
            if let Some(group) = of_tenant.devices.get(device) {
                group.find(kind, wanted);
            }
        }
    }
}

/// The tenants that a scope names.
fn names(tenants: &TenantScope) -> impl Iterator<Item = &Box<str>> {
    let (one, some) = match tenants {
        TenantScope::One(tenant) => (Some(tenant), None),
        TenantScope::Some(tenants) => (None, Some(tenants.iter())),
        TenantScope::All => (None, None),
    };
    one.into_iter().chain(some.into_iter().flatten())
}

/// Streams by the kinds that they want. Few distinct sets of kinds exist at a time.
#[derive(Default)]
struct Group {
    by_kinds: Vec<(KindSet, Slots)>,
}

impl Group {
    fn is_empty(&self) -> bool {
        self.by_kinds.is_empty()
    }

    fn insert(&mut self, kinds: KindSet, slot: Slot) {
        match self.by_kinds.iter_mut().find(|(other, _)| *other == kinds) {
            Some((_, slots)) => slots.insert(slot),
            None => {
                let mut slots = Slots::default();
                slots.insert(slot);
                self.by_kinds.push((kinds, slots));
            }
        }
    }

    fn remove(&mut self, kinds: KindSet, slot: Slot) {
        if let Some(index) = self.by_kinds.iter().position(|(other, _)| *other == kinds) {
            self.by_kinds[index].1.remove(slot);
            if self.by_kinds[index].1.is_empty() {
                self.by_kinds.swap_remove(index);
            }
        }
    }

    fn find(&self, kind: Option<schemas::Kind>, wanted: &mut Vec<Slot>) {
        for (kinds, slots) in &self.by_kinds {
            if kinds.contains(kind) {
                wanted.extend_from_slice(&slots.list);
            }
        }
    }
}

/// A dense set; its positions are kept only once searching the list would be slow.
#[derive(Default)]
pub(crate) struct Slots {
    list: Vec<Slot>,
    places: Option<FxHashMap<Slot, u32>>,
}

/// A list up to this long is searched.
const SEARCHED_MAX: usize = 32;

impl Slots {
    pub(crate) fn list(&self) -> &[Slot] {
        &self.list
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn insert(&mut self, slot: Slot) {
        if self.list.len() == SEARCHED_MAX && self.places.is_none() {
            self.places = Some(
                (0..)
                    .zip(&self.list)
                    .map(|(place, slot)| (*slot, place))
                    .collect(),
            );
        }
        if let Some(places) = &mut self.places {
            places.insert(slot, u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        }
        self.list.push(slot);
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        let place = match &mut self.places {
            Some(places) => places.remove(&slot).map(|place| place as usize),
            None => self.list.iter().position(|other| *other == slot),
        };
        let Some(place) = place else {
            return;
        };
        self.list.swap_remove(place);
        if let (Some(places), Some(moved)) = (&mut self.places, self.list.get(place)) {
            places.insert(*moved, u32::try_from(place).unwrap_or(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schemas::Kind;

    use super::*;

    fn devices(names: &[&str]) -> DeviceSet {
        DeviceSet::Set(Arc::new(names.iter().map(|name| (*name).into()).collect()))
    }

    fn one(tenant: &str) -> TenantScope {
        TenantScope::One(tenant.into())
    }

    fn some(tenants: &[&str]) -> TenantScope {
        TenantScope::Some(Arc::new(tenants.iter().map(|name| (*name).into()).collect()))
    }

    fn found(index: &Index, tenant: &str, device: &str, kind: Kind) -> Vec<Slot> {
        let mut wanted = Vec::new();
        index.find(tenant, device, Some(kind), &mut wanted);
        wanted.sort_unstable();
        wanted
    }

    #[test]
    fn a_record_finds_the_streams_that_want_it_and_no_other() {
        let mut index = Index::default();
        let locks = KindSet::NONE.with(Kind::Lock);
        index.insert(&one("a"), &DeviceSet::All, KindSet::ALL, 1);
        index.insert(&one("a"), &devices(&["x", "y"]), KindSet::ALL, 2);
        index.insert(&one("a"), &DeviceSet::All, locks, 3);
        index.insert(&one("b"), &DeviceSet::All, KindSet::ALL, 4);
        index.insert(&TenantScope::All, &DeviceSet::All, KindSet::ALL, 5);
        index.insert(&TenantScope::All, &devices(&["x"]), KindSet::ALL, 6);
        index.insert(&one("a"), &devices(&[]), KindSet::ALL, 7);
        index.insert(&some(&["b", "c"]), &DeviceSet::All, locks, 8);
        index.insert(&some(&[]), &DeviceSet::All, KindSet::ALL, 9);
        assert_eq!(found(&index, "a", "x", Kind::Lock), [1, 2, 3, 5, 6]);
        assert_eq!(found(&index, "a", "z", Kind::Telemetry), [1, 5]);
        assert_eq!(found(&index, "b", "x", Kind::Telemetry), [4, 5, 6]);
        assert_eq!(found(&index, "c", "q", Kind::Telemetry), [5]);
        assert_eq!(found(&index, "b", "q", Kind::Lock), [4, 5, 8]);
        index.remove(&some(&["b", "c"]), &DeviceSet::All, locks, 8);
        assert_eq!(found(&index, "c", "q", Kind::Lock), [5]);
    }

    #[test]
    fn nothing_is_left_of_streams_that_went() {
        let mut index = Index::default();
        for slot in 0..200 {
            index.insert(&one("a"), &DeviceSet::All, KindSet::ALL, slot);
            index.insert(&one("a"), &devices(&["x", "y"]), KindSet::ALL, 1_000 + slot);
        }
        for slot in (0..200).step_by(2).chain((0..200).skip(1).step_by(2)) {
            index.remove(&one("a"), &DeviceSet::All, KindSet::ALL, slot);
            let left = found(&index, "a", "q", Kind::Log);
            assert!(!left.contains(&slot));
            index.remove(&one("a"), &devices(&["x", "y"]), KindSet::ALL, 1_000 + slot);
        }
        assert!(index.tenants.is_empty());
    }
}
