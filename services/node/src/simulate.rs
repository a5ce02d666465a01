//! `wakeline simulate`: sends events as a fleet would, recorded or invented, with progress.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::cli::{ServerArgs, SimulateArgs};
use crate::client::{Client, ClientError, Taken};
use crate::trace::{self, Report, TraceError};

/// Most events in one request.
const BATCH_EVENTS_MAX: usize = 1_000;
/// Longest time over which invented events are collected into one request.
const BATCH_TIME: Duration = Duration::from_millis(100);
/// Pause after a request that failed.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Why a simulation stopped early.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The recording cannot be used.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The node refused, for good.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Nobody reads our output.
    #[error("{0}")]
    Output(std::io::Error),
    /// The node refused an event, for good.
    #[error("the node refused an event: {reason}\n{event}")]
    Rejected {
        /// Its reason.
        reason: String,
        /// The event.
        event: String,
    },
}

/// Runs until the recording or the duration ends.
///
/// # Errors
/// See [`SimulateError`].
pub async fn run(server: &ServerArgs, arguments: &SimulateArgs) -> Result<(), SimulateError> {
    let client = Client::new(server)?;
    let tenant = arguments.tenant.as_deref();
    match &arguments.trace {
        Some(path) => {
            let reports = trace::read(Some(path))?;
            let bar = bar(Some(reports.len() as u64));
            replay(&client, tenant, &reports, arguments.speed, &bar).await?;
            finish(&bar)?;
        }
        None => invent(&client, arguments).await?,
    }
    Ok(())
}

/// Sends a recording at its own pace times `speed` (0: as fast as it is taken).
///
/// # Errors
/// When the node refuses, for good.
pub async fn replay(
    client: &Client,
    tenant: Option<&str>,
    reports: &[Report],
    speed: f64,
    bar: &ProgressBar,
) -> Result<(), SimulateError> {
    let begun = Instant::now();
    let first_ms = reports.first().map_or(0, |report| report.at_ms);
    let due = |report: &Report| {
        let elapsed_ms = u64::try_from(report.at_ms - first_ms).unwrap_or(0);
        if speed == 0.0 {
            begun
        } else {
            begun + Duration::from_millis(elapsed_ms).div_f64(speed)
        }
    };
    let mut rest = reports;
    while let Some(next) = rest.first() {
        sleep_until(due(next)).await;
        let now = Instant::now();
        let ready = rest
            .iter()
            .take(BATCH_EVENTS_MAX)
            .take_while(|report| due(report) <= now)
            .count()
            .max(1);
        let (batch, later) = rest.split_at(ready);
        rest = later;
        send(
            client,
            tenant,
            batch.iter().map(|report| report.event.clone()).collect(),
            bar,
        )
        .await?;
    }
    Ok(())
}

async fn invent(client: &Client, arguments: &SimulateArgs) -> Result<(), SimulateError> {
    let bar = bar(None);
    let mut random = SmallRng::seed_from_u64(u64::from(arguments.devices));
    let begun = Instant::now();
    let mut sent = 0_u64;
    loop {
        let elapsed = begun.elapsed();
        if arguments.duration.is_some_and(|duration| elapsed >= duration) {
            return finish(&bar);
        }
        let due = if arguments.rate > 0.0 {
            // Truncation only moves an event to the next batch.
            ((elapsed.as_secs_f64() * arguments.rate) as u64).saturating_sub(sent)
        } else {
            BATCH_EVENTS_MAX as u64
        };
        if due == 0 {
            sleep(BATCH_TIME.min(Duration::from_secs_f64(1.0 / arguments.rate))).await;
            continue;
        }
        let batch: Vec<Value> = (0..due.min(BATCH_EVENTS_MAX as u64))
            .map(|step| invented(sent + step, arguments.devices, &mut random))
            .collect();
        sent += batch.len() as u64;
        send(client, arguments.tenant.as_deref(), batch, &bar).await?;
    }
}

/// A report of one vehicle somewhere in a city.
fn invented(number: u64, devices: u32, random: &mut SmallRng) -> Value {
    let device = number % u64::from(devices.max(1));
    json!({
        "device": format!("vehicle-{device:05}"),
        "kind": "telemetry",
        "seq": number,
        "time": Timestamp::now().to_string(),
        "fields": {
            "lat": 53.40 + random.random_range(-0.05..0.05),
            "lng": -2.97 + random.random_range(-0.05..0.05),
            "speed": random.random_range(0.0..80.0_f64).round(),
            "battery": random.random_range(10..100),
            "engine": { "on": random.random_bool(0.9), "temperature": random.random_range(60..110) },
        },
    })
}

/// Sends events until each is acknowledged: what may be sent again is, in order.
async fn send(
    client: &Client,
    tenant: Option<&str>,
    events: Vec<Value>,
    bar: &ProgressBar,
) -> Result<(), SimulateError> {
    let mut waiting: VecDeque<Value> = events.into();
    while !waiting.is_empty() {
        let body: String = waiting.iter().map(|event| format!("{event}\n")).collect();
        match client.post_events(body, tenant).await {
            Ok(taken) => {
                bar.inc(taken.accepted);
                waiting = again(waiting, &taken)?;
                if !waiting.is_empty() {
                    sleep(RETRY_PAUSE).await;
                }
            }
            Err(ClientError::Refused {
                status,
                retry_after,
                detail,
            }) if status.is_server_error() || status.as_u16() == 429 => {
                bar.set_message(format!("{status}: {detail}"));
                sleep(retry_after.unwrap_or(RETRY_PAUSE)).await;
            }
            Err(ClientError::Unreachable { source, .. }) => {
                bar.set_message(format!("unreachable: {source}"));
                sleep(RETRY_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn again(events: VecDeque<Value>, taken: &Taken) -> Result<VecDeque<Value>, SimulateError> {
    let mut rest = VecDeque::new();
    for (index, reason, retry) in &taken.rejected {
        let Some(event) = events.get(*index) else { continue };
        if !retry {
            return Err(SimulateError::Rejected {
                reason: reason.clone(),
                event: event.to_string(),
            });
        }
        rest.push_back(event.clone());
    }
    Ok(rest)
}

/// Ends the bar and says what was done, also where no terminal shows a bar.
fn finish(bar: &ProgressBar) -> Result<(), SimulateError> {
    bar.finish();
    let (count, seconds) = (bar.position(), bar.elapsed().as_secs_f64());
    writeln!(
        std::io::stdout().lock(),
        "{count} events acknowledged in {seconds:.1} s"
    )
    .map_err(SimulateError::Output)
}

fn bar(length: Option<u64>) -> ProgressBar {
    let template = match length {
        Some(_) => "{bar:40} {pos}/{len} events, {per_sec}, {eta} left {msg}",
        None => "{spinner} {pos} events, {per_sec}, {elapsed} {msg}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    length
        .map_or_else(ProgressBar::new_spinner, ProgressBar::new)
        .with_style(style)
}
