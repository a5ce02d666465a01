//! A stream whose client chooses devices or filters while it runs, and that started from a cursor: what is
//! chosen in the beginning holds from the cursor on. With each such choice the stream goes back to where it
//! started, and what its client has had already is passed over.

use journal::{Offset, Partition, Placement};
use rustc_hash::FxHashMap;

use super::Talk;
use crate::engine::record::LogRecord;
use crate::engine::ring::Place;
use crate::engine::worker::behind::Behind;
use crate::engine::worker::connection::{Connection, Mode};
use crate::engine::worker::hub::{Hub, millis};
use crate::engine::worker::output::Wire;
use crate::filters::Filters;
use crate::subscription::{DeviceSet, Start, Subscription};

/// From where choices hold in the beginning.
pub(super) struct Resume {
    positions: Vec<(Partition, Offset)>,
    until_ms: u64,
    /// Choices come together: nothing is read before this.
    held_until_ms: u64,
    /// Devices that were chosen before others in their partition: what lies before this they have had.
    floors: FxHashMap<Box<str>, Offset>,
    /// On a conflated stream with filters: of devices, what follows the newest that the client has. What lies
    /// before it is old news, whichever filter it passes.
    had: Option<FxHashMap<Box<str>, Offset>>,
}

/// What was chosen before a choice.
pub(crate) struct Chosen {
    pub(crate) devices: DeviceSet,
    pub(crate) filters: Option<Filters>,
}

impl Talk {
    /// Remembers where a stream started whose client chooses while it runs.
    pub(crate) fn may_resume(&mut self, hub: &Hub, subscription: &Subscription, start: &Start) {
        let positions: Vec<(Partition, Offset)> = start
            .positions
            .iter()
            .filter_map(|(partition, next)| Some((*partition, (*next)?)))
            .collect();
        let has_snapshot = start.snapshot.is_some();
        if !subscription.chooses || (positions.is_empty() && !has_snapshot) {
            return;
        }
        let until_ms = hub.now_ms + millis(hub.settings().choice_window);
        self.resume = Some(Box::new(Resume {
            positions,
            until_ms,
            // There is nothing to show of it before something is chosen.
            held_until_ms: if has_snapshot { until_ms } else { 0 },
            floors: FxHashMap::default(),
            had: subscription.selection.filters.is_some().then(FxHashMap::default),
        }));
    }

    /// Whether the client has had a record, or something newer, before the stream went back.
    pub(crate) fn has_passed(&self, record: &LogRecord) -> bool {
        let Some(resume) = &self.resume else {
            return false;
        };
        let lies_before = |floors: &FxHashMap<Box<str>, Offset>| {
            let floor = floors.get(record.device());
            floor.is_some_and(|floor| record.offset < *floor)
        };
        lies_before(&resume.floors) || resume.had.as_ref().is_some_and(lies_before)
    }

    /// A conflated stream's client has a record now. Beyond `devices_max` devices this is not remembered:
    /// should the stream go back, it may come again.
    pub(crate) fn has(&mut self, record: &LogRecord, devices_max: usize) {
        let had = self.resume.as_mut().and_then(|resume| resume.had.as_mut());
        let Some(had) = had else {
            return;
        };
        let next = record.offset + 1;
        let has_room = had.len() < devices_max;
        match had.get_mut(record.device()) {
            Some(floor) => *floor = next.max(*floor),
            None if has_room => drop(had.insert(record.device().into(), next)),
            None => {}
        }
    }

    /// The stream is live: nothing lies before any floor, and no choice goes back after the window.
    pub(crate) fn is_live(&mut self, now_ms: u64) {
        if let Some(resume) = &mut self.resume {
            resume.floors = FxHashMap::default();
            if now_ms > resume.until_ms {
                self.resume = None;
            }
        }
    }

    /// Until when nothing is read, if that lies ahead.
    pub(crate) fn held_until(&self, now_ms: u64) -> Option<u64> {
        let held = self.resume.as_ref()?.held_until_ms;
        (held > now_ms).then_some(held)
    }

    /// What is remembered, as long as choices go back.
    fn open(&mut self, now_ms: u64) -> Option<&mut Resume> {
        self.resume
            .as_deref_mut()
            .filter(|resume| now_ms <= resume.until_ms)
    }
}

impl<W: Wire> Connection<W> {
    /// What is chosen at present.
    pub(crate) fn chosen(&self) -> Chosen {
        Chosen {
            devices: self.devices.clone(),
            filters: self.subscription.selection.filters.clone(),
        }
    }

    /// Goes back for what was just chosen, to where the stream started.
    pub(crate) fn resume_chosen(&mut self, hub: &mut Hub, before: &Chosen) {
        let filters = self.subscription.selection.filters.as_ref();
        let is_cleared = filters.is_some_and(Filters::is_empty);
        let held_until_ms = hub.now_ms + millis(hub.settings().choice_pause);
        let is_snapshot = matches!(self.mode, Mode::Snapshot(_));
        let Some(resume) = self.talk.open(hub.now_ms) else {
            return;
        };
        if is_cleared {
            // As if nothing had been chosen: what is chosen next holds from the cursor on again.
            resume.had = Some(FxHashMap::default());
            return;
        }
        if is_snapshot {
            resume.held_until_ms = held_until_ms;
            return;
        }
        let by_filters = has_more_filters(filters, before.filters.as_ref());
        let back = if by_filters {
            self.subscription.partitions.clone()
        } else {
            match self.going_back(hub, &before.devices) {
                Some(back) => back,
                None => return,
            }
        };
        let moved = self.go_back(hub, &back);
        if moved.is_empty() {
            return;
        }
        if let Some(resume) = &mut self.talk.resume {
            resume.held_until_ms = held_until_ms;
        }
        if !by_filters {
            self.set_floors(hub, &before.devices, &moved);
        }
        self.talk
            .told
            .retain(|(partition, _)| moved.iter().all(|(other, _)| other != partition));
        self.run_soon(hub);
    }

    /// Takes the stream's positions in these partitions back to where it started, so that nothing is read before
    /// the choices that come together are made; answers where it stood in those partitions.
    fn go_back(&mut self, hub: &mut Hub, back: &[Partition]) -> Vec<(Partition, Offset)> {
        let mut moved = Vec::new();
        let mut places = match &self.mode {
            Mode::Live => hub.places_before(self.set, usize::MAX),
            Mode::Behind(behind) => behind.places.to_vec(),
            Mode::Snapshot(_) | Mode::Ended => return moved,
        };
        let time_ms = self.subscription.start.time_ms;
        let Some(resume) = &self.talk.resume else {
            return moved;
        };
        for (partition, place) in self.subscription.partitions.iter().zip(&mut places) {
            let from = resume.positions.iter().find(|(other, _)| other == partition);
            let (Some((_, from)), Some(at)) = (from, *place) else {
                continue;
            };
            if back.contains(partition) && *from <= at.next {
                moved.push((*partition, at.next));
                let start = Place { next: *from, time_ms };
                *place = Some(start);
                if let Some(latest) = &mut self.latest {
                    latest.go_back(*partition, start);
                }
            }
        }
        if !moved.is_empty() {
            self.set_mode(hub, Mode::Behind(Box::new(Behind::new(places))));
        }
        moved
    }

    /// The partitions of devices that are chosen and were not before; `None` where there are none.
    fn going_back(&self, hub: &Hub, before: &DeviceSet) -> Option<Vec<Partition>> {
        let placement = self.placement(hub)?;
        match (&self.devices, before) {
            (_, DeviceSet::All) => None,
            (DeviceSet::All, DeviceSet::Set(_)) => Some(self.subscription.partitions.clone()),
            (DeviceSet::Set(devices), DeviceSet::Set(before)) => {
                let chosen = devices.difference(before);
                let back: Vec<Partition> = chosen.map(|device| placement.of(device)).collect();
                (!back.is_empty()).then_some(back)
            }
        }
    }

    /// What the devices of before have had, they have had.
    fn set_floors(&mut self, hub: &Hub, before: &DeviceSet, moved: &[(Partition, Offset)]) {
        let (DeviceSet::Set(before), Some(placement)) = (before, self.placement(hub)) else {
            return;
        };
        let Some(resume) = &mut self.talk.resume else {
            return;
        };
        for device in before.iter() {
            let partition = placement.of(device);
            if let Some((_, passed)) = moved.iter().find(|(other, _)| *other == partition) {
                let floor = resume.floors.entry(device.clone()).or_insert(0);
                *floor = (*floor).max(*passed);
            }
        }
    }

    fn placement(&self, hub: &Hub) -> Option<Placement> {
        let tenant = self.subscription.selection.tenant.name()?;
        let layout = &hub.env.layout;
        let spread = hub.env.access.spread(tenant).unwrap_or(layout.default_spread);
        Some(Placement::new(tenant, spread, layout.partitions))
    }
}

fn has_more_filters(filters: Option<&Filters>, before: Option<&Filters>) -> bool {
    let pair = filters.zip(before);
    pair.is_some_and(|(filters, before)| filters.has_more_than(before))
}
