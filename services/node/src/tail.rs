//! `wakeline tail`: prints a stream, one JSON object a line, and resumes by itself when cut.

use std::io::Write as _;
use std::time::Duration;

use eventsource_stream::{Event, Eventsource as _};
use futures::StreamExt as _;
use reqwest::StatusCode;

use crate::cli::{ServerArgs, TailArgs};
use crate::client::{Client, ClientError};

/// First and longest pause before a reconnect.
const RECONNECT_MIN: Duration = Duration::from_millis(200);
const RECONNECT_MAX: Duration = Duration::from_secs(10);

/// Runs until interrupted or until the node says that the credential or a parameter is wrong.
///
/// # Errors
/// What the node refused for good.
pub async fn run(server: &ServerArgs, arguments: &TailArgs) -> Result<(), ClientError> {
    let client = Client::new(server)?;
    let (device, kind) = (arguments.device.join(","), arguments.kind.join(","));
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (device, kind) = (given(&device), given(&kind));
    let parameters = [
        ("tenant", arguments.tenant.as_deref()),
        ("device", device.as_deref()),
        ("kind", kind.as_deref()),
        ("q", arguments.q.as_deref()),
        ("view", Some(arguments.view.as_str())),
        ("since", arguments.since.as_deref()),
        ("snapshot", arguments.snapshot.then_some("true")),
    ];
    let mut last_event_id: Option<String> = None;
    let mut pause = RECONNECT_MIN;
    loop {
        match client.stream(&parameters, last_event_id.as_deref()).await {
            Ok(response) => {
                pause = RECONNECT_MIN;
                let mut events = response.bytes_stream().eventsource();
                while let Some(Ok(event)) = events.next().await {
                    if !event.id.is_empty() {
                        last_event_id = Some(event.id.clone());
                    }
                    if !print(&event, arguments.verbose) {
                        return Ok(());
                    }
                }
                tracing::debug!("the stream was cut; resuming");
            }
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, ?pause, "no stream; trying again");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RECONNECT_MAX);
    }
}

/// Prints an event; false when nobody reads any more.
fn print(event: &Event, verbose: bool) -> bool {
    let mut out = std::io::stdout().lock();
    let written = match (event.event.as_str(), verbose) {
        ("message" | "", false) => writeln!(out, "{}", event.data),
        ("reset" | "degraded" | "fault", false) => {
            // In band for programs, on the side for people: never silently.
            tracing::warn!(kind = event.event, data = event.data, "the stream says");
            Ok(())
        }
        (_, false) => Ok(()),
        (kind, true) => writeln!(out, "{kind}\t{}\t{}", event.id, event.data),
    };
    written.and_then(|()| out.flush()).is_ok()
}

fn is_final(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { status, .. } => {
            status.is_client_error() && *status != StatusCode::TOO_MANY_REQUESTS
        }
        ClientError::NoToken => true,
        ClientError::Unreachable { .. } => false,
    }
}
