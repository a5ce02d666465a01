//! A client in a test: a wire with as much room as the test gives, the frames that came through it, and
//! a dialect that says where a frame stands in the log.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use journal::{Cursor, Offset, Partition};
use parking_lot::Mutex;
use schemas::Event;
use serde_json::{Value, json};

use crate::dialect::{Action, Answer, Control, Conversation, Dialect, Item, Look, Message, Moment};
use crate::engine::LogRecord;
use crate::engine::worker::Wire;
use crate::filters::Filters;
use crate::subscription::Selection;

/// Says of each record where it stands, also of those that it is told of; reads a selection's devices from text, or
/// after `q:` its filter, after `+` and `-` a device that is added or taken away.
pub(super) struct Probe;

impl Dialect for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn data(&self, _: Look<'_>, item: Item<'_>, cursor: &str, out: &mut Vec<u8>) -> bool {
        let text = match item {
            Item::Record(record) => json!({
                "partition": record.partition, "offset": record.offset, "key": record.key(),
                "source": record.source_offset, "cursor": cursor,
                "deleted": record.kind == Some(schemas::Kind::Deleted),
            }),
            Item::Document(document) => json!({
                "document": format!("{}/{}", document.tenant, document.id), "source": document.version, "cursor": cursor,
            }),
            Item::Change(change) => json!({
                "change": change.document.version, "at": change.document.updated_at, "changed": change.changed, "cursor": cursor,
                "before": serde_json::from_str::<Value>(&change.before).unwrap(),
            }),
            Item::Event(Event { id, .. }) => json!({"event": id, "cursor": cursor}),
        };
        out.extend_from_slice(text.to_string().as_bytes());
        true
    }

    fn left(&self, _: Look<'_>, record: &LogRecord, cursor: &str, out: &mut Vec<u8>) -> bool {
        let text = json!({
            "left": record.key(), "partition": record.partition, "offset": record.offset, "cursor": cursor,
        });
        out.extend_from_slice(text.to_string().as_bytes());
        true
    }

    fn control(
        &self,
        _: Look<'_>,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str> {
        let (name, extra) = match control {
            Control::Hello => ("hello", Value::Null),
            Control::Reset(reset) => ("reset", json!(reset.reason.word())),
            Control::CaughtUp { from_time } => ("caught_up", json!(from_time)),
            Control::Degraded { partitions } => ("degraded", json!(partitions)),
            Control::KeepAlive { .. } => ("keepalive", Value::Null),
            Control::Updated => ("updated", Value::Null),
            Control::Fault { .. } => ("fault", Value::Null),
        };
        out.extend_from_slice(
            json!({"control": name, "extra": extra, "cursor": cursor})
                .to_string()
                .as_bytes(),
        );
        Some(name)
    }
}

impl Conversation for Probe {
    fn text(&mut self, text: &str, at: &Moment<'_>) -> Vec<Action> {
        if let Some(q) = text.strip_prefix("q:") {
            let filters = Filters::parse(q, &query::Limits::default()).ok();
            return vec![Action::Select(Selection {
                filters,
                ..at.subscription.selection.clone()
            })];
        }
        if let Some(device) = text.strip_prefix('+') {
            let add = vec![device.into()];
            return vec![Action::Choose {
                add,
                remove: Vec::new(),
            }];
        }
        if let Some(device) = text.strip_prefix('-') {
            let remove = vec![device.into()];
            return vec![Action::Choose {
                add: Vec::new(),
                remove,
            }];
        }
        let devices = text.split(',').map(Box::from).collect();
        vec![Action::Select(Selection {
            devices: crate::subscription::DeviceSet::Set(Arc::new(devices)),
            ..at.subscription.selection.clone()
        })]
    }

    fn answer(&mut self, answer: Answer, _: &Moment<'_>) -> Vec<Action> {
        let Answer::Documents(documents) = answer else {
            return Vec::new();
        };
        let ids: Vec<&str> = documents.iter().map(|stored| &*stored.document.id).collect();
        vec![Action::Send(Message {
            event: None,
            text: json!({"documents": ids}).to_string().into(),
            cursor: None,
        })]
    }

    fn record(&mut self, record: &LogRecord, at: &Moment<'_>) -> Vec<Action> {
        let text = json!({
            "partition": record.partition, "offset": record.offset, "key": record.key(), "cursor": at.cursor,
        });
        vec![Action::Send(Message {
            event: None,
            text: text.to_string().into(),
            cursor: at.cursor.map(Into::into),
        })]
    }
}

/// Chooses one selection of filters after the other.
pub(super) struct Chooser {
    apart: Duration,
    left: VecDeque<Filters>,
}

impl Chooser {
    pub(super) fn new(apart: Duration, choices: &[Filters]) -> Self {
        Self {
            apart,
            left: choices.iter().cloned().collect(),
        }
    }
}

impl Conversation for Chooser {
    fn text(&mut self, _: &str, _: &Moment<'_>) -> Vec<Action> {
        Vec::new()
    }

    fn timer(&mut self, at: &Moment<'_>) -> Vec<Action> {
        let Some(filters) = self.left.pop_front() else {
            return Vec::new();
        };
        let selection = Selection {
            filters: Some(filters),
            ..at.subscription.selection.clone()
        };
        vec![Action::Select(selection), Action::Timer(self.apart)]
    }
}

/// What both ends of a scripted wire see.
#[derive(Default)]
pub(super) struct Pipe {
    pub(super) room: usize,
    pub(super) taken: Vec<u8>,
    pub(super) input: VecDeque<u8>,
    pub(super) cut: bool,
    pub(super) shut: bool,
}

#[derive(Clone, Default)]
pub(super) struct ScriptWire(pub(super) Arc<Mutex<Pipe>>);

impl Wire for ScriptWire {
    fn write(&mut self, frames: &[Bytes]) -> io::Result<usize> {
        let mut pipe = self.0.lock();
        if pipe.cut || pipe.shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut written = 0;
        for frame in frames {
            let taken = frame.len().min(pipe.room);
            pipe.taken.extend_from_slice(&frame[..taken]);
            pipe.room -= taken;
            written += taken;
        }
        if written == 0 {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(written)
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.0.lock();
        if pipe.cut {
            return Ok(0);
        }
        let length = pipe.input.len().min(buffer.len());
        for (byte, from) in buffer.iter_mut().zip(pipe.input.drain(..length)) {
            *byte = from;
        }
        if length == 0 {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(length)
        }
    }

    fn shut(&mut self) {
        self.0.lock().shut = true;
    }
}

/// One whole frame, in the order in which it came.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) json: Value,
    pub(super) cursor: Option<Cursor>,
}

impl Frame {
    pub(super) fn control(&self) -> Option<&str> {
        self.json["control"].as_str()
    }

    pub(super) fn place(&self) -> Option<(Partition, Offset)> {
        let partition = Partition::try_from(self.json["partition"].as_u64()?).ok()?;
        Some((partition, self.json["offset"].as_u64()?))
    }

    pub(super) fn position(&self, partition: Partition) -> Option<Offset> {
        self.cursor.as_ref().and_then(|cursor| cursor.position(partition))
    }
}

/// Takes the whole SSE blocks out of bytes.
pub(super) fn take_blocks(bytes: &mut Vec<u8>) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\n\n") {
        let block: Vec<u8> = bytes.drain(..end + 2).collect();
        let text = String::from_utf8(block).unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: "));
        let id = text.lines().find_map(|line| line.strip_prefix("id: "));
        let Some(data) = data else {
            assert!(
                text.starts_with(": "),
                "a block without data is a comment: {text:?}"
            );
            continue;
        };
        let json: Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            json["cursor"].as_str().unwrap_or_default(),
            id.unwrap_or_default()
        );
        frames.push(Frame {
            json,
            cursor: id.map(|id| id.parse().unwrap()),
        });
    }
    frames
}

/// What a client has, by partition, in the order in which it came.
pub(super) type Received = BTreeMap<Partition, Vec<Offset>>;
