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
    known: HashMap<Box<str>, CommandStatus>,
    /// Oldest first.
    order: VecDeque<Box<str>>,
}

/// What a step is to its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Makes,
    Moves,
    /// The command has ended, or was further already.
    ComesTooLate,
}

impl Updates {
    /// A command that was there before.
    pub(super) fn know(&mut self, tenant: &str, command: &DeviceCommand) {
        self.remember(key(tenant, &command.command_id), command.status);
    }

    #[cfg(test)]
    pub(super) fn status_of(&self, tenant: &str, id: &str) -> Option<CommandStatus> {
        self.known.get(&key(tenant, id)).copied()
    }

    /// Takes a step, as the fold does.
    fn take(&mut self, key: Box<str>, status: CommandStatus) -> Step {
        let Some(known) = self.known.get_mut(&key) else {
            self.remember(key, status);
            return Step::Makes;
        };
        if is_end(*known) || (!is_end(status) && status < *known) {
            return Step::ComesTooLate;
        }
        *known = status;
        Step::Moves
    }

    fn remember(&mut self, key: Box<str>, status: CommandStatus) {
        if self.order.len() >= KNOWN_MAX {
            let has_ended = |key: &Box<str>| self.known.get(key).copied().is_none_or(is_end);
            let index = self.order.iter().position(has_ended).unwrap_or(0);
            if let Some(forgotten) = self.order.remove(index) {
                self.known.remove(&forgotten);
            }
        }
        self.order.push_back(key.clone());
        self.known.insert(key, status);
    }
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
        if self.take(key(&event.tenant, &step.command_id), step.status) != Step::Moves {
            return Vec::new();
        }
        let data = object(&event.device, &after(step, event.occurred_at));
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
