use journal::Micros;
use schemas::document::FoldState;
use schemas::event::{Level, Log, Presence, PresenceReason, Status};
use schemas::{Body, Document, Event};

use super::link::{Effect, Link};
use super::logs::Newest;

fn event(at: Micros, body: Body) -> Event {
    Event {
        id: format!("e{at}").into(),
        tenant: "t".into(),
        device: "d".into(),
        occurred_at: at,
        received_at: at,
        claimed_at: None,
        seq: None,
        body,
    }
}

fn socket(at: Micros, connected: bool, session: &str) -> Event {
    let reason = if connected {
        PresenceReason::Connect
    } else {
        PresenceReason::Disconnect
    };
    event(
        at,
        Body::Presence(Presence {
            connected: Some(connected),
            status: None,
            previous: None,
            reason,
            session: Some(session.into()),
        }),
    )
}

fn status(at: Micros, status: Status, reason: PresenceReason) -> Event {
    event(
        at,
        Body::Presence(Presence {
            connected: None,
            status: Some(status),
            previous: None,
            reason,
            session: None,
        }),
    )
}

fn online(at: Micros) -> Event {
    status(at, Status::Online, PresenceReason::Report)
}

fn told(link: &Link) -> Option<Option<Micros>> {
    let connected = link.connected();
    connected.is_connected.then_some(connected.since)
}

#[test]
fn a_socket_is_the_connection_and_a_newer_one_takes_its_place() {
    let mut link = Link::default();
    for (event, expected) in [
        (socket(1, true, "a"), Some(Some(1))),
        (online(2), Some(Some(1))),
        (socket(3, true, "b"), Some(Some(3))),
        (socket(4, false, "a"), Some(Some(3))),
        (socket(5, false, "b"), None),
        // That it is still ONLINE comes of what it said before it left.
        (online(6), None),
        (status(7, Status::Stale, PresenceReason::Silence), None),
        // Now it posts.
        (online(8), Some(Some(8))),
        (socket(9, true, "c"), Some(Some(9))),
    ] {
        assert_eq!(link.follow(&event), Effect::Done);
        assert_eq!(told(&link), expected, "{event:?}");
    }
}

#[test]
fn a_verdict_of_silence_on_a_device_that_posts_is_looked_at_again() {
    let mut link = Link::default();
    link.follow(&online(1));
    assert_eq!(told(&link), Some(Some(1)));
    let silence = status(2, Status::Stale, PresenceReason::Silence);
    assert_eq!(link.follow(&silence), Effect::Silence);
    assert_eq!(told(&link), Some(Some(1)), "until the state agrees");
    link.silent();
    assert_eq!(told(&link), None);
    // What is said by somebody else is believed.
    link.follow(&online(3));
    link.follow(&status(4, Status::Offline, PresenceReason::Will));
    assert_eq!(told(&link), None);
}

#[test]
fn a_socket_of_a_device_that_is_offline_by_its_silence_is_looked_at_again() {
    let mut link = Link::default();
    link.follow(&socket(1, true, "a"));
    let stale = status(2, Status::Stale, PresenceReason::Silence);
    let offline = status(3, Status::Offline, PresenceReason::Silence);
    assert_eq!(link.follow(&stale), Effect::Done);
    assert_eq!(link.follow(&offline), Effect::Silence);
    assert_eq!(told(&link), Some(Some(1)), "until the state agrees");
    let mut gone = link.clone();
    gone.has_no_socket();
    gone.silent();
    assert_eq!(told(&gone), None);
    // One that says meanwhile that it is there is there, whatever the state had before.
    link.follow(&socket(4, true, "a"));
    link.has_no_socket();
    link.silent();
    assert_eq!(told(&link), Some(Some(1)));
}

#[test]
fn a_document_tells_whether_a_device_is_connected_and_since_when() {
    let link = |connected, has_left| {
        Link::of(&Document {
            connected,
            connected_since: Some(5).filter(|_| connected == Some(true)),
            status: Some(Status::Online),
            fold: FoldState {
                status_since: Some(7),
                has_left,
                ..FoldState::default()
            },
            ..Document::default()
        })
    };
    assert_eq!(told(&link(Some(true), false)), Some(Some(5)));
    assert_eq!(told(&link(None, false)), Some(Some(7)));
    assert_eq!(told(&link(Some(false), true)), None);
    // It left, was silent, and posts.
    assert_eq!(told(&link(Some(false), false)), Some(Some(7)));
}

fn log(id: &str, received_at: Micros, occurred_at: Micros, level: Level) -> Event {
    let body = Body::Log(Log {
        level,
        message: "m".into(),
    });
    Event {
        id: id.into(),
        occurred_at,
        ..event(received_at, body)
    }
}

#[test]
fn the_newest_logs_are_found_in_the_order_of_their_own_time() {
    const SECOND: Micros = 1_000_000;
    let mut newest = Newest::new(2, None, None);
    for (id, at) in [("b", 5), ("a", 5), ("c", 4), ("d", 6)] {
        newest.take(&log(id, 1_000 * SECOND, at * SECOND, Level::Info));
    }
    // One that was received within the five minutes that a clock may be ahead could still be newer.
    assert!(!newest.is_complete(5 * SECOND));
    assert!(newest.is_complete(-296 * SECOND));
    let found: Vec<_> = newest.into_found().into_iter().map(|(place, _)| place).collect();
    assert_eq!(found, [(5_000, "b".into()), (6_000, "d".into())]);
    let mut before = Newest::new(9, Some(Level::Warn), Some((5_000, "b".into())));
    for (id, at, level) in [
        ("a", 5, Level::Warn),
        ("b", 5, Level::Warn),
        ("c", 4, Level::Info),
        ("d", 4, Level::Warn),
    ] {
        before.take(&log(id, 0, at * SECOND, level));
    }
    let found: Vec<_> = before.into_found().into_iter().map(|(place, _)| place).collect();
    assert_eq!(found, [(4_000, "d".into()), (5_000, "a".into())]);
}
