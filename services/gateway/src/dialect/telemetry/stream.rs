//! `/api/v1/customer/telemetry/stream`, and the same over SSE: every update of the tenant's devices.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use access::http::{Body, Problem, Surface};
use http::Response;
use schemas::{Body as EventBody, Fields, Kind, Scalar, fields};
use serde_json::{Map, Value, json};

use super::{CAP, SURFACE, cursors, error, is_device, names, refuse, since, tenant};
use crate::dialect::text::{list, quoted, reset_members, time};
use crate::dialect::{
    Action, Asked, Cap, Control, Conversation, Dialect, Entrance, Item, Look, Moment, Opening, Refusal,
    Transports,
};
use crate::subscription::{DeviceSet, KindSet, Selection, TenantScope, Told, Transport, View};

const PATH: &str = "/api/v1/customer/telemetry/stream";
const SSE_PATH: &str = "/api/v1/customer/telemetry/stream/sse";
/// A ping comes after this long without an event.
const PING: Duration = Duration::from_secs(30);
/// The same over SSE.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The way in of the WebSocket.
pub struct WebSocket {
    streams_max: usize,
}

/// The way in of the event stream.
pub struct EventStream {
    streams_max: usize,
}

impl WebSocket {
    /// At most so many streams of a tenant.
    #[must_use]
    pub const fn new(streams_max: usize) -> Self {
        Self { streams_max }
    }
}

impl EventStream {
    /// At most so many streams of a tenant.
    #[must_use]
    pub const fn new(streams_max: usize) -> Self {
        Self { streams_max }
    }
}

impl Entrance for WebSocket {
    fn paths(&self) -> &[&'static str] {
        &[PATH]
    }

    fn surface(&self) -> Surface {
        Surface {
            query: &["token"],
            ..SURFACE
        }
    }

    fn open(&self, asked: &Asked<'_>) -> Result<Opening, Refusal> {
        let selection = selection(asked)?;
        let connected = connected(&selection);
        Ok(Opening {
            from: since(asked)?,
            cursors: cursors(asked)?,
            chooses: true,
            conversation: Box::new(Filters {
                metrics_max: asked.settings.metrics_max,
                metric_bytes_max: asked.settings.metric_bytes_max,
            }),
            first: vec![Action::send(connected)],
            cap: Some(cap(self.streams_max)),
            ..Opening::of(View::Events, selection, Arc::new(Frames))
        })
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refuse(refusal, self.streams_max)
    }
}

impl Entrance for EventStream {
    fn paths(&self) -> &[&'static str] {
        &[SSE_PATH]
    }

    fn transports(&self) -> Transports {
        Transports::Sse
    }

    fn surface(&self) -> Surface {
        SURFACE
    }

    fn open(&self, asked: &Asked<'_>) -> Result<Opening, Refusal> {
        Ok(Opening {
            from: since(asked)?,
            cap: Some(cap(self.streams_max)),
            ..Opening::of(View::Events, selection(asked)?, Arc::new(Frames))
        })
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        refuse(refusal, self.streams_max)
    }
}

fn cap(streams_max: usize) -> Cap {
    Cap {
        name: CAP,
        streams_max,
    }
}

fn selection(asked: &Asked<'_>) -> Result<Selection, Refusal> {
    let tenant = tenant(asked)?.ok_or_else(|| Problem::forbidden("No tenant_id in token"))?;
    let devices = names(asked, "device_id");
    if let Some(device) = devices.iter().find(|device| !is_device(device)) {
        return Err(Problem::bad_request(format!("device_id: {device:?} is no device")).into());
    }
    if devices.len() > asked.settings.devices_max {
        let detail = format!(
            "device_id: a stream names at most {} devices",
            asked.settings.devices_max
        );
        return Err(Problem::bad_request(detail).into());
    }
    let metrics = names(asked, "metric");
    check_metrics(
        metrics.iter().map(AsRef::as_ref),
        asked.settings.metrics_max,
        asked.settings.metric_bytes_max,
    )
    .map_err(|detail| Problem::bad_request(format!("metric: {detail}")))?;
    Ok(Selection {
        tenant: TenantScope::One(tenant),
        devices: if devices.is_empty() {
            DeviceSet::All
        } else {
            DeviceSet::Set(Arc::new(devices))
        },
        kinds: KindSet::NONE.with(Kind::Telemetry),
        metrics: (!metrics.is_empty()).then(|| Arc::new(metrics)),
        filters: None,
        told: Told::default(),
    })
}

fn check_metrics<'a>(
    metrics: impl ExactSizeIterator<Item = &'a str>,
    metrics_max: usize,
    metric_bytes_max: usize,
) -> Result<(), String> {
    if metrics.len() > metrics_max {
        return Err(format!("a stream names at most {metrics_max} metrics"));
    }
    let mut metrics = metrics;
    if metrics.any(|metric| metric.len() > metric_bytes_max) {
        return Err(format!("a metric's name has at most {metric_bytes_max} bytes"));
    }
    Ok(())
}

fn connected(selection: &Selection) -> String {
    let devices = match &selection.devices {
        DeviceSet::All => list::<&str>([]),
        DeviceSet::Set(devices) => list(devices.iter()),
    };
    let metrics = selection
        .metrics
        .as_deref()
        .map_or_else(|| list::<&str>([]), |metrics| list(metrics.iter()));
    format!(
        "{{\"type\":\"connected\",\"tenant_id\":{},\"filters\":{{\"device_ids\":{devices},\"metric_names\":{metrics}}}}}",
        quoted(selection.tenant.name().unwrap_or_default()),
    )
}

/// Writes updates.
#[derive(Debug, Clone, Copy, Default)]
pub struct Frames;

impl Dialect for Frames {
    fn name(&self) -> &'static str {
        "telemetry"
    }

    fn data(&self, look: Look<'_>, item: Item<'_>, cursor: &str, out: &mut Vec<u8>) -> bool {
        let event = match item {
            Item::Record(record) => record.event(),
            Item::Event(event) => Some(event),
            Item::Change(_) | Item::Document(_) => None,
        };
        let Some(event) = event else {
            return false;
        };
        let EventBody::Telemetry(telemetry) = &event.body else {
            return false;
        };
        let Some(metrics) = metrics(&telemetry.fields, look.metrics) else {
            return false;
        };
        let (device, tenant) = (quoted(&event.device), quoted(&event.tenant));
        let topic = quoted(&format!(
            "tenant/{}/device/{}/telemetry",
            event.tenant, event.device
        ));
        let cursor = if look.transport == Transport::WebSocket && look.cursors {
            format!(",\"cursor\":\"{cursor}\"")
        } else {
            String::new()
        };
        let text = format!(
            "{{\"type\":\"telemetry\",\"device_id\":{device},\"tenant_id\":{tenant},\"metrics\":{metrics},\"timestamp\":{},\"topic\":{topic}{cursor}}}",
            time(event.occurred_at),
        );
        out.extend_from_slice(text.as_bytes());
        true
    }

    fn control(
        &self,
        look: Look<'_>,
        control: Control<'_>,
        cursor: &str,
        out: &mut Vec<u8>,
    ) -> Option<&'static str> {
        let (name, text) = match (control, look.transport) {
            (Control::KeepAlive { .. }, Transport::Sse) => ("keepalive", "{}".to_owned()),
            (Control::KeepAlive { now }, Transport::WebSocket) => {
                ("ping", format!("{{\"type\":\"ping\",\"ts\":{}}}", time(now)))
            }
            (Control::Reset(reset), Transport::WebSocket) if look.cursors => {
                let members = reset_members(reset);
                let text = format!("{{\"type\":\"reset\",\"cursor\":\"{cursor}\",{members}}}");
                ("reset", text)
            }
            (Control::Reset(reset), Transport::Sse) => {
                let members = reset_members(reset);
                ("reset", format!("{{\"cursor\":\"{cursor}\",{members}}}"))
            }
            (Control::Fault { ending }, Transport::Sse) => {
                ("fault", format!("{{\"reason\":\"{}\"}}", ending.reason()))
            }
            (
                Control::Hello
                | Control::Reset(_)
                | Control::CaughtUp { .. }
                | Control::Degraded { .. }
                | Control::Updated
                | Control::Fault { .. },
                _,
            ) => return None,
        };
        out.extend_from_slice(text.as_bytes());
        Some(name)
    }

    fn is_reduced(&self) -> bool {
        false
    }

    fn keep_alive(&self, transport: Transport) -> Option<Duration> {
        Some(match transport {
            Transport::WebSocket => PING,
            Transport::Sse => KEEP_ALIVE,
        })
    }

    fn comment(&self) -> Option<&'static str> {
        Some("keepalive")
    }
}

/// The scalars of an update under their dotted names, as an object; `None` if there is none.
fn metrics(fields: &Fields, chosen: Option<&BTreeSet<Box<str>>>) -> Option<String> {
    let mut text = String::from("{");
    for (path, value) in &fields.0 {
        if matches!(value, Scalar::Null | Scalar::Json(_)) {
            continue;
        }
        let name = fields::unescape(path);
        if chosen.is_some_and(|chosen| !chosen.contains(&*name)) {
            continue;
        }
        if text.len() > 1 {
            text.push(',');
        }
        let mut json = Vec::with_capacity(24);
        value.write_json(&mut json);
        text.push_str(&quoted(&name));
        text.push(':');
        text.push_str(&String::from_utf8_lossy(&json));
    }
    text.push('}');
    (text.len() > 2).then_some(text)
}

/// Reads changes of the filters. What holds stands in the selection.
struct Filters {
    metrics_max: usize,
    metric_bytes_max: usize,
}

impl Conversation for Filters {
    fn text(&mut self, text: &str, at: &Moment<'_>) -> Vec<Action> {
        let Ok(Value::Object(message)) = serde_json::from_str(text) else {
            return vec![Action::send(error("Invalid JSON"))];
        };
        let done = match message.get("action").and_then(Value::as_str) {
            Some("subscribe") => subscribe(&message, at),
            Some("unsubscribe") => unsubscribe(&message, at),
            Some("set_metrics") => self.set_metrics(&message, at),
            Some("clear_filters") => Ok(clear(at)),
            Some(other) => Err(format!("Unknown action: {other}")),
            None => Err(format!(
                "Unknown action: {}",
                message.get("action").unwrap_or(&Value::Null)
            )),
        };
        done.unwrap_or_else(|message| vec![Action::send(error(&message))])
    }

    fn binary(&mut self, _: &Moment<'_>) -> Vec<Action> {
        vec![Action::send(error("Invalid JSON"))]
    }

    fn refusal(&self, reason: &str) -> Option<bytes::Bytes> {
        Some(error(reason).into())
    }
}

type Done = Result<Vec<Action>, String>;

/// The devices that a message names, and its answers in that order.
fn named(message: &Map<String, Value>, answer: &str) -> Result<(BTreeSet<Box<str>>, Vec<Action>), String> {
    let mut devices = BTreeSet::new();
    let mut answers = Vec::new();
    let mut add = |device: &Value| match device.as_str() {
        Some(device) if is_device(device) => {
            devices.insert(Box::from(device));
            Ok(())
        }
        Some(_) | None => Err(format!("{device} is no device id")),
    };
    if let Some(device) = message.get("device_id") {
        add(device)?;
        answers.push(Action::send(
            json!({"type": answer, "device_id": device}).to_string(),
        ));
    }
    if let Some(list) = message.get("device_ids") {
        let ids = list.as_array().ok_or("device_ids must be an array")?;
        ids.iter().try_for_each(&mut add)?;
        answers.push(Action::send(
            json!({"type": answer, "device_ids": list}).to_string(),
        ));
    }
    if answers.is_empty() {
        return Err("device_id or device_ids required".to_owned());
    }
    Ok((devices, answers))
}

/// Without devices chosen before, the stream narrows to those that are.
fn subscribe(message: &Map<String, Value>, at: &Moment<'_>) -> Done {
    let (mut devices, answers) = named(message, "subscribed")?;
    let selection = &at.subscription.selection;
    if let DeviceSet::Set(before) = &selection.devices {
        devices.extend(before.iter().cloned());
    }
    if devices.len() > at.devices_max {
        return Err(format!("a stream may name {} devices at most", at.devices_max));
    }
    Ok(selected(selection, DeviceSet::Set(Arc::new(devices)), answers))
}

/// Without the last of its devices, the stream shows none: not everything again.
fn unsubscribe(message: &Map<String, Value>, at: &Moment<'_>) -> Done {
    let (gone, answers) = named(message, "unsubscribed")?;
    let selection = &at.subscription.selection;
    Ok(match &selection.devices {
        DeviceSet::All => answers,
        DeviceSet::Set(before) => {
            let left = before.difference(&gone).cloned().collect();
            selected(selection, DeviceSet::Set(Arc::new(left)), answers)
        }
    })
}

fn selected(selection: &Selection, devices: DeviceSet, answers: Vec<Action>) -> Vec<Action> {
    let selection = Selection {
        devices,
        ..selection.clone()
    };
    let mut actions = vec![Action::Select(selection)];
    actions.extend(answers);
    actions
}

fn clear(at: &Moment<'_>) -> Vec<Action> {
    let selection = Selection {
        devices: DeviceSet::All,
        metrics: None,
        ..at.subscription.selection.clone()
    };
    vec![
        Action::Select(selection),
        Action::send("{\"type\":\"filters_cleared\"}"),
    ]
}

impl Filters {
    fn set_metrics(&self, message: &Map<String, Value>, at: &Moment<'_>) -> Done {
        let given: &[Value] = match message.get("metrics") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(metrics)) => metrics,
            Some(_) => return Err("metrics must be an array".to_owned()),
        };
        let metrics: Option<Vec<&str>> = given.iter().map(Value::as_str).collect();
        let metrics = metrics.ok_or("metrics must be an array of strings")?;
        check_metrics(metrics.iter().copied(), self.metrics_max, self.metric_bytes_max)?;
        let metrics: BTreeSet<Box<str>> = metrics.into_iter().map(Box::from).collect();
        let answer = format!(
            "{{\"type\":\"metrics_updated\",\"metrics\":{}}}",
            list(metrics.iter())
        );
        let selection = Selection {
            metrics: (!metrics.is_empty()).then(|| Arc::new(metrics)),
            ..at.subscription.selection.clone()
        };
        Ok(vec![Action::Select(selection), Action::send(answer)])
    }
}
