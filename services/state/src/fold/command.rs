//! Commands: the open ones stand in the document; a step only moves a command forward.
//!
//! What a command is (its type, its input, whose it is, when it expires) its first step says, the one that
//! queues it. Who reports a later one need not repeat that, and what is repeated counts for nothing: a device
//! cannot make its command live for ever, nor show a secret of its input. So a step of a command that nobody
//! queued makes none.

use schemas::document::DeviceCommand;
use schemas::event::{Command, CommandStatus};
use schemas::{Document, Event};

use super::memory::{self, Ending};

pub(super) fn apply(document: &mut Document, event: &Event, command: &Command) {
    let ending = Ending::Command(&command.command_id);
    if memory::has_ended(document, ending) {
        return;
    }
    let known = document
        .commands
        .iter()
        .position(|open| open.command_id == command.command_id);
    match command.status {
        CommandStatus::Success | CommandStatus::Failed | CommandStatus::Expired => {
            memory::end(document, ending);
            if let Some(index) = known {
                document.commands.remove(index);
            }
        }
        CommandStatus::Queued | CommandStatus::Delivered | CommandStatus::InProgress => match known {
            // Steps are appended by several processes: an older one may come last.
            Some(index) if command.status < document.commands[index].status => {}
            Some(index) => {
                let known = &mut document.commands[index];
                known.status = command.status;
                known.output.clone_from(&command.output);
                known.modified = event.occurred_at;
            }
            None if command.status != CommandStatus::Queued => {}
            None => {
                let index = document
                    .commands
                    .partition_point(|open| open.created <= command.created);
                document.commands.insert(index, step(event, command));
            }
        },
    }
}

fn step(event: &Event, command: &Command) -> DeviceCommand {
    DeviceCommand {
        command_id: command.command_id.clone(),
        command_type: command.command_type.clone(),
        input: command.input.clone(),
        connection: command.connection.clone(),
        status: command.status,
        output: command.output.clone(),
        created: command.created,
        modified: event.occurred_at,
        by: command.by.clone(),
        expires_at: command.expires_at,
    }
}
