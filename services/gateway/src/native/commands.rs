//! `POST /v1/devices/{id}/commands`, `GET …/commands`, `GET …/commands/{command}`.
//!
//! A command is its events: open ones stand in the device's document, those that ended in its history.

use std::collections::HashMap;

use access::http::{Problem, json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemas::document::DeviceCommand;
use schemas::json::write_command;
use schemas::{Kind, Micros};
use serde::Deserialize;
use serde_json::Value;
use state::HistoryQuery;

use super::answer::{page, store_problem};
use super::{Answer, Caller, Native, no_device};
use crate::commands::{CommandLimits, Order, is_end, take_step};

const SECOND: Micros = 1_000_000;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCommand {
    #[serde(rename = "type")]
    command_type: Box<str>,
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    expires_in_s: Option<f64>,
    #[serde(default)]
    connection: Option<Box<str>>,
    /// Members of the input that are secrets, beside passwords.
    #[serde(default)]
    secret: Vec<Box<str>>,
}

impl Native {
    pub(super) async fn create_command(&self, caller: &Caller, id: &str, body: &[u8]) -> Answer {
        caller.knows(&[])?;
        caller.may_act(id)?;
        let asked: NewCommand = serde_json::from_slice(body).map_err(|error| {
            let expected = r#"{"type":"reboot","input":{…},"expires_in_s":60}"#;
            Problem::bad_request(format!("the body is not {expected}: {error}"))
        })?;
        let stored = self.stored_of_late(caller, id).await?.ok_or_else(no_device)?;
        let limits = &self.settings.commands;
        if stored.document.commands.len() >= limits.open_max {
            return Err(Problem::new(StatusCode::CONFLICT, limits.too_many()));
        }
        let order = Order {
            lifetime: lifetime(limits, asked.expires_in_s)?,
            command_type: asked.command_type,
            input: asked.input,
            secret: asked.secret,
            connection: asked.connection,
            by: caller.principal.id.clone(),
        };
        let (command, event) = order.make((self.clock)());
        let accepted = self.append(caller, id, &event).await?;
        self.settle(&accepted).await;
        let encoded = utf8_percent_encode(id, NON_ALPHANUMERIC);
        let location = format!("/v1/devices/{encoded}/commands/{}", command.command_id);
        let mut response = json(StatusCode::CREATED, text(&command));
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    }

    pub(super) async fn list_commands(&self, caller: &Caller, id: &str) -> Answer {
        caller.knows(&["limit", "page"])?;
        let limit = caller.limit(&self.settings)?;
        let after = caller.page()?.map(read_page).transpose()?;
        let mut commands = self.commands_of(caller, id).await?;
        // Newest first.
        commands.sort_unstable_by(|a, b| place(b).cmp(&place(a)));
        let rest = commands.into_iter().filter(|command| {
            after
                .as_ref()
                .is_none_or(|(at, id)| place(command) < (*at, id.as_str()))
        });
        let mut found: Vec<DeviceCommand> = rest.take(limit + 1).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(write_page);
        Ok(page("commands", &found, next.as_deref(), write_command))
    }

    pub(super) async fn command(&self, caller: &Caller, id: &str, command_id: &str) -> Answer {
        caller.knows(&[])?;
        let commands = self.commands_of(caller, id).await?;
        let found = commands.iter().find(|command| *command.command_id == *command_id);
        let found = found.ok_or_else(|| Problem::not_found("there is no such command"))?;
        Ok(json(StatusCode::OK, text(found)))
    }

    /// The device's open commands, and those of its history, in any order.
    async fn commands_of(&self, caller: &Caller, id: &str) -> Result<Vec<DeviceCommand>, Problem> {
        caller.may_read()?;
        if !caller.principal.may_read(&caller.tenant, id) {
            return Err(no_device());
        }
        // The document first: what ends meanwhile is in the history.
        let stored = self.stored(caller, id).await?;
        let mut known = HashMap::new();
        let mut query = HistoryQuery {
            tenant: caller.tenant.clone(),
            device: Some(id.into()),
            kinds: vec![Kind::Command],
            from: 0,
            to: Micros::MAX,
            page: None,
            limit: self.settings.page_items_max,
        };
        let mut rows = 0;
        loop {
            let found = self.store.history.read(&query).await;
            let found = found.map_err(|error| store_problem(&error))?;
            rows += found.rows.len();
            for row in &found.rows {
                take_step(&mut known, &row.event);
            }
            query.page = found.next;
            if query.page.is_none() || rows >= self.settings.history_rows_max {
                break;
            }
        }
        if stored.is_none() && known.is_empty() {
            return Err(no_device());
        }
        for command in stored.iter().flat_map(|stored| &stored.document.commands) {
            let ended = known
                .get(&command.command_id)
                .is_some_and(|known| is_end(known.status));
            if !ended {
                known.insert(command.command_id.clone(), command.clone());
            }
        }
        Ok(known.into_values().collect())
    }
}

/// How long a command may take.
fn lifetime(limits: &CommandLimits, expires_in_s: Option<f64>) -> Result<Micros, Problem> {
    let most = limits.lifetime_max();
    let Some(seconds) = expires_in_s else {
        return Ok(limits.lifetime());
    };
    let lifetime = (seconds * SECOND as f64) as Micros;
    if seconds > 0.0 && lifetime <= most {
        return Ok(lifetime.max(1));
    }
    Err(Problem::bad_request(format!(
        "expires_in_s must be more than 0 and at most {}",
        most / SECOND
    ))
    .with("member", "expires_in_s"))
}

fn text(command: &DeviceCommand) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    write_command(command, &mut text);
    text
}

fn place(command: &DeviceCommand) -> (Micros, &str) {
    (command.created, &command.command_id)
}

fn write_page(command: &DeviceCommand) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", command.created, command.command_id))
}

fn read_page(page: &str) -> Result<(Micros, String), Problem> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(page).ok()?).ok()?;
        let (at, id) = text.split_once('.')?;
        Some((at.parse().ok()?, id.to_owned()))
    };
    read().ok_or_else(|| store_problem(&state::StoreError::BadPage))
}

#[cfg(test)]
mod tests {
    use schemas::event::CommandStatus;

    use super::*;

    #[test]
    fn a_page_is_read_as_it_was_written() {
        let command = DeviceCommand {
            command_id: "c".into(),
            command_type: "reboot".into(),
            input: None,
            connection: None,
            status: CommandStatus::Queued,
            output: None,
            created: 1,
            modified: 5,
            by: None,
            expires_at: None,
        };
        assert_eq!(read_page(&write_page(&command)).unwrap(), (1, "c".to_owned()));
        assert!(read_page("!").is_err() && read_page("YQ").is_err());
    }
}
