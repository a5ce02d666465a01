//! Commands on their way down: those that the state has queued and those of the log, none that a step in the
//! log shows to be with the device already.
//!
//! The engine delivers the log, like any stream, in a dialect of its own. The state may be behind by hours;
//! the log is read to the end that it had when the device connected before anything goes down, so that a
//! device that answered, and comes back, is not told again.

mod lines;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use journal::{Offset, Partition, Topic};
use schemas::Kind;
use schemas::event::CommandStatus;
use serde_json::Value;
use state::DeviceKey;
use tokio::sync::mpsc;

use super::frames::Step;
use super::{Device, Shared};
use crate::dialect::Silent;
use crate::engine::{Adoption, ChannelBody, Reading, Seat, Sink};
use crate::subscription::{
    Delivery, DeviceSet, Framing, KindSet, Selection, Start, Subscription, TenantScope,
    Told as SelectionTold, Transport, View,
};
use lines::{Follower, Line, OwnLog};

pub(super) use lines::Told;

/// Ends a connection whose commands came to an end without a reason given.
const GOING_AWAY: u16 = 1012;
/// Ends a connection that a newer one of the device replaced.
pub(super) const REPLACED: u16 = 4001;

/// Where a connection begins.
struct Pinned {
    partition: Partition,
    /// What the state has queued.
    queued: Vec<Step>,
    /// What it knows to be with the device.
    known: Vec<Step>,
    /// Offset up to which the state is folded.
    from: Offset,
    /// The log's end, found after that.
    end: Offset,
}

/// Tells `told` what the device's log comes to, until that ends; answers with the code to close with.
pub(super) async fn follow(
    shared: &Shared,
    device: &Device,
    seat: Seat,
    session: &str,
    told: &mpsc::Sender<Told>,
) -> u16 {
    let pinned = loop {
        match pin(shared, device).await {
            Ok(pinned) => break pinned,
            Err(error) => {
                tracing::warn!(error, "the commands of a device cannot be read; trying again");
                tokio::time::sleep(shared.settings.retry).await;
            }
        }
    };
    let subscription = subscription(shared, device, &pinned);
    for step in pinned.known {
        if told.send(Told::Known(step)).await.is_err() {
            return GOING_AWAY;
        }
    }
    let follower = Follower::new(session, pinned.queued, shared.settings.commands_known_max);
    let (sink, output, input) = shared.engine.channel();
    let adoption = Adoption {
        seat,
        sink: Sink::Channel(sink),
        prelude: Bytes::new(),
        leftover: Vec::new(),
        subscription,
        reading: Reading::by(Silent),
    };
    if shared.engine.adopt(adoption).is_err() {
        return GOING_AWAY;
    }
    let code = forward(output, follower, told).await;
    // Its end would have said that the client is gone.
    drop(input);
    code
}

/// The commands as of an offset of the device's partition, and how far the log goes beyond.
async fn pin(shared: &Shared, device: &Device) -> Result<Pinned, String> {
    let partition = shared.partition(device);
    let away = |error: state::StoreError| error.to_string();
    // First the position, then the document, which may be newer: then a step comes twice, never not.
    let applied = shared.store.progress.applied(partition).await.map_err(away)?;
    let key = DeviceKey {
        tenant: device.tenant.clone(),
        device: device.id.clone(),
    };
    let keys = [(partition, key)];
    let stored = shared.store.documents.get(&keys).await.map_err(away)?;
    // Last the end: it lies behind all that the document has.
    let bounds = shared.journal.reader.bounds(Topic::Events, &[partition]).await;
    let bounds = bounds.into_iter().next().ok_or("the log gave no answer")?;
    let end = bounds.map_err(|error| error.to_string())?.end;
    let stored = stored.into_iter().next().flatten();
    let open = stored.iter().flat_map(|stored| stored.document.commands.iter());
    let (queued, known) = open.partition::<Vec<_>, _>(|command| command.status == CommandStatus::Queued);
    Ok(Pinned {
        partition,
        queued: queued.into_iter().map(Step::from).collect(),
        known: known.into_iter().map(Step::from).collect(),
        from: applied.map_or(0, |applied| applied.source),
        end,
    })
}

fn subscription(shared: &Shared, device: &Device, pinned: &Pinned) -> Subscription {
    let now_ms = (shared.clock)().div_euclid(1_000);
    Subscription {
        view: View::Events,
        transport: Transport::Sse,
        framing: Framing::Plain,
        dialect: Arc::new(OwnLog),
        selection: Selection {
            tenant: TenantScope::One(device.tenant.clone()),
            devices: DeviceSet::Set(Arc::new([device.id.clone()].into())),
            kinds: KindSet::NONE.with(Kind::Command).with(Kind::Presence),
            metrics: None,
            filters: None,
            told: SelectionTold::default(),
        },
        delivery: Delivery::Every,
        every: None,
        partitions: vec![pinned.partition],
        start: Start {
            positions: vec![(pinned.partition, Some(pinned.from))],
            ends: vec![(pinned.partition, pinned.end)],
            ..Start::live(now_ms)
        },
        principal: Arc::clone(&device.principal),
        bound: true,
        cursors: false,
        chooses: false,
    }
}

/// Takes the stream apart again.
async fn forward(mut output: ChannelBody, mut follower: Follower<'_>, told: &mpsc::Sender<Told>) -> u16 {
    let mut rest = BytesMut::new();
    while let Some(bytes) = output.next().await {
        rest.extend_from_slice(&bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = rest.split_to(end + 1);
            let Some(line) = line.strip_prefix(b"data: ").and_then(Line::read) else {
                continue;
            };
            if let Line::Fault(code) = line {
                return code;
            }
            for news in follower.take(line) {
                if news == Told::Replaced {
                    return REPLACED;
                }
                if told.send(news).await.is_err() {
                    return GOING_AWAY;
                }
            }
        }
    }
    GOING_AWAY
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
}
