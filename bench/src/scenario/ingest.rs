//! Events into the log, acknowledged when durable.
//!
//! Embedded, the limit takes the same bodies over as many connections, appends them to a file and syncs
//! once for all that came together. On Kafka it is ProducerPerformance with the same lines.

mod kafka;

use std::time::Instant;

use crate::error::Error;
use crate::events::Series;
use crate::figures::{Row, Sense};
use crate::load::{Carrier, Load, Plan};
use crate::publisher::Publisher;
use crate::rig::{Rig, Stretch, Used};
use crate::server::Server;

const SCENARIO: &str = "ingest";
/// Connections that send, one request at a time each.
const SENDERS: usize = 8;
/// Devices of one sender.
const DEVICES: usize = 16;
/// Length of an event, as sent.
pub(super) const BYTES: usize = 200;
/// Events in one request.
const BATCH: u64 = 500;

pub(super) fn run(rig: &Rig) -> Result<Vec<Row>, Error> {
    let (server, _) = rig.embedded()?;
    let (mut products, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..rig.options.runs() {
        products.push(product(rig, &server)?);
        let file = rig.path("bodies").display().to_string();
        let limit = Server::limit(rig.cores, &["limit-ingest".to_owned(), "--file".to_owned(), file])?;
        limits.push(send(rig, &limit, "limit")?);
        limit.end()?;
    }
    server.end()?;
    let shares = |runs: &[Sent]| runs.last().map(|sent| sent.used.shares()).unwrap_or_default();
    let mut rows = vec![Row {
        scenario: SCENARIO,
        variant: format!("embedded, {SENDERS} × {BATCH}"),
        measure: "events/s, synced",
        sense: Sense::Rate,
        notes: format!(
            "{BYTES} B of JSON each; {}; limit: {}",
            shares(&products),
            shares(&limits)
        ),
        product: products.iter().map(Sent::rate).collect(),
        limit_is: "same bodies to a file, synced",
        limit: limits.iter().map(Sent::rate).collect(),
    }];
    rows.extend(kafka::run(rig)?);
    Ok(rows)
}

/// What one run came to.
struct Sent {
    /// Events of each sender.
    events: Vec<u64>,
    used: Used,
}

impl Sent {
    fn total(&self) -> u64 {
        self.events.iter().sum()
    }

    fn rate(&self) -> f64 {
        self.total() as f64 / self.used.seconds
    }
}

/// Sends to the product for a while, then reads back all of one sender's first device.
fn product(rig: &Rig, server: &Server) -> Result<Sent, Error> {
    let tenant = rig.tenant();
    let sent = send(rig, server, &tenant)?;
    let series = Series::new(0, DEVICES, BYTES);
    let query = |_: usize| format!("view=events&kind=telemetry&tenant={tenant}&device=d0000&since=earliest");
    let plan = Plan {
        address: server.address,
        carrier: Carrier::Sse,
        connections: 1,
        query: &query,
        series: &series,
        keyed: true,
        latency: false,
    };
    let expected = sent
        .events
        .first()
        .map_or(0, |events| events.div_ceil(DEVICES as u64));
    let mut load = Load::open(&plan, &rig.clock)?;
    let deadline = Instant::now() + super::delivery::REST;
    load.run(deadline, "what was acknowledged", |count| count >= expected)?;
    load.verify(|_| expected)?;
    Ok(sent)
}

/// Sends for as long as a run.
fn send(rig: &Rig, server: &Server, tenant: &str) -> Result<Sent, Error> {
    let connected: Result<Vec<Publisher>, Error> = (0..SENDERS)
        .map(|_| Publisher::connect(server.address, tenant))
        .collect();
    let mut publishers = connected?;
    let stretch = Stretch::begin(server.pid())?;
    let until = Instant::now() + rig.options.length();
    let events: Result<Vec<u64>, Error> = std::thread::scope(|scope| {
        let one = |number: usize, publisher: &mut Publisher| {
            let series = Series::new(number * DEVICES, DEVICES, BYTES);
            let (mut sent, mut lines) = (0, Vec::new());
            while Instant::now() < until {
                lines.clear();
                let at_us = (rig.clock)();
                (sent..sent + BATCH).for_each(|index| series.write(index, at_us, &mut lines));
                publisher.send(&lines, BATCH)?;
                sent += BATCH;
            }
            Ok(sent)
        };
        let senders: Vec<_> = publishers
            .iter_mut()
            .enumerate()
            .map(|(number, publisher)| scope.spawn(move || one(number, publisher)))
            .collect();
        senders
            .into_iter()
            .map(|sender| {
                let late = || Error::Late {
                    what: "a sender panicked".to_owned(),
                };
                sender.join().unwrap_or_else(|_| Err(late()))
            })
            .collect()
    });
    Ok(Sent {
        events: events?,
        used: stretch.end()?,
    })
}
