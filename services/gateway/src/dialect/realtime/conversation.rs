//! What clients of the realtime dialect say, and the liveness that they are told of.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use schemas::event::{Presence, PresenceReason, Status};
use schemas::json::check_device;
use schemas::{Body, Micros};
use serde_json::{Map, Value, json};

use super::{frames, is_in_scope};
use crate::commands::COMMAND_DENIED;
use crate::dialect::text::quoted;
use crate::dialect::{Action, Answer, Ask, Conversation, Moment};
use crate::engine::LogRecord;

/// Devices of one question.
const DOUBTS_PER_QUESTION: usize = 64;

/// One client.
#[derive(Default)]
pub(super) struct Talk {
    /// Whether a device was online, as the client was told last.
    told: HashMap<Box<str>, bool>,
    /// What is being asked, oldest first.
    asked: VecDeque<Question>,
    /// Verdicts that the state is to be asked about, and when they were given.
    doubts: BTreeMap<Box<str>, Micros>,
}

enum Question {
    Command(Sent),
    /// Whether these verdicts hold.
    Doubts(BTreeMap<Box<str>, Micros>),
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
                        self.believe(device);
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
        let (device, occurred_at) = (&event.device, event.occurred_at);
        let previously = presence.previous.map(|previous| previous == Status::Online);
        let before = self.told.get(device).copied().or(previously);
        if status == Status::Online {
            // It was not online: a verdict before that is in doubt no more.
            let verdict = self.believe(device).filter(|_| previously == Some(false));
            let mut actions = Vec::new();
            if let Some(given_at) = verdict {
                actions.extend(self.tell(device, false, given_at, at));
            }
            if before != Some(true) || verdict.is_some() {
                actions.extend(self.tell(device, true, occurred_at, at));
            }
            return actions;
        }
        if before == Some(false) {
            return Vec::new();
        }
        if may_be_void(presence) {
            self.doubts.entry(device.clone()).or_insert(occurred_at);
            return self.ask();
        }
        self.believe(device);
        self.tell(device, false, occurred_at, at).into_iter().collect()
    }

    fn answer(&mut self, answer: Answer, at: &Moment<'_>) -> Vec<Action> {
        match self.asked.pop_front() {
            Some(Question::Command(sent)) => commanded(&sent, answer),
            Some(Question::Doubts(doubts)) => self.judge(doubts, answer, at),
            None => Vec::new(),
        }
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
        self.asked.push_back(Question::Command(Sent {
            device: device.into(),
            command: command.into(),
        }));
        vec![Action::Ask(Ask::Command {
            device: device.into(),
            command_type: command.into(),
            input: message.get("params").map(|params| params.to_string().into()),
            principal: Arc::clone(principal),
        })]
    }

    fn tell(&mut self, device: &str, is_online: bool, since: Micros, at: &Moment<'_>) -> Option<Action> {
        let before = self.told.insert(device.into(), is_online);
        (before != Some(is_online)).then(|| Action::send(frames::status(device, is_online, since, at.cursor)))
    }

    /// Doubts no verdict on a device any more; when the one that was doubted was given.
    fn believe(&mut self, device: &str) -> Option<Micros> {
        let asked = self.asked.iter_mut().find_map(|question| match question {
            Question::Doubts(doubts) => doubts.remove(device),
            Question::Command(_) => None,
        });
        let waiting = self.doubts.remove(device);
        asked.or(waiting)
    }

    /// Asks about verdicts, unless that is being done.
    fn ask(&mut self) -> Vec<Action> {
        let is_asking = |question: &Question| matches!(question, Question::Doubts(_));
        if self.doubts.is_empty() || self.asked.iter().any(is_asking) {
            return Vec::new();
        }
        let mut doubts = BTreeMap::new();
        while doubts.len() < DOUBTS_PER_QUESTION
            && let Some((device, given_at)) = self.doubts.pop_first()
        {
            doubts.insert(device, given_at);
        }
        let devices = doubts.keys().cloned().collect();
        self.asked.push_back(Question::Doubts(doubts));
        vec![Action::Ask(Ask::Settled(devices))]
    }

    /// Tells the verdicts that hold. Without an answer all do: whoever gave them knew what is known.
    fn judge(&mut self, doubts: BTreeMap<Box<str>, Micros>, answer: Answer, at: &Moment<'_>) -> Vec<Action> {
        let documents = match answer {
            Answer::Documents(documents) => documents,
            Answer::Commanded(_)
            | Answer::Refused(_)
            | Answer::Counts(_)
            | Answer::History(_)
            | Answer::Devices(_)
            | Answer::Alerts(_)
            | Answer::Device(_)
            | Answer::HasAny(_)
            | Answer::Tenants(_)
            | Answer::Places(_)
            | Answer::Unavailable => Vec::new(),
        };
        let (principal, chosen) = (&at.subscription.principal, &at.subscription.selection.devices);
        let mut actions = Vec::new();
        for (device, given_at) in doubts {
            if !chosen.contains(&device) || !is_in_scope(principal, &device) {
                continue;
            }
            let mut known = documents.iter().map(|stored| &stored.document);
            let online = known.find(|known| known.id == device && known.status == Some(Status::Online));
            match online.map(|document| document.fold.status_since) {
                None => actions.extend(self.tell(&device, false, given_at, at)),
                // It held, and the device is back already.
                Some(Some(since)) if since > given_at => {
                    actions.extend(self.tell(&device, false, given_at, at));
                    actions.extend(self.tell(&device, true, since, at));
                }
                Some(_) => {}
            }
        }
        actions.extend(self.ask());
        actions
    }
}

/// Whether a verdict that a device is not online may be void: a sign of life came after it, or it is of a
/// connection that another has replaced. The state tells.
fn may_be_void(presence: &Presence) -> bool {
    presence.connected == Some(false)
        || match presence.reason {
            PresenceReason::Silence
            | PresenceReason::Disconnect
            | PresenceReason::Will
            | PresenceReason::Replaced => true,
            PresenceReason::Connect | PresenceReason::Report => false,
        }
}

fn commanded(sent: &Sent, answer: Answer) -> Vec<Action> {
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
        "type": "command_sent", "commandId": id, "hardwareId": sent.device, "command": sent.command,
        "status": "pending",
    });
    vec![Action::send(sent.to_string())]
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
