//! The judgement of one event: its text in, a record for the log or a rejection out. Pure but for the
//! encryption of secrets, which it is given.

use access::events::{Reason, record};
use access::{Principal, Rejection, Role, Scope};
use journal::{NewRecord, Placement};
use schemas::event::{Command, CommandStatus};
use schemas::json::{Intake, SEALED, parse_event, replace_secrets, sealed};
use schemas::{Body, Event, Micros};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::Settings;

/// Encrypts a secret of a device: tenant, device and text in.
pub(crate) type Seal<'a> = &'a dyn Fn(&str, &str, &str) -> Result<String, access::credential::SealError>;

/// Everything that events which came in together have in common.
pub(crate) struct Admission<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) principal: &'a Principal,
    pub(crate) tenant: &'a str,
    pub(crate) device: Option<&'a str>,
    pub(crate) placement: &'a Placement,
    pub(crate) generation: u32,
    pub(crate) received_at: Micros,
    pub(crate) traceparent: Option<&'a str>,
    pub(crate) seal: Seal<'a>,
    /// Whether steps of commands come from one of our own surfaces, which knows the command. Those that a device
    /// sends by itself say nothing of its input: what was a secret when it was given may come back in clear.
    pub(crate) knows_commands: bool,
    /// Whether a text is a secret of a device, sealed already: tenant, device and text in.
    pub(crate) opens: &'a dyn Fn(&str, &str, &str) -> bool,
}

/// An event that may be appended.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) id: Box<str>,
    pub(crate) seq: Option<i64>,
    pub(crate) device: Box<str>,
    pub(crate) record: NewRecord,
}

impl Admission<'_> {
    /// Judges one event.
    pub(crate) fn admit(
        &self,
        text: &str,
        new_id: &mut dyn FnMut() -> Box<str>,
    ) -> Result<Admitted, Rejection> {
        self.judge(text, new_id).map_err(|(reason, error)| Rejection {
            error,
            reason,
            seq: Gist::of(text).seq,
        })
    }

    fn judge(&self, text: &str, new_id: &mut dyn FnMut() -> Box<str>) -> Result<Admitted, (Reason, String)> {
        let bytes_max = self.settings.event_bytes_max;
        if text.len() > bytes_max {
            let error = format!("the event has {} bytes, and {bytes_max} are the most", text.len());
            return Err((Reason::TooLarge, error));
        }
        let intake = Intake {
            tenant: Some(self.tenant),
            device: self.device.or_else(|| own_device(self.principal)),
            received_at: self.received_at,
            limits: &self.settings.event,
        };
        let parsed = parse_event(text, &intake, new_id).map_err(|error| (Reason::Invalid, error.message))?;
        let mut event = parsed.event;
        self.authorize(&event)?;
        if let Body::Command(command) = &mut event.body {
            self.settle_command(command);
            let named = &parsed.secrets;
            seal_secrets(
                command,
                named,
                &|secret| (self.seal)(&event.tenant, &event.device, secret),
                &|sealed| (self.opens)(&event.tenant, &event.device, sealed),
            )
            .map_err(|error| (Reason::Invalid, error))?;
        }
        let partition = self.placement.of(&event.device);
        let record = record(&event, partition, self.generation, self.traceparent);
        Ok(Admitted {
            id: event.id,
            seq: event.seq,
            device: event.device,
            record,
        })
    }

    /// A command that does not say when it expires lives as long as one that is made by the API; a step does
    /// not say what its command is.
    fn settle_command(&self, command: &mut Command) {
        if command.status == CommandStatus::Queued {
            let lifetime = self.settings.command_lifetime.as_micros();
            let lifetime = Micros::try_from(lifetime).unwrap_or(Micros::MAX);
            command
                .expires_at
                .get_or_insert(self.received_at.saturating_add(lifetime));
        } else if !self.knows_commands && self.carries_out_commands() {
            command.input = None;
        }
    }

    /// Whether the sender is one that commands come down to, in clear. Who may make them knows what is secret.
    const fn carries_out_commands(&self) -> bool {
        match self.principal.role {
            Role::Ingest | Role::Device => true,
            Role::System | Role::Admin | Role::User => false,
        }
    }

    /// Whether the principal may send it.
    fn authorize(&self, event: &Event) -> Result<(), (Reason, String)> {
        let forbid = |error: String| Err((Reason::Forbidden, error));
        if *event.tenant != *self.tenant {
            return forbid("\"tenant\" must be the tenant of the request; leave it out".to_owned());
        }
        let kind = event.body.kind();
        if !self.principal.sends(kind) {
            let (role, kind) = (self.principal.role.word(), kind.name());
            return forbid(format!(
                "\"kind\": a token of role {role} may not send {kind} events"
            ));
        }
        if !self.principal.may_write(&event.tenant, &event.device, kind) {
            return forbid("\"device\": this credential does not cover that device".to_owned());
        }
        match &event.body {
            Body::Command(command) if !self.may_step(command.status) => forbid(format!(
                "\"status\": a token of role {} reports delivered, in-progress, success or failed; \
                 commands are made by those who may command",
                self.principal.role.word()
            )),
            Body::Command(_)
            | Body::Telemetry(_)
            | Body::Presence(_)
            | Body::Lock(_)
            | Body::Log(_)
            | Body::Entity(_)
            | Body::Location(_)
            | Body::Alert(_)
            | Body::Device(_)
            | Body::Deleted => Ok(()),
        }
    }

    /// Devices report the steps of their commands; they do not make any, nor let them expire.
    const fn may_step(&self, status: CommandStatus) -> bool {
        match self.principal.role {
            Role::System | Role::Admin => true,
            Role::User => false,
            Role::Ingest | Role::Device => match status {
                CommandStatus::Delivered
                | CommandStatus::InProgress
                | CommandStatus::Success
                | CommandStatus::Failed => true,
                CommandStatus::Queued | CommandStatus::Expired => false,
            },
        }
    }
}

/// What a device sends without naming a device is its own.
fn own_device(principal: &Principal) -> Option<&str> {
    match (&principal.devices, principal.role) {
        (Scope::Devices(devices), Role::Device) if devices.len() == 1 => devices.first().map(|own| &**own),
        (Scope::Devices(_) | Scope::All, _) => None,
    }
}

/// Encrypts, within a command's input, passwords and the members that the sender calls secret. What is
/// encrypted for this device already, in an earlier step of the command, stays as it is.
fn seal_secrets(
    command: &mut Command,
    named: &[Box<str>],
    seal: &dyn Fn(&str) -> Result<String, access::credential::SealError>,
    opens: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    let Some(input) = &command.input else {
        return Ok(());
    };
    let mut value: Value =
        serde_json::from_str(input).map_err(|error| format!("\"input\" cannot be read: {error}"))?;
    let replaced = replace_secrets(&mut value, named, &mut |secret| {
        if sealed(secret).is_some_and(opens) {
            return Ok(secret.clone());
        }
        let text = seal(&secret.to_string())?;
        Ok(Value::Object(Map::from_iter([(SEALED.to_owned(), text.into())])))
    });
    if replaced.map_err(|error: access::credential::SealError| format!("\"input\": {error}"))? {
        command.input = Some(value.to_string().into());
    }
    Ok(())
}

/// What can be told of an event that is none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Gist {
    /// Its device, if it names a usable one.
    pub(crate) device: Option<String>,
    /// Its sequence number.
    pub(crate) seq: Option<i64>,
    /// What it calls secret.
    pub(crate) secrets: Vec<String>,
}

#[derive(Deserialize, Default)]
struct RawGist<'a> {
    #[serde(borrow, default)]
    device: Option<&'a RawValue>,
    #[serde(borrow, default)]
    seq: Option<&'a RawValue>,
    #[serde(borrow, default)]
    secret: Option<&'a RawValue>,
}

impl Gist {
    pub(crate) fn of(text: &str) -> Self {
        let Ok(raw) = serde_json::from_str::<RawGist<'_>>(text) else {
            return Self::default();
        };
        let device = read::<String>(raw.device).filter(|name| schemas::json::check_device(name).is_ok());
        Self {
            device,
            seq: read(raw.seq),
            secrets: read(raw.secret).unwrap_or_default(),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

#[cfg(test)]
mod tests;
