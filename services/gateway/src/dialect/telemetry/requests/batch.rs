//! A batch: messages of any devices, each judged by itself, one after the other.

use access::http::json;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use self::envelope::Envelope;
use super::message::{self, Fault, Message};
use super::{Settings, detail, refuse};
use crate::dialect::requests::{Do, Step};

mod envelope;

/// Longest name that is given back of a message that is not read.
const NAME_BYTES_MAX: usize = 256;

/// What became of one message.
struct Judged {
    device: Value,
    fault: Option<Fault>,
}

/// The messages of a batch that are still to be judged, and what became of the others.
struct Batch {
    settings: Settings,
    registration_required: bool,
    /// As they came, the last first.
    rest: Vec<Bytes>,
    judged: Vec<Judged>,
}

/// Who sends stands in each message: what a body holds is not known to be anybody's before it is read.
pub(super) fn begin(settings: Settings, registration_required: bool) -> Step {
    let body = Do::Body {
        bytes_max: settings.batch_bytes_max,
        principal: None,
    };
    Step::then(body, move |done| match done.body() {
        Ok(body) => open(settings, registration_required, &body),
        Err(refusal) => Step::Answer(refuse(&refusal)),
    })
}

fn open(settings: Settings, registration_required: bool, body: &Bytes) -> Step {
    let Some(Envelope { messages, count }) = Envelope::read(body, settings.batch_messages_max) else {
        return Step::Answer(detail(StatusCode::BAD_REQUEST, "messages must be an array"));
    };
    if count == 0 {
        return Step::Answer(detail(StatusCode::BAD_REQUEST, "Batch is empty"));
    }
    if count > settings.batch_messages_max {
        let most = settings.batch_messages_max;
        let text = format!("Batch exceeds {most} message limit");
        return Step::Answer(detail(StatusCode::BAD_REQUEST, &text));
    }
    let batch = Batch {
        settings,
        registration_required,
        rest: messages.into_iter().rev().collect(),
        judged: Vec::new(),
    };
    batch.next()
}

impl Batch {
    fn next(mut self) -> Step {
        while let Some(text) = self.rest.pop() {
            match read(&self.settings, &text) {
                Err((device, fault)) => self.judge(device, Err(fault)),
                Ok((device, token, message)) => return self.send(device, token, message),
            }
        }
        answer(&self.judged)
    }

    fn send(mut self, device: Value, token: String, message: Message) -> Step {
        Step::then(Do::Prove(token), move |done| {
            match message::sender(done, &message.tenant, &message.device) {
                Err(fault) => {
                    self.judge(device, Err(fault));
                    self.next()
                }
                Ok(principal) => message.append(principal, self.registration_required, move |_, sent| {
                    self.judge(device, sent);
                    self.next()
                }),
            }
        })
    }

    fn judge(&mut self, device: Value, outcome: Result<(), Fault>) {
        let fault = outcome.err();
        self.judged.push(Judged { device, fault });
    }
}

/// The name of its device, its token, and a message; else what is wrong with it.
fn read(settings: &Settings, text: &[u8]) -> Result<(Value, String, Message), (Value, Fault)> {
    if text.len() > settings.message_bytes_max {
        return Err((name(text), Fault::Reason("PAYLOAD_TOO_LARGE")));
    }
    let body: Value = serde_json::from_slice(text).unwrap_or_default();
    let device = body.get("device_id").cloned().unwrap_or_default();
    let member = |name: &str| {
        let member = body.get(name).and_then(Value::as_str);
        member.unwrap_or_default().to_owned()
    };
    let (tenant, id) = (member("tenant_id"), member("device_id"));
    let (kind, token) = (member("msg_type"), member("provision_token"));
    let message =
        message::check_head(&kind, &token).and_then(|()| Message::read(settings, &tenant, &id, &kind, body));
    match message {
        Ok(message) => Ok((device, token, message)),
        Err(fault) => Err((device, fault)),
    }
}

/// The name of the device of a message that is too large to be read.
fn name(text: &[u8]) -> Value {
    #[derive(Deserialize)]
    struct Named {
        device_id: String,
    }
    let named = serde_json::from_slice::<Named>(text).ok();
    let name = named.map(|named| named.device_id);
    name.filter(|name| name.len() <= NAME_BYTES_MAX)
        .map_or(Value::Null, Value::from)
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
