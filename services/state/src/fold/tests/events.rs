//! Events for the tests, and what to do with them.

use schemas::event::{
    Alert, AlertStatus, Command, CommandStatus, Lock, LockSource, Presence, PresenceReason,
};
use schemas::event::{Device, Entity, Level, Location, Log, Point, Status, Telemetry};
use schemas::{Body, Change, Document, Event, Fields, Scalar};

use crate::{Limits, Outcome, fold};

/// An event at second `at`, received a second later; its id is unique by body and time.
pub(super) fn event(at: i64, body: Body) -> Event {
    Event {
        id: format!("{at}-{body:?}").into(),
        tenant: "acme".into(),
        device: "bus".into(),
        occurred_at: at * 1_000_000,
        received_at: (at + 1) * 1_000_000,
        claimed_at: None,
        seq: None,
        body,
    }
}

pub(super) fn fields(of: &[(&str, Scalar)]) -> Fields {
    Fields(
        of.iter()
            .map(|(path, value)| ((*path).into(), value.clone()))
            .collect(),
    )
}

pub(super) fn telemetry(at: i64, of: &[(&str, Scalar)]) -> Event {
    event(at, Body::Telemetry(Telemetry { fields: fields(of) }))
}

pub(super) fn presence(at: i64, reason: PresenceReason, session: Option<&str>) -> Event {
    event(at, Body::Presence(said(reason, session)))
}

pub(super) fn silence(at: i64, status: Status) -> Event {
    let presence = Presence {
        status: Some(status),
        ..said(PresenceReason::Silence, None)
    };
    event(at, Body::Presence(presence))
}

pub(super) fn said(reason: PresenceReason, session: Option<&str>) -> Presence {
    Presence {
        connected: None,
        status: None,
        previous: None,
        reason,
        session: session.map(Into::into),
    }
}

pub(super) fn lock(at: i64, locked: bool) -> Event {
    event(
        at,
        Body::Lock(Lock {
            locked,
            source: LockSource::Rfid,
            code: Some("04A1".into()),
            metadata: None,
        }),
    )
}

pub(super) fn log(at: i64) -> Event {
    event(
        at,
        Body::Log(Log {
            level: Level::Info,
            message: "hello".into(),
        }),
    )
}

pub(super) fn entity(at: i64, id: &str, value: Scalar) -> Event {
    event(
        at,
        Body::Entity(Entity {
            entity_id: id.into(),
            value,
            source: "user".into(),
        }),
    )
}

pub(super) fn location(at: i64, name: Option<&str>, point: Option<(f64, f64)>) -> Event {
    let geometry = point.map(|(longitude, latitude)| Point {
        longitude,
        latitude,
        altitude: None,
    });
    event(
        at,
        Body::Location(Location {
            name: name.map(Into::into),
            geometry,
            ..Location::default()
        }),
    )
}

pub(super) fn command(at: i64, id: &str, status: CommandStatus) -> Event {
    event(
        at,
        Body::Command(Command {
            command_id: id.into(),
            command_type: "reboot".into(),
            input: None,
            connection: None,
            status,
            output: None,
            created: 1,
            by: None,
            expires_at: None,
        }),
    )
}

pub(super) fn alert(at: i64, id: &str, status: AlertStatus) -> Event {
    event(
        at,
        Body::Alert(Alert {
            alert_id: id.into(),
            alert_type: "HOT".into(),
            severity: 2,
            confidence: Some(0.5),
            summary: "too hot".into(),
            status,
            site_id: None,
        }),
    )
}

pub(super) fn device(at: i64, name: &str) -> Event {
    event(
        at,
        Body::Device(Device {
            name: Some(name.into()),
            ..Device::default()
        }),
    )
}

/// The document after all of `events`, each of which must have been folded.
pub(super) fn after(events: &[Event]) -> Document {
    let mut document = None;
    for event in events {
        document = Some(match fold(document.as_ref(), event, &Limits::default()) {
            Outcome::Times(document) => document,
            Outcome::Changed(change) => change.document,
            outcome @ (Outcome::Nothing | Outcome::Deleted | Outcome::Refused { .. }) => {
                panic!("{event:?} gave {outcome:?}")
            }
        });
    }
    document.expect("at least one event")
}

/// The change that `event` makes.
pub(super) fn change(document: &Document, event: &Event) -> Change {
    match fold(Some(document), event, &Limits::default()) {
        Outcome::Changed(change) => *change,
        outcome @ (Outcome::Nothing | Outcome::Times(_) | Outcome::Deleted | Outcome::Refused { .. }) => {
            panic!("{event:?} gave {outcome:?}")
        }
    }
}

/// The document after an event that must change nothing but times.
pub(super) fn times(document: &Document, event: &Event) -> Document {
    match fold(Some(document), event, &Limits::default()) {
        Outcome::Times(document) => document,
        outcome @ (Outcome::Nothing | Outcome::Changed(_) | Outcome::Deleted | Outcome::Refused { .. }) => {
            panic!("{event:?} gave {outcome:?}")
        }
    }
}

pub(super) fn changed(change: &Change) -> Vec<&str> {
    change.changed.iter().map(|path| &**path).collect()
}

pub(super) fn before(change: &Change) -> serde_json::Value {
    serde_json::from_str(&change.before).expect("`before` is JSON")
}
