//! The session of a conversation: it is told what happens, and what it says is done, in order. A stream
//! whose client chooses devices or filters continues from its cursor with what is chosen in the beginning.

mod resume;

use std::collections::VecDeque;
use std::sync::Arc;

use access::Principal;
use journal::{Offset, Partition};
use smallvec::SmallVec;

use super::connection::Connection;
use super::hub::{Hub, millis};
use super::input::Work;
use super::output::Wire;
use crate::dialect::{Action, Answer, Ask, Conversation, Moment, Silent};
use crate::engine::frames;
use crate::engine::lookups::Lookup;
use crate::engine::record::LogRecord;
use crate::engine::ring::Place;
use resume::Resume;

/// What a session keeps for its conversation.
#[derive(Default)]
pub(crate) struct Talk {
    /// Questions in their order; the first is under way when it was asked by somebody.
    questions: VecDeque<Ask>,
    asked_by: Option<Arc<Principal>>,
    /// Up to where the conversation was told: what is read again is not told again.
    told: SmallVec<[(Partition, Offset); 1]>,
    resume: Option<Box<Resume>>,
    pub(super) work: Work,
}

impl Talk {
    /// Whether a choice may lead back to where the stream started.
    pub(super) const fn may_go_back(&self) -> bool {
        self.resume.is_some()
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
    /// Does what comes before anything else. What is sent is no answer to a client that does not read, however
    /// much it is.
    pub(crate) fn begin_talk(&mut self, hub: &mut Hub, first: Vec<Action>) {
        for action in first {
            match action {
                Action::Send(message) => self
                    .out
                    .keep(frames::message(self.subscription.carriage(), &message)),
                Action::Select(_)
                | Action::Choose { .. }
                | Action::Ask(_)
                | Action::Timer(_)
                | Action::Close(_) => self.act(hub, action),
            }
        }
    }

    /// Lets the conversation take something in, and does what it says.
    pub(crate) fn converse(
        &mut self,
        hub: &mut Hub,
        take: impl FnOnce(&mut dyn Conversation, &Moment<'_>) -> Vec<Action>,
    ) {
        let cursor = if self.subscription.cursors {
            // What was shown is out, or will be read again.
            self.write(hub);
            self.cursor(hub)
        } else {
            None
        };
        for action in self.take_in(hub, cursor.as_deref(), take) {
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
        cursor: Option<&str>,
        take: impl FnOnce(&mut dyn Conversation, &Moment<'_>) -> Vec<Action>,
    ) -> Vec<Action> {
        let mut conversation = std::mem::replace(&mut self.conversation, Box::new(Silent));
        let at = Moment {
            now: hub.wall(),
            subscription: &self.subscription,
            devices_max: hub.settings().selection_devices_max,
            is_blocked: self.out.blocked,
            cursor,
        };
        let actions = take(&mut *conversation, &at);
        self.conversation = conversation;
        actions
    }

    fn act(&mut self, hub: &mut Hub, action: Action) {
        match action {
            Action::Select(selection) => self.narrow(hub, selection),
            Action::Choose { add, remove } => self.choose(hub, add, &remove),
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
        let actions = self.take_in(hub, cursor, |conversation, at| conversation.record(record, at));
        for action in actions {
            match action {
                Action::Send(message) => {
                    let frame = frames::message(self.subscription.carriage(), &message);
                    hub.env.metrics.frames.inc();
                    self.out.keep(frame);
                }
                Action::Ask(_) | Action::Timer(_) => self.act(hub, action),
                Action::Select(_) | Action::Choose { .. } | Action::Close(_) => {
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
        if self.talk.asked_by.is_some() {
            return;
        }
        let lookup = Lookup::Asked {
            tenant: self.subscription.selection.tenant.clone(),
            scope: self.subscription.principal.devices.clone(),
            ask: ask.clone(),
        };
        let asked = hub.request_lookup(lookup, &self.subscription.share(), self.token);
        self.talk.asked_by = asked.then(|| Arc::clone(&self.subscription.principal));
        if !asked {
            self.retry_later(hub);
        }
    }

    /// The answer to the question under way.
    pub(crate) fn answered(&mut self, hub: &mut Hub, answer: Answer) {
        let asked_by = self.talk.asked_by.take();
        if self.ending.is_some() {
            return;
        }
        // What the principal may see has changed meanwhile: the answer tells of what it was then.
        let principal = &self.subscription.principal;
        let is_outdated = asked_by.is_some_and(|by| !Arc::ptr_eq(&by, principal));
        let asks_again = self.talk.questions.front().is_some_and(Ask::only_looks);
        if is_outdated && asks_again {
            return self.ask_next(hub);
        }
        self.talk.questions.pop_front();
        self.converse(hub, |conversation, at| conversation.answer(answer, at));
        self.ask_next(hub);
        self.settle(hub);
    }
}
