//! One client that resumes from the start of the log.
//!
//! Embedded, the limit reads the same log in the same blocks and does nothing with the records. On Kafka
//! it is a bare consumer of the same records.

mod kafka;

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::events::Series;
use crate::figures::{Row, Sense};
use crate::load::{Carrier, Load, Plan};
use crate::publisher::Publisher;
use crate::rig::{Rig, Stretch, Used};
use crate::server::{self, Server};

const SCENARIO: &str = "replay";
const DEVICES: usize = 256;
/// Length of an event, as sent.
const BYTES: usize = 200;
/// Events in one request.
const BATCH: u64 = 1_000;
/// Longest replay.
const REPLAY: Duration = Duration::from_secs(120);

pub(super) fn run(rig: &Rig) -> Result<Vec<Row>, Error> {
    let (server, data) = rig.embedded()?;
    let events = events(rig);
    let tenant = rig.tenant();
    fill(rig, &server, &tenant, events)?;
    let mut products = Vec::new();
    for _ in 0..rig.options.runs() {
        products.push(replay(rig, &server, &tenant, "earliest", events)?);
    }
    server.end()?;
    let arguments = [
        "limit-log",
        "--data",
        &data.display().to_string(),
        "--tenant",
        &tenant,
        "--runs",
        &rig.options.runs().to_string(),
    ];
    let output = server::limit_output(rig.cores, &arguments.map(str::to_owned))?;
    let limits = read_rates(&output, events)?;
    let mut rows = vec![row(
        "embedded, 1 client",
        &products,
        limits,
        "bare reads of the same log",
        events,
    )];
    rows.extend(kafka::run(rig)?);
    Ok(rows)
}

fn events(rig: &Rig) -> u64 {
    rig.options.size(20_000, 500_000)
}

/// Sends `events` events of `tenant`.
fn fill(rig: &Rig, server: &Server, tenant: &str, events: u64) -> Result<(), Error> {
    let series = Series::new(0, DEVICES, BYTES);
    let mut publisher = Publisher::connect(server.address, tenant)?;
    let mut lines = Vec::new();
    for first in (0..events).step_by(BATCH as usize) {
        lines.clear();
        let at_us = (rig.clock)();
        (first..first + BATCH).for_each(|index| series.write(index, at_us, &mut lines));
        publisher.send(&lines, BATCH)?;
    }
    Ok(())
}

/// Reads all of them as one client, from `since` on.
fn replay(rig: &Rig, server: &Server, tenant: &str, since: &str, events: u64) -> Result<Used, Error> {
    let series = Series::new(0, DEVICES, BYTES);
    let query = |_: usize| format!("view=events&kind=telemetry&tenant={tenant}&since={since}");
    let plan = Plan {
        address: server.address,
        carrier: Carrier::WebSocket,
        connections: 1,
        query: &query,
        series: &series,
        keyed: false,
        latency: false,
    };
    let stretch = Stretch::begin(server.pid())?;
    let mut load = Load::open(&plan, &rig.clock)?;
    load.run(Instant::now() + REPLAY, "the log", |count| count >= events)?;
    let used = stretch.end()?;
    load.verify(|_| events)?;
    Ok(used)
}

fn read_rates(output: &str, events: u64) -> Result<Vec<f64>, Error> {
    let unreadable = || Error::Unreadable {
        what: "the limit of replay".to_owned(),
        text: output.to_owned(),
    };
    let mut rates = Vec::new();
    for line in output.lines() {
        let (read, seconds) = line.split_once(' ').ok_or_else(unreadable)?;
        let seconds: f64 = seconds.parse().map_err(|_| unreadable())?;
        // The reactor's own events, one a device, lie between them.
        let read: u64 = read.parse().map_err(|_| unreadable())?;
        if read < events {
            return Err(unreadable());
        }
        rates.push(read as f64 / seconds);
    }
    Ok(rates)
}

fn row(variant: &str, products: &[Used], limit: Vec<f64>, limit_is: &'static str, events: u64) -> Row {
    Row {
        scenario: SCENARIO,
        variant: variant.to_owned(),
        measure: "events/s",
        sense: Sense::Rate,
        product: products.iter().map(|used| events as f64 / used.seconds).collect(),
        limit_is,
        limit,
        notes: format!(
            "{events} events, all in order; {}",
            products.last().map(Used::shares).unwrap_or_default()
        ),
    }
}
