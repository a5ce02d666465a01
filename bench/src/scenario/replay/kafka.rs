//! Replay from Kafka, against Kafka's own ConsumerPerformance on the same core of the same machine.

use crate::error::Error;
use crate::figures::Row;
use crate::rig::Rig;
use crate::scenario::ingest::produce;
use crate::server;

pub(super) fn run(rig: &Rig) -> Result<Option<Row>, Error> {
    let Some(arguments) = rig.servers() else {
        return Ok(None);
    };
    let server = rig.kafka(&arguments)?;
    let events = super::events(rig);
    let tenant = rig.tenant();
    super::fill(rig, &server, &tenant, events)?;
    // A topic of its own, with as many records of the same content.
    let topic = rig.tenant();
    produce(rig, &topic, events)?;
    let (mut products, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..rig.options.runs() {
        products.push(super::replay(rig, &server, &tenant, events)?);
        limits.push(consume(rig, &topic, events)?);
    }
    server.end()?;
    let variant = "kafka, 1 client";
    Ok(Some(super::row(
        variant,
        &products,
        limits,
        "ConsumerPerformance, same core",
        events,
    )))
}

/// Consumes `records` of `topic`; records a second, the time to join a group left out.
fn consume(rig: &Rig, topic: &str, records: u64) -> Result<f64, Error> {
    let broker = rig.options.kafka.as_deref().unwrap_or_default();
    let arguments = [
        "ConsumerPerformance",
        "--bootstrap-server",
        broker,
        "--topic",
        topic,
        "--messages",
        &records.to_string(),
        "--group",
        &rig.tenant(),
        "--hide-header",
        "--timeout",
        "20000",
    ];
    let output = server::kafka_tool(rig.cores, &rig.options.kafka_tool, &arguments)?;
    // start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, fetch MB/s, fetch records/s
    let rate = output.lines().rev().find_map(|line| {
        let columns: Vec<&str> = line.split(", ").collect();
        if columns.len() < 10 {
            None
        } else {
            columns.last()?.trim().parse().ok()
        }
    });
    rate.ok_or(Error::Unreadable {
        what: "ConsumerPerformance".to_owned(),
        text: output,
    })
}
