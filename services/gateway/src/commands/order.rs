//! Commands that are wanted, and the limits of what may be.

use std::time::Duration;

use schemas::Micros;
use schemas::document::DeviceCommand;
use schemas::event::CommandStatus;
use serde_json::Value;

use super::{command_id, event, masked};

/// Limits of commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLimits {
    /// Commands of one device that are open at once.
    pub open_max: usize,
    /// A command that does not say when it expires lives so long.
    pub lifetime: Duration,
    /// A command lives at most so long.
    pub lifetime_max: Duration,
}

impl Default for CommandLimits {
    fn default() -> Self {
        Self {
            open_max: 100,
            lifetime: Duration::from_secs(86_400),
            lifetime_max: Duration::from_secs(30 * 86_400),
        }
    }
}

impl CommandLimits {
    /// How long a command lives that does not say.
    pub(crate) fn lifetime(&self) -> Micros {
        micros(self.lifetime.min(self.lifetime_max))
    }

    /// The longest that it may live.
    pub(crate) fn lifetime_max(&self) -> Micros {
        micros(self.lifetime_max)
    }

    /// What is said of a device that has as many open commands as it may.
    pub(crate) fn too_many(&self) -> String {
        let most = self.open_max;
        format!("the device has {most} open commands, and that is the most; they end or expire")
    }
}

/// A command that is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// What to do.
    pub(crate) command_type: Box<str>,
    /// With what.
    pub(crate) input: Option<Value>,
    /// Members of the input that are secrets, beside passwords.
    pub(crate) secret: Vec<Box<str>>,
    /// Over which of the device's connections.
    pub(crate) connection: Option<Box<str>>,
    /// Who wants it.
    pub(crate) by: Box<str>,
    /// How long it may take.
    pub(crate) lifetime: Micros,
}

impl Order {
    /// The command as everybody sees it but its device, and the event that makes it. The event holds the
    /// secrets as they were given: admission encrypts them.
    pub(crate) fn make(self, now: Micros) -> (DeviceCommand, Value) {
        let command = DeviceCommand {
            command_id: command_id(now),
            command_type: self.command_type,
            input: self.input.as_ref().map(|input| masked(input, &self.secret)),
            connection: self.connection,
            status: CommandStatus::Queued,
            output: None,
            created: now,
            modified: now,
            by: Some(self.by),
            expires_at: Some(now.saturating_add(self.lifetime)),
        };
        let event = event(&command, self.input, self.secret);
        (command, event)
    }
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            command_type: "reboot".into(),
            input: None,
            secret: Vec::new(),
            connection: None,
            by: "ada".into(),
            lifetime: 60_000_000,
        }
    }

    #[test]
    fn a_command_names_its_end() {
        let (command, event) = order().make(5_000_000);
        assert_eq!(command.expires_at, Some(65_000_000));
        assert_eq!(event["expires_at"], "1970-01-01T00:01:05.000Z");
        assert_eq!((event.get("input"), event.get("secret")), (None, None));
    }

    #[test]
    fn no_command_lives_longer_than_the_longest() {
        let limits = CommandLimits {
            lifetime: Duration::from_secs(60),
            lifetime_max: Duration::from_secs(10),
            ..CommandLimits::default()
        };
        assert_eq!(limits.lifetime(), 10_000_000);
    }
}
