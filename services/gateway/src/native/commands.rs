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
use schemas::event::{Command, CommandStatus};
use schemas::json::{MASK, replace_secrets, write_command};
use schemas::{Body, Event, Kind, Micros};
use serde::Deserialize;
use serde_json::{Map, Value};
use state::HistoryQuery;

use super::acting::time;
use super::answer::{page, store_problem};
use super::{Answer, Caller, Native, no_device};

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
        let most = self.settings.commands_open_max;
        if stored.document.commands.len() >= most {
            let detail =
                format!("the device has {most} open commands, and that is the most; they end or expire");
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        let now = (self.clock)();
        let expires_at = now.saturating_add(self.lifetime(asked.expires_in_s)?);
        let command = DeviceCommand {
            command_id: command_id(now),
            command_type: asked.command_type,
            input: asked.input.as_ref().map(|input| masked(input, &asked.secret)),
            connection: asked.connection,
            status: CommandStatus::Queued,
            output: None,
            created: now,
            modified: now,
            by: Some(caller.principal.id.clone()),
            expires_at: Some(expires_at),
        };
        let event = event(&command, asked.input, asked.secret);
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

    fn lifetime(&self, expires_in_s: Option<f64>) -> Result<Micros, Problem> {
        let micros =
            |duration: std::time::Duration| Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX);
        let most = micros(self.settings.command_lifetime_max);
        let Some(seconds) = expires_in_s else {
            return Ok(micros(self.settings.command_lifetime).min(most));
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

/// Takes in the next older step, as the fold would have it: a command ends once, by its first end, and
/// moves only forward until then.
fn take_step(known: &mut HashMap<Box<str>, DeviceCommand>, event: &Event) {
    let Body::Command(step) = &event.body else { return };
    let is_newer_step = known
        .get(&step.command_id)
        .is_some_and(|known| !is_end(step.status) && (is_end(known.status) || known.status >= step.status));
    if !is_newer_step {
        known.insert(step.command_id.clone(), after(step, event.occurred_at));
    }
}

fn after(step: &Command, modified: Micros) -> DeviceCommand {
    DeviceCommand {
        command_id: step.command_id.clone(),
        command_type: step.command_type.clone(),
        input: step.input.clone(),
        connection: step.connection.clone(),
        status: step.status,
        output: step.output.clone(),
        created: step.created,
        modified,
        by: step.by.clone(),
        expires_at: step.expires_at,
    }
}

const fn is_end(status: CommandStatus) -> bool {
    match status {
        CommandStatus::Success | CommandStatus::Failed | CommandStatus::Expired => true,
        CommandStatus::Queued | CommandStatus::Delivered | CommandStatus::InProgress => false,
    }
}

/// UUIDv7, so that ids are in the order of their making.
fn command_id(now: Micros) -> Box<str> {
    let millis = u64::try_from(now.div_euclid(1_000)).unwrap_or(0);
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &rand::random());
    id.into_uuid().to_string().into()
}

/// The event that makes a command; admission encrypts the secrets in its input.
fn event(command: &DeviceCommand, input: Option<Value>, secret: Vec<Box<str>>) -> Value {
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| drop(event.insert(name.to_owned(), value));
    put("kind", Kind::Command.name().into());
    put("command_id", (*command.command_id).into());
    put("type", (*command.command_type).into());
    if let Some(input) = input {
        put("input", input);
    }
    if let Some(connection) = &command.connection {
        put("connection", (**connection).into());
    }
    put("status", command.status.word().into());
    put("created", time(command.created));
    if let Some(by) = &command.by {
        put("by", (**by).into());
    }
    if let Some(expires_at) = command.expires_at {
        put("expires_at", time(expires_at));
    }
    if !secret.is_empty() {
        put("secret", secret.iter().map(|name| Value::from(&**name)).collect());
    }
    Value::Object(event)
}

/// The input as everybody sees it but the device.
fn masked(input: &Value, secret: &[Box<str>]) -> Box<str> {
    let mut input = input.clone();
    let mask = &mut |_: &Value| Ok::<_, std::convert::Infallible>(Value::from(MASK));
    match replace_secrets(&mut input, secret, mask) {
        Ok(_) => input.to_string().into(),
        Err(never) => match never {},
    }
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
    use super::*;

    fn step(status: CommandStatus, at: Micros) -> Event {
        Event {
            id: "e".into(),
            tenant: "acme".into(),
            device: "bus".into(),
            occurred_at: at,
            received_at: at,
            claimed_at: None,
            seq: None,
            body: Body::Command(Command {
                command_id: "c".into(),
                command_type: "reboot".into(),
                input: None,
                connection: None,
                status,
                output: None,
                created: 1,
                by: None,
                expires_at: None,
            }),
        }
    }

    fn folded(newest_first: &[CommandStatus]) -> CommandStatus {
        let mut known = HashMap::new();
        for (age, status) in (1..).zip(newest_first) {
            take_step(&mut known, &step(*status, 100 - age));
        }
        known["c"].status
    }

    #[test]
    fn a_command_stands_where_its_steps_left_it() {
        use CommandStatus::{Delivered, Expired, InProgress, Queued, Success};
        assert_eq!(folded(&[Queued]), Queued);
        assert_eq!(folded(&[InProgress, Delivered, Queued]), InProgress);
        // Steps come from several processes: an older one may stand last in the log.
        assert_eq!(folded(&[Delivered, InProgress, Queued]), InProgress);
        assert_eq!(folded(&[Expired, Success, Delivered, Queued]), Success);
        assert_eq!(folded(&[Delivered, Success, Queued]), Success);
    }

    #[test]
    fn the_caller_sees_a_mask_and_the_log_gets_the_secret_to_seal() {
        let input = serde_json::json!({"password": "hunter2", "pin": 1, "user": "a"});
        let secret: Vec<Box<str>> = vec!["pin".into()];
        let shown: Value = serde_json::from_str(&masked(&input, &secret)).unwrap();
        assert_eq!(
            shown,
            serde_json::json!({"password": MASK, "pin": MASK, "user": "a"})
        );
        let mut known = HashMap::new();
        take_step(&mut known, &step(CommandStatus::Queued, 5));
        let event = event(&known["c"], Some(input), secret);
        assert_eq!(event["input"]["password"], "hunter2");
        assert_eq!(event["secret"], serde_json::json!(["pin"]));
        assert_eq!(event["status"], "queued");
    }

    #[test]
    fn a_page_is_read_as_it_was_written() {
        let command = after(
            &match step(CommandStatus::Queued, 5).body {
                Body::Command(command) => command,
                other => panic!("{other:?}"),
            },
            5,
        );
        assert_eq!(read_page(&write_page(&command)).unwrap(), (1, "c".to_owned()));
        assert!(read_page("!").is_err() && read_page("YQ").is_err());
    }
}
