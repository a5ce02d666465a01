//! What the reactor appends.

use std::sync::Arc;

use journal::{Headers, NewRecord, Offset, Partition, Topic};
use schemas::event::{Presence, PresenceReason, Status};
use schemas::{Body, Event, Micros};
use state::DeviceKey;
use uuid::Uuid;

use super::Sign;
use crate::source::record_key;

/// Namespace of the ids of reactions.
pub(super) const REACTIONS: Uuid = Uuid::from_u128(0x5b1c_7a52_90d4_5e0b_b7a5_2f0e_41c3_96d8);

/// A rule of the reactor; its name is part of the ids that it gives, and a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A sign of life of a device that was unseen or silent.
    Online,
    /// Silence for `stale_after`.
    Stale,
    /// Silence for `offline_after`.
    Offline,
    /// An alert rule holds, or a device fell silent.
    AlertOpened,
    /// Neither does any more.
    AlertClosed,
    /// Nobody answered a command in time.
    CommandExpired,
}

impl Rule {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Stale => "stale",
            Self::Offline => "offline",
            Self::AlertOpened => "alert_opened",
            Self::AlertClosed => "alert_closed",
            Self::CommandExpired => "command_expired",
        }
    }

    /// Every rule about presence sets one status.
    const fn of(status: Status) -> Self {
        match status {
            Status::Online => Self::Online,
            Status::Stale => Self::Stale,
            Status::Offline => Self::Offline,
        }
    }
}

/// An event that the reactor appends to its own partition.
#[derive(Debug, Clone, PartialEq)]
pub enum Reaction {
    /// A change of a device's status.
    Presence(PresenceReaction),
    /// A step of an alert or of a command.
    Step(StepReaction),
}

/// A step of an alert or of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReaction {
    /// The device.
    pub key: Arc<DeviceKey>,
    /// What makes the step.
    pub rule: Rule,
    /// The step. Its id is derived from device, rule and cause.
    pub event: Box<Event>,
    /// Trace of its cause.
    pub traceparent: Option<Box<str>>,
}

/// A change of a device's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceReaction {
    /// The device.
    pub key: Arc<DeviceKey>,
    /// Derived from device, rule and source offset.
    pub id: Box<str>,
    /// From now on.
    pub status: Status,
    /// Until now.
    pub previous: Option<Status>,
    /// Why.
    pub reason: PresenceReason,
    /// Of a verdict of silence, when the time had run out: a sign of life after it makes it void.
    pub occurred_at: Micros,
    /// Wall time when it was decided.
    pub received_at: Micros,
    /// Trace of its cause.
    pub traceparent: Option<Box<str>>,
}

impl PresenceReaction {
    pub(super) fn online(key: &Arc<DeviceKey>, previous: Option<Status>, sign: &Sign, now: Micros) -> Self {
        Self {
            key: Arc::clone(key),
            id: id(key, Rule::Online, sign.offset),
            status: Status::Online,
            previous,
            // Not `connect`: that would speak of a connection, and end the session that is current.
            reason: PresenceReason::Report,
            occurred_at: now,
            received_at: now,
            traceparent: sign.traceparent.clone(),
        }
    }

    pub(super) fn silence(
        key: &Arc<DeviceKey>,
        status: Status,
        previous: Option<Status>,
        source: Offset,
        since: Micros,
        now: Micros,
    ) -> Self {
        Self {
            key: Arc::clone(key),
            id: id(key, Rule::of(status), source),
            status,
            previous,
            reason: PresenceReason::Silence,
            occurred_at: since,
            received_at: now,
            traceparent: None,
        }
    }
}

impl Reaction {
    /// The rule that made it.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        match self {
            Self::Presence(presence) => Rule::of(presence.status),
            Self::Step(step) => step.rule,
        }
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> Event {
        match self {
            Self::Presence(presence) => presence.event(),
            Self::Step(step) => Event::clone(&step.event),
        }
    }

    /// The record of its event in `partition`.
    #[must_use]
    pub fn record(&self, partition: Partition, generation: u32) -> NewRecord {
        let (key, traceparent) = match self {
            Self::Presence(presence) => (&presence.key, &presence.traceparent),
            Self::Step(step) => (&step.key, &step.traceparent),
        };
        let event = self.event();
        NewRecord {
            topic: Topic::Events,
            partition,
            key: record_key(key),
            value: Some(event.encode()),
            timestamp_ms: event.received_at.div_euclid(1_000),
            headers: Headers {
                kind: event.body.kind().name().into(),
                generation,
                traceparent: traceparent.clone(),
                source_offset: None,
            },
        }
    }
}

impl PresenceReaction {
    fn event(&self) -> Event {
        Event {
            id: self.id.clone(),
            tenant: self.key.tenant.clone(),
            device: self.key.device.clone(),
            occurred_at: self.occurred_at,
            received_at: self.received_at,
            claimed_at: None,
            seq: None,
            body: Body::Presence(Presence {
                connected: None,
                status: Some(self.status),
                previous: self.previous,
                reason: self.reason,
                session: None,
            }),
        }
    }
}

fn id(key: &DeviceKey, rule: Rule, source: Offset) -> Box<str> {
    // The rule and the offset hold no slash; what follows them is the device, whatever it holds.
    let name = format!("{}/{source}/{}/{}", rule.name(), key.tenant, key.device);
    Uuid::new_v5(&REACTIONS, name.as_bytes()).to_string().into()
}
