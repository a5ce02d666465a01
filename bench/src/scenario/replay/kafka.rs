//! Replay from Kafka, against a bare consumer of the same records on the same core.

use jiff::Timestamp;

use crate::error::Error;
use crate::figures::Row;
use crate::rig::Rig;
use crate::server;

pub(super) fn run(rig: &Rig) -> Result<Option<Row>, Error> {
    let Some(arguments) = rig.servers() else {
        return Ok(None);
    };
    let server = rig.kafka(&arguments)?;
    let events = super::events(rig);
    let tenant = rig.tenant();
    // Earlier scenarios wrote to the topic too: both sides begin where this one does.
    let since_s = (rig.clock)() / 1_000_000;
    let since = Timestamp::from_second(since_s).map_err(|error| Error::Unreadable {
        what: "the clock".to_owned(),
        text: error.to_string(),
    })?;
    let (since, since_ms) = (since.to_string(), (since_s * 1_000).to_string());
    super::fill(rig, &server, &tenant, events)?;
    let (mut products, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..rig.options.runs() {
        products.push(super::replay(rig, &server, &tenant, &since, events)?);
        limits.extend(consume(rig, &tenant, &since_ms, events)?);
    }
    server.end()?;
    let variant = "kafka, 1 client";
    Ok(Some(super::row(
        variant,
        &products,
        limits,
        "a bare rdkafka consumer, same core",
        events,
    )))
}

/// One run of the bare consumer: events a second.
fn consume(rig: &Rig, tenant: &str, since_ms: &str, events: u64) -> Result<Vec<f64>, Error> {
    let broker = rig.options.kafka.as_deref().unwrap_or_default();
    let events_text = events.to_string();
    let arguments = [
        "limit-consume",
        "--kafka",
        broker,
        "--tenant",
        tenant,
        "--since-ms",
        since_ms,
        "--events",
        &events_text,
        "--runs",
        "1",
    ];
    let output = server::limit_output(rig.cores, &arguments.map(str::to_owned))?;
    super::read_rates(&output, events)
}
