//! Commands as this dialect shows them, and their updates.

use std::collections::{HashMap, VecDeque};

use access::Principal;
use schemas::document::DeviceCommand;
use schemas::event::CommandStatus;
use schemas::{Body, json};

use super::{DEVICES, may};
use crate::commands::{after, is_end};
use crate::dialect::text::{quoted, reset_members, time};
use crate::dialect::{Action, Control, Conversation, Dialect, Item, Look, Moment};
use crate::engine::LogRecord;
use crate::subscription::{Selection, Subscription, TenantScope};

/// Commands that one client's updates remember; those that have ended are forgotten first.
const KNOWN_MAX: usize = 4_096;
/// Inputs that are remembered of them, bytes.
const INPUT_BYTES_MAX: usize = 1 << 20;

/// A command, as `data` of its updates and in answers to requests.
pub(super) fn object(device: &str, command: &DeviceCommand) -> String {
    let text = |text: Option<&str>| text.map_or_else(|| "null".to_owned(), quoted);
    let input = command.input.as_deref().map(json::masked);
    format!(
        "{{\"id\":{},\"device\":{},\"connection\":{},\"type\":{},\"input\":{},\"output\":{},\"status\":\"{}\",\"created\":{},\"modified\":{}}}",
        quoted(&command.command_id),
        quoted(device),
        text(command.connection.as_deref()),
        quoted(&display_name(&command.command_type)),
        input.as_deref().unwrap_or("null"),
        quoted(command.output.as_deref().unwrap_or_default()),
        status(command.status),
        time(command.created),
        time(command.modified),
    )
}

/// What people call a type of command.
fn display_name(command_type: &str) -> String {
    match command_type {
        "custom" => "Custom Command".to_owned(),
        "reboot" => "Reboot".to_owned(),
        "change_password" => "Change password".to_owned(),
        other => {
            let mut letters = other.chars();
            let first = letters.next().into_iter().flat_map(char::to_uppercase);
            first.chain(letters).collect()
        }
    }
}

const fn status(status: CommandStatus) -> &'static str {
    match status {
        CommandStatus::Queued | CommandStatus::Delivered | CommandStatus::InProgress => "in-progress",
        CommandStatus::Success => "success",
        CommandStatus::Failed | CommandStatus::Expired => "failed",
    }
}

/// Updates of commands: each step but the first, which makes a command, and none that comes too late.
#[derive(Default)]
pub(super) struct Updates {
    known: HashMap<Box<str>, Known>,
    /// Oldest first.
    order: VecDeque<Box<str>>,
    input_bytes: usize,
}

struct Known {
    status: CommandStatus,
    /// What the command is, until it ends: who reports a step need not repeat that.
    command: Option<Box<DeviceCommand>>,
}

impl Updates {
    /// A command that was there before.
    pub(super) fn know(&mut self, tenant: &str, command: &DeviceCommand) {
        self.remember(key(tenant, &command.command_id), command.clone());
    }

    #[cfg(test)]
    pub(super) fn status_of(&self, tenant: &str, id: &str) -> Option<CommandStatus> {
        self.known.get(&key(tenant, id)).map(|known| known.status)
    }

    /// Takes a step, as the fold does; the command after it, if that is an update.
    fn take(&mut self, key: Box<str>, step: DeviceCommand) -> Option<DeviceCommand> {
        let Some(known) = self.known.get_mut(&key) else {
            self.remember(key, step);
            return None;
        };
        if is_end(known.status) || (!is_end(step.status) && step.status < known.status) {
            return None;
        }
        known.status = step.status;
        let command = if is_end(step.status) {
            let command = known.command.take();
            self.input_bytes -= command.as_deref().map_or(0, input_bytes);
            command
        } else {
            known.command.clone()
        };
        Some(match command {
            Some(command) => DeviceCommand {
                status: step.status,
                output: step.output,
                modified: step.modified,
                ..*command
            },
            None => step,
        })
    }

    fn remember(&mut self, key: Box<str>, command: DeviceCommand) {
        if self.order.len() >= KNOWN_MAX {
            let has_ended = |key: &str| self.known.get(key).is_none_or(|known| is_end(known.status));
            let index = self.order.iter().position(|key| has_ended(key)).unwrap_or(0);
            let forgotten = self.order.remove(index);
            let forgotten = forgotten.and_then(|key| self.known.remove(&key));
            let forgotten = forgotten.and_then(|known| known.command);
            self.input_bytes -= forgotten.as_deref().map_or(0, input_bytes);
        }
        let bytes = input_bytes(&command);
        let status = command.status;
        let is_kept = !is_end(status) && self.input_bytes + bytes <= INPUT_BYTES_MAX;
        if is_kept {
            self.input_bytes += bytes;
        }
        let command = is_kept.then(|| Box::new(command));
        self.order.push_back(key.clone());
        self.known.insert(key, Known { status, command });
    }
}

fn input_bytes(command: &DeviceCommand) -> usize {
    command.input.as_ref().map_or(0, |input| input.len())
}

/// Two tenants may have devices of one name.
fn key(tenant: &str, id: &str) -> Box<str> {
    format!("{tenant}/{id}").into()
}

impl Conversation for Updates {
    fn text(&mut self, _: &str, _: &Moment<'_>) -> Vec<Action> {
        Vec::new()
    }

    fn record(&mut self, record: &LogRecord, at: &Moment<'_>) -> Vec<Action> {
        let Some(event) = record.event() else {
            return Vec::new();
        };
        let Body::Command(step) = &event.body else {
            return Vec::new();
        };
        let step = after(step, event.occurred_at);
        let Some(command) = self.take(key(&event.tenant, &step.command_id), step) else {
            return Vec::new();
        };
        let data = object(&event.device, &command);
        let cursor = at
            .cursor
            .map_or_else(String::new, |cursor| format!(",\"cursor\":\"{cursor}\""));
        vec![Action::send(format!(
            "{{\"model\":\"Command\",\"data\":{data}{cursor}}}"
        ))]
    }
}

/// Writes what is no update.
pub(super) struct Frames;

impl Dialect for Frames {
    fn name(&self) -> &'static str {
        "controller commands"
    }

    fn data(&self, _: Look<'_>, _: Item<'_>, _: &str, _: &mut Vec<u8>) -> bool {
        false
    }

    fn control(
        &self,
        look: Look<'_>,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str> {
        reset(look, control, cursor, out)
    }

    fn admits(&self, subscription: &Subscription, principal: &Principal) -> bool {
        admits(&subscription.selection.tenant, principal, DEVICES)
    }

    fn rescope(&self, subscription: &Subscription, principal: &Principal) -> Selection {
        rescoped(&subscription.selection, principal, DEVICES)
    }
}

/// A gap, told to whoever asked for cursors.
pub(super) fn reset(
    look: Look<'_>,
    control: Control<'_>,
    cursor: &str,
    out: &mut Vec<u8>,
) -> Option<&'static str> {
    let Control::Reset(reset) = control else {
        return None;
    };
    if !look.cursors {
        return None;
    }
    let data = format!("{{\"cursor\":\"{cursor}\",{}}}", reset_members(reset));
    let text = format!("{{\"model\":\"Reset\",\"data\":{data},\"cursor\":\"{cursor}\"}}");
    out.extend_from_slice(text.as_bytes());
    Some("reset")
}

/// Whether a stream of these organizations may go on.
pub(super) fn admits(tenants: &TenantScope, principal: &Principal, permissions: &[&str]) -> bool {
    match tenants {
        TenantScope::One(tenant) => may(principal, tenant, permissions),
        TenantScope::Some(tenants) => tenants.iter().any(|tenant| may(principal, tenant, permissions)),
        TenantScope::All => principal.is_superuser(),
    }
}

/// What is left of a stream's organizations.
pub(super) fn rescoped(selection: &Selection, principal: &Principal, permissions: &[&str]) -> Selection {
    let mut selection = selection.clone();
    if let TenantScope::Some(tenants) = &selection.tenant {
        let left = super::allowed(principal, tenants.iter().cloned(), permissions);
        selection.tenant = TenantScope::Some(std::sync::Arc::new(left));
    }
    selection
}
