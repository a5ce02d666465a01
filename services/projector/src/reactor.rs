//! The reactor of one partition: what the passing of time, a sign of life, or a change that an alert rule
//! speaks of makes it append.
//!
//! Pure: no I/O, no clock of its own. It never writes state: a reaction is an event like any other, and
//! counts only once the fold has read it back. Until then the decision is pending and is not taken again,
//! and its id is derived from device, rule and source offset, so that one taken twice folds once.
//!
//! **Its clock.** While the partition is behind, the clock is the receipt of the last event folded; at the
//! end of the partition it is wall time. Verdicts of silence are given only when the partition is followed
//! (its end was reached, or its newest event is about now): what is still unread may be a sign of life. A
//! stretch of time that nobody observed proves nothing, since ingest may have been down with the
//! projector; after one (a hand-over is one), verdicts wait for `stale_after`.
//!
//! **A verdict can be wrong**: a sign of life that was received in time may stand before it in the log, unread by
//! whoever decided. Whoever reads both says what is true: ONLINE, or STALE again if what was read by then shows that
//! the silence after that sign is up as well (and somebody saw all of it: after a hand-over the answer is ONLINE).
//! Until a verdict has come back, nobody who gave it says more.

mod alerts;
mod expiry;
mod reaction;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use journal::Offset;
use rustc_hash::FxHashMap;
use schemas::event::{CommandStatus, PresenceReason, Status};
use schemas::{Body, Document, Event, Micros};
use state::{DeviceKey, Stored};

use crate::rulebook::Rulebook;
use crate::settings::{Settings, micros};
use crate::source::SourceEvent;
use alerts::Alerts;
pub(crate) use alerts::Changed;
pub use alerts::Heartbeat;
use expiry::Expiries;
pub use reaction::{PresenceReaction, Reaction, Rule, StepReaction};
use watch::Watch;

/// When silence is spoken of; all in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Silent for so long is STALE.
    pub stale_after: Micros,
    /// Silent for so long is OFFLINE.
    pub offline_after: Micros,
    /// A longer stretch between two looks was not observed.
    pub unobserved_max: Micros,
    /// A reaction not read back within this is given out again.
    pub pending_max: Micros,
}

impl Silence {
    /// What `settings` say.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let at_least = |duration: Duration| micros(duration).max(1);
        Self {
            stale_after: at_least(settings.stale_after),
            offline_after: at_least(settings.offline_after.max(settings.stale_after)),
            unobserved_max: at_least(settings.unobserved_max),
            pending_max: at_least(settings.reaction_pending_max),
        }
    }

    /// Whether `event` is a verdict of silence on a device that was last heard at `last_seen`, in time, by an
    /// event that was read too late for whoever decided. What was heard after the deadline makes the verdict void
    /// in the fold.
    pub(crate) fn is_refuted(&self, event: &Event, last_seen: Option<Micros>) -> bool {
        let Body::Presence(presence) = &event.body else {
            return false;
        };
        let after = match (presence.reason, presence.status) {
            (PresenceReason::Silence, Some(Status::Stale)) => self.stale_after,
            (PresenceReason::Silence, Some(Status::Offline)) => self.offline_after,
            _ => return false,
        };
        let deadline = event.occurred_at;
        last_seen.is_some_and(|seen| seen <= deadline && seen.saturating_add(after) > deadline)
    }
}

/// What a batch holds that asks for ONLINE, and after which nothing spoke of the status.
#[derive(Debug, Clone)]
pub(crate) struct Sign {
    /// A verdict of silence on a device that was heard in time; otherwise a sign of life.
    pub(crate) is_wrong_verdict: bool,
    /// Offset of the event.
    pub(crate) offset: Offset,
    /// Trace of the event.
    pub(crate) traceparent: Option<Box<str>>,
}

/// Timers and pending decisions of one partition. A device costs two small entries while it is ONLINE or
/// STALE, and nothing while it is OFFLINE.
pub struct Reactor {
    silence: Silence,
    watches: FxHashMap<Arc<DeviceKey>, Watch>,
    /// A timer is moved when it fires, not with every event: at most one entry a device.
    timers: BTreeSet<(Micros, Arc<DeviceKey>)>,
    /// `None` before the first event or the first end.
    clock: Option<Micros>,
    /// Receipt of the newest event of a device that was read: what came before it may still be unread, but hardly
    /// any that was received long before.
    newest_read: Micros,
    /// Whether the partition's end was reached after its last event.
    at_end: bool,
    /// No verdict of silence before this.
    verdicts_from: Micros,
    expiries: Expiries,
    alerts: Alerts,
    /// The alert rules in force.
    book: Arc<Rulebook>,
}

impl Reactor {
    /// A reactor that knows no device and no alert rule. `generation` is that of the layout.
    #[must_use]
    pub fn new(silence: Silence, heartbeat: Heartbeat, generation: u32) -> Self {
        Self {
            silence,
            watches: FxHashMap::default(),
            timers: BTreeSet::new(),
            clock: None,
            newest_read: Micros::MIN,
            at_end: false,
            verdicts_from: Micros::MIN,
            expiries: Expiries::default(),
            alerts: Alerts::new(generation, heartbeat),
            book: Arc::default(),
        }
    }

    /// The alert rules that are in force from now on.
    pub fn set_rules(&mut self, book: Arc<Rulebook>) {
        self.book = book;
    }

    /// The alert rules in force.
    #[must_use]
    pub fn rules(&self) -> &Arc<Rulebook> {
        &self.book
    }

    /// What an event that changed its device means for alerts.
    pub(crate) fn judge(&mut self, changed: &Changed<'_>, now: Micros) -> Vec<Reaction> {
        self.alerts.judge(&self.book, changed, now)
    }

    /// What the rules put at or after `since` say of a device as it is.
    pub(crate) fn hold_against_rules(
        &mut self,
        key: &Arc<DeviceKey>,
        document: &Document,
        since: Offset,
        now: Micros,
    ) -> Vec<Reaction> {
        self.alerts.hold_against(&self.book, key, document, since, now)
    }

    /// Takes up the device of a stored document.
    pub fn restore(&mut self, stored: &Stored) {
        let document = &stored.document;
        let key = DeviceKey {
            tenant: document.tenant.clone(),
            device: document.id.clone(),
        };
        self.update(&Arc::new(key), Some(document), stored.source);
    }

    /// Devices, and commands, with a timer.
    #[must_use]
    pub fn pending_timers(&self) -> usize {
        self.timers.len() + self.expiries.len()
    }

    /// The end of the partition was reached at wall time `now`.
    pub fn reached_end(&mut self, now: Micros) {
        self.advance(now);
        self.at_end = true;
    }

    /// An event of the batch at hand: moves the clock, and ends the wait for what comes back.
    pub(crate) fn heard_event(&mut self, event: &SourceEvent, now: Micros) {
        // A receipt in the future (a producer's mistake) must not make everybody silent.
        self.advance(event.event.received_at.min(now));
        self.at_end = false;
        match &event.event.body {
            Body::Presence(_) => {
                if let Some(watch) = self.watches.get_mut(&event.key) {
                    watch.read_back(&event.event.id);
                }
            }
            Body::Alert(alert) => self.alerts.read_back(&event.key, alert),
            Body::Command(step) => match step.status {
                CommandStatus::Success | CommandStatus::Failed | CommandStatus::Expired => {
                    self.expiries.ended(&event.key, &step.command_id);
                }
                CommandStatus::Queued | CommandStatus::Delivered | CommandStatus::InProgress => {}
            },
            Body::Telemetry(_)
            | Body::Lock(_)
            | Body::Log(_)
            | Body::Entity(_)
            | Body::Location(_)
            | Body::Device(_)
            | Body::Deleted => {
                // The reactor's own words are younger than what is read beside them: only what others say tells how far
                // that is.
                self.newest_read = self.newest_read.max(event.event.received_at.min(now));
            }
        }
    }

    /// An event of a device that nobody knows, and that did not create it.
    pub(crate) fn heard_of_unknown(&mut self, event: &SourceEvent) {
        if let Body::Command(step) = &event.event.body {
            self.expiries.step_of_unknown(&event.key, step);
        }
    }

    /// The device as it is after the batch at hand, and what of it asks for ONLINE.
    pub(crate) fn observe(
        &mut self,
        key: &Arc<DeviceKey>,
        document: Option<&Document>,
        source: Offset,
        sign: Option<Sign>,
        now: Micros,
    ) -> Option<Reaction> {
        self.update(key, document, source);
        let document = document?;
        let sign = sign.filter(|_| document.status != Some(Status::Online))?;
        let followed = self.followed(now);
        let watch = self
            .watches
            .entry(Arc::clone(key))
            .or_insert_with(|| Watch::of(document, source));
        if watch.answers(&sign) {
            return None;
        }
        let stale = followed
            .filter(|_| sign.is_wrong_verdict)
            .filter(|clock| self.verdicts_from <= *clock)
            .and_then(|_| watch.stale_since(self.newest_read, &self.silence))
            .map(|since| watch.silence(key, Status::Stale, since, now));
        let reaction = stale.unwrap_or_else(|| PresenceReaction::online(key, document.status, &sign, now));
        let since = self.clock.unwrap_or(now).max(now);
        watch.wait_for(&reaction, since.saturating_add(self.silence.pending_max));
        self.arm(key);
        Some(Reaction::Presence(reaction))
    }

    /// The log will never take `reaction`; its rule may decide anew.
    pub(crate) fn give_up(&mut self, reaction: &Reaction) {
        match reaction {
            Reaction::Presence(presence) => {
                if let Some(watch) = self.watches.get_mut(&presence.key) {
                    watch.read_back(&presence.id);
                    self.arm(&presence.key);
                }
            }
            Reaction::Step(step) => {
                if let Body::Alert(alert) = &step.event.body {
                    self.alerts.read_back(&step.key, alert);
                }
            }
        }
    }

    /// What is due at wall time `now`, at most `reactions_max`; the rest with the next call.
    pub fn due(&mut self, now: Micros, reactions_max: usize) -> Vec<Reaction> {
        let mut reactions = Vec::new();
        let Some(clock) = self.followed(now) else {
            return reactions;
        };
        while reactions.len() < reactions_max {
            let Some(key) = self
                .timers
                .first()
                .filter(|(at, _)| *at <= clock)
                .map(|(_, key)| Arc::clone(key))
            else {
                break;
            };
            self.timers.pop_first();
            let Some(watch) = self.watches.get_mut(&key) else {
                continue;
            };
            watch.armed = None;
            reactions.extend(watch.fire(&key, clock, now, self.verdicts_from, &self.silence));
            self.arm(&key);
        }
        while reactions.len() < reactions_max {
            match self.expiries.next_due(clock, now, self.silence.pending_max) {
                Some(expiry) => reactions.push(Reaction::Step(expiry)),
                None => break,
            }
        }
        reactions
    }

    /// The clock, if the partition is followed at wall time `now`.
    fn followed(&self, now: Micros) -> Option<Micros> {
        self.clock
            .filter(|clock| self.at_end || now.saturating_sub(*clock) <= self.silence.unobserved_max)
    }

    fn advance(&mut self, to: Micros) {
        if self
            .clock
            .is_none_or(|clock| to.saturating_sub(clock) > self.silence.unobserved_max)
        {
            self.verdicts_from = to.saturating_add(self.silence.stale_after);
        }
        self.clock = self.clock.max(Some(to));
    }

    fn update(&mut self, key: &Arc<DeviceKey>, document: Option<&Document>, source: Offset) {
        self.expiries.update(key, document);
        let Some(document) = document else {
            self.forget(key);
            return;
        };
        match self.watches.get_mut(key) {
            Some(watch) => watch.update(document, source),
            None => {
                self.watches.insert(Arc::clone(key), Watch::of(document, source));
            }
        }
        self.arm(key);
    }

    /// Sees to it that the device's timer fires no later than it must; forgets a device without any.
    fn arm(&mut self, key: &Arc<DeviceKey>) {
        let Some(watch) = self.watches.get_mut(key) else {
            return;
        };
        let Some(at) = watch.deadline(self.verdicts_from, &self.silence) else {
            self.forget(key);
            return;
        };
        // An earlier timer finds out, when it fires, that it is too early.
        if watch.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        if let Some(armed) = watch.armed.replace(at) {
            self.timers.remove(&(armed, Arc::clone(key)));
        }
        self.timers.insert((at, Arc::clone(key)));
    }

    fn forget(&mut self, key: &Arc<DeviceKey>) {
        if let Some(watch) = self.watches.remove(key)
            && let Some(armed) = watch.armed
        {
            self.timers.remove(&(armed, Arc::clone(key)));
        }
    }
}
