//! One message of a device: read, proven, checked against what is known of the device, and appended.

use std::sync::Arc;

use access::events::Reason;
use access::{Outcome, Principal, Submission};
use http::StatusCode;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use schemas::json::check_device;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use state::Stored;

use super::Settings;
use crate::dialect::requests::{Do, Done, Step};
use crate::dialect::{Answer, Ask, Refusal};

/// A message that is well formed.
pub(super) struct Message {
    pub(super) tenant: Box<str>,
    pub(super) device: Box<str>,
    pub(super) seq: i64,
    site_id: Option<Box<str>>,
    event: Box<RawValue>,
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// In the API's words.
    Reason(&'static str),
    /// Nothing answers at present.
    Unavailable,
}

impl Fault {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Reason("TOKEN_MISSING" | "TOKEN_INVALID") => StatusCode::UNAUTHORIZED,
            Self::Reason("UNREGISTERED_DEVICE") => StatusCode::FORBIDDEN,
            Self::Reason("RATE_LIMITED") => StatusCode::TOO_MANY_REQUESTS,
            Self::Reason(_) => StatusCode::BAD_REQUEST,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Reason(reason) => reason,
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// Judges what is known of a message before its body.
pub(super) fn check_head(kind: &str, token: &str) -> Result<(), Fault> {
    if !matches!(kind, "telemetry" | "heartbeat") {
        return Err(Fault::Reason("INVALID_MSG_TYPE"));
    }
    if token.is_empty() {
        return Err(Fault::Reason("TOKEN_MISSING"));
    }
    Ok(())
}

/// Whom the token of a message proves, if that may send for the device.
pub(super) fn sender(done: Done, tenant: &str, device: &str) -> Result<Arc<Principal>, Fault> {
    match done.principal() {
        Ok(principal) if principal.may_write(tenant, device, schemas::Kind::Telemetry) => Ok(principal),
        Ok(_) => Err(Fault::Reason("TOKEN_INVALID")),
        Err(refusal) => Err(unproven(&refusal)),
    }
}

impl Message {
    /// Reads the members of a message's body.
    pub(super) fn read(
        settings: &Settings,
        tenant: &str,
        device: &str,
        kind: &str,
        body: Value,
    ) -> Result<Self, Fault> {
        let reason = |reason| Err(Fault::Reason(reason));
        let Value::Object(mut body) = body else {
            return reason("INVALID_BODY");
        };
        if check_device(device).is_err() || !access::principal::is_tenant(tenant) {
            return reason("TOKEN_INVALID");
        }
        let fields = if kind == "telemetry" {
            metrics(settings, &mut body)?
        } else {
            Map::new()
        };
        let seq = match body.get("seq") {
            None | Some(Value::Null) => 0,
            Some(seq) => seq.as_i64().ok_or(Fault::Reason("INVALID_SEQ"))?,
        };
        let site_id = match body.get("site_id") {
            None | Some(Value::Null) => None,
            Some(Value::String(site)) => Some(site.as_str().into()),
            Some(_) => return reason("INVALID_SITE_ID"),
        };
        let mut event = json!({"device": device, "kind": "telemetry", "seq": seq, "fields": fields});
        // What says no time is taken at the time of its receipt: the measurements are not to be lost for it.
        if let Some(time) = body.get("ts").and_then(time) {
            event["time"] = time.to_string().into();
        }
        let event = RawValue::from_string(event.to_string()).map_err(|_| Fault::Reason("INVALID_BODY"))?;
        Ok(Self {
            tenant: tenant.into(),
            device: device.into(),
            seq,
            site_id,
            event,
        })
    }

    /// Looks at the device, appends the event, and goes on with what came of it.
    pub(super) fn append(
        self,
        principal: Arc<Principal>,
        registration_required: bool,
        then: impl FnOnce(Self, Result<(), Fault>) -> Step + Send + 'static,
    ) -> Step {
        let ask = Ask::Documents(vec![self.device.clone()]);
        Step::then(Do::ask(&self.tenant, &principal, ask), move |done| {
            let Answer::Documents(documents) = done.answer() else {
                return then(self, Err(Fault::Unavailable));
            };
            if let Err(fault) = self.fits(documents.first(), registration_required) {
                return then(self, Err(fault));
            }
            let submission = Submission {
                tenant: self.tenant.clone(),
                device: Some(self.device.clone()),
                items: vec![self.event.clone()],
                traceparent: None,
            };
            let submit = Do::Submit {
                principal,
                submission,
            };
            Step::then(submit, move |done| {
                let sent = taken(done.outcome());
                then(self, sent)
            })
        })
    }

    fn fits(&self, known: Option<&Stored>, registration_required: bool) -> Result<(), Fault> {
        let Some(known) = known else {
            return if registration_required {
                Err(Fault::Reason("UNREGISTERED_DEVICE"))
            } else {
                Ok(())
            };
        };
        match (&known.document.site_id, &self.site_id) {
            (Some(registered), Some(sent)) if registered != sent => Err(Fault::Reason("SITE_MISMATCH")),
            _ => Ok(()),
        }
    }
}

/// A time that a message says; without a zone it is UTC.
fn time(ts: &Value) -> Option<Timestamp> {
    let text = ts.as_str()?;
    let without_zone = || {
        let time = text.parse::<civil::DateTime>().ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    text.parse().ok().or_else(without_zone)
}

fn metrics(settings: &Settings, body: &mut Map<String, Value>) -> Result<Map<String, Value>, Fault> {
    let mut metrics = match body.remove("metrics") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(metrics)) => metrics,
        Some(_) => return Err(Fault::Reason("INVALID_METRICS")),
    };
    check_names(settings, 0, &metrics, &mut 0)?;
    for name in ["lat", "lng"] {
        if let Some(value) = body.remove(name).filter(|value| !value.is_null()) {
            metrics.insert(name.to_owned(), value);
        }
    }
    Ok(metrics)
}

/// Judges the names of metrics as streams show them, dotted; `count` is how many there are so far, and `prefix`
/// bytes stand before these.
fn check_names(
    settings: &Settings,
    prefix: usize,
    metrics: &Map<String, Value>,
    count: &mut usize,
) -> Result<(), Fault> {
    for (name, value) in metrics {
        let length = prefix + name.len();
        if length > settings.metric_bytes_max {
            return Err(Fault::Reason("METRIC_KEY_TOO_LONG"));
        }
        match value.as_object().filter(|metrics| !metrics.is_empty()) {
            Some(metrics) => check_names(settings, length + 1, metrics, count)?,
            None => *count += 1,
        }
        if *count > settings.metrics_max {
            return Err(Fault::Reason("TOO_MANY_METRICS"));
        }
    }
    Ok(())
}

fn unproven(refusal: &Refusal) -> Fault {
    match refusal.problem.status() {
        StatusCode::TOO_MANY_REQUESTS => Fault::Reason("RATE_LIMITED"),
        StatusCode::SERVICE_UNAVAILABLE => Fault::Unavailable,
        _ => Fault::Reason("TOKEN_INVALID"),
    }
}

fn taken(outcome: Option<Outcome>) -> Result<(), Fault> {
    match outcome {
        Some(Ok(_)) => Ok(()),
        Some(Err(rejection)) => Err(match rejection.reason {
            Reason::RateLimited => Fault::Reason("RATE_LIMITED"),
            Reason::TooLarge => Fault::Reason("PAYLOAD_TOO_LARGE"),
            Reason::Forbidden => Fault::Reason("TOKEN_INVALID"),
            Reason::Invalid | Reason::Refused => Fault::Reason("INVALID_BODY"),
            Reason::Retry => Fault::Unavailable,
        }),
        None => Err(Fault::Unavailable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_zone_is_utc_and_what_is_none_is_none() {
        let at = |ts: Value| time(&ts).map(|time| time.to_string());
        let expected = Some("2026-02-17T10:00:00.5Z".to_owned());
        for ts in [
            "2026-02-17T10:00:00.5Z",
            "2026-02-17T11:00:00.5+01:00",
            "2026-02-17T10:00:00.500000",
            "2026-02-17 10:00:00.5",
        ] {
            assert_eq!(at(ts.into()), expected, "{ts}");
        }
        for ts in [json!("yesterday"), json!(""), json!(1_771_322_400), json!({})] {
            assert_eq!(at(ts.clone()), None, "{ts}");
        }
    }

    #[test]
    fn metrics_count_and_are_as_long_as_their_dotted_names() {
        let settings = Settings {
            metrics_max: 3,
            metric_bytes_max: 5,
            ..Settings::default()
        };
        let check = |mut body: Value| metrics(&settings, body.as_object_mut().unwrap()).map(|_| ());
        let fault = |reason| Err(Fault::Reason(reason));
        for (metrics, expected) in [
            (json!({"a": 1, "b": {"c": 2, "d": [1, 2]}}), Ok(())),
            (
                json!({"a": 1, "b": {"c": 2, "d": 3, "e": {}}}),
                fault("TOO_MANY_METRICS"),
            ),
            (json!({"ab": {"cd": 1}}), Ok(())),
            (json!({"ab": {"cde": 1}}), fault("METRIC_KEY_TOO_LONG")),
        ] {
            assert_eq!(check(json!({"metrics": metrics})), expected, "{metrics}");
        }
    }
}
