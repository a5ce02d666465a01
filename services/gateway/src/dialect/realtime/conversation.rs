//! What clients of the realtime dialect say, and the liveness that they are told of.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use schemas::event::Status;
use schemas::json::check_device;
use schemas::{Body, Micros};
use serde_json::{Map, Value, json};

use super::{frames, is_in_scope};
use crate::commands::COMMAND_DENIED;
use crate::dialect::text::quoted;
use crate::dialect::{Action, Answer, Ask, Conversation, Moment};
use crate::engine::LogRecord;

/// One client.
#[derive(Default)]
pub(super) struct Talk {
    /// Whether a device was online, as the client was told last.
    told: HashMap<Box<str>, bool>,
    /// Commands that are being sent, oldest first.
    commands: VecDeque<Sent>,
}

/// A command that was asked for.
struct Sent {
    device: Box<str>,
    command: Box<str>,
}

impl Conversation for Talk {
    fn text(&mut self, text: &str, at: &Moment<'_>) -> Vec<Action> {
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            return vec![error("Invalid JSON")];
        };
        let nothing = Map::new();
        let message = message.as_object().unwrap_or(&nothing);
        match message.get("type").and_then(Value::as_str) {
            Some("subscribe") => choose(message, true, at),
            Some("unsubscribe") => {
                let actions = choose(message, false, at);
                if let Some(Action::Choose { remove, .. }) = actions.first() {
                    for device in remove {
                        self.told.remove(device);
                    }
                }
                actions
            }
            Some("command") => self.command(message, at),
            Some(other) => vec![error(&format!("Unknown message type: {other}"))],
            None => {
                let found = message
                    .get("type")
                    .map_or_else(|| "undefined".to_owned(), Value::to_string);
                vec![error(&format!("Unknown message type: {found}"))]
            }
        }
    }

    fn binary(&mut self, _: &Moment<'_>) -> Vec<Action> {
        vec![error("Invalid JSON")]
    }

    fn record(&mut self, record: &LogRecord, at: &Moment<'_>) -> Vec<Action> {
        let Some(event) = record.event() else {
            return Vec::new();
        };
        let Body::Presence(presence) = &event.body else {
            return Vec::new();
        };
        let Some(status) = presence.status else {
            return Vec::new();
        };
        let is_online = status == Status::Online;
        let before = match presence.previous {
            Some(previous) => Some(previous == Status::Online),
            None => self.told.get(&event.device).copied(),
        };
        if before == Some(is_online) {
            return Vec::new();
        }
        self.told.insert(event.device.clone(), is_online);
        status_of(&event.device, is_online, event.occurred_at, at.cursor)
    }

    fn answer(&mut self, answer: Answer, _: &Moment<'_>) -> Vec<Action> {
        let Some(Sent { device, command }) = self.commands.pop_front() else {
            return Vec::new();
        };
        let id = match answer {
            Answer::Commanded(id) => id,
            Answer::Refused(reason) => return vec![error(&reason)],
            Answer::Documents(_)
            | Answer::Counts(_)
            | Answer::History(_)
            | Answer::Devices(_)
            | Answer::Alerts(_)
            | Answer::Device(_)
            | Answer::HasAny(_)
            | Answer::Tenants(_)
            | Answer::Places(_)
            | Answer::Unavailable => return vec![error("The command could not be sent, try again")],
        };
        let sent = json!({
            "type": "command_sent", "commandId": id, "hardwareId": device, "command": command,
            "status": "pending",
        });
        vec![Action::send(sent.to_string())]
    }

    fn refusal(&self, reason: &str) -> Option<bytes::Bytes> {
        Some(error_text(reason).into())
    }
}

impl Talk {
    fn command(&mut self, message: &Map<String, Value>, at: &Moment<'_>) -> Vec<Action> {
        let member = |name: &str| message.get(name).and_then(Value::as_str);
        let (Some(device), Some(command)) = (member("hardwareId"), member("command")) else {
            return vec![error("hardwareId and command must be strings")];
        };
        let principal = &at.subscription.principal;
        if !is_in_scope(principal, device) {
            return vec![denied(&[device.into()])];
        }
        let tenant = at.subscription.selection.tenant.name().unwrap_or_default();
        if !principal.may_command(tenant, device) {
            return vec![error(COMMAND_DENIED)];
        }
        self.commands.push_back(Sent {
            device: device.into(),
            command: command.into(),
        });
        vec![Action::Ask(Ask::Command {
            device: device.into(),
            command_type: command.into(),
            input: message.get("params").map(|params| params.to_string().into()),
            principal: Arc::clone(principal),
        })]
    }
}

fn status_of(device: &str, is_online: bool, at: Micros, cursor: Option<&str>) -> Vec<Action> {
    vec![Action::send(frames::status(device, is_online, at, cursor))]
}

/// Changes the devices that are chosen by those of a message that are in scope. Only the scope is
/// checked: a device may be provisioned later.
fn choose(message: &Map<String, Value>, yes: bool, at: &Moment<'_>) -> Vec<Action> {
    let ids = match ids(message) {
        Ok(ids) => ids,
        Err(mistake) => return vec![error(mistake)],
    };
    let principal = &at.subscription.principal;
    let may = |id: &str| check_device(id).is_ok() && is_in_scope(principal, id);
    let (granted, refused): (Vec<Box<str>>, Vec<Box<str>>) = ids.into_iter().partition(|id| may(id));
    let chosen = &at.subscription.selection.devices;
    let come = granted.iter().filter(|id| !chosen.contains(id)).count();
    if yes && chosen.len().unwrap_or_default() + come > at.devices_max {
        let most = at.devices_max;
        return vec![error(&format!(
            "A connection may subscribe to {most} hardwareIds at most"
        ))];
    }
    let answer = if yes { "subscribed" } else { "unsubscribed" };
    let told = json!({"type": answer, "hardwareIds": granted}).to_string();
    let (add, remove) = if yes {
        (granted, Vec::new())
    } else {
        (Vec::new(), granted)
    };
    let mut actions = vec![Action::Choose { add, remove }, Action::send(told)];
    if !refused.is_empty() {
        actions.push(denied(&refused));
    }
    actions
}

/// The ids of a message, each once, in the order sent.
fn ids(message: &Map<String, Value>) -> Result<Vec<Box<str>>, &'static str> {
    let list = message.get("hardwareIds").and_then(Value::as_array);
    let list = list.ok_or("hardwareIds must be an array")?;
    let mut seen = BTreeSet::new();
    let mut ids = Vec::with_capacity(list.len());
    for id in list {
        let id = id.as_str().ok_or("hardwareIds must be an array of strings")?;
        if seen.insert(id) {
            ids.push(Box::from(id));
        }
    }
    Ok(ids)
}

fn denied(ids: &[Box<str>]) -> Action {
    error(&format!("Access denied for hardwareIds: {}", ids.join(", ")))
}

fn error(message: &str) -> Action {
    Action::send(error_text(message))
}

fn error_text(message: &str) -> String {
    format!("{{\"type\":\"error\",\"message\":{}}}", quoted(message))
}
