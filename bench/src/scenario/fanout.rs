//! Broadcast to every subscriber of one tenant, as fast as it goes.
//!
//! The publisher keeps so many messages under way that the server always has something to write. The
//! limit server sends as many messages to as many sockets, in writes of the depth that the product had.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::delivery::{self, Audience, Run};
use crate::error::Error;
use crate::events::Series;
use crate::figures::{Row, Sense, Spread, short};
use crate::load::Carrier;
use crate::machine;
use crate::publisher::Publisher;
use crate::rig::Rig;

const SCENARIO: &str = "fanout";
/// Devices that the messages come from.
const DEVICES: usize = 16;
/// Length of a message, as sent.
const BYTES: usize = 200;
/// Messages in one request.
const BATCH: u64 = 128;
/// Messages under way.
const WINDOW: u64 = 1_024;

pub(super) fn run(rig: &Rig) -> Result<Vec<Row>, Error> {
    let connections = rig.options.size(100, 1_000).min(machine::connections_max());
    let mut rows = Vec::new();
    for carrier in [Carrier::WebSocket, Carrier::Sse] {
        rows.extend(measure(rig, carrier, connections)?);
    }
    Ok(rows)
}

fn measure(rig: &Rig, carrier: Carrier, connections: usize) -> Result<Vec<Row>, Error> {
    let series = Series::new(0, DEVICES, BYTES);
    let audience = Audience {
        carrier,
        connections,
        series: &series,
        keyed: false,
    };
    let (server, _) = rig.embedded()?;
    let warm_up = Duration::from_millis(rig.options.size(100, 1_000));
    once(rig, &server, &audience, warm_up)?;
    let (mut products, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..rig.options.runs() {
        let product = once(rig, &server, &audience, rig.options.length())?;
        let depth = (product.depth().round() as u64).max(1);
        let commands = delivery::Commands {
            before: Some(format!("encode {}", product.messages)),
            send: format!("blast {depth}"),
        };
        limits.push(delivery::limit(
            rig,
            &audience,
            &product.frame,
            product.messages,
            &commands,
        )?);
        products.push(product);
    }
    server.end()?;
    Ok(rows(carrier, connections, &products, &limits))
}

fn once(
    rig: &Rig,
    server: &crate::server::Server,
    audience: &Audience<'_>,
    length: Duration,
) -> Result<Run, Error> {
    let publish = |publisher: &mut Publisher, delivered: &AtomicU64| {
        let (deadline, mut sent, mut lines) = (Instant::now() + length, 0, Vec::new());
        while Instant::now() < deadline {
            let received = delivered.load(Ordering::Relaxed) / audience.connections as u64;
            if sent + BATCH > received + WINDOW {
                std::thread::sleep(Duration::from_micros(200));
                continue;
            }
            lines.clear();
            let at_us = (rig.clock)();
            (sent..sent + BATCH).for_each(|index| audience.series.write(index, at_us, &mut lines));
            publisher.send(&lines, BATCH)?;
            sent += BATCH;
        }
        Ok(sent)
    };
    delivery::product(rig, server, audience, &publish)
}

fn rows(carrier: Carrier, connections: usize, products: &[Run], limits: &[Run]) -> Vec<Row> {
    let variant = format!("{carrier} × {connections}");
    let of = |runs: &[Run], figure: &dyn Fn(&Run) -> f64| runs.iter().map(figure).collect::<Vec<f64>>();
    let depth = |runs: &[Run]| short(Spread::new(of(runs, &Run::depth)).median());
    let shares = |runs: &[Run]| runs.last().map(|run| run.used.shares()).unwrap_or_default();
    let rate = Row {
        scenario: SCENARIO,
        variant: variant.clone(),
        measure: "delivered/s",
        sense: Sense::Rate,
        product: of(products, &Run::rate),
        limit_is: "plain writes, same depth",
        limit: of(limits, &Run::rate),
        notes: format!(
            "{} messages a write, the limit {}; {} B a frame; {}; limit: {}",
            depth(products),
            depth(limits),
            products.last().map_or(0, |run| run.frame.len()),
            shares(products),
            shares(limits),
        ),
    };
    let cost = Row {
        scenario: SCENARIO,
        variant,
        measure: "CPU µs a delivery",
        sense: Sense::Cost,
        product: of(products, &Run::cost_us),
        limit_is: "plain writes, same depth",
        limit: of(limits, &Run::cost_us),
        notes: "the product's includes ingest, log and fold".to_owned(),
    };
    vec![rate, cost]
}
