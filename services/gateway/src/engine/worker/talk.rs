//! The session of a conversation: it is told what happens, and what it says is done, in order. A stream
//! whose client chooses devices continues from its cursor with what is chosen in the beginning.

use std::collections::VecDeque;

use journal::{Offset, Partition, Placement};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::behind::Behind;
use super::connection::{Connection, Mode};
use super::hub::{Hub, millis};
use super::output::Wire;
use crate::dialect::{Action, Answer, Ask, Conversation, Moment, Silent};
use crate::engine::frames;
use crate::engine::lookups::Lookup;
use crate::engine::record::LogRecord;
use crate::engine::ring::Place;
use crate::subscription::{DeviceSet, Start, Subscription};

/// What a session keeps for its conversation.
#[derive(Default)]
pub(crate) struct Talk {
    /// Questions in their order; the first is under way when `is_asked`.
    questions: VecDeque<Ask>,
    is_asked: bool,
    /// Up to where the conversation was told: what is read again is not told again.
    told: SmallVec<[(Partition, Offset); 1]>,
    resume: Option<Box<Resume>>,
}

/// From where choices of devices hold in the beginning.
struct Resume {
    positions: Vec<(Partition, Offset)>,
    until_ms: u64,
    /// Devices that were chosen before others in their partition: what lies before this they have had.
    floors: FxHashMap<Box<str>, Offset>,
}

impl Talk {
    /// Remembers where a stream started whose client chooses while it runs.
    pub(crate) fn may_resume(&mut self, hub: &Hub, subscription: &Subscription, start: &Start) {
        let positions: Vec<(Partition, Offset)> = start
            .positions
            .iter()
            .filter_map(|(partition, next)| Some((*partition, (*next)?)))
            .collect();
        if subscription.chooses && !positions.is_empty() {
            self.resume = Some(Box::new(Resume {
                positions,
                until_ms: hub.now_ms + millis(hub.settings().choice_window),
                floors: FxHashMap::default(),
            }));
        }
    }

    /// Whether a record of a device was passed before the stream went back for another.
    pub(crate) fn has_passed(&self, record: &LogRecord) -> bool {
        let floors = self.resume.as_ref().map(|resume| &resume.floors);
        floors.is_some_and(|floors| {
            floors
                .get(record.device())
                .is_some_and(|floor| record.offset < *floor)
        })
    }

    /// The stream is live again: nothing lies before any floor.
    pub(crate) fn has_joined(&mut self, now_ms: u64) {
        if let Some(resume) = &mut self.resume {
            resume.floors = FxHashMap::default();
            if now_ms > resume.until_ms {
                self.resume = None;
            }
        }
    }

    /// Whether so many questions wait that the client's next ones are not read.
    pub(crate) fn is_full(&self, questions_max: usize) -> bool {
        self.questions.len() >= questions_max
    }

    /// Whether a record is told for the first time; from now on it was.
    fn is_news(&mut self, record: &LogRecord) -> bool {
        let next = record.offset + 1;
        match self
            .told
            .iter_mut()
            .find(|(partition, _)| *partition == record.partition)
        {
            Some((_, told)) if next <= *told => false,
            Some((_, told)) => {
                *told = next;
                true
            }
            None => {
                self.told.push((record.partition, next));
                true
            }
        }
    }
}

impl<W: Wire> Connection<W> {
    /// Does what comes before anything else.
    pub(crate) fn begin_talk(&mut self, hub: &mut Hub, first: Vec<Action>) {
        for action in first {
            self.act(hub, action);
        }
    }

    /// Lets the conversation take something in, and does what it says.
    pub(crate) fn converse(
        &mut self,
        hub: &mut Hub,
        take: impl FnOnce(&mut dyn Conversation, &Moment<'_>) -> Vec<Action>,
    ) {
        for action in self.take_in(hub, take) {
            if self.ending.is_some() {
                return;
            }
            self.act(hub, action);
        }
        self.write(hub);
    }

    fn take_in(
        &mut self,
        hub: &Hub,
        take: impl FnOnce(&mut dyn Conversation, &Moment<'_>) -> Vec<Action>,
    ) -> Vec<Action> {
        let mut conversation = std::mem::replace(&mut self.conversation, Box::new(Silent));
        let at = Moment {
            now: hub.wall(),
            subscription: &self.subscription,
            devices_max: hub.settings().selection_devices_max,
            is_blocked: self.out.blocked,
        };
        let actions = take(&mut *conversation, &at);
        self.conversation = conversation;
        actions
    }

    fn act(&mut self, hub: &mut Hub, action: Action) {
        match action {
            Action::Select(selection) => self.narrow(hub, selection),
            Action::Send(message) => {
                let frame = frames::message(self.subscription.carriage(), &message);
                self.reply(hub, frame);
            }
            Action::Ask(ask) => self.ask_about(hub, ask),
            Action::Timer(after) => self.times.talk = (hub.now_ms + millis(after)).max(1),
            Action::Close(ending) => self.finish(hub, ending),
        }
    }

    /// Whether a record that the index found is for the conversation.
    pub(crate) fn is_told(&self, record: &LogRecord) -> bool {
        let told = &self.subscription.selection.told;
        told.kinds.contains(record.kind) || told.of_all.contains(record.kind)
    }

    /// Tells the conversation of a record, after which the stream stands at `places`, or where its worker
    /// stands. What it sends stands in the order of the records, and is not
    /// dropped with them; it can neither select nor close, since records are being read.
    pub(crate) fn tell(&mut self, hub: &mut Hub, record: &LogRecord, places: Option<&[Option<Place>]>) {
        if !self.talk.is_news(record) {
            return;
        }
        let cursor: Option<String> = match places {
            _ if !self.subscription.cursors => None,
            None => Some(hub.live_cursor(self.set).to_string()),
            Some(places) => Some(hub.cursor(self.set, places, self.subscription.start.time_ms, None)),
        };
        let cursor = cursor.as_deref();
        for action in self.take_in(hub, |conversation, at| conversation.record(record, cursor, at)) {
            match action {
                Action::Send(message) => {
                    let frame = frames::message(self.subscription.carriage(), &message);
                    hub.env.metrics.frames.inc();
                    self.out.keep(frame);
                }
                Action::Ask(_) | Action::Timer(_) => self.act(hub, action),
                Action::Select(_) | Action::Close(_) => {
                    tracing::error!("a conversation selects or closes when it is told of a record");
                }
            }
        }
    }

    fn ask_about(&mut self, hub: &mut Hub, ask: Ask) {
        self.talk.questions.push_back(ask);
        self.ask_next(hub);
    }

    /// Asks the question whose turn it is.
    pub(crate) fn ask_next(&mut self, hub: &mut Hub) {
        let Some(ask) = self.talk.questions.front() else {
            return;
        };
        if self.talk.is_asked {
            return;
        }
        let tenant = self.subscription.selection.tenant.clone();
        let lookup = Lookup::Asked {
            tenant: tenant.clone(),
            scope: self.subscription.principal.devices.clone(),
            ask: ask.clone(),
        };
        let asked = hub.request_lookup(lookup, tenant.name().unwrap_or_default(), self.token);
        self.talk.is_asked = asked;
        if !asked {
            self.retry_later(hub);
        }
    }

    /// The answer to the question under way.
    pub(crate) fn answered(&mut self, hub: &mut Hub, answer: Answer) {
        self.talk.is_asked = false;
        self.talk.questions.pop_front();
        if self.ending.is_some() {
            return;
        }
        self.converse(hub, |conversation, at| conversation.answer(answer, at));
        self.ask_next(hub);
        self.settle(hub);
    }

    /// Goes back for the devices that were just chosen, to where the stream started; `before` are those
    /// that it had.
    pub(crate) fn resume_chosen(&mut self, hub: &mut Hub, before: &DeviceSet) {
        let is_open = |resume: &Resume| hub.now_ms <= resume.until_ms;
        if !self.talk.resume.as_deref().is_some_and(is_open) {
            return;
        }
        let Some(back) = self.going_back(hub, before) else {
            return;
        };
        let mut places = match &self.mode {
            Mode::Live => hub.places_before(self.set, usize::MAX),
            Mode::Behind(behind) => behind.places.to_vec(),
            Mode::Snapshot(_) | Mode::Ended => return,
        };
        let start_ms = self.subscription.start.time_ms;
        let Some(resume) = &mut self.talk.resume else {
            return;
        };
        let mut moved = Vec::new();
        for (partition, place) in self.subscription.partitions.iter().zip(&mut places) {
            let from = resume.positions.iter().find(|(other, _)| other == partition);
            let (Some((_, from)), Some(at)) = (from, *place) else {
                continue;
            };
            if back.contains(partition) && *from < at.next {
                moved.push((*partition, at.next));
                *place = Some(Place {
                    next: *from,
                    time_ms: start_ms,
                });
            }
        }
        if moved.is_empty() {
            return;
        }
        self.set_floors(hub, before, &moved);
        self.talk
            .told
            .retain(|(partition, _)| moved.iter().all(|(other, _)| other != partition));
        self.set_mode(hub, Mode::Behind(Box::new(Behind::new(places))));
        self.run_soon(hub);
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
