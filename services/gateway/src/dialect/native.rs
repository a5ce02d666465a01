//! The native API's frames.

use std::sync::Arc;

use bytes::Bytes;
use journal::Topic;
use schemas::{Kind, json};
use serde::Deserialize;

use super::text::{numbers, reset_members};
use super::{Action, Control, Conversation, Dialect, Item, Look, Moment, Parts};
use crate::engine::LogRecord;
use crate::filters::Filters;
use crate::open::OpenSettings;
use crate::open::parameters::MetricLimits;
use crate::subscription::{DeviceSet, KindSet, Selection, Subscription, Transport, View};

pub(crate) mod entrance;

/// The dialect.
pub(super) const PARTS: Parts = Parts {
    name: "native",
    entrances: |_| vec![Arc::new(entrance::Stream)],
    requests: |_| Vec::new(),
    tongue: Some(&crate::device_socket::Native),
};

/// The native API.
#[derive(Debug, Clone)]
pub struct Native {
    /// What a filter may be.
    filters: query::Limits,
    /// What the names of metrics may be.
    metrics: MetricLimits,
}

impl Native {
    pub(crate) fn new(settings: &OpenSettings) -> Self {
        Self {
            filters: settings.filters.clone(),
            metrics: MetricLimits::of(settings),
        }
    }
}

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn data(&self, look: Look<'_>, item: Item<'_>, cursor: &str, out: &mut Vec<u8>) -> bool {
        let transport = look.transport;
        match item {
            Item::Record(record) => match record.json() {
                None => return false,
                Some(json) if record.topic == Topic::Events => write_event(transport, cursor, out, json),
                Some(json) => {
                    let name = if record.value.is_some() {
                        "device"
                    } else {
                        "deleted"
                    };
                    write_object(transport, name, cursor, out, json);
                }
            },
            Item::Event(event) => {
                let mut json = Vec::with_capacity(256);
                json::write_event(event, &mut json);
                write_event(transport, cursor, out, &json);
            }
            Item::Change(change) => {
                let mut json = Vec::with_capacity(1024);
                json::write_change(change, &mut json);
                write_object(transport, "device", cursor, out, &json);
            }
            Item::Document(document) => {
                let mut json = b"{\"device\":".to_vec();
                json::write_document(document, &mut json);
                json.push(b'}');
                write_object(transport, "device", cursor, out, &json);
            }
        }
        true
    }

    fn left(&self, look: Look<'_>, record: &LogRecord, cursor: &str, out: &mut Vec<u8>) -> bool {
        let mut json = b"{\"left\":".to_vec();
        json::write_string(record.device(), &mut json);
        json.push(b'}');
        write_object(look.transport, "left", cursor, out, &json);
        true
    }

    fn control(
        &self,
        look: Look<'_>,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str> {
        let transport = look.transport;
        let (name, members) = match control {
            Control::Hello if transport == Transport::Sse => ("hello", String::new()),
            Control::Hello => return None,
            Control::Reset(reset) => ("reset", reset_members(reset)),
            Control::CaughtUp { from_time: [] } => ("caught_up", String::new()),
            Control::CaughtUp { from_time } => ("caught_up", format!("\"from_time\":{}", numbers(from_time))),
            Control::Degraded { partitions } => {
                ("degraded", format!("\"partitions\":{}", numbers(partitions)))
            }
            Control::KeepAlive { .. } => ("keepalive", String::new()),
            Control::Updated => ("updated", String::new()),
            Control::Fault { .. } if transport == Transport::WebSocket => return None,
            Control::Fault { ending } => ("fault", format!("\"reason\":\"{}\"", ending.reason())),
        };
        write_control(transport, name, cursor, &members, out);
        Some(name)
    }
}

impl Conversation for Native {
    fn text(&mut self, text: &str, at: &Moment<'_>) -> Vec<Action> {
        match self.update(text, at.subscription) {
            Ok(selection) => vec![Action::Select(selection)],
            Err(message) => self.refusal(&message).map(Action::send).into_iter().collect(),
        }
    }

    fn refusal(&self, reason: &str) -> Option<Bytes> {
        let mut out = b"{\"type\":\"fault\",\"error\":".to_vec();
        json::write_string(reason, &mut out);
        out.push(b'}');
        Some(Bytes::from(out))
    }
}

fn write_event(transport: Transport, cursor: &str, out: &mut Vec<u8>, json: &[u8]) {
    match transport {
        Transport::Sse => out.extend_from_slice(json),
        Transport::WebSocket => {
            out.extend_from_slice(b"{\"type\":\"event\",\"cursor\":\"");
            out.extend_from_slice(cursor.as_bytes());
            out.extend_from_slice(b"\",\"event\":");
            out.extend_from_slice(json);
            out.push(b'}');
        }
    }
}

/// Writes `object`; over WebSocket with type and cursor before its own members.
fn write_object(transport: Transport, name: &str, cursor: &str, out: &mut Vec<u8>, object: &[u8]) {
    match transport {
        Transport::Sse => out.extend_from_slice(object),
        Transport::WebSocket => {
            out.extend_from_slice(b"{\"type\":\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\",\"cursor\":\"");
            out.extend_from_slice(cursor.as_bytes());
            out.extend_from_slice(b"\",");
            out.extend_from_slice(object.get(1..).unwrap_or_default());
        }
    }
}

/// Over SSE the cursor stands in `id:`, and is repeated only where clients look for it in the data.
fn write_control(transport: Transport, name: &str, cursor: &str, members: &str, out: &mut Vec<u8>) {
    let mut text = String::with_capacity(64 + cursor.len() + members.len());
    text.push('{');
    if transport == Transport::WebSocket {
        text.push_str(&format!("\"type\":\"{name}\""));
    }
    if !cursor.is_empty() && (transport == Transport::WebSocket || matches!(name, "reset" | "caught_up")) {
        separate(&mut text);
        text.push_str(&format!("\"cursor\":\"{cursor}\""));
    }
    if !members.is_empty() {
        separate(&mut text);
        text.push_str(members);
    }
    text.push('}');
    out.extend_from_slice(text.as_bytes());
}

fn separate(text: &mut String) {
    if text.len() > 1 {
        text.push(',');
    }
}

/// The one message that a native client may send.
#[derive(Deserialize)]
struct Update {
    #[serde(rename = "type")]
    name: String,
    device: Option<Vec<Box<str>>>,
    kind: Option<Vec<String>>,
    metric: Option<Vec<Box<str>>>,
    q: Option<String>,
}

impl Native {
    /// Members that are absent keep what they were; an empty list, and an empty filter, mean everything again.
    fn update(&self, text: &str, subscription: &Subscription) -> Result<Selection, String> {
        let update: Update = serde_json::from_str(text).map_err(|error| format!("not an update: {error}"))?;
        if update.name != "update" {
            return Err(format!(
                "unknown type {:?}; a client may send \"update\"",
                update.name
            ));
        }
        let mut selection = subscription.selection.clone();
        if let Some(q) = update.q {
            if subscription.view != View::Devices {
                return Err("q belongs to view devices".to_owned());
            }
            selection.filters = if q.is_empty() {
                None
            } else {
                Some(Filters::parse(&q, &self.filters).map_err(|error| format!("q: {error}"))?)
            };
        }
        if let Some(devices) = update.device {
            for device in &devices {
                json::check_device(device)
                    .map_err(|invalid| format!("device {device:?}: {}", invalid.message))?;
            }
            selection.devices = if devices.is_empty() {
                DeviceSet::All
            } else {
                DeviceSet::Set(Arc::new(devices.into_iter().collect()))
            };
        }
        if let Some(kinds) = update.kind {
            let parsed: Result<Vec<Kind>, String> = kinds
                .iter()
                .map(|name| Kind::from_name(name).ok_or_else(|| format!("unknown kind {name:?}")))
                .collect();
            selection.kinds = if kinds.is_empty() {
                KindSet::ALL
            } else {
                parsed?.into_iter().collect()
            };
        }
        if let Some(metrics) = update.metric {
            if subscription.view != View::Events {
                return Err("metric belongs to view events".to_owned());
            }
            let metrics = self.metrics.check(metrics.iter().map(|name| &**name));
            selection.metrics = metrics.map_err(|error| format!("metric: {error}"))?;
        }
        Ok(selection)
    }
}

#[cfg(test)]
mod tests;
