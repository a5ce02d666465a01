//! Waits until a command ends, on the log itself: whichever gateway has the device, and however far the
//! projector is.

use std::sync::Arc;

use access::{EventSink, Submission};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use journal::{Micros, Position};
use schemas::event::CommandStatus;
use schemas::{Body, Kind};
use serde::{Deserialize, Serialize};

use crate::commands::acting;
use crate::dialect::requests::{Await, Ended, Waited};
use crate::dialect::{Control, Dialect, Item, Look, Silent};
use crate::engine::{Adoption, ChannelBody, Engine, Reading, Seat, Sink};
use crate::subscription::{
    Delivery, DeviceSet, Framing, KindSet, Selection, Start, Subscription, TenantScope, Told, Transport, View,
};

/// Sends the command, with a place to wait taken before, and answers how it ends.
pub(super) async fn sent(engine: &Engine, events: &dyn EventSink, now: Micros, awaited: Await) -> Waited {
    // Those who wait are counted apart from the tenant's streams, under a name that no tenant has.
    let counted_as = format!("{}/commands", awaited.tenant);
    let Ok(seat) = engine.reserve(Some(&counted_as)) else {
        return Waited::NoRoom;
    };
    let acting = acting(&awaited.principal, &awaited.tenant, &awaited.device);
    let submission = Submission {
        tenant: awaited.tenant.clone(),
        device: Some(awaited.device.clone()),
        items: vec![awaited.event.clone()],
        traceparent: None,
    };
    let position = match events.submit(&acting, submission).await.pop() {
        Some(Ok(accepted)) => accepted.position,
        Some(Err(rejection)) => return Waited::NotTaken(Some(rejection)),
        None => return Waited::NotTaken(None),
    };
    Waited::Until(ended(engine, seat, position, now, awaited).await)
}

/// How the command ends; `None` when it does not in time.
async fn ended(
    engine: &Engine,
    seat: Seat,
    position: Position,
    now: Micros,
    awaited: Await,
) -> Option<Ended> {
    let (sink, output, input) = engine.channel();
    let (command_id, within) = (awaited.command_id.clone(), awaited.within);
    let adoption = Adoption {
        seat,
        sink: Sink::Channel(sink),
        prelude: Bytes::new(),
        leftover: Vec::new(),
        subscription: subscription(awaited, position, now),
        reading: Reading::by(Silent),
    };
    engine.adopt(adoption).ok()?;
    let ended = tokio::time::timeout(within, find(output, &command_id)).await;
    // Its end would have said that nobody waits.
    drop(input);
    ended.ok().flatten()
}

/// Steps that end a command, one JSON text each.
struct Ends;

/// What the dialect writes and [`find`] reads.
#[derive(Serialize, Deserialize)]
struct Line {
    command_id: Box<str>,
    status: Box<str>,
    output: Option<Box<str>>,
}

impl Dialect for Ends {
    fn name(&self) -> &'static str {
        "ends of commands"
    }

    fn data(&self, _: Look<'_>, item: Item<'_>, _: &str, out: &mut Vec<u8>) -> bool {
        let event = match item {
            Item::Record(record) => record.event(),
            Item::Event(event) => Some(event),
            Item::Change(_) | Item::Document(_) => None,
        };
        let Some(Body::Command(step)) = event.map(|event| &event.body) else {
            return false;
        };
        match step.status {
            CommandStatus::Queued | CommandStatus::Delivered | CommandStatus::InProgress => return false,
            CommandStatus::Success | CommandStatus::Failed | CommandStatus::Expired => {}
        }
        let line = Line {
            command_id: step.command_id.clone(),
            status: step.status.word().into(),
            output: step.output.clone(),
        };
        let length = out.len();
        let is_written = serde_json::to_writer(&mut *out, &line).is_ok();
        if !is_written {
            out.truncate(length);
        }
        is_written
    }

    fn control(&self, _: Look<'_>, _: Control<'_>, _: &str, _: &mut Vec<u8>) -> Option<&'static str> {
        None
    }
}

fn subscription(awaited: Await, position: Position, now: Micros) -> Subscription {
    Subscription {
        view: View::Events,
        transport: Transport::Sse,
        framing: Framing::Plain,
        dialect: Arc::new(Ends),
        selection: Selection {
            tenant: TenantScope::One(awaited.tenant),
            devices: DeviceSet::Set(Arc::new([awaited.device].into())),
            kinds: KindSet::NONE.with(Kind::Command),
            metrics: None,
            filters: None,
            told: Told::default(),
        },
        delivery: Delivery::Every,
        every: None,
        partitions: vec![position.partition],
        start: Start {
            positions: vec![(position.partition, Some(position.offset + 1))],
            ..Start::live(now.div_euclid(1_000))
        },
        principal: awaited.principal,
        bound: true,
        cursors: false,
        chooses: false,
    }
}

/// The end of that command, where the stream shows it.
async fn find(mut output: ChannelBody, command_id: &str) -> Option<Ended> {
    let mut rest = BytesMut::new();
    while let Some(bytes) = output.next().await {
        rest.extend_from_slice(&bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = rest.split_to(end + 1);
            let data = line.strip_prefix(b"data: ");
            let Some(line) = data.and_then(|data| serde_json::from_slice::<Line>(data).ok()) else {
                continue;
            };
            if *line.command_id == *command_id {
                return Some(Ended {
                    status: CommandStatus::from_word(&line.status)?,
                    output: line.output,
                });
            }
        }
    }
    None
}
