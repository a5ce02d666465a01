//! Ingest on Kafka, against Kafka's own ProducerPerformance on the same core of the same machine.

use super::{BYTES, SCENARIO, SENDERS, Sent};
use crate::error::{Error, io};
use crate::events::Series;
use crate::figures::{Row, Sense};
use crate::rig::Rig;
use crate::server;

/// Lines that ProducerPerformance picks its records from.
const LINES: u64 = 10_000;

/// Partitions of its topic: as many as `migrate` gives those of the product.
const PARTITIONS: &str = "16";

pub(super) fn run(rig: &Rig) -> Result<Option<Row>, Error> {
    let Some(arguments) = rig.servers() else {
        return Ok(None);
    };
    let server = rig.kafka(&arguments)?;
    let (mut products, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..rig.options.runs() {
        let sent = super::product(rig, &server)?;
        limits.push(produce(rig, &rig.tenant(), sent.total())?);
        products.push(sent);
    }
    server.end()?;
    Ok(Some(Row {
        scenario: SCENARIO,
        variant: format!("kafka, {SENDERS} × {}", super::BATCH),
        measure: "events/s, acks=all",
        sense: Sense::Rate,
        product: products.iter().map(Sent::rate).collect(),
        limit_is: "ProducerPerformance, same core",
        limit: limits,
        notes: products.last().map(|sent| sent.used.shares()).unwrap_or_default(),
    }))
}

/// Produces `records` to a topic of its own; records a second.
fn produce(rig: &Rig, topic: &str, records: u64) -> Result<f64, Error> {
    let series = Series::new(0, super::DEVICES, BYTES);
    let (path, mut lines, at_us) = (rig.path("lines"), Vec::new(), (rig.clock)());
    (0..LINES).for_each(|index| series.write(index, at_us, &mut lines));
    std::fs::write(&path, lines).map_err(io("a file of records"))?;
    let broker = rig.options.kafka.as_deref().unwrap_or_default();
    let create = [
        "TopicCommand",
        "--bootstrap-server",
        broker,
        "--create",
        "--topic",
        topic,
        "--partitions",
        PARTITIONS,
    ];
    server::kafka_tool(rig.cores, &rig.options.kafka_tool, &create)?;
    let bootstrap = format!("bootstrap.servers={broker}");
    let arguments = [
        "ProducerPerformance",
        "--topic",
        topic,
        "--num-records",
        &records.to_string(),
        "--payload-file",
        &path.display().to_string(),
        "--throughput",
        "-1",
        "--producer-props",
        &bootstrap,
        "acks=all",
        "compression.type=zstd",
        "enable.idempotence=true",
    ];
    let output = server::kafka_tool(rig.cores, &rig.options.kafka_tool, &arguments)?;
    // "50000 records sent, 21413.3 records/sec (4.08 MB/sec), …": the last such line is the total.
    let rate = output.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once(" records sent, ")?;
        rest.split(' ').next()?.parse().ok()
    });
    rate.ok_or(Error::Unreadable {
        what: "ProducerPerformance".to_owned(),
        text: output,
    })
}
