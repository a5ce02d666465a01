//! What devices say on their own socket in this dialect, and what they are sent. Pure.

use access::events::Outcome;
use access::http::{Body, Path as HttpPath, Surface};
use http::Response;
use schemas::json::hardware_entity;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::path::{self, Path};
use super::{STREAM, refuse};
use crate::device_socket::Step;
use crate::dialect::Refusal;
use crate::dialect::text::quoted;
use crate::dialect::tongue::{Reply, Said, Tongue};

/// The message by which a device answers that it could not do what it was told.
const COMMAND_ERROR: &str = "command_error";

/// The device's own socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Device;

impl Tongue for Device {
    fn path(&self) -> HttpPath {
        HttpPath::get(path::CONNECT)
    }

    fn surface(&self) -> Surface {
        STREAM
    }

    fn is_way_of(&self, path: &str, device: &str) -> bool {
        Path::read(path).and_then(|(path, _)| path.device()).as_deref() == Some(device)
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refuse(refusal)
    }

    fn read(&self, text: &str, _: usize) -> Said {
        read(text).unwrap_or_else(|| Said::Events(Vec::new(), None))
    }

    fn outcome(&self, _: usize, _: &Outcome) -> Option<String> {
        None
    }

    fn error(&self, _: &str) -> Option<String> {
        None
    }

    fn command(&self, step: &Step, input: Option<&str>) -> String {
        command(&step.command_id, &step.command_type, input)
    }
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    id: Option<Box<str>>,
    #[serde(rename = "type")]
    message_type: Box<str>,
    #[serde(default)]
    payload: Value,
}

/// Reads a message; `None` for one that says nothing: a ping, which keeps the connection and is no sign of life in the
/// log, or no message of this dialect.
fn read(text: &str) -> Option<Said> {
    let message: Message = serde_json::from_str(text).ok()?;
    let nothing = Map::new();
    let payload = message.payload.as_object().unwrap_or(&nothing);
    let events: Vec<Box<RawValue>> = match &*message.message_type {
        "ping" => return None,
        "log" => vec![log(&message.payload)?],
        "state" => vec![state(payload)?],
        // A message that is refused below is an answer all the same.
        hardware if hardware_entity(hardware, payload).is_ok() => {
            let event = json!({"kind": "hardware", "type": hardware, "payload": payload});
            to_raw_value(&event).into_iter().collect()
        }
        _ => Vec::new(),
    };
    let is_log = &*message.message_type == "log";
    let answer = message.id.filter(|id| !is_log && !id.is_empty()).and_then(|id| {
        let status = if &*message.message_type == COMMAND_ERROR {
            "failed"
        } else {
            "success"
        };
        let output = json!({"type": message.message_type, "payload": message.payload}).to_string();
        let event = json!({"kind": "command", "command_id": id, "status": status, "output": output});
        Some(Reply {
            event: to_raw_value(&event).ok()?,
            command_id: id,
            is_only_that: events.is_empty(),
        })
    });
    Some(Said::Events(events, answer))
}

fn log(payload: &Value) -> Option<Box<RawValue>> {
    let message = payload.get("message").unwrap_or(payload).as_str()?;
    let level = payload.get("level").and_then(Value::as_str).unwrap_or("log");
    to_raw_value(&json!({"kind": "log", "level": level, "message": message})).ok()
}

/// What user code emits.
fn state(payload: &Map<String, Value>) -> Option<Box<RawValue>> {
    let (id, value) = (payload.get("entity_id")?, payload.get("value")?);
    to_raw_value(&json!({"kind": "entity", "entity_id": id, "value": value})).ok()
}

/// A command as the device gets it.
fn command(id: &str, command_type: &str, input: Option<&str>) -> String {
    let payload = input.map_or_else(String::new, |input| format!(",\"payload\":{input}"));
    format!(
        "{{\"id\":{},\"type\":{}{payload}}}",
        quoted(id),
        quoted(command_type)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &RawValue) -> Value {
        serde_json::from_str(text.get()).unwrap()
    }

    fn said(text: &str) -> Option<(Vec<Box<RawValue>>, Option<Reply>)> {
        match read(text)? {
            Said::Events(events, answer) => Some((events, answer)),
            Said::Mistake(mistake) => panic!("{mistake}"),
        }
    }

    #[test]
    fn logs_states_and_hardware_messages_become_events() {
        let event = |text: &str| said(text).map(|(events, _)| value(&events[0]));
        assert_eq!(
            event(r#"{"type":"log","payload":{"level":"warn","message":"hot"}}"#),
            Some(json!({"kind": "log", "level": "warn", "message": "hot"}))
        );
        assert_eq!(
            event(r#"{"type":"gpio_state_changed","payload":{"pin":15,"state":"low"}}"#),
            Some(
                json!({"kind": "hardware", "type": "gpio_state_changed", "payload": {"pin": 15, "state": "low"}})
            )
        );
        assert_eq!(
            event(r#"{"type":"state","payload":{"entity_id":"door","value":[1]}}"#),
            Some(json!({"kind": "entity", "entity_id": "door", "value": [1]}))
        );
    }

    #[test]
    fn what_says_nothing_is_none() {
        for text in [
            r#"{"type":"ping"}"#,
            r#"{"id":"a"}"#,
            "[]",
            "{",
            r#"{"type":"log","payload":{}}"#,
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_answer_ends_its_command_and_may_be_a_state_too() {
        let (events, reply) =
            said(r#"{"id":"c1","type":"temperature_result","payload":{"celsius":21.5}}"#).unwrap();
        assert_eq!(value(&events[0])["type"], "temperature_result");
        let reply = reply.unwrap();
        let event = value(&reply.event);
        assert_eq!(
            (&*reply.command_id, &event["status"], reply.is_only_that),
            ("c1", &json!("success"), false)
        );
        let output: Value = serde_json::from_str(event["output"].as_str().unwrap()).unwrap();
        assert_eq!(
            output,
            json!({"type": "temperature_result", "payload": {"celsius": 21.5}})
        );
        let (_, failed) = said(r#"{"id":"c1","type":"command_error","payload":{"error":"no"}}"#).unwrap();
        assert_eq!(value(&failed.unwrap().event)["status"], "failed");
        // Clients of the original that answer nothing say so with an empty id.
        let (_, reply) = said(r#"{"id":"","type":"temperature_result","payload":{"celsius":21.5}}"#).unwrap();
        assert!(reply.is_none());
        let (events, reply) =
            said(r#"{"id":"c1","type":"gpio_state_changed","payload":{"pin":256,"state":"low"}}"#).unwrap();
        assert!(events.is_empty() && reply.is_some());
    }

    #[test]
    fn a_command_has_its_id_its_type_and_its_payload() {
        assert_eq!(command("c", "reboot", None), r#"{"id":"c","type":"reboot"}"#);
        assert_eq!(
            command("c", "set", Some(r#"{"pin":1}"#)),
            r#"{"id":"c","type":"set","payload":{"pin":1}}"#
        );
    }
}
