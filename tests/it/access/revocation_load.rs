//! Half of the credentials of many streams in every dialect are revoked at once: those streams end at
//! once, each in its dialect's way, and no other notices.
//!
//! `cargo test -p tests --test it revocation_load -- --ignored --nocapture` prints the figures of 2,000.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use serde_json::{Value, json};
use tests::tap::{Ended, Tap};
use tests::wait::DEADLINE;
use tokio::time::Instant;

use super::matrix::cast::{Cast, Credential, OWN, Who, id, mark};
use super::matrix::cell::{Cell, opened};
use super::matrix::row::{Carrier, Expect, Grant, Place};
use super::matrix::table;

/// Streams of one credential; a device has one.
const SHARE: usize = 5;
/// Things done at a time.
const AT_ONCE: usize = 32;

/// A credential and its streams.
struct Client {
    credential: Credential,
    streams: Vec<Stream>,
}

struct Stream {
    cell: Cell,
    tap: Tap,
}

/// How long it took, of each stream that was ended.
struct Figures {
    streams: usize,
    credentials: usize,
    /// From the first request to the last end.
    all: Duration,
    /// From its own revocation's request.
    since_asked: Vec<Duration>,
    /// From the answer to that.
    since_answered: Vec<Duration>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_streams_of_revoked_credentials_end_in_every_dialect_and_no_other() {
    revoked(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "for people: figures"]
async fn figures_of_two_thousand_streams() {
    let figures = revoked(2_000).await;
    println!("{}", figures.text());
    let slowest = figures.since_answered.last().copied().unwrap_or_default();
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

/// Opens so many streams, revokes half of their credentials, and sees what becomes of all.
async fn revoked(count: usize) -> Figures {
    let cast = Cast::start().await;
    cast.round(0).await;
    let clients = clients(&cast, count).await;
    happens(&cast, &clients, 1).await;
    let all = || clients.iter().flat_map(|client| &client.streams);
    for stream in all() {
        sees(stream, 1).await;
    }
    let gone: Vec<&Client> = clients.iter().step_by(2).collect();
    let (begun, revoking) = (Instant::now(), &cast);
    let times: Vec<(Instant, Instant)> = stream::iter(&gone)
        .map(|client| async move {
            let asked = Instant::now();
            revoking.revoke(&client.credential).await;
            (asked, Instant::now())
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut figures = Figures {
        streams: all().count(),
        credentials: clients.len(),
        all: Duration::ZERO,
        since_asked: Vec::new(),
        since_answered: Vec::new(),
    };
    for (client, (asked, answered)) in gone.iter().zip(times) {
        for stream in &client.streams {
            let at = ends(stream).await;
            figures.all = figures.all.max(at - begun);
            figures.since_asked.push(at - asked);
            figures
                .since_answered
                .push(at.saturating_duration_since(answered));
        }
    }
    happens(&cast, &clients, 2).await;
    for client in clients.iter().skip(1).step_by(2) {
        for stream in &client.streams {
            sees(stream, 2).await;
            let title = stream.cell.row.what;
            assert_eq!(stream.tap.end(), None, "{title}: {}", stream.tap.all());
        }
    }
    for stream in gone.iter().flat_map(|client| &client.streams) {
        let late = stream.tap.has(&mark(OWN, &stream.cell.name, 2));
        assert!(!late, "{} went on", stream.cell.row.what);
    }
    drop(clients);
    cast.world.end().await;
    figures.since_asked.sort_unstable();
    figures.since_answered.sort_unstable();
    figures
}

/// Clients of every stream of the table in turn, each with a credential of its own at one of the places
/// where it may stand.
async fn clients(cast: &Cast, count: usize) -> Vec<Client> {
    let mut rows = table::rows();
    rows.retain(|row| row.carrier != Carrier::Request && row.expect.right == Expect::Shows);
    let mut plans: Vec<(Who, Vec<Cell>)> = Vec::new();
    let mut left = count;
    for (number, row) in (0..).zip(rows.iter().cycle()) {
        if left == 0 {
            break;
        }
        let is_device = row.grant == Grant::Device;
        let name = if is_device {
            format!("load-{number}")
        } else {
            row.device.to_owned()
        };
        let who = Who {
            grant: row.grant,
            tenant: OWN,
            devices: None,
            device: name,
            is_short: false,
        };
        let share = left.min(if is_device { 1 } else { SHARE });
        let turn = number / rows.len();
        let cell = Cell {
            place: row.places.get(turn % row.places.len()).copied(),
            ..opened(row, who.clone())
        };
        plans.push((who, vec![cell; share]));
        left -= share;
    }
    stream::iter(plans)
        .map(|(who, cells)| client(cast, who, cells))
        .buffered(AT_ONCE)
        .collect()
        .await
}

async fn client(cast: &Cast, who: Who, cells: Vec<Cell>) -> Client {
    let credential = cast.credential(&who).await;
    let mut streams = Vec::new();
    for cell in cells {
        let shown = match cell.place {
            Some(Place::Cookie(_)) => cast.session(&credential.text).await,
            _ => credential.text.clone(),
        };
        let request = cell.request(&shown, "");
        let tap = Tap::open(&cast.world.node.api.base, &request).await;
        let status = tap.status().await;
        assert!(matches!(status, 101 | 200), "{}: {}", cell.row.what, tap.all());
        for text in cell.says() {
            tap.say(&text).await;
        }
        streams.push(Stream { cell, tap });
    }
    Client { credential, streams }
}

/// The next event of every device, and a command for each of those that are connected.
async fn happens(cast: &Cast, clients: &[Client], n: usize) {
    let streams = clients.iter().flat_map(|client| &client.streams);
    let devices = streams.filter(|stream| stream.cell.who.grant == Grant::Device);
    let commands: Vec<Value> = devices
        .map(|stream| {
            let name = &stream.cell.name;
            json!({"device": id(name), "kind": "command", "command_id": format!("{name}-{n}"),
                "type": "look", "input": {"note": mark(OWN, name, n)}, "status": "queued"})
        })
        .collect();
    cast.world.admin.send_events(&commands).await;
    cast.round(n).await;
}

async fn sees(stream: &Stream, n: usize) {
    let mark = mark(OWN, &stream.cell.name, n);
    let is_seen = stream.tap.has_within(&mark, DEADLINE).await;
    assert!(
        is_seen,
        "{}: {mark} did not come: {}",
        stream.cell.row.what,
        stream.tap.all()
    );
}

/// When the stream ended, in its dialect's way.
async fn ends(stream: &Stream) -> Instant {
    let expected = if stream.cell.row.expect.revoked == Expect::Fault {
        Ended::Fault
    } else {
        Ended::Closed(4401)
    };
    assert_eq!(stream.tap.ended().await, expected, "{}", stream.cell.row.what);
    stream.tap.end().map_or_else(Instant::now, |(_, at)| at)
}

impl Figures {
    fn text(&self) -> String {
        let row = |name: &str, times: &[Duration]| {
            let at = |share: usize| {
                times
                    .get((times.len() - 1) * share / 100)
                    .copied()
                    .unwrap_or_default()
            };
            format!(
                "| {name} | {:.0} | {:.0} | {:.0} |\n",
                at(50).as_secs_f64() * 1e3,
                at(99).as_secs_f64() * 1e3,
                at(100).as_secs_f64() * 1e3,
            )
        };
        format!(
            "{} streams of {} credentials; half of these revoked: {} streams ended, the last {:.0} ms after the \
             first request\n\n| ms until a stream ended, from | p50 | p99 | last |\n|---|---|---|---|\n{}{}",
            self.streams,
            self.credentials,
            self.since_asked.len(),
            self.all.as_secs_f64() * 1e3,
            row("asking for its revocation", &self.since_asked),
            row("the answer", &self.since_answered),
        )
    }
}
