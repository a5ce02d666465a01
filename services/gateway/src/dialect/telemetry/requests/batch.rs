//! A batch: messages of any devices, each judged by itself, one after the other.

use access::http::json;
use http::StatusCode;
use serde_json::Value;

use super::message::{Fault, Message};
use super::{Settings, detail};
use crate::dialect::requests::Step;

/// What became of one message.
struct Judged {
    device: Value,
    fault: Option<Fault>,
}

pub(super) fn begin(settings: &Settings, registration_required: bool, body: &[u8]) -> Step {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(messages) = body.get("messages").and_then(Value::as_array) else {
        return Step::Answer(detail(StatusCode::BAD_REQUEST, "messages must be an array"));
    };
    if messages.is_empty() {
        return Step::Answer(detail(StatusCode::BAD_REQUEST, "Batch is empty"));
    }
    if messages.len() > settings.batch_messages_max {
        let most = settings.batch_messages_max;
        let text = format!("Batch exceeds {most} message limit");
        return Step::Answer(detail(StatusCode::BAD_REQUEST, &text));
    }
    // Taken from the end.
    let rest: Vec<Value> = messages.iter().rev().cloned().collect();
    next(settings.clone(), registration_required, rest, Vec::new())
}

fn next(
    settings: Settings,
    registration_required: bool,
    mut rest: Vec<Value>,
    mut judged: Vec<Judged>,
) -> Step {
    while let Some(body) = rest.pop() {
        let device = body.get("device_id").cloned().unwrap_or_default();
        match read(&settings, body) {
            Err(fault) => judged.push(Judged {
                device,
                fault: Some(fault),
            }),
            Ok(message) => {
                return message.send(registration_required, move |_, sent| {
                    judged.push(Judged {
                        device,
                        fault: sent.err(),
                    });
                    next(settings, registration_required, rest, judged)
                });
            }
        }
    }
    answer(&judged)
}

fn read(settings: &Settings, body: Value) -> Result<Message, Fault> {
    if body.to_string().len() > settings.message_bytes_max {
        return Err(Fault::Reason("PAYLOAD_TOO_LARGE"));
    }
    let text = |name: &str| {
        body.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (tenant, device) = (text("tenant_id"), text("device_id"));
    let (kind, token) = (text("msg_type"), text("provision_token"));
    Message::read(settings, &tenant, &device, &kind, &token, body)
}

fn answer(judged: &[Judged]) -> Step {
    let accepted = judged.iter().filter(|judged| judged.fault.is_none()).count();
    let results: Vec<Value> = judged
        .iter()
        .enumerate()
        .map(|(index, Judged { device, fault })| {
            let status = if fault.is_some() { "rejected" } else { "accepted" };
            let reason = fault.map(Fault::word);
            serde_json::json!({"index": index, "status": status, "reason": reason, "device_id": device})
        })
        .collect();
    let status = if accepted > 0 {
        StatusCode::ACCEPTED
    } else {
        StatusCode::BAD_REQUEST
    };
    let rejected = judged.len() - accepted;
    let body = serde_json::json!({"accepted": accepted, "rejected": rejected, "results": results});
    Step::Answer(json(status, body.to_string()))
}
