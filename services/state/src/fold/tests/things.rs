//! Locations, presence, locks, entities, commands, alerts.

use schemas::event::{AlertStatus, CommandStatus, PresenceReason, Status};
use schemas::{Body, Event, Scalar};
use serde_json::json;

use super::events::*;
use crate::{Limits, Outcome, fold};

use PresenceReason::{Connect, Disconnect, Replaced, Report, Will};
use Scalar::{Integer, Number};

fn presence_with(
    at: i64,
    reason: PresenceReason,
    session: Option<&str>,
    connected: bool,
    status: Status,
) -> Event {
    let mut presence = said(reason, session);
    (presence.connected, presence.status) = (Some(connected), Some(status));
    event(at, Body::Presence(presence))
}

#[test]
fn a_position_in_telemetry_moves_the_device() {
    for name in ["lon", "long", "lng"] {
        let document = after(&[telemetry(1, &[("lat", Number(53.4)), (name, Integer(-2))])]);
        let location = document.location.as_ref().expect("a location");
        assert_eq!(location.name.as_deref(), Some("bus"));
        assert_eq!(
            (location.location_type.as_deref(), location.is_mobile),
            (Some("outdoor"), Some(true))
        );
        assert_eq!(
            location.id.as_deref(),
            Some(&*crate::fold::default_location_id("acme", "bus"))
        );
        let moved = change(
            &document,
            &telemetry(2, &[("lat", Number(53.5)), (name, Integer(-2))]),
        );
        assert_eq!(changed(&moved), ["fields.lat", "location.geometry"]);
        let old = json!({"location": {"geometry": {"type": "Point", "coordinates": [-2.0, 53.4]}}, "fields": {"lat": 53.4}});
        assert_eq!(before(&moved), old);
    }
}

#[test]
fn half_a_position_or_one_off_the_earth_moves_nothing() {
    for wrong in [
        vec![("lat", Number(53.4))],
        vec![("lat", Number(90.5)), ("lon", Number(1.0))],
        vec![("lat", Number(53.4)), ("lon", Integer(181))],
        vec![("lat", Scalar::String("53.4".into())), ("lon", Number(1.0))],
    ] {
        assert_eq!(after(&[telemetry(1, &wrong)]).location, None, "{wrong:?}");
    }
}

#[test]
fn a_late_position_moves_nothing_that_has_one() {
    let at = |lat| [("lat", Number(lat)), ("lon", Number(1.0))];
    let document = after(&[telemetry(9, &at(53.0))]);
    times(&document, &telemetry(5, &at(50.0)));
    let unplaced = after(&[telemetry(9, &[("a", Integer(1))])]);
    assert!(changed(&change(&unplaced, &telemetry(5, &at(50.0)))).contains(&"location.geometry"));
}

#[test]
fn a_location_merges_by_member() {
    let document = after(&[location(1, None, Some((1.0, 2.0)))]);
    let named = change(&document, &location(2, Some("Depot"), None));
    assert_eq!(changed(&named), ["location.name"]);
    let location_now = named.document.location.as_ref().expect("a location");
    assert_eq!(
        location_now
            .geometry
            .map(|point| (point.longitude, point.latitude)),
        Some((1.0, 2.0))
    );
    times(&named.document, &location(3, None, None));
}

#[test]
fn a_connection_opens_and_closes() {
    let document = after(&[device(1, "Bus")]);
    let open = change(&document, &presence(2, Connect, Some("one")));
    assert_eq!(changed(&open), ["connected", "connected_since"]);
    assert_eq!(open.document.connected_since, Some(2_000_000));
    assert_eq!(open.document.last_seen_at, Some(3_000_000));
    let closed = change(&open.document, &presence(5, Disconnect, Some("one")));
    assert_eq!(changed(&closed), ["connected", "connected_since"]);
    assert_eq!(
        (closed.document.connected, closed.document.connected_since),
        (Some(false), None)
    );
    assert_eq!(
        closed.document.last_seen_at,
        Some(3_000_000),
        "a closed socket proves no life"
    );
}

#[test]
fn the_end_of_a_session_that_is_not_current_does_nothing() {
    let document = after(&[
        device(1, "Bus"),
        presence(2, Connect, Some("one")),
        presence(3, Connect, Some("two")),
    ]);
    assert_eq!(
        document.connected_since,
        Some(3_000_000),
        "a new connection begins anew"
    );
    times(
        &document,
        &presence_with(4, Disconnect, Some("one"), false, Status::Offline),
    );
    times(
        &document,
        &presence_with(4, Will, Some("one"), false, Status::Offline),
    );
    let closed = change(&document, &presence(5, Disconnect, Some("two"))).document;
    times(
        &closed,
        &presence_with(6, Disconnect, Some("one"), false, Status::Offline),
    );
}

#[test]
fn a_replaced_connection_leaves_the_device_connected() {
    let document = after(&[device(1, "Bus"), presence(2, Connect, Some("one"))]);
    times(
        &document,
        &presence_with(3, Replaced, Some("one"), false, Status::Offline),
    );
    let replaced = change(
        &document,
        &presence_with(3, Replaced, Some("two"), true, Status::Online),
    );
    assert_eq!(changed(&replaced), ["connected_since", "status"]);
}

#[test]
fn it_is_remembered_since_when_a_device_is_what_it_is_and_when_it_connected_last() {
    let remembered = |document: &schemas::Document| {
        let fold = &document.fold;
        let second = |at: Option<i64>| at.map(|at| at / 1_000_000);
        (
            second(fold.status_since),
            second(fold.last_connected_at),
            fold.has_left,
        )
    };
    let mut document = after(&[device(1, "Bus")]);
    let mut report = presence_with(4, Report, None, false, Status::Online);
    if let schemas::Body::Presence(presence) = &mut report.body {
        presence.connected = None;
    }
    for (event, expected) in [
        (presence(2, Connect, Some("one")), (None, Some(2), false)),
        (report, (Some(4), Some(2), false)),
        // It is still ONLINE by what it said before.
        (presence(5, Disconnect, Some("one")), (Some(4), Some(2), true)),
        (silence(40, Status::Stale), (Some(40), Some(2), false)),
        (silence(600, Status::Offline), (Some(600), Some(2), false)),
    ] {
        document = change(&document, &event).document;
        assert_eq!(remembered(&document), expected, "{event:?}");
    }
    let mut posts = presence_with(700, Report, None, false, Status::Online);
    if let schemas::Body::Presence(presence) = &mut posts.body {
        presence.connected = None;
    }
    document = change(&document, &posts).document;
    assert_eq!(remembered(&document), (Some(700), Some(700), false));
}

#[test]
fn a_report_of_being_connected_keeps_the_session() {
    let document = after(&[device(1, "Bus"), presence(2, Connect, Some("one"))]);
    let reported = change(&document, &presence_with(3, Report, None, true, Status::Online));
    assert_eq!(changed(&reported), ["status"]);
    times(&reported.document, &presence(4, Disconnect, Some("other")));
}

#[test]
fn silence_is_no_sign_of_life_and_loses_against_a_later_one() {
    let document = after(&[telemetry(10, &[("a", Integer(1))])]);
    let stale = change(&document, &silence(40, Status::Stale));
    assert_eq!(changed(&stale), ["status"]);
    assert_eq!(stale.document.last_seen_at, Some(11_000_000));
    assert_eq!(stale.document.updated_at, 41_000_000);
    // Decided at second 40, appended after the device was heard at 45.
    let heard = times(&document, &telemetry(45, &[("a", Integer(1))]));
    times(&heard, &silence(40, Status::Stale));
}

#[test]
fn presence_commands_and_alerts_make_no_device() {
    for event in [
        presence(1, Connect, Some("one")),
        silence(1, Status::Offline),
        command(1, "c", CommandStatus::Queued),
        alert(1, "a", AlertStatus::Open),
    ] {
        assert_eq!(
            fold(None, &event, &Limits::default()),
            Outcome::Nothing,
            "{event:?}"
        );
    }
}

#[test]
fn the_newest_move_of_a_lock_stands() {
    let document = after(&[lock(1, false)]);
    let locked = change(&document, &lock(5, true));
    assert_eq!(changed(&locked), ["lock.at", "lock.locked"]);
    assert_eq!(before(&locked)["lock"]["locked"], json!(false));
    times(&locked.document, &lock(3, false));
    assert_eq!(
        times(&locked.document, &lock(7, true)).lock.map(|lock| lock.at),
        Some(7_000_000)
    );
}

#[test]
fn the_newest_value_of_an_entity_stands() {
    let document = after(&[entity(1, "gpio.1", Integer(0))]);
    let high = change(&document, &entity(5, "gpio.1", Integer(1)));
    assert_eq!(changed(&high), [r"entities.gpio\.1"]);
    assert_eq!(before(&high)["entities"]["gpio.1"]["value"], json!(0));
    times(&high.document, &entity(3, "gpio.1", Integer(0)));
    times(&high.document, &entity(7, "gpio.1", Integer(1)));
    assert_eq!(
        changed(&change(&high.document, &entity(3, "b", Integer(0)))),
        ["entities.b"]
    );
}

#[test]
fn a_step_moves_a_command_and_leaves_what_it_is() {
    let mut queued = command(2, "one", CommandStatus::Queued);
    let Body::Command(made) = &mut queued.body else {
        unreachable!()
    };
    made.input = Some(r#"{"pin":{"$sealed":"x"}}"#.into());
    made.by = Some("ops".into());
    made.expires_at = Some(60_000_000);
    let document = after(&[device(1, "Bus"), queued]);
    // A device that says no more than it must, and shows what it was told.
    let mut reported = command(5, "one", CommandStatus::InProgress);
    let Body::Command(step) = &mut reported.body else {
        unreachable!()
    };
    step.input = Some(r#"{"pin":"1234"}"#.into());
    step.output = Some("half".into());
    step.created = 5_000_000;
    let running = change(&document, &reported).document;
    let (was, is) = (&document.commands[0], &running.commands[0]);
    assert_eq!(
        (is.status, is.output.as_deref(), is.modified),
        (CommandStatus::InProgress, Some("half"), 5_000_000)
    );
    assert_eq!(
        (&is.input, &is.by, is.expires_at),
        (&was.input, &was.by, was.expires_at)
    );
    assert_eq!((is.created, &is.command_type), (was.created, &was.command_type));
}

#[test]
fn a_step_of_a_command_that_nobody_queued_makes_none() {
    let document = after(&[device(1, "Bus")]);
    let after = times(&document, &command(2, "one", CommandStatus::InProgress));
    assert!(after.commands.is_empty());
}

#[test]
fn open_commands_are_kept_and_ended_ones_stay_ended() {
    use CommandStatus::{Delivered, Expired, InProgress, Queued, Success};
    let document = after(&[
        device(1, "Bus"),
        command(2, "one", Queued),
        command(3, "two", Queued),
    ]);
    let ids = |document: &schemas::Document| -> Vec<String> {
        document
            .commands
            .iter()
            .map(|command| command.command_id.to_string())
            .collect()
    };
    assert_eq!(ids(&document), ["one", "two"]);
    let running = change(&document, &command(4, "one", InProgress)).document;
    times(&running, &command(5, "one", Delivered));
    let done = change(&running, &command(6, "one", Success));
    assert_eq!(changed(&done), ["commands"]);
    assert_eq!(ids(&done.document), ["two"]);
    times(&done.document, &command(7, "one", InProgress));
    assert_eq!(
        ids(&change(&done.document, &command(8, "two", Expired)).document),
        Vec::<String>::new()
    );
}

#[test]
fn a_step_that_only_repeats_moves_only_times() {
    let document = after(&[device(1, "Bus"), command(2, "one", CommandStatus::Queued)]);
    let again = times(&document, &command(5, "one", CommandStatus::Queued));
    assert_eq!(again.commands[0].modified, 5_000_000);
}

#[test]
fn an_alert_only_moves_forward() {
    use AlertStatus::{Acknowledged, Closed, Open};
    let document = after(&[device(1, "Bus"), alert(2, "a", Open)]);
    assert_eq!(document.alerts[0].created_at, 2_000_000);
    let seen = change(&document, &alert(3, "a", Acknowledged)).document;
    assert_eq!(
        (seen.alerts[0].status, seen.alerts[0].created_at),
        (Acknowledged, 2_000_000)
    );
    times(&seen, &alert(4, "a", Open));
    let closed = change(&seen, &alert(5, "a", Closed));
    assert_eq!(changed(&closed), ["alerts"]);
    assert!(closed.document.alerts.is_empty());
    times(&closed.document, &alert(6, "a", Open));
    assert_eq!(
        changed(&change(&closed.document, &alert(7, "b", Open))),
        ["alerts"]
    );
}

#[test]
fn the_default_id_of_a_location_never_changes() {
    // Clients keep these ids.
    let id = crate::fold::default_location_id("acme", "bus-14");
    assert_eq!(&*id, "a142b4f1-b03b-5ab2-a2d5-b54815e9343b");
}

#[test]
fn a_device_that_is_offline_by_its_silence_is_not_connected() {
    let document = after(&[
        device(1, "Bus"),
        presence_with(2, Connect, Some("s"), true, Status::Online),
    ]);
    let stale = change(&document, &silence(40, Status::Stale)).document;
    assert_eq!(stale.connected, Some(true), "its connection may be open");
    let offline = change(&stale, &silence(610, Status::Offline)).document;
    assert_eq!((offline.connected, offline.connected_since), (Some(false), None));
    // Whoever holds a connection that is open says so; the device itself said nothing.
    let mut report = presence(611, Report, Some("s"));
    let Body::Presence(said) = &mut report.body else {
        unreachable!()
    };
    said.connected = Some(true);
    let again = change(&offline, &report).document;
    assert_eq!(
        (again.connected, again.status, again.last_seen_at),
        (Some(true), Some(Status::Offline), offline.last_seen_at)
    );
    // Its end is told by the session, as ever.
    let ended = change(
        &again,
        &presence_with(612, Disconnect, Some("s"), false, Status::Offline),
    )
    .document;
    assert_eq!(ended.connected, Some(false));
}

#[test]
fn a_report_of_an_older_connection_leaves_the_session() {
    let document = after(&[
        device(1, "Bus"),
        presence(2, Connect, Some("one")),
        presence(3, Connect, Some("two")),
    ]);
    let mut late = presence(4, Report, Some("one"));
    let Body::Presence(said) = &mut late.body else {
        unreachable!()
    };
    said.connected = Some(true);
    let document = times(&document, &late);
    let left = change(&document, &presence(5, Disconnect, Some("two"))).document;
    assert_eq!(left.connected, Some(false));
}
