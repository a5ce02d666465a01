//! Events of a small fleet.

use journal::Micros;
use proptest::prelude::*;
use schemas::event::{
    Alert, AlertStatus, Command, CommandStatus, Device, Level, Lock, LockSource, Log, Presence,
    PresenceReason, Status, Telemetry,
};
use schemas::{Body, Event, Fields, Scalar};

pub(crate) fn event(id: &str, device: &str, at: Micros, body: Body) -> Event {
    Event {
        id: id.into(),
        tenant: "acme".into(),
        device: device.into(),
        occurred_at: at,
        received_at: at,
        claimed_at: None,
        seq: None,
        body,
    }
}

pub(crate) fn speed(value: i64) -> Body {
    Body::Telemetry(Telemetry {
        fields: Fields([("speed".into(), Scalar::Integer(value))].into()),
    })
}

pub(crate) fn offline() -> Body {
    Body::Presence(Presence {
        connected: Some(false),
        status: Some(Status::Offline),
        previous: None,
        reason: PresenceReason::Disconnect,
        session: None,
    })
}

/// A mix of every kind that matters to documents, counts and history, with retries and late telemetry.
pub(crate) fn fleet(first: Micros, count: usize, seed: u64) -> Vec<Event> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut events: Vec<Event> = Vec::new();
    for number in 0..count {
        if number > 3 && next(12) == 0 {
            let again = events[number - 1 - next(3) as usize].clone();
            events.push(again);
            continue;
        }
        let at = first + number as i64 * 1_000;
        let device = format!("bus-{}", next(5));
        let mut event = event(&format!("{seed}-{number}"), &device, at, body(&mut next));
        if next(3) == 0 {
            event.tenant = "globex".into();
        }
        if next(5) == 0 {
            event.occurred_at -= 5_000;
        }
        events.push(event);
    }
    events
}

fn body(next: &mut impl FnMut(u64) -> u64) -> Body {
    match next(12) {
        0..=4 => speed(next(3) as i64),
        5 => offline(),
        6 => Body::Lock(Lock {
            locked: next(2) == 0,
            source: LockSource::Rfid,
            code: None,
            metadata: None,
        }),
        7 => Body::Log(Log {
            level: Level::Info,
            message: "hello".into(),
        }),
        8 => Body::Device(Device {
            name: Some(format!("Bus {}", next(3)).into()),
            ..Device::default()
        }),
        9 => Body::Alert(Alert {
            alert_id: format!("alert-{}", next(3)).into(),
            alert_type: "HOT".into(),
            severity: 3,
            confidence: None,
            summary: "hot".into(),
            status: [AlertStatus::Open, AlertStatus::Acknowledged, AlertStatus::Closed][next(3) as usize],
            site_id: None,
        }),
        10 => Body::Command(Command {
            command_id: format!("command-{}", next(3)).into(),
            command_type: "reboot".into(),
            input: None,
            connection: None,
            status: [
                CommandStatus::Queued,
                CommandStatus::Delivered,
                CommandStatus::Success,
            ][next(3) as usize],
            output: None,
            created: 1,
            by: None,
            expires_at: None,
        }),
        _ => Body::Deleted,
    }
}

/// How a fleet's events are cut into appends, and where a projector dies: by points passed.
pub(crate) fn plan() -> impl Strategy<Value = (u64, Vec<usize>, Vec<u32>)> {
    (
        any::<u64>(),
        prop::collection::vec(1_usize..25, 1..5),
        prop::collection::vec(0_u32..12, 0..6),
    )
}
