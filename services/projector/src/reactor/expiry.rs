//! Commands that nobody answered in time.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use schemas::document::DeviceCommand;
use schemas::event::{Command, CommandStatus};
use schemas::{Body, Document, Event, Micros};
use state::DeviceKey;
use uuid::Uuid;

use super::reaction::{REACTIONS, Rule, StepReaction};

/// The open commands that expire, each with its timer. Rebuilt from documents.
#[derive(Default)]
pub(super) struct Expiries {
    devices: FxHashMap<Arc<DeviceKey>, Vec<Expiring>>,
    timers: BTreeSet<(Micros, Arc<DeviceKey>, Box<str>)>,
}

struct Expiring {
    command: DeviceCommand,
    /// When its timer fires: at its end, or when its expiry was not read back for long.
    at: Micros,
    /// Its expiry was given out.
    is_given_out: bool,
}

impl Expiries {
    /// The device's document as it is; `None`: it is gone.
    pub(super) fn update(&mut self, key: &Arc<DeviceKey>, document: Option<&Document>) {
        let commands = document.map_or(&[][..], |document| &document.commands);
        let known = self.devices.remove(key).unwrap_or_default();
        for expiring in &known {
            let id = expiring.command.command_id.clone();
            self.timers.remove(&(expiring.at, Arc::clone(key), id));
        }
        let mut expiring = Vec::new();
        for command in commands {
            let Some(expires_at) = command.expires_at else {
                continue;
            };
            let mut known = known.iter().filter(|known| known.is_given_out);
            let given_out = known.find(|known| known.command.command_id == command.command_id);
            let at = given_out.map_or(expires_at, |known| known.at);
            self.timers
                .insert((at, Arc::clone(key), command.command_id.clone()));
            expiring.push(Expiring {
                command: command.clone(),
                at,
                is_given_out: given_out.is_some(),
            });
        }
        if !expiring.is_empty() {
            self.devices.insert(Arc::clone(key), expiring);
        }
    }

    /// Commands with a timer.
    pub(super) fn len(&self) -> usize {
        self.timers.len()
    }

    /// The next command whose end came at or before `clock`. It comes again after `pending_max`, unless
    /// its document lost it by then.
    pub(super) fn next_due(
        &mut self,
        clock: Micros,
        now: Micros,
        pending_max: Micros,
    ) -> Option<StepReaction> {
        loop {
            if self.timers.first().is_none_or(|(at, ..)| *at > clock) {
                return None;
            }
            let (_, key, id) = self.timers.pop_first()?;
            let of_device = self.devices.get_mut(&key).into_iter().flatten();
            let mut of_device = of_device.filter(|expiring| expiring.command.command_id == id);
            let Some(expiring) = of_device.next() else {
                continue;
            };
            expiring.at = now.max(clock).saturating_add(pending_max);
            expiring.is_given_out = true;
            let reaction = expiry(&key, &expiring.command, now);
            self.timers.insert((expiring.at, key, id));
            return Some(reaction);
        }
    }
}

fn expiry(key: &Arc<DeviceKey>, command: &DeviceCommand, now: Micros) -> StepReaction {
    let rule = Rule::CommandExpired;
    // A command expires once.
    let name = format!(
        "{}/{}/{}/{}",
        rule.name(),
        command.command_id,
        key.tenant,
        key.device
    );
    let step = Command {
        command_id: command.command_id.clone(),
        command_type: command.command_type.clone(),
        input: command.input.clone(),
        connection: command.connection.clone(),
        status: CommandStatus::Expired,
        output: command.output.clone(),
        created: command.created,
        by: command.by.clone(),
        expires_at: command.expires_at,
    };
    let event = Event {
        id: Uuid::new_v5(&REACTIONS, name.as_bytes()).to_string().into(),
        tenant: key.tenant.clone(),
        device: key.device.clone(),
        occurred_at: command.expires_at.unwrap_or(now).min(now),
        received_at: now,
        claimed_at: None,
        seq: None,
        body: Body::Command(step),
    };
    StepReaction {
        key: Arc::clone(key),
        rule,
        event: Box::new(event),
        traceparent: None,
    }
}
