//! Events of a fleet that does everything: reports late, sends again, connects twice, says goodbye.

use journal::Micros;
use rand::RngExt as _;
use rand::rngs::StdRng;
use schemas::event::{
    Alert, AlertStatus, Command, CommandStatus, Device, Entity, Level, Location, Lock, LockSource, Log,
    Point, Presence, PresenceReason, Status, Telemetry,
};
use schemas::{Body, Event, Fields, Scalar};

/// Where virtual time begins: in 2027.
pub(crate) const START: Micros = 1_800_000_000_000_000;
pub(crate) const SECOND: Micros = 1_000_000;

/// One of `items`.
pub(crate) fn pick<T: Copy>(random: &mut StdRng, items: &[T]) -> T {
    items[random.random_range(0..items.len())]
}

/// The tenants. Some devices of one bear the names of the other's.
pub(crate) const TENANTS: [&str; 2] = ["acme", "globex"];

/// An event received, and said to have occurred, at `at`.
pub(crate) fn event(id: &str, tenant: &str, device: &str, at: Micros, body: Body) -> Event {
    Event {
        id: id.into(),
        tenant: tenant.into(),
        device: device.into(),
        occurred_at: at,
        received_at: at,
        claimed_at: None,
        seq: None,
        body,
    }
}

/// A body of any kind but `deleted`.
pub(crate) fn body(random: &mut StdRng) -> Body {
    match random.random_range(0..20) {
        0..=7 => Body::Telemetry(Telemetry {
            fields: fields(random),
        }),
        8..=10 => Body::Presence(presence(random)),
        11 => Body::Lock(Lock {
            locked: random.random_bool(0.5),
            source: pick(random, &[LockSource::Rfid, LockSource::Key]),
            code: maybe(random, "1234"),
            metadata: maybe(random, r#"{"door":2}"#),
        }),
        12 => Body::Log(Log {
            level: Level::Warn,
            message: "low battery".into(),
        }),
        13 => Body::Entity(Entity {
            entity_id: pick(random, &["light.hall", "light.door"]).into(),
            value: scalar(random),
            source: "user".into(),
        }),
        14 | 15 => Body::Location(location(random)),
        16 | 17 => Body::Command(command(random)),
        18 => Body::Alert(alert(random)),
        _ => Body::Device(head(random)),
    }
}

/// What a device reports of itself, which is a sign of life and says nothing of its status.
pub(crate) fn report(random: &mut StdRng) -> Body {
    Body::Telemetry(Telemetry {
        fields: fields(random),
    })
}

fn maybe(random: &mut StdRng, text: &str) -> Option<Box<str>> {
    random.random_bool(0.5).then(|| text.into())
}

fn scalar(random: &mut StdRng) -> Scalar {
    match random.random_range(0..7) {
        0 => Scalar::Null,
        1 => Scalar::Boolean(random.random_bool(0.5)),
        2 | 3 => Scalar::Integer(random.random_range(-3..3)),
        4 => Scalar::Number(f64::from(random.random_range(-40..40)) / 8.0),
        5 => Scalar::Json("[1,2]".into()),
        _ => Scalar::String(pick(random, &["", "on", "off", "höher"]).into()),
    }
}

fn fields(random: &mut StdRng) -> Fields {
    let paths = [
        "speed",
        "engine",
        "engine.rpm",
        "engine.oil.temp",
        r"a\.b",
        "lat",
        "lon",
        "",
    ];
    let count = random.random_range(0..4);
    Fields(
        (0..count)
            .map(|_| (pick(random, &paths).into(), scalar(random)))
            .collect(),
    )
}

fn presence(random: &mut StdRng) -> Presence {
    let reasons = [
        PresenceReason::Connect,
        PresenceReason::Disconnect,
        PresenceReason::Will,
        PresenceReason::Replaced,
        PresenceReason::Report,
    ];
    let statuses = [
        None,
        None,
        Some(Status::Online),
        Some(Status::Stale),
        Some(Status::Offline),
    ];
    Presence {
        connected: pick(random, &[None, None, Some(true), Some(false)]),
        status: pick(random, &statuses),
        previous: None,
        reason: pick(random, &reasons),
        session: pick(random, &[None, Some("one"), Some("two")]).map(Into::into),
    }
}

fn location(random: &mut StdRng) -> Location {
    let point = |random: &mut StdRng| Point {
        longitude: f64::from(random.random_range(-180..180)),
        latitude: f64::from(random.random_range(-90..90)),
        altitude: None,
    };
    Location {
        id: maybe(random, "depot-1"),
        name: maybe(random, "Depot"),
        address: maybe(random, "1 Dock Road"),
        location_type: maybe(random, "indoor"),
        is_mobile: pick(random, &[None, Some(true), Some(false)]),
        geometry: random.random_bool(0.5).then(|| point(random)),
    }
}

fn command(random: &mut StdRng) -> Command {
    let statuses: Vec<_> = CommandStatus::WORDS
        .iter()
        .filter_map(|word| CommandStatus::from_word(word))
        .collect();
    Command {
        command_id: pick(random, &["c1", "c2", "c3"]).into(),
        command_type: "reboot".into(),
        input: maybe(random, r#"{"delay":3}"#),
        connection: None,
        status: pick(random, &statuses),
        output: maybe(random, "done"),
        created: START,
        by: maybe(random, "ann"),
        expires_at: pick(
            random,
            &[None, Some(START + 20 * SECOND), Some(START + 300 * SECOND)],
        ),
    }
}

fn alert(random: &mut StdRng) -> Alert {
    let statuses = [AlertStatus::Open, AlertStatus::Acknowledged, AlertStatus::Closed];
    Alert {
        alert_id: pick(random, &["a1", "a2", "a3"]).into(),
        alert_type: "HOT".into(),
        severity: random.random_range(0..5),
        confidence: None,
        summary: "too hot".into(),
        status: pick(random, &statuses),
        site_id: maybe(random, "north"),
    }
}

fn head(random: &mut StdRng) -> Device {
    // Large names meet the limit of a small document.
    let large = random.random_bool(0.1);
    Device {
        name: if large {
            Some("x".repeat(900).into())
        } else {
            maybe(random, "Bus 14")
        },
        device_type: maybe(random, "bus"),
        site_id: maybe(random, "north"),
        tags: random.random_bool(0.5).then(|| vec!["red".into()]),
        attributes: maybe(random, r#"{"seats":40}"#),
    }
}
