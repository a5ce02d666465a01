//! The requests of the telemetry API: how many streams run, and the ingest of its devices.

mod batch;
mod message;

use std::sync::Arc;

use access::http::{Body, Path, Problem, json};
use http::{HeaderName, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::CAP;
use crate::dialect::Refusal;
use crate::dialect::requests::{Do, Done, Request, Requests, Step};
use crate::dialect::text::quoted;
use message::{Fault, Message};

const STATUS: &str = "/api/v1/telemetry/stream/status";
const BATCH: &str = "/ingest/v1/batch";
const ONE: &str = "/ingest/v1/tenant/";
const PROVISION_TOKEN: HeaderName = HeaderName::from_static("x-provision-token");

/// Limits of the telemetry API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Streams that one tenant may have in this process, WebSocket and SSE together.
    pub streams_max: usize,
    /// Body of one message, bytes.
    pub message_bytes_max: usize,
    /// Body of a batch, bytes.
    pub batch_bytes_max: usize,
    /// Messages of a batch.
    pub batch_messages_max: usize,
    /// Metrics of one message.
    pub metrics_max: usize,
    /// Name of a metric, bytes.
    pub metric_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            streams_max: 10,
            message_bytes_max: 64 << 10,
            batch_bytes_max: 8 << 20,
            batch_messages_max: 100,
            metrics_max: 50,
            metric_bytes_max: 128,
        }
    }
}

/// The requests.
pub struct Telemetry {
    settings: Settings,
    registration_required: bool,
}

impl Telemetry {
    /// Under these limits; devices must be registered before they send where that is required.
    #[must_use]
    pub const fn new(settings: Settings, registration_required: bool) -> Self {
        Self {
            settings,
            registration_required,
        }
    }
}

impl Requests for Telemetry {
    fn paths(&self) -> &'static [Path] {
        const {
            &[
                Path::get(STATUS),
                Path::new("POST", BATCH),
                Path::new("POST", "/ingest/v1/tenant/{tenant}/device/{device}/{kind}"),
            ]
        }
    }

    fn begin(&self, request: Request) -> Step {
        let path = request.parts.uri.path();
        if path == STATUS {
            return status(self.settings.streams_max);
        }
        if path == BATCH {
            return batch::begin(self.settings.clone(), self.registration_required);
        }
        match address(path) {
            Some(address) => self.one(address, &request),
            None => Step::Answer(detail(StatusCode::NOT_FOUND, "Not Found")),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refuse(refusal)
    }
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    // This API knows four statuses.
    match refusal.problem.status() {
        StatusCode::PAYLOAD_TOO_LARGE => detail(StatusCode::BAD_REQUEST, "PAYLOAD_TOO_LARGE"),
        _ => refusal.with_body(detail_text(refusal.detail())),
    }
}

fn status(streams_max: usize) -> Step {
    Step::then(Do::CountStreams(CAP), move |done| {
        let Done::Count(count) = done else {
            return unavailable();
        };
        let text = format!("{{\"total_connections\":{count},\"max_per_tenant\":{streams_max}}}");
        Step::Answer(json(StatusCode::OK, text))
    })
}

/// Tenant, device and kind of message in the path of a single message.
fn address(path: &str) -> Option<(String, String, String)> {
    let mut segments = path.strip_prefix(ONE)?.split('/');
    let decode = |segment: &str| Some(percent_decode_str(segment).decode_utf8().ok()?.into_owned());
    let tenant = decode(segments.next()?)?;
    let (Some("device"), Some(device), Some(kind), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return None;
    };
    Some((tenant, decode(device)?, decode(kind)?))
}

impl Telemetry {
    /// A single message: its token stands in the head, and is proven before the body is read.
    fn one(&self, (tenant, device, kind): (String, String, String), request: &Request) -> Step {
        let token = request.parts.headers.get(PROVISION_TOKEN);
        let token = token.and_then(|token| token.to_str().ok()).unwrap_or_default();
        if let Err(fault) = message::check_head(&kind, token) {
            return refused(&fault);
        }
        let (settings, registration_required) = (self.settings.clone(), self.registration_required);
        Step::then(Do::Prove(token.to_owned()), move |done| {
            let principal = match message::sender(done, &tenant, &device) {
                Ok(principal) => principal,
                Err(fault) => return refused(&fault),
            };
            let body = Do::Body {
                bytes_max: settings.message_bytes_max,
                principal: Some(Arc::clone(&principal)),
            };
            Step::then(body, move |done| {
                let body = match done.body() {
                    Ok(body) => body,
                    Err(refusal) => return Step::Answer(refuse(&refusal)),
                };
                let message = serde_json::from_slice(&body)
                    .map_err(|_| Fault::Reason("INVALID_JSON"))
                    .and_then(|body| Message::read(&settings, &tenant, &device, &kind, body));
                match message {
                    Err(fault) => refused(&fault),
                    Ok(message) => {
                        message.append(principal, registration_required, |message, sent| match sent {
                            Err(fault) => refused(&fault),
                            Ok(()) => accepted(&message),
                        })
                    }
                }
            })
        })
    }
}

fn accepted(message: &Message) -> Step {
    let (device, seq) = (quoted(&message.device), message.seq);
    let text = format!("{{\"status\":\"accepted\",\"device_id\":{device},\"seq\":{seq}}}");
    Step::Answer(json(StatusCode::ACCEPTED, text))
}

fn refused(fault: &Fault) -> Step {
    Step::Answer(match fault {
        Fault::Reason(reason) if fault.status() == StatusCode::TOO_MANY_REQUESTS => {
            refuse(&Problem::new(fault.status(), *reason).retry_after(1).into())
        }
        Fault::Reason(reason) => detail(fault.status(), reason),
        Fault::Unavailable => {
            refuse(&Problem::unavailable("the log does not take events at present", 2).into())
        }
    })
}

fn detail(status: StatusCode, detail: &str) -> Response<Body> {
    json(status, detail_text(detail))
}

fn detail_text(detail: &str) -> String {
    format!("{{\"detail\":{}}}", quoted(detail))
}

fn unavailable() -> Step {
    refused(&Fault::Unavailable)
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_TYPE, RETRY_AFTER};

    use super::*;

    #[test]
    fn what_passes_says_when_in_the_words_of_the_api() {
        for (fault, status) in [(Fault::Unavailable, 503), (Fault::Reason("RATE_LIMITED"), 429)] {
            let Step::Answer(answer) = refused(&fault) else {
                panic!("{fault:?} is no answer")
            };
            let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(header(CONTENT_TYPE), Some("application/json"), "{fault:?}");
            assert!(header(RETRY_AFTER).is_some(), "{fault:?}");
        }
        let busy = refuse(&Problem::unavailable("busy", 7).into());
        assert_eq!(busy.headers()[RETRY_AFTER], "7");
    }
}
