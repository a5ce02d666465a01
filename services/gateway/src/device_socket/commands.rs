//! Commands on their way down: first those that the state has queued, then those of the log.
//!
//! The engine delivers them, like any stream, in a dialect that shows a device's queued commands as
//! they lie in the log.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use journal::Offset;
use schemas::event::CommandStatus;
use schemas::{Body, Event, Kind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use state::{DeviceKey, StoreError};
use tokio::sync::mpsc;

use super::frames::Step;
use super::{Device, Shared};
use crate::dialect::{Control, Dialect, Item, Look, Silent};
use crate::engine::{Adoption, ChannelBody, Reading, Seat, Sink};
use crate::subscription::{
    Delivery, DeviceSet, Framing, KindSet, Selection, Start, Subscription, TenantScope, Told, Transport, View,
};

/// Ends a connection whose commands came to an end without a reason given.
const GOING_AWAY: u16 = 1012;

/// Queued commands, one JSON text each; nothing else.
struct QueuedCommands;

/// What the dialect writes and [`forward`] reads.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Line {
    command_id: Box<str>,
    #[serde(rename = "type")]
    command_type: Box<str>,
    input: Option<Box<str>>,
    connection: Option<Box<str>>,
    created: i64,
    by: Option<Box<str>>,
    expires_at: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FaultLine {
    fault: u16,
}

impl Dialect for QueuedCommands {
    fn name(&self) -> &'static str {
        "device socket"
    }

    fn data(&self, _: Look<'_>, item: Item<'_>, _: &str, out: &mut Vec<u8>) -> bool {
        let event = match item {
            Item::Record(record) => record.event(),
            Item::Event(event) => Some(event),
            Item::Change(_) | Item::Document(_) => None,
        };
        let Some(step) = event.and_then(queued) else {
            return false;
        };
        let line = Line {
            command_id: step.command_id,
            command_type: step.command_type,
            input: step.input,
            connection: step.connection,
            created: step.created,
            by: step.by,
            expires_at: step.expires_at,
        };
        let length = out.len();
        let written = serde_json::to_writer(&mut *out, &line).is_ok();
        if !written {
            out.truncate(length);
        }
        written
    }

    fn control(&self, _: Look<'_>, control: Control<'_>, _: &str, out: &mut Vec<u8>) -> Option<&'static str> {
        match control {
            Control::Fault { ending } => {
                out.extend_from_slice(format!("{{\"fault\":{}}}", ending.close_code()).as_bytes());
                Some("fault")
            }
            Control::Hello
            | Control::Reset(_)
            | Control::CaughtUp { .. }
            | Control::Degraded { .. }
            | Control::KeepAlive { .. }
            | Control::Updated => None,
        }
    }
}

fn queued(event: &Event) -> Option<Step> {
    let Body::Command(command) = &event.body else {
        return None;
    };
    (command.status == CommandStatus::Queued).then(|| command.into())
}

/// Hands the device's commands to `commands` until they end; answers with the code to close with.
pub(super) async fn follow(
    shared: &Shared,
    device: &Device,
    seat: Seat,
    commands: &mpsc::Sender<Step>,
) -> u16 {
    let (queued, from) = loop {
        match pin(shared, device).await {
            Ok(pinned) => break pinned,
            Err(error) => {
                tracing::warn!(%error, "the queued commands of a device cannot be read; trying again");
                tokio::time::sleep(shared.settings.retry).await;
            }
        }
    };
    for step in queued {
        if commands.send(step).await.is_err() {
            return GOING_AWAY;
        }
    }
    let (sink, output, input) = shared.engine.channel();
    let adoption = Adoption {
        seat,
        sink: Sink::Channel(sink),
        prelude: Bytes::new(),
        leftover: Vec::new(),
        subscription: subscription(shared, device, from),
        reading: Reading::by(Silent),
    };
    if shared.engine.adopt(adoption).is_err() {
        return GOING_AWAY;
    }
    let code = forward(output, commands).await;
    // Its end would have said that the client is gone.
    drop(input);
    code
}

/// The commands queued as of an offset of the device's partition, and that offset.
async fn pin(shared: &Shared, device: &Device) -> Result<(Vec<Step>, Offset), StoreError> {
    let partition = shared.partition(device);
    // First the position, then the document, which may be newer: then a command comes twice, never not.
    let applied = shared.store.progress.applied(partition).await?;
    let key = DeviceKey {
        tenant: device.tenant.clone(),
        device: device.id.clone(),
    };
    let stored = shared
        .store
        .documents
        .get(&[(partition, key)])
        .await?
        .pop()
        .flatten();
    let open = stored.iter().flat_map(|stored| stored.document.commands.iter());
    let queued = open.filter(|command| command.status == CommandStatus::Queued);
    Ok((
        queued.map(Step::from).collect(),
        applied.map_or(0, |applied| applied.source),
    ))
}

fn subscription(shared: &Shared, device: &Device, from: Offset) -> Subscription {
    let partition = shared.partition(device);
    let now_ms = (shared.clock)().div_euclid(1_000);
    Subscription {
        view: View::Events,
        transport: Transport::Sse,
        framing: Framing::Plain,
        dialect: Arc::new(QueuedCommands),
        selection: Selection {
            tenant: TenantScope::One(device.tenant.clone()),
            devices: DeviceSet::Set(Arc::new([device.id.clone()].into())),
            kinds: KindSet::NONE.with(Kind::Command),
            metrics: None,
            filters: None,
            told: Told::default(),
        },
        delivery: Delivery::Every,
        every: None,
        partitions: vec![partition],
        start: Start {
            positions: vec![(partition, Some(from))],
            ..Start::live(now_ms)
        },
        principal: Arc::clone(&device.principal),
        bound: true,
        cursors: false,
        chooses: false,
    }
}

/// Takes the stream apart again.
async fn forward(mut output: ChannelBody, commands: &mpsc::Sender<Step>) -> u16 {
    let mut rest = BytesMut::new();
    while let Some(bytes) = output.next().await {
        rest.extend_from_slice(&bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = rest.split_to(end + 1);
            let Some(data) = line.strip_prefix(b"data: ") else {
                continue;
            };
            let step = match read(data) {
                Some(Ok(step)) => step,
                Some(Err(code)) => return code,
                None => continue,
            };
            if commands.send(step).await.is_err() {
                return GOING_AWAY;
            }
        }
    }
    GOING_AWAY
}

/// A command, or the code to close with.
fn read(data: &[u8]) -> Option<Result<Step, u16>> {
    if let Ok(line) = serde_json::from_slice::<Line>(data) {
        return Some(Ok(Step {
            command_id: line.command_id,
            command_type: line.command_type,
            input: line.input,
            connection: line.connection,
            created: line.created,
            by: line.by,
            expires_at: line.expires_at,
        }));
    }
    serde_json::from_slice::<FaultLine>(data)
        .ok()
        .map(|line| Err(line.fault))
}

/// The input with its secrets opened; one that cannot be opened stays masked.
pub(super) fn opened(shared: &Shared, device: &Device, input: &str) -> String {
    if !input.contains(schemas::json::SEALED) {
        return input.to_owned();
    }
    let Ok(mut value) = serde_json::from_str(input) else {
        return format!("\"{}\"", schemas::json::MASK);
    };
    let sealer = shared.directory.sealer();
    open(&mut value, &|sealed| {
        sealer
            .open(&device.tenant, &device.id, sealed)
            .unwrap_or_else(|error| {
                tracing::error!(%error, device = %device.id, "a secret of a command stays masked");
                schemas::json::MASK.to_owned()
            })
    });
    value.to_string()
}

fn open(value: &mut Value, unseal: &impl Fn(&str) -> String) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(sealed)) = object.get(schemas::json::SEALED) {
                let text = unseal(sealed);
                // What is sealed is JSON; a step that was appended again may be sealed again.
                *value = serde_json::from_str(&text).unwrap_or(Value::String(text));
                return open(value, unseal);
            }
            object.values_mut().for_each(|member| open(member, unseal));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| open(item, unseal)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_opened_wherever_it_stands_and_however_often_it_was_sealed() {
        let unseal = |sealed: &str| match sealed {
            "outer" => r#"{"$sealed":"inner"}"#.to_owned(),
            "inner" => "\"1234\"".to_owned(),
            _ => schemas::json::MASK.to_owned(),
        };
        let mut value = json!({"a": [{"pin": {"$sealed": "inner"}}], "password": {"$sealed": "outer"}, "b": 1,
            "lost": {"$sealed": "other"}});
        open(&mut value, &unseal);
        let expected = json!({"a": [{"pin": "1234"}], "password": "1234", "b": 1, "lost": "********"});
        assert_eq!(value, expected);
    }

    #[test]
    fn what_the_dialect_writes_is_read_again() {
        let line = Line {
            command_id: "c1".into(),
            command_type: "reboot".into(),
            input: Some("{\"a\":1}".into()),
            connection: None,
            created: 5,
            by: None,
            expires_at: None,
        };
        let step = read(&serde_json::to_vec(&line).unwrap()).unwrap().unwrap();
        assert_eq!(
            (&*step.command_id, step.input.as_deref(), step.created),
            ("c1", Some("{\"a\":1}"), 5)
        );
        assert_eq!(read(b"{\"fault\":4401}\n"), Some(Err(4401)));
        assert_eq!(read(b"{}"), None);
    }
}
