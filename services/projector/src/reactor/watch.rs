//! What the reactor knows of one device.

use std::sync::Arc;

use journal::Offset;
use schemas::event::Status;
use schemas::{Document, Micros};
use state::DeviceKey;

use super::reaction::{PresenceReaction, Reaction};
use super::{Sign, Silence};

/// One device.
pub(super) struct Watch {
    status: Option<Status>,
    /// Its last sign of life.
    last_seen: Option<Micros>,
    /// Offset of the last event in its document.
    source: Offset,
    /// When its timer fires.
    pub(super) armed: Option<Micros>,
    /// A decision whose event was not read back yet.
    pending: Option<Pending>,
}

/// A decision whose event was not read back yet.
struct Pending {
    reaction: PresenceReaction,
    /// When it is given out again, or, if it is outdated, no longer waited for.
    until: Micros,
    /// A verdict of silence on a device that was heard since. It stands in the log, and what it does is seen only
    /// when it is read: no other verdict is given before.
    is_outdated: bool,
}

impl Watch {
    pub(super) fn of(document: &Document, source: Offset) -> Self {
        // Whoever was put ONLINE without a sign of its own is silent since the last change.
        let told = (document.status == Some(Status::Online)).then_some(document.updated_at);
        Self {
            status: document.status,
            last_seen: document.last_seen_at.or(told),
            source,
            armed: None,
            pending: None,
        }
    }

    pub(super) fn update(&mut self, document: &Document, source: Offset) {
        let Self {
            status,
            last_seen,
            source,
            ..
        } = Self::of(document, source);
        if let Some(pending) = &mut self.pending {
            let is_verdict = pending.reaction.status != Status::Online;
            pending.is_outdated |= is_verdict && last_seen > self.last_seen;
        }
        (self.status, self.last_seen, self.source) = (status, last_seen, source);
    }

    /// Whether what `sign` asks for is on its way already.
    pub(super) fn answers(&self, sign: &Sign) -> bool {
        self.pending.as_ref().is_some_and(|pending| {
            let is_online = pending.reaction.status == Status::Online;
            is_online || (sign.is_wrong_verdict && !pending.is_outdated)
        })
    }

    /// `reaction` was decided; it should be read back before `until`.
    pub(super) fn wait_for(&mut self, reaction: &PresenceReaction, until: Micros) {
        self.pending = Some(Pending {
            reaction: reaction.clone(),
            until,
            is_outdated: false,
        });
    }

    /// The event `id` came back.
    pub(super) fn read_back(&mut self, id: &str) {
        if self
            .pending
            .as_ref()
            .is_some_and(|pending| *pending.reaction.id == *id)
        {
            self.pending = None;
        }
    }

    /// When there is next something to decide.
    pub(super) fn deadline(&self, verdicts_from: Micros, silence: &Silence) -> Option<Micros> {
        if let Some(pending) = &self.pending {
            return Some(pending.until);
        }
        let since = self.last_seen?;
        match self.status {
            // Seen, and not yet called ONLINE: a crash came between.
            None => Some(since),
            Some(Status::Online) => Some(since.saturating_add(silence.stale_after).max(verdicts_from)),
            Some(Status::Stale) => Some(since.saturating_add(silence.offline_after).max(verdicts_from)),
            Some(Status::Offline) => None,
        }
    }

    /// Since when it is STALE at `at`, if it is, whatever it was called.
    pub(super) fn stale_since(&self, at: Micros, silence: &Silence) -> Option<Micros> {
        let since = self.last_seen?.saturating_add(silence.stale_after);
        (since <= at).then_some(since)
    }

    /// What is decided now that the timer has fired, if it did not fire too early.
    pub(super) fn fire(
        &mut self,
        key: &Arc<DeviceKey>,
        clock: Micros,
        now: Micros,
        verdicts_from: Micros,
        silence: &Silence,
    ) -> Option<Reaction> {
        self.pending
            .take_if(|pending| pending.is_outdated && pending.until <= clock);
        if self.deadline(verdicts_from, silence).is_none_or(|at| at > clock) {
            return None;
        }
        let reaction = match self.pending.take() {
            Some(pending) => pending.reaction,
            None => self.decide(key, clock, now, silence)?,
        };
        self.wait_for(&reaction, now.max(clock).saturating_add(silence.pending_max));
        Some(Reaction::Presence(reaction))
    }

    fn decide(
        &self,
        key: &Arc<DeviceKey>,
        clock: Micros,
        now: Micros,
        silence: &Silence,
    ) -> Option<PresenceReaction> {
        match self.status {
            None => {
                let sign = Sign {
                    is_wrong_verdict: false,
                    offset: self.source,
                    traceparent: None,
                };
                Some(PresenceReaction::online(key, None, &sign, now))
            }
            Some(Status::Offline) => None,
            Some(Status::Online | Status::Stale) => {
                let last_seen = self.last_seen?;
                let offline = last_seen.saturating_add(silence.offline_after);
                let (status, since) = if offline <= clock {
                    (Status::Offline, offline)
                } else {
                    (Status::Stale, last_seen.saturating_add(silence.stale_after))
                };
                Some(self.silence(key, status, since, now))
            }
        }
    }

    /// The verdict that it is `status` since `since`.
    pub(super) fn silence(
        &self,
        key: &Arc<DeviceKey>,
        status: Status,
        since: Micros,
        now: Micros,
    ) -> PresenceReaction {
        PresenceReaction::silence(key, status, self.status, self.source, since, now)
    }
}
