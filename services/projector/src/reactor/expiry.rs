//! Commands that nobody answered in time.
//!
//! A command for a device that nobody knows stands in no document, since a command creates none. It waits here,
//! in memory, for its end, so that whoever sent it hears of one; a hand-over of the partition forgets it.

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

/// So many commands for devices that nobody knows wait for their end; those beyond have none. A tenant has as many
/// at most as there is room left, so that none fills it.
const UNKNOWN_MAX: usize = 10_000;

/// The open commands that expire, each with its timer. Rebuilt from documents.
#[derive(Default)]
pub(super) struct Expiries {
    devices: FxHashMap<Arc<DeviceKey>, Vec<Expiring>>,
    timers: BTreeSet<(Micros, Arc<DeviceKey>, Box<str>)>,
    /// How many of them stand in no document.
    unknown: usize,
    /// The same by tenant.
    unknown_of: FxHashMap<Box<str>, usize>,
}

struct Expiring {
    command: DeviceCommand,
    /// When its timer fires: at its end, or when its expiry was not read back for long.
    at: Micros,
    /// Its expiry was given out.
    is_given_out: bool,
    /// Its device is not known.
    is_unknown: bool,
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
        let (mut expiring, known): (Vec<Expiring>, Vec<Expiring>) =
            known.into_iter().partition(|known| known.is_unknown);
        for unknown in &expiring {
            let id = unknown.command.command_id.clone();
            self.timers.insert((unknown.at, Arc::clone(key), id));
        }
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
                is_unknown: false,
            });
        }
        if !expiring.is_empty() {
            self.devices.insert(Arc::clone(key), expiring);
        }
    }

    /// A step of a command whose device nobody knows: the first one has it wait for its end.
    pub(super) fn step_of_unknown(&mut self, key: &Arc<DeviceKey>, step: &Command) {
        let waits = self.devices.get(key).into_iter().flatten();
        let mut ids = waits.map(|expiring| &expiring.command.command_id);
        let is_first = step.status == CommandStatus::Queued && !ids.any(|id| *id == step.command_id);
        let of_tenant = self.unknown_of.get(&key.tenant).copied().unwrap_or(0);
        let has_room = of_tenant < UNKNOWN_MAX - self.unknown;
        let Some(expires_at) = step.expires_at.filter(|_| is_first && has_room) else {
            return;
        };
        let id = step.command_id.clone();
        self.timers.insert((expires_at, Arc::clone(key), id));
        self.unknown += 1;
        *self.unknown_of.entry(key.tenant.clone()).or_default() += 1;
        let expiring = self.devices.entry(Arc::clone(key)).or_default();
        expiring.push(Expiring {
            command: DeviceCommand {
                command_id: step.command_id.clone(),
                command_type: step.command_type.clone(),
                input: step.input.clone(),
                connection: step.connection.clone(),
                status: step.status,
                output: step.output.clone(),
                created: step.created,
                modified: step.created,
                by: step.by.clone(),
                expires_at: step.expires_at,
            },
            at: expires_at,
            is_given_out: false,
            is_unknown: true,
        });
    }

    /// A command ended: it waits no longer, if it stood in no document.
    pub(super) fn ended(&mut self, key: &Arc<DeviceKey>, id: &str) {
        let Some(expiring) = self.devices.get_mut(key) else {
            return;
        };
        let is_it = |expiring: &Expiring| expiring.is_unknown && &*expiring.command.command_id == id;
        let Some(index) = expiring.iter().position(is_it) else {
            return;
        };
        let ended = expiring.swap_remove(index);
        self.unknown -= 1;
        if let Some(of_tenant) = self.unknown_of.get_mut(&key.tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                self.unknown_of.remove(&key.tenant);
            }
        }
        self.timers.remove(&(ended.at, Arc::clone(key), id.into()));
        if expiring.is_empty() {
            self.devices.remove(key);
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
