//! `POST …/command`: sends a command to a device that is connected, and waits for its answer.

use std::sync::Arc;

use access::events::Reason as Rejected;
use access::http::{Problem, json};
use access::{Principal, Rejection};
use http::StatusCode;
use journal::Micros;
use schemas::document::DeviceCommand;
use schemas::event::CommandStatus;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::{Found, Settings, find, refuse, success, unavailable};
use crate::commands::{CommandLimits, Order};
use crate::dialect::Refusal;
use crate::dialect::requests::{Await, Do, Done, Ended, Request, Step, Waited};
use crate::dialect::text::quoted;
use crate::dialect::watch::path::Path;

/// What is asked for.
#[derive(Debug, Clone, Deserialize)]
struct Asked {
    #[serde(rename = "type")]
    command_type: Box<str>,
    #[serde(default)]
    payload: Option<Value>,
}

/// What a device answers, as it stands in the output of its command.
#[derive(Debug, Deserialize)]
struct DeviceAnswer {
    #[serde(rename = "type")]
    answer_type: Box<str>,
    #[serde(default)]
    payload: Value,
}

pub(super) fn begin(
    principal: Arc<Principal>,
    path: Path,
    request: Request,
    settings: Settings,
    limits: CommandLimits,
) -> Step {
    let body = Do::Body {
        bytes_max: settings.command_bytes_max,
        principal: Some(Arc::clone(&principal)),
    };
    Step::then(body, move |done| {
        let found = done.body().and_then(|body| {
            let (asked, now) = (read(&body), request.now);
            find(principal, &path, &request.query, move |found| {
                send(found, asked, now, &settings, &limits)
                    .unwrap_or_else(|refusal| Step::Answer(refuse(&refusal)))
            })
        });
        found.unwrap_or_else(|refusal| Step::Answer(refuse(&refusal)))
    })
}

fn read(body: &[u8]) -> Result<Asked, Problem> {
    let expected = r#"the body must be {"type":"…","payload":…}"#;
    let asked: Asked =
        serde_json::from_slice(body).map_err(|error| Problem::bad_request(format!("{expected}: {error}")))?;
    if asked.command_type.is_empty() {
        return Err(Problem::bad_request(expected));
    }
    Ok(asked)
}

fn send(
    found: Found,
    asked: Result<Asked, Problem>,
    now: Micros,
    settings: &Settings,
    limits: &CommandLimits,
) -> Result<Step, Refusal> {
    let Found {
        principal,
        tenant,
        stored,
    } = found;
    let document = stored.document;
    if !principal.may_command(&tenant, &document.id) {
        return Err(Problem::forbidden("This credential may not send commands").into());
    }
    let asked = asked?;
    if document.connected != Some(true) {
        return Err(not_connected());
    }
    if document.commands.len() >= limits.open_max {
        return Err(Problem::new(StatusCode::CONFLICT, limits.too_many()).into());
    }
    let order = Order {
        command_type: asked.command_type,
        input: asked.payload,
        secret: Vec::new(),
        connection: None,
        by: principal.id.clone(),
        lifetime: Micros::try_from(settings.answer_within.as_micros()).unwrap_or(Micros::MAX),
    };
    let (command, event) = order.make(now);
    let item =
        to_raw_value(&event).map_err(|error| Problem::bad_request(format!("it cannot be sent: {error}")))?;
    let awaited = Await {
        principal,
        tenant,
        device: document.id.clone(),
        command_id: command.command_id.clone(),
        event: item,
        within: settings.answer_within,
    };
    Ok(Step::then(Do::Await(Box::new(awaited)), move |done| {
        let Done::Ended(waited) = done else {
            return Step::Answer(refuse(&unavailable()));
        };
        match waited {
            Waited::Until(ended) => answered(&command, ended),
            Waited::NotTaken(Some(rejection)) => Step::Answer(refuse(&not_taken(rejection))),
            Waited::NotTaken(None) => Step::Answer(refuse(&unavailable())),
            Waited::NoRoom => Step::Answer(refuse(
                &Problem::unavailable("Too many commands wait for their answers", 1).into(),
            )),
        }
    }))
}

fn not_taken(rejection: Rejection) -> Refusal {
    let problem = match rejection.reason {
        Rejected::Retry | Rejected::RateLimited => Problem::unavailable(rejection.error, 1),
        Rejected::Invalid | Rejected::TooLarge | Rejected::Refused | Rejected::Forbidden => {
            Problem::bad_request(rejection.error)
        }
    };
    problem.into()
}

fn not_connected() -> Refusal {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Device is not connected").into()
}

fn answered(command: &DeviceCommand, ended: Option<Ended>) -> Step {
    let timed_out = || {
        failed(
            StatusCode::GATEWAY_TIMEOUT,
            "Command timed out - device did not respond",
        )
    };
    let Some(Ended { status, output }) = ended else {
        return timed_out();
    };
    let output = output.unwrap_or_default();
    let answer = serde_json::from_str::<DeviceAnswer>(&output).ok();
    match status {
        CommandStatus::Success => {
            let (answer_type, payload) = match answer {
                Some(answer) => (answer.answer_type, answer.payload),
                // One that did not connect by this dialect answers with a text.
                None => (command.command_type.clone(), Value::from(&*output)),
            };
            success(&format!(
                "{{\"id\":{},\"type\":{},\"payload\":{payload}}}",
                quoted(&command.command_id),
                quoted(&answer_type),
            ))
        }
        CommandStatus::Failed => {
            let error = match answer {
                Some(answer) => error_of(&answer.payload),
                None => output.into(),
            };
            failed(StatusCode::INTERNAL_SERVER_ERROR, &error)
        }
        CommandStatus::Expired
        | CommandStatus::Queued
        | CommandStatus::Delivered
        | CommandStatus::InProgress => timed_out(),
    }
}

/// The device's own words.
fn error_of(payload: &Value) -> String {
    let members = ["error", "message"].iter().filter_map(|name| payload.get(name));
    let mut texts = members.chain([payload]).filter_map(Value::as_str);
    texts.next().map_or_else(|| payload.to_string(), str::to_owned)
}

fn failed(status: StatusCode, error: &str) -> Step {
    Step::Answer(json(
        status,
        format!("{{\"success\":false,\"error\":{}}}", quoted(error)),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_devices_own_error_is_told_in_its_words() {
        for (payload, expected) in [
            (json!({"error": "no such pin"}), "no such pin"),
            (json!({"message": "busy", "code": 3}), "busy"),
            (json!("broken"), "broken"),
            (json!({"code": 3}), r#"{"code":3}"#),
        ] {
            assert_eq!(error_of(&payload), expected);
        }
    }
}
