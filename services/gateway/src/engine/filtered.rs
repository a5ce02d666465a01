//! Which streams with filters a change concerns: by tenant and device as all streams, and by what their
//! filters demand, so that a change is judged by the filters that it may satisfy. Pure.
//!
//! A filter stands here once for all streams that have it.

use std::collections::BTreeSet;

use query::{Field, Filter, Head};
use rustc_hash::FxHashMap;
use schemas::Kind;

use super::index::{Slot, Slots};
use super::intern::Id;
use crate::filters::Filters;
use crate::subscription::{DeviceSet, KindSet, TenantScope};

/// What a filter says of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Outcome {
    /// The device satisfied it before the change, and does not after.
    Left,
    /// The change satisfies it.
    Shown,
}

/// Says what filters say of one change.
pub(crate) trait Judge {
    /// The texts at `field`, after the change and before.
    fn texts(&self, field: &Field) -> [Option<&str>; 2];

    /// What a filter says; [`Outcome::Left`] only if it is asked for.
    fn outcome(&self, filter: Id, tells_left: bool) -> Option<Outcome>;
}

/// Streams that have one filter.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'e> {
    pub(crate) tenant: &'e TenantScope,
    pub(crate) devices: &'e DeviceSet,
    pub(crate) kinds: KindSet,
    pub(crate) tells_left: bool,
    pub(crate) filter: &'e Filter,
    /// Its number in this worker.
    pub(crate) id: Id,
}

/// Streams with filters.
#[derive(Default)]
pub(crate) struct Filtered {
    everyone: Reach,
    tenants: FxHashMap<Box<str>, Reach>,
}

/// Streams of one tenant, or of all tenants.
#[derive(Default)]
struct Reach {
    /// Of certain devices, by each of them.
    devices: Groups,
    /// Of all devices, by each id that their filter demands.
    ids: Groups,
    /// Of all devices, by each text that their filter demands.
    fields: Vec<ByField>,
    /// Of all devices, with a filter that nothing satisfies.
    never: Group,
    /// Of all devices, and nothing narrows their filter.
    all: Group,
}

struct ByField {
    field: Field,
    texts: Groups,
}

/// What is shared by the streams of one line in a group.
type Line = (Id, KindSet, bool);

/// Streams that a change concerns alike.
#[derive(Default)]
struct Group {
    lines: FxHashMap<Line, Slots>,
}

type Groups = FxHashMap<Box<str>, Group>;

/// Where a filter stands.
enum Spot<'f> {
    Devices(&'f BTreeSet<Box<str>>),
    Ids(&'f BTreeSet<Box<str>>),
    Field(&'f Field, &'f BTreeSet<Box<str>>),
    Never,
    All,
}

impl<'f> Spot<'f> {
    fn of(filter: &'f Filter, tenant: &TenantScope, devices: &'f DeviceSet) -> Self {
        let hint = filter.hint();
        if let DeviceSet::Set(devices) = devices {
            return Self::Devices(devices);
        }
        if hint.is_never() {
            return Self::Never;
        }
        if let Some(ids) = hint.devices() {
            return Self::Ids(ids);
        }
        let useful = hint.texts().filter_map(|(field, texts)| {
            let rank = rank(field, tenant)?;
            Some(((rank, texts.len()), field, texts))
        });
        let best = useful.min_by_key(|(rank, ..)| *rank);
        best.map_or(Self::All, |(_, field, texts)| Self::Field(field, texts))
    }
}

/// How little a text at `field` leaves of a fleet, the best first; `None` where all have the same.
fn rank(field: &Field, tenant: &TenantScope) -> Option<u8> {
    let is_head = field.names().is_empty();
    match (field.head(), tenant) {
        (Head::Tenant, TenantScope::One(_)) if is_head => None,
        (Head::Status | Head::Type, _) if is_head => Some(1),
        (_, _) => Some(0),
    }
}

/// The texts of those filters that every change in `tenant` must be judged by.
pub(crate) fn unindexed<'f>(
    filters: &'f Filters,
    tenant: &TenantScope,
    devices: &DeviceSet,
) -> impl Iterator<Item = &'f str> {
    let found = filters
        .iter()
        .filter(|filter| matches!(Spot::of(filter, tenant, devices), Spot::All));
    found.map(|filter| filter.text())
}

impl Filtered {
    /// Adds a stream.
    pub(crate) fn insert(&mut self, entry: Entry<'_>, slot: Slot) {
        let reach = match entry.tenant {
            TenantScope::Some(tenants) => {
                for tenant in tenants.iter() {
                    let tenant = &TenantScope::One(tenant.clone());
                    self.insert(Entry { tenant, ..entry }, slot);
                }
                return;
            }
            TenantScope::All => &mut self.everyone,
            TenantScope::One(tenant) => self.tenants.entry(tenant.clone()).or_default(),
        };
        let line = (entry.id, entry.kinds, entry.tells_left);
        match Spot::of(entry.filter, entry.tenant, entry.devices) {
            Spot::Devices(devices) => insert(&mut reach.devices, devices, line, slot),
            Spot::Ids(ids) => insert(&mut reach.ids, ids, line, slot),
            Spot::Field(field, texts) => insert(reach.by_text(field), texts, line, slot),
            Spot::Never => reach.never.insert(line, slot),
            Spot::All => reach.all.insert(line, slot),
        }
        self.tidy(entry.tenant);
    }

    /// Removes a stream that was added with the same arguments.
    pub(crate) fn remove(&mut self, entry: Entry<'_>, slot: Slot) {
        let reach = match entry.tenant {
            TenantScope::Some(tenants) => {
                for tenant in tenants.iter() {
                    let tenant = &TenantScope::One(tenant.clone());
                    self.remove(Entry { tenant, ..entry }, slot);
                }
                return;
            }
            TenantScope::All => &mut self.everyone,
            TenantScope::One(tenant) => match self.tenants.get_mut(tenant) {
                Some(reach) => reach,
                None => return,
            },
        };
        let line = (entry.id, entry.kinds, entry.tells_left);
        match Spot::of(entry.filter, entry.tenant, entry.devices) {
            Spot::Devices(devices) => remove(&mut reach.devices, devices, line, slot),
            Spot::Ids(ids) => remove(&mut reach.ids, ids, line, slot),
            Spot::Field(field, texts) => {
                remove(reach.by_text(field), texts, line, slot);
                reach.fields.retain(|by_field| !by_field.texts.is_empty());
            }
            Spot::Never => reach.never.remove(line, slot),
            Spot::All => reach.all.remove(line, slot),
        }
        self.tidy(entry.tenant);
    }

    fn tidy(&mut self, tenant: &TenantScope) {
        if let TenantScope::One(tenant) = tenant
            && self.tenants.get(tenant).is_some_and(Reach::is_empty)
        {
            self.tenants.remove(tenant);
        }
    }

    /// Whether no change of `tenant` concerns a stream here.
    pub(crate) fn is_silent(&self, tenant: &str) -> bool {
        self.everyone.is_empty() && !self.tenants.contains_key(tenant)
    }

    /// Adds to `wanted` the streams that are to be told of a change, each once.
    pub(crate) fn find(
        &self,
        (tenant, device): (&str, &str),
        kind: Option<Kind>,
        judge: &impl Judge,
        wanted: &mut Vec<(Slot, Outcome)>,
    ) {
        let from = wanted.len();
        let mut lines = 0;
        for reach in self.reaches(tenant) {
            for group in reach.devices.get(device).into_iter().chain(reach.ids.get(device)) {
                lines += group.find(kind, judge, wanted);
            }
            for ByField { field, texts } in &reach.fields {
                let [after, before] = judge.texts(field);
                for text in [after, before.filter(|_| before != after)].into_iter().flatten() {
                    if let Some(group) = texts.get(text) {
                        lines += group.find(kind, judge, wanted);
                    }
                }
            }
            lines += reach.all.find(kind, judge, wanted);
        }
        if lines > 1 {
            merge(wanted, from);
        }
    }

    /// Adds to `wanted` the streams that cover a device that was deleted, whatever their filters say: nobody
    /// knows any more whether it satisfied them.
    pub(crate) fn find_deleted(
        &self,
        (tenant, device): (&str, &str),
        kind: Option<Kind>,
        wanted: &mut Vec<(Slot, Outcome)>,
    ) {
        let from = wanted.len();
        for reach in self.reaches(tenant) {
            let by_text = reach.fields.iter().flat_map(|by_field| by_field.texts.values());
            let by_name = reach.devices.get(device).into_iter().chain(reach.ids.values());
            let groups = by_text.chain(by_name).chain([&reach.never, &reach.all]);
            groups.for_each(|group| group.find_all(kind, wanted));
        }
        merge(wanted, from);
    }

    fn reaches(&self, tenant: &str) -> impl Iterator<Item = &Reach> {
        std::iter::once(&self.everyone).chain(self.tenants.get(tenant))
    }
}

/// A stream that several of its filters name is told once: shown by one, it has not left by another.
fn merge(wanted: &mut Vec<(Slot, Outcome)>, from: usize) {
    let added = &mut wanted[from..];
    added.sort_unstable_by(|(slot, outcome), (other, than)| slot.cmp(other).then(than.cmp(outcome)));
    let mut kept = from;
    for index in from..wanted.len() {
        if kept == from || wanted[kept - 1].0 != wanted[index].0 {
            wanted[kept] = wanted[index];
            kept += 1;
        }
    }
    wanted.truncate(kept);
}

fn insert(groups: &mut Groups, names: &BTreeSet<Box<str>>, line: Line, slot: Slot) {
    for name in names {
        groups.entry(name.clone()).or_default().insert(line, slot);
    }
}

fn remove(groups: &mut Groups, names: &BTreeSet<Box<str>>, line: Line, slot: Slot) {
    for name in names {
        if let Some(group) = groups.get_mut(name) {
            group.remove(line, slot);
            if group.lines.is_empty() {
                groups.remove(name);
            }
        }
    }
}

impl Reach {
    fn is_empty(&self) -> bool {
        let of_all = [&self.never, &self.all];
        self.devices.is_empty()
            && self.ids.is_empty()
            && self.fields.is_empty()
            && of_all.iter().all(|group| group.lines.is_empty())
    }

    fn by_text(&mut self, field: &Field) -> &mut Groups {
        let known = self.fields.iter().position(|by_field| by_field.field == *field);
        let index = known.unwrap_or_else(|| {
            self.fields.push(ByField {
                field: field.clone(),
                texts: FxHashMap::default(),
            });
            self.fields.len() - 1
        });
        &mut self.fields[index].texts
    }
}

impl Group {
    fn insert(&mut self, line: Line, slot: Slot) {
        self.lines.entry(line).or_default().insert(slot);
    }

    fn remove(&mut self, line: Line, slot: Slot) {
        if let Some(slots) = self.lines.get_mut(&line) {
            slots.remove(slot);
            if slots.is_empty() {
                self.lines.remove(&line);
            }
        }
    }

    /// How many lines had something to tell.
    fn find(&self, kind: Option<Kind>, judge: &impl Judge, wanted: &mut Vec<(Slot, Outcome)>) -> usize {
        let mut found = 0;
        for ((filter, kinds, tells_left), slots) in &self.lines {
            if kinds.contains(kind)
                && let Some(outcome) = judge.outcome(*filter, *tells_left)
            {
                found += 1;
                wanted.extend(slots.list().iter().map(|slot| (*slot, outcome)));
            }
        }
        found
    }

    fn find_all(&self, kind: Option<Kind>, wanted: &mut Vec<(Slot, Outcome)>) {
        for ((_, kinds, _), slots) in &self.lines {
            if kinds.contains(kind) {
                wanted.extend(slots.list().iter().map(|slot| (*slot, Outcome::Shown)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
