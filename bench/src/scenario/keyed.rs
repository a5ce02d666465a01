//! Many clients, each on one device of many, at a fixed rate: what a delivery costs and how long it takes.
//!
//! Latency counts from the moment a message was due, so a sender that is held up hides nothing.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::delivery::{self, Audience, Commands, Run};
use crate::error::Error;
use crate::events::Series;
use crate::figures::{Row, Sense};
use crate::load::Carrier;
use crate::machine;
use crate::publisher::Publisher;
use crate::rig::Rig;

const SCENARIO: &str = "keyed";
/// Clients of one device.
const CLIENTS: usize = 10;
/// Length of a message, as sent.
const BYTES: usize = 512;
/// Messages are sent together that were due within this.
const TICK_MS: u64 = 10;

pub(super) fn run(rig: &Rig) -> Result<Vec<Row>, Error> {
    let devices = rig
        .options
        .size(30, 1_500)
        .min(machine::connections_max() / CLIENTS);
    // One message a second and device; a small run is short, so each device sends ten.
    let per_second = devices as u64 * rig.options.size(10, 1);
    let series = Series::new(0, devices, BYTES);
    let carrier = Carrier::WebSocket;
    let audience = Audience {
        carrier,
        connections: devices * CLIENTS,
        series: &series,
        keyed: true,
    };
    let messages = (rig.options.length().as_secs_f64() * per_second as f64) as u64;
    let (server, _) = rig.embedded()?;
    let publish =
        |publisher: &mut Publisher, _: &AtomicU64| pace(rig, publisher, &series, messages, per_second);
    let commands = Commands {
        before: None,
        send: format!("pace {messages} {per_second} {TICK_MS}"),
    };
    let (mut products, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..rig.options.runs() {
        let product = delivery::product(rig, &server, &audience, &publish)?;
        limits.push(delivery::limit(
            rig,
            &audience,
            &product.frame,
            messages,
            &commands,
        )?);
        products.push(product);
    }
    server.end()?;
    let variant = format!(
        "{} on {devices}, {}/s",
        audience.connections,
        per_second * CLIENTS as u64
    );
    Ok(rows(&variant, &products, &limits))
}

fn pace(
    rig: &Rig,
    publisher: &mut Publisher,
    series: &Series,
    messages: u64,
    per_second: u64,
) -> Result<u64, Error> {
    let (begun, begun_us) = (Instant::now(), (rig.clock)());
    let (mut sent, mut tick, mut lines) = (0, 0, Vec::new());
    while sent < messages {
        tick += 1;
        let at = Duration::from_millis(tick * TICK_MS);
        std::thread::sleep(at.saturating_sub(begun.elapsed()));
        let due = (tick * TICK_MS * per_second / 1_000).min(messages);
        if due == sent {
            continue;
        }
        lines.clear();
        let at_us = begun_us + i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
        (sent..due).for_each(|index| series.write(index, at_us, &mut lines));
        publisher.send(&lines, due - sent)?;
        sent = due;
    }
    Ok(sent)
}

fn rows(variant: &str, products: &[Run], limits: &[Run]) -> Vec<Row> {
    let of = |runs: &[Run], figure: &dyn Fn(&Run) -> f64| runs.iter().map(figure).collect::<Vec<f64>>();
    let row = |measure, figure: &dyn Fn(&Run) -> f64, notes: String| Row {
        scenario: SCENARIO,
        variant: variant.to_owned(),
        measure,
        sense: Sense::Cost,
        product: of(products, figure),
        limit_is: "one plain write a message",
        limit: of(limits, figure),
        notes,
    };
    let shares = |runs: &[Run]| runs.last().map(|run| run.used.shares()).unwrap_or_default();
    vec![
        row(
            "CPU µs a delivery",
            &Run::cost_us,
            format!(
                "{}; limit: {}; the product's includes ingest, log and fold",
                shares(products),
                shares(limits)
            ),
        ),
        row(
            "p50 ms",
            &|run| run.p50_ms,
            "the product's includes the sync to disk".to_owned(),
        ),
        row(
            "p99 ms",
            &|run| run.p99_ms,
            "the product's includes the sync to disk".to_owned(),
        ),
    ]
}
