//! What goes over a device's socket, as JSON text. Pure.

use access::events::{Outcome, Reason};
use schemas::Micros;
use schemas::document::DeviceCommand;
use schemas::event::{CommandStatus, PresenceReason};
use schemas::json::{write_string, write_time};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The events of one message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) items: Vec<Box<RawValue>>,
}

/// Why a message holds no events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMessage {
    #[error("not JSON: {0}")]
    Json(String),
    #[error("a message is an event (an object) or an array of events")]
    Shape,
    #[error("more than {0} events: send them in several messages")]
    TooMany(usize),
}

impl Message {
    pub(super) fn read(text: &str, events_max: usize) -> Result<Self, BadMessage> {
        let json = |error: serde_json::Error| BadMessage::Json(error.to_string());
        let items = match text.trim_start().bytes().next() {
            Some(b'{') => vec![serde_json::from_str(text).map_err(json)?],
            Some(b'[') => serde_json::from_str::<Vec<Box<RawValue>>>(text).map_err(json)?,
            Some(_) | None => return Err(BadMessage::Shape),
        };
        if items.len() > events_max {
            return Err(BadMessage::TooMany(events_max));
        }
        Ok(Self { items })
    }
}

/// `{"ack":seq or id}`, or `{"error":…,"index":…}` with the place in its message.
pub(super) fn outcome(index: usize, outcome: &Outcome) -> String {
    let mut text = Vec::with_capacity(64);
    match outcome {
        Ok(accepted) => {
            text.extend_from_slice(b"{\"ack\":");
            match accepted.seq {
                Some(seq) => text.extend_from_slice(seq.to_string().as_bytes()),
                None => write_string(&accepted.id, &mut text),
            }
        }
        Err(rejection) => {
            text.extend_from_slice(b"{\"error\":");
            write_string(&rejection.error, &mut text);
            text.extend_from_slice(format!(",\"index\":{index}").as_bytes());
            if let Some(seq) = rejection.seq {
                text.extend_from_slice(format!(",\"seq\":{seq}").as_bytes());
            }
            if matches!(rejection.reason, Reason::Retry | Reason::RateLimited) {
                text.extend_from_slice(b",\"retry\":true");
            }
        }
    }
    text.push(b'}');
    into_text(text)
}

/// `{"error":…}` for a message as a whole.
pub(super) fn error(message: &str) -> String {
    let mut text = b"{\"error\":".to_vec();
    write_string(message, &mut text);
    text.push(b'}');
    into_text(text)
}

/// A step of a command as it lies in the log: the input with its secrets sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) command_id: Box<str>,
    pub(crate) command_type: Box<str>,
    pub(crate) input: Option<Box<str>>,
    pub(crate) connection: Option<Box<str>>,
    pub(crate) created: Micros,
    pub(crate) by: Option<Box<str>>,
    pub(crate) expires_at: Option<Micros>,
}

impl From<&DeviceCommand> for Step {
    fn from(command: &DeviceCommand) -> Self {
        Self {
            command_id: command.command_id.clone(),
            command_type: command.command_type.clone(),
            input: command.input.clone(),
            connection: command.connection.clone(),
            created: command.created,
            by: command.by.clone(),
            expires_at: command.expires_at,
        }
    }
}

impl From<&schemas::event::Command> for Step {
    fn from(command: &schemas::event::Command) -> Self {
        Self {
            command_id: command.command_id.clone(),
            command_type: command.command_type.clone(),
            input: command.input.clone(),
            connection: command.connection.clone(),
            created: command.created,
            by: command.by.clone(),
            expires_at: command.expires_at,
        }
    }
}

impl Step {
    pub(super) fn has_expired(&self, now: Micros) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// `{"command":{…}}` for the device, with `input` in clear.
    pub(super) fn frame(&self, input: Option<&str>) -> String {
        let mut text = b"{\"command\":{".to_vec();
        self.write_members(input, &mut text);
        text.extend_from_slice(b"}}");
        into_text(text)
    }

    /// The event of its next step, for the log: self-contained, secrets still sealed.
    pub(super) fn event(&self, status: CommandStatus) -> Option<Box<RawValue>> {
        let mut text = format!("{{\"kind\":\"command\",\"status\":\"{}\",", status.word()).into_bytes();
        self.write_members(self.input.as_deref(), &mut text);
        text.push(b'}');
        RawValue::from_string(into_text(text)).ok()
    }

    fn write_members(&self, input: Option<&str>, text: &mut Vec<u8>) {
        text.extend_from_slice(b"\"command_id\":");
        write_string(&self.command_id, text);
        text.extend_from_slice(b",\"type\":");
        write_string(&self.command_type, text);
        if let Some(input) = input {
            text.extend_from_slice(b",\"input\":");
            text.extend_from_slice(input.as_bytes());
        }
        for (name, value) in [("connection", &self.connection), ("by", &self.by)] {
            if let Some(value) = value {
                text.extend_from_slice(format!(",\"{name}\":").as_bytes());
                write_string(value, text);
            }
        }
        text.extend_from_slice(b",\"created\":");
        write_time(self.created, text);
        if let Some(expires_at) = self.expires_at {
            text.extend_from_slice(b",\"expires_at\":");
            write_time(expires_at, text);
        }
    }

    /// A step that the device reports, completed by what is known of its command: a device need not
    /// repeat it, and what it repeats of the input would be secrets in clear.
    pub(super) fn complete(&self, mut reported: serde_json::Map<String, Value>) -> Option<Box<RawValue>> {
        let mut known = b"{".to_vec();
        self.write_members(self.input.as_deref(), &mut known);
        known.push(b'}');
        let known: serde_json::Map<String, Value> = serde_json::from_slice(&known).ok()?;
        reported.remove("input");
        reported.extend(known);
        serde_json::value::to_raw_value(&reported).ok()
    }
}

/// A step of a command that is not known here, as the device reports it, but for the input: what was a
/// secret when it was given may come back in clear.
pub(super) fn bare(mut reported: serde_json::Map<String, Value>) -> Option<Box<RawValue>> {
    reported.remove("input");
    serde_json::value::to_raw_value(&reported).ok()
}

/// The command that an event is a step of, if it is one.
pub(super) fn reported_step(item: &RawValue) -> Option<(Box<str>, serde_json::Map<String, Value>)> {
    #[derive(Deserialize)]
    struct Probe<'a> {
        #[serde(borrow)]
        kind: std::borrow::Cow<'a, str>,
        #[serde(borrow)]
        command_id: std::borrow::Cow<'a, str>,
    }
    let probe: Probe<'_> = serde_json::from_str(item.get()).ok()?;
    if probe.kind != "command" {
        return None;
    }
    Some((probe.command_id.into(), serde_json::from_str(item.get()).ok()?))
}

/// What a connection says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// It is there now.
    Came,
    /// It is there still: no sign of life of the device, but it was taken for gone.
    IsThere,
    /// It is gone.
    Left,
}

/// `{"kind":"presence",…}`
pub(super) fn presence(said: Said, session: &str) -> Option<Box<RawValue>> {
    let (connected, reason) = match said {
        Said::Came => (true, PresenceReason::Connect),
        Said::IsThere => (true, PresenceReason::Report),
        Said::Left => (false, PresenceReason::Disconnect),
    };
    let reason = reason.word();
    let text = format!(
        "{{\"kind\":\"presence\",\"connected\":{connected},\"reason\":\"{reason}\",\"session\":\"{session}\"}}"
    );
    RawValue::from_string(text).ok()
}

fn into_text(text: Vec<u8>) -> String {
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use access::events::{Accepted, Rejection};
    use journal::Position;
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn accepted(seq: Option<i64>) -> Outcome {
        Ok(Accepted {
            id: "e1".into(),
            seq,
            position: Position {
                partition: 0,
                offset: 1,
            },
            received_at: 0,
        })
    }

    #[test]
    fn an_event_is_acknowledged_by_its_number_or_its_id() {
        assert_eq!(value(&outcome(0, &accepted(Some(7)))), json!({"ack": 7}));
        assert_eq!(value(&outcome(0, &accepted(None))), json!({"ack": "e1"}));
    }

    #[test]
    fn a_rejection_says_which_event_and_whether_to_try_again() {
        let rejected = |reason| {
            Err(Rejection {
                error: "no \"kind\"".to_owned(),
                reason,
                seq: Some(3),
            })
        };
        let frame = value(&outcome(4, &rejected(Reason::Invalid)));
        assert_eq!(frame, json!({"error": "no \"kind\"", "index": 4, "seq": 3}));
        assert_eq!(value(&outcome(4, &rejected(Reason::Retry)))["retry"], true);
    }

    #[test]
    fn a_message_is_an_event_or_several() {
        assert_eq!(Message::read(" {\"a\":1}", 2).unwrap().items.len(), 1);
        assert_eq!(Message::read("[{},{}]", 2).unwrap().items.len(), 2);
        assert_eq!(
            Message::read("[{},{},{}]", 2).unwrap_err(),
            BadMessage::TooMany(2)
        );
        assert_eq!(Message::read("7", 2).unwrap_err(), BadMessage::Shape);
        assert!(matches!(Message::read("{\"a\":", 2), Err(BadMessage::Json(_))));
    }

    fn step() -> Step {
        Step {
            command_id: "c1".into(),
            command_type: "reboot".into(),
            input: Some(r#"{"pin":{"$sealed":"x"}}"#.into()),
            connection: None,
            created: 1_000,
            by: Some("ops".into()),
            expires_at: Some(2_000),
        }
    }

    #[test]
    fn the_device_sees_the_input_in_clear_and_the_log_does_not() {
        let frame = value(&step().frame(Some(r#"{"pin":"1234"}"#)));
        assert_eq!(frame["command"]["input"]["pin"], "1234");
        assert_eq!(frame["command"]["type"], "reboot");
        let event = value(step().event(CommandStatus::Delivered).unwrap().get());
        assert_eq!(event["status"], "delivered");
        assert_eq!(event["input"]["pin"]["$sealed"], "x");
    }

    #[test]
    fn a_reported_step_is_completed_and_its_own_input_is_dropped() {
        let text = r#"{"kind":"command","command_id":"c1","status":"success","output":"done","input":{"pin":"1234"}}"#;
        let (id, reported) = reported_step(&RawValue::from_string(text.to_owned()).unwrap()).unwrap();
        assert_eq!(&*id, "c1");
        let event = value(step().complete(reported).unwrap().get());
        assert_eq!(
            (&event["status"], &event["output"], &event["type"]),
            (&json!("success"), &json!("done"), &json!("reboot"))
        );
        assert_eq!(event["input"]["pin"]["$sealed"], "x");
    }

    #[test]
    fn a_step_of_a_command_that_is_not_known_shows_no_input() {
        let text = r#"{"kind":"command","command_id":"c1","type":"unlock","status":"failed","input":{"pin":"1234"}}"#;
        let (_, reported) = reported_step(&RawValue::from_string(text.to_owned()).unwrap()).unwrap();
        let event = value(bare(reported).unwrap().get());
        assert_eq!(
            event,
            json!({"kind": "command", "command_id": "c1", "type": "unlock", "status": "failed"})
        );
    }

    #[test]
    fn other_events_are_no_steps() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert!(reported_step(&raw(r#"{"kind":"log","message":"a"}"#)).is_none());
        assert!(reported_step(&raw("[]")).is_none());
    }

    #[test]
    fn a_command_expires_at_its_time() {
        assert!(!step().has_expired(1_999) && step().has_expired(2_000));
    }
}
