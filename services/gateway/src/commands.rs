//! What a command is: made by one event, moved by others, ended by the first that ends it. Pure.

mod order;

use std::collections::HashMap;
use std::sync::Arc;

use access::{Principal, Role, Scope};
use schemas::document::DeviceCommand;
use schemas::event::{Command, CommandStatus};
use schemas::json::{MASK, replace_secrets, write_time};
use schemas::{Body, Event, Kind, Micros};
use serde_json::{Map, Value};

pub use order::CommandLimits;
pub(crate) use order::Order;

/// What whoever may send no command is told where a command has no status to say it with.
pub(crate) const COMMAND_DENIED: &str = "Permission denied for command";

/// Takes in the next older step, as the fold would have it: a command ends once, by its first end, moves
/// only forward until then, and is what the step says that queued it.
pub(crate) fn take_step(known: &mut HashMap<Box<str>, DeviceCommand>, event: &Event) {
    let Body::Command(step) = &event.body else { return };
    let is_newer_step = known
        .get(&step.command_id)
        .is_some_and(|known| !is_end(step.status) && (is_end(known.status) || known.status >= step.status));
    if !is_newer_step {
        known.insert(step.command_id.clone(), after(step, event.occurred_at));
    } else if step.status == CommandStatus::Queued
        && let Some(known) = known.get_mut(&step.command_id)
    {
        *known = DeviceCommand {
            status: known.status,
            output: known.output.take(),
            modified: known.modified,
            ..after(step, event.occurred_at)
        };
    }
}

/// A command as a step leaves it.
pub(crate) fn after(step: &Command, modified: Micros) -> DeviceCommand {
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

/// Whether a command has ended.
pub(crate) const fn is_end(status: CommandStatus) -> bool {
    match status {
        CommandStatus::Success | CommandStatus::Failed | CommandStatus::Expired => true,
        CommandStatus::Queued | CommandStatus::Delivered | CommandStatus::InProgress => false,
    }
}

/// UUIDv7, so that ids are in the order of their making.
pub(crate) fn command_id(now: Micros) -> Box<str> {
    let millis = u64::try_from(now.div_euclid(1_000)).unwrap_or(0);
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &rand::random());
    id.into_uuid().to_string().into()
}

/// The event that makes a command; admission encrypts the secrets in its input.
pub(crate) fn event(command: &DeviceCommand, input: Option<Value>, secret: Vec<Box<str>>) -> Value {
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
    // It is made when it is asked for, whatever time the log takes.
    put("time", time(command.created));
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
pub(crate) fn masked(input: &Value, secret: &[Box<str>]) -> Box<str> {
    let mut input = input.clone();
    let mask = &mut |_: &Value| Ok::<_, std::convert::Infallible>(Value::from(MASK));
    match replace_secrets(&mut input, secret, mask) {
        Ok(_) => input.to_string().into(),
        Err(never) => match never {},
    }
}

/// The caller, entitled to the one event that it was found to be entitled to.
pub(crate) fn acting(caller: &Principal, tenant: &str, device: &str) -> Principal {
    Principal {
        role: Role::Admin,
        tenant: Some(tenant.into()),
        devices: Scope::Devices(Arc::new([device.into()].into())),
        ..caller.clone()
    }
}

/// A time as events have it.
pub(crate) fn time(at: Micros) -> Value {
    let mut text = Vec::with_capacity(32);
    write_time(at, &mut text);
    serde_json::from_slice(&text).unwrap_or_default()
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
    fn a_command_is_what_it_was_when_it_was_made() {
        let mut queued = step(CommandStatus::Queued, 1);
        if let Body::Command(made) = &mut queued.body {
            made.input = Some("{\"after\":3}".into());
            made.expires_at = Some(60);
        }
        let mut known = HashMap::new();
        take_step(&mut known, &step(CommandStatus::Success, 9));
        take_step(&mut known, &queued);
        let command = &known["c"];
        assert_eq!((command.status, command.modified), (CommandStatus::Success, 9));
        assert_eq!(
            (command.input.as_deref(), command.expires_at),
            (Some("{\"after\":3}"), Some(60))
        );
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
}
