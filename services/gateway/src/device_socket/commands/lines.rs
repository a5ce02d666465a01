//! The device's log as its socket reads it: what the dialect writes, and what follows from it. Pure.

use std::collections::VecDeque;

use schemas::event::{Command, CommandStatus, Presence, PresenceReason, Status};
use schemas::{Body, Event};
use serde::{Deserialize, Serialize};

use crate::device_socket::frames::Step;
use crate::dialect::{Control, Dialect, Item, Look};

/// Steps of a device's commands, its connections, and when it is taken for gone; one JSON text each.
pub(super) struct OwnLog;

/// What the dialect writes and [`Follower`] takes in.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// A step of a command.
    Step(StepLine),
    /// A connection of this name came.
    Came(Box<str>),
    /// The device was not heard for so long that its connection is taken for gone.
    Offline,
    /// All is told that the log held when the device connected.
    CaughtUp,
    /// The stream ends, with this code.
    Fault(u16),
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct StepLine {
    command_id: Box<str>,
    #[serde(rename = "type")]
    command_type: Box<str>,
    input: Option<Box<str>>,
    connection: Option<Box<str>>,
    status: Box<str>,
    created: i64,
    by: Option<Box<str>>,
    expires_at: Option<i64>,
}

impl From<&Command> for StepLine {
    fn from(command: &Command) -> Self {
        Self {
            command_id: command.command_id.clone(),
            command_type: command.command_type.clone(),
            input: command.input.clone(),
            connection: command.connection.clone(),
            status: command.status.word().into(),
            created: command.created,
            by: command.by.clone(),
            expires_at: command.expires_at,
        }
    }
}

impl From<StepLine> for Step {
    fn from(line: StepLine) -> Self {
        Self {
            command_id: line.command_id,
            command_type: line.command_type,
            input: line.input,
            connection: line.connection,
            created: line.created,
            by: line.by,
            expires_at: line.expires_at,
        }
    }
}

impl Line {
    fn of(event: &Event) -> Option<Self> {
        match &event.body {
            Body::Command(command) => Some(Self::Step(command.into())),
            Body::Presence(presence) => Self::of_presence(presence),
            Body::Telemetry(_)
            | Body::Lock(_)
            | Body::Log(_)
            | Body::Entity(_)
            | Body::Location(_)
            | Body::Alert(_)
            | Body::Device(_)
            | Body::Deleted => None,
        }
    }

    fn of_presence(presence: &Presence) -> Option<Self> {
        if presence.reason == PresenceReason::Silence {
            return (presence.status == Some(Status::Offline)).then_some(Self::Offline);
        }
        let session = presence.session.as_ref().filter(|name| is_session(name))?;
        (presence.reason == PresenceReason::Connect).then(|| Self::Came(session.clone()))
    }

    /// What stands in a frame; `None` in one that says nothing here.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        serde_json::from_slice(data).ok()
    }

    fn write(&self, out: &mut Vec<u8>) -> bool {
        let length = out.len();
        let written = serde_json::to_writer(&mut *out, self).is_ok();
        if !written {
            out.truncate(length);
        }
        written
    }
}

/// Whether a session is one of a device socket of ours, which are named so; others tell of connections that we
/// do not hold.
fn is_session(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Dialect for OwnLog {
    fn name(&self) -> &'static str {
        "device socket"
    }

    fn data(&self, _: Look<'_>, item: Item<'_>, _: &str, out: &mut Vec<u8>) -> bool {
        let event = match item {
            Item::Record(record) => record.event(),
            Item::Event(event) => Some(event),
            Item::Change(_) | Item::Document(_) => None,
        };
        let line = event.and_then(Line::of);
        line.is_some_and(|line| line.write(out))
    }

    fn control(&self, _: Look<'_>, control: Control<'_>, _: &str, out: &mut Vec<u8>) -> Option<&'static str> {
        let (line, name) = match control {
            Control::Fault { ending } => (Line::Fault(ending.close_code()), "fault"),
            Control::CaughtUp { .. } => (Line::CaughtUp, "caught_up"),
            Control::Hello
            | Control::Reset(_)
            | Control::Degraded { .. }
            | Control::KeepAlive { .. }
            | Control::Updated => return None,
        };
        line.write(out).then_some(name)
    }
}

/// What the log comes to.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::device_socket) enum Told {
    /// A command for the device.
    Command(Step),
    /// A command that the device has from an earlier connection.
    Known(Step),
    /// The connection is taken for gone.
    Offline,
    /// Another connection of the device came after this one.
    Replaced,
}

/// Follows the device's log for one connection.
pub(super) struct Follower<'a> {
    session: &'a str,
    has_come: bool,
    /// Commands that nobody is known to have handed over, until all is read that the log held when the device
    /// connected: later steps may be among it. `None` from then on.
    held: Option<VecDeque<Step>>,
    held_max: usize,
}

impl<'a> Follower<'a> {
    /// Holds `queued`, which the state has queued.
    pub(super) fn new(session: &'a str, queued: Vec<Step>, held_max: usize) -> Self {
        Self {
            session,
            has_come: false,
            held: Some(queued.into()),
            held_max: held_max.max(1),
        }
    }

    /// Takes in the next line.
    pub(super) fn take(&mut self, line: Line) -> Vec<Told> {
        match line {
            Line::Step(step) if &*step.status == CommandStatus::Queued.word() => self.queued(step.into()),
            Line::Step(step) => self.moved(step),
            Line::Came(session) if *session == *self.session => {
                self.has_come = true;
                Vec::new()
            }
            Line::Came(_) if self.has_come => vec![Told::Replaced],
            Line::Offline if self.has_come => vec![Told::Offline],
            Line::Came(_) | Line::Offline | Line::Fault(_) => Vec::new(),
            Line::CaughtUp => {
                let held = self.held.take().into_iter().flatten();
                held.map(Told::Command).collect()
            }
        }
    }

    fn queued(&mut self, step: Step) -> Vec<Told> {
        let Some(held) = &mut self.held else {
            return vec![Told::Command(step)];
        };
        if held.iter().any(|held| held.command_id == step.command_id) {
            return Vec::new();
        }
        held.push_back(step);
        // More than a device can have open: some may have gone down before.
        let oldest = if held.len() > self.held_max {
            held.pop_front()
        } else {
            None
        };
        oldest.into_iter().map(Told::Command).collect()
    }

    fn moved(&mut self, step: StepLine) -> Vec<Told> {
        if let Some(held) = &mut self.held {
            held.retain(|held| held.command_id != step.command_id);
        }
        let is_open = [CommandStatus::Delivered, CommandStatus::InProgress];
        let is_open = is_open.iter().any(|status| *step.status == *status.word());
        if is_open {
            vec![Told::Known(step.into())]
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    fn line(id: &str, status: CommandStatus) -> StepLine {
        StepLine {
            command_id: id.into(),
            command_type: "reboot".into(),
            input: Some("{\"a\":1}".into()),
            connection: None,
            status: status.word().into(),
            created: 5,
            by: None,
            expires_at: None,
        }
    }

    fn step(id: &str) -> Step {
        line(id, CommandStatus::Queued).into()
    }

    fn follower(queued: &[&str]) -> Follower<'static> {
        Follower::new(OWN, queued.iter().map(|id| step(id)).collect(), 3)
    }

    /// The commands that go down.
    fn commands(told: Vec<Told>) -> Vec<String> {
        let id = |told| match told {
            Told::Command(step) => Some(step.command_id.to_string()),
            Told::Known(_) | Told::Offline | Told::Replaced => None,
        };
        told.into_iter().filter_map(id).collect()
    }

    #[test]
    fn what_the_dialect_writes_is_read_again() {
        for line in [
            Line::Step(line("c1", CommandStatus::Queued)),
            Line::Came(OWN.into()),
            Line::Offline,
            Line::CaughtUp,
            Line::Fault(4401),
        ] {
            let mut text = Vec::new();
            assert!(line.write(&mut text));
            assert_eq!(Line::read(&text), Some(line));
        }
        assert_eq!(Line::read(b"{}"), None);
    }

    #[test]
    fn a_command_that_a_later_step_moved_does_not_go_down_again() {
        use CommandStatus::{Delivered, Queued, Success};
        let mut follower = follower(&["c1", "c2"]);
        assert!(follower.take(Line::Step(line("c3", Queued))).is_empty());
        assert!(commands(follower.take(Line::Step(line("c1", Delivered)))).is_empty());
        assert!(follower.take(Line::Step(line("c3", Success))).is_empty());
        assert_eq!(commands(follower.take(Line::CaughtUp)), ["c2"]);
        assert_eq!(commands(follower.take(Line::Step(line("c4", Queued)))), ["c4"]);
    }

    #[test]
    fn a_command_that_state_and_log_have_goes_down_once() {
        let mut follower = follower(&["c1"]);
        assert!(
            follower
                .take(Line::Step(line("c1", CommandStatus::Queued)))
                .is_empty()
        );
        assert_eq!(commands(follower.take(Line::CaughtUp)), ["c1"]);
    }

    #[test]
    fn what_a_device_has_from_an_earlier_connection_is_known() {
        let told = follower(&["c1"]).take(Line::Step(line("c1", CommandStatus::InProgress)));
        assert_eq!(told, [Told::Known(step("c1"))]);
    }

    #[test]
    fn only_so_many_are_held() {
        let mut follower = follower(&["c1", "c2", "c3"]);
        let told = follower.take(Line::Step(line("c4", CommandStatus::Queued)));
        assert_eq!(commands(told), ["c1"]);
        assert_eq!(commands(follower.take(Line::CaughtUp)), ["c2", "c3", "c4"]);
    }

    #[test]
    fn a_connection_is_replaced_by_one_that_came_after_it() {
        let mut follower = follower(&[]);
        assert!(follower.take(Line::Came(OTHER.into())).is_empty(), "an older one");
        assert!(follower.take(Line::Offline).is_empty(), "that was before");
        assert!(follower.take(Line::Came(OWN.into())).is_empty());
        assert_eq!(follower.take(Line::Offline), [Told::Offline]);
        assert_eq!(follower.take(Line::Came(OTHER.into())), [Told::Replaced]);
    }

    #[test]
    fn connections_that_are_not_ours_replace_none() {
        let presence = |session: Option<&str>, reason| Presence {
            connected: Some(true),
            status: None,
            previous: None,
            reason,
            session: session.map(Into::into),
        };
        let came = Line::of_presence(&presence(Some(OTHER), PresenceReason::Connect));
        assert_eq!(came, Some(Line::Came(OTHER.into())));
        for other in [
            presence(Some("mqtt-7"), PresenceReason::Connect),
            presence(None, PresenceReason::Connect),
            presence(Some(OTHER), PresenceReason::Report),
        ] {
            assert_eq!(Line::of_presence(&other), None);
        }
    }
}
