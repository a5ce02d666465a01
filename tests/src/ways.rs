//! Every way to watch devices by a dialect: what tests know that hold for all of them.

use std::pin::Pin;

use eventsource_stream::Eventsource as _;
use futures::{Stream, StreamExt as _};
use serde_json::{Value, json};

use crate::api::Api;
use crate::nodes::ADMIN_TOKEN;
use crate::socket::Socket;
use crate::stream::Ended;
use crate::wait::until;

/// The device that ways of a single one watch.
pub const DEVICE: &str = "yard/van";

/// The id of a device's location; that of [`DEVICE`] is `spot-yard-van`.
#[must_use]
pub fn place_of(device: &str) -> String {
    format!("spot-{}", device.replace('/', "-"))
}

/// A stream of a dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// `/realtime`.
    Realtime,
    /// `/ws/controller/device/…/command`.
    Commands,
    /// `/ws/loci/location/…/`.
    Location,
    /// `/ws/loci/location/`.
    Locations,
    /// `…/watch`.
    Watch,
    /// `…/logs/stream`, over server-sent events.
    Logs,
    /// `/api/v2/ws` with a header.
    Filter,
    /// `/api/v1/customer/telemetry/stream`.
    Telemetry,
    /// The same over server-sent events.
    TelemetryEvents,
    /// `/api/v2/ws?token=`.
    Legacy,
}

/// All of them.
pub const WAYS: [Way; 10] = [
    Way::Realtime,
    Way::Commands,
    Way::Location,
    Way::Locations,
    Way::Watch,
    Way::Logs,
    Way::Filter,
    Way::Telemetry,
    Way::TelemetryEvents,
    Way::Legacy,
];

impl Way {
    /// Its path.
    #[must_use]
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Realtime => "/realtime",
            Self::Commands => "/ws/controller/device/yard%2Fvan/command",
            Self::Location => "/ws/loci/location/spot-yard-van/",
            Self::Locations => "/ws/loci/location/",
            Self::Watch => "/v1/projects/yard/devices/van/watch",
            Self::Logs => "/v1/projects/yard/devices/van/logs/stream",
            Self::Filter | Self::Legacy => "/api/v2/ws",
            Self::Telemetry => "/api/v1/customer/telemetry/stream",
            Self::TelemetryEvents => "/api/v1/customer/telemetry/stream/sse",
        }
    }

    /// Where in the query the credential stands; `None`: in the header.
    const fn parameter(self) -> Option<&'static str> {
        match self {
            Self::Realtime => Some("api_key"),
            Self::Watch | Self::Telemetry | Self::Legacy => Some("token"),
            Self::Commands
            | Self::Location
            | Self::Locations
            | Self::Logs
            | Self::Filter
            | Self::TelemetryEvents => None,
        }
    }

    /// Whether it is of the dialect that only staff and superusers speak.
    #[must_use]
    pub const fn is_of_staff(self) -> bool {
        matches!(self, Self::Commands | Self::Location | Self::Locations)
    }

    /// Whether it is carried by server-sent events.
    #[must_use]
    pub const fn is_event_stream(self) -> bool {
        matches!(self, Self::Logs | Self::TelemetryEvents)
    }

    /// Whether it shows [`DEVICE`] only.
    #[must_use]
    pub const fn is_of_one_device(self) -> bool {
        matches!(self, Self::Commands | Self::Location | Self::Watch | Self::Logs)
    }

    /// Whether only the newest of a device is promised.
    #[must_use]
    pub const fn is_conflated(self) -> bool {
        matches!(self, Self::Filter | Self::Legacy)
    }

    /// Whether the dialect ignores what clients send.
    #[must_use]
    pub const fn is_deaf(self) -> bool {
        self.is_of_staff() || matches!(self, Self::Watch)
    }

    /// Path and query of its request; `admin` is the tenant's.
    #[must_use]
    pub fn path(self, admin: &Api, query: &str) -> String {
        let resource = self.resource();
        match self.parameter() {
            Some(name) => format!("{resource}?{name}={}&{query}", admin.token),
            None => format!("{resource}?{query}"),
        }
    }

    /// The credential, where it stands in the header.
    #[must_use]
    pub fn bearer(self, admin: &Api) -> Option<String> {
        let token = if self.is_of_staff() {
            ADMIN_TOKEN
        } else {
            &admin.token
        };
        self.parameter().is_none().then(|| format!("Bearer {token}"))
    }

    /// What a client says first to see these devices.
    #[must_use]
    pub fn first(self, devices: &[&str]) -> Vec<Value> {
        match self {
            Self::Realtime => vec![json!({"type": "subscribe", "hardwareIds": devices})],
            Self::Filter => vec![json!({"filter": "n >= 0"})],
            Self::Legacy => devices
                .iter()
                .map(|device| json!({"action": "subscribe", "type": "device", "device_id": device}))
                .collect(),
            Self::Commands
            | Self::Location
            | Self::Locations
            | Self::Watch
            | Self::Logs
            | Self::Telemetry
            | Self::TelemetryEvents => Vec::new(),
        }
    }

    /// Opens it; `since` is where to resume.
    ///
    /// # Errors
    /// How it was refused.
    pub async fn open(self, admin: &Api, query: &str, since: Option<&str>) -> Result<Watcher, Ended> {
        if self.is_event_stream() {
            return self.open_events(admin, query, since).await;
        }
        let since = since.map_or_else(String::new, |since| format!("&since={since}"));
        let path = self.path(admin, &format!("{query}{since}"));
        let bearer = self.bearer(admin);
        let headers: Vec<(&'static str, &str)> =
            bearer.iter().map(|value| ("authorization", &**value)).collect();
        let socket = Socket::open(admin, &path, &headers).await?;
        Ok(Watcher::Socket(Box::new(socket)))
    }

    async fn open_events(self, admin: &Api, query: &str, since: Option<&str>) -> Result<Watcher, Ended> {
        let mut request = admin.request(reqwest::Method::GET, &self.path(admin, query));
        if let Some(since) = since {
            request = request.header("Last-Event-ID", since);
        }
        let Ok(answer) = request.send().await else {
            return Err(Ended::Eof);
        };
        if answer.status() != 200 {
            let status = answer.status().as_u16();
            return Err(Ended::Status(status, answer.text().await.unwrap_or_default()));
        }
        let events = answer.bytes_stream().eventsource().map(Result::ok);
        Ok(Watcher::Events(Box::pin(events)))
    }

    /// The device (of locations: the location) and the number that a frame carries, if it is of the data
    /// that [`numbered`] makes.
    #[must_use]
    pub fn number(self, frame: &Value) -> Option<(String, u64)> {
        let (name, number) = match self {
            Self::Realtime => (
                &frame["hardwareId"],
                frame.pointer("/payload/n").or_else(|| frame.get("eventId"))?,
            ),
            Self::Commands => (&frame["data"]["device"], frame.pointer("/data/output")?),
            Self::Location | Self::Locations => (&frame["id"], frame.pointer("/geometry/coordinates/1")?),
            Self::Watch => {
                let data = frame.get("data")?;
                (&Value::Null, data.get("message").or_else(|| data.get("value"))?)
            }
            Self::Logs => (&Value::Null, frame.get("message")?),
            Self::Filter => (&frame["update"]["id"], frame.pointer("/update/n")?),
            Self::Telemetry | Self::TelemetryEvents => (&frame["device_id"], frame.pointer("/metrics/n")?),
            Self::Legacy => (&frame["device_id"], frame.pointer("/data/metrics/n")?),
        };
        let number = match number {
            Value::String(text) => text.rsplit(['-', ' ']).next()?.parse().ok()?,
            Value::Number(latitude) if latitude.is_f64() => (latitude.as_f64()? * 100.0).round() as u64,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                number.as_u64()?
            }
        };
        let name = name.as_str().unwrap_or(DEVICE);
        Some((name.to_owned(), number))
    }

    /// The way of that name, as `Debug` writes it.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        WAYS.into_iter().find(|way| format!("{way:?}") == name)
    }

    /// Whether it shows an event that [`numbered`] makes.
    #[must_use]
    pub fn shows(self, device: &str, kind: &str) -> bool {
        if self.is_of_one_device() && device != DEVICE {
            return false;
        }
        match self {
            Self::Realtime => matches!(kind, "telemetry" | "lock"),
            Self::Commands => kind == "command",
            Self::Watch => matches!(kind, "log" | "entity"),
            Self::Logs => kind == "log",
            Self::Location
            | Self::Locations
            | Self::Filter
            | Self::Telemetry
            | Self::TelemetryEvents
            | Self::Legacy => kind == "telemetry",
        }
    }

    /// By which name [`Self::number`] gives a device.
    #[must_use]
    pub fn named(self, device: &str) -> String {
        match self {
            Self::Location | Self::Locations => place_of(device),
            Self::Realtime
            | Self::Commands
            | Self::Watch
            | Self::Logs
            | Self::Filter
            | Self::Telemetry
            | Self::TelemetryEvents
            | Self::Legacy => device.to_owned(),
        }
    }
}

/// Kinds of numbered events.
pub const KINDS: [&str; 5] = ["telemetry", "lock", "log", "entity", "command"];

/// An event of that kind that carries a number, up to 8,999, and a text where its kind has room for one. A
/// number is told by where a device is, too: a hundredth of a degree each.
#[must_use]
pub fn numbered(device: &str, kind: &str, n: u64, text: &str) -> Value {
    let mut event = match kind {
        "telemetry" => {
            let latitude = n as f64 / 100.0 + 0.001;
            json!({"fields": {"n": n, "lat": latitude, "lon": 1.5, "text": text}})
        }
        "lock" => json!({"locked": n.is_multiple_of(2), "source": "key"}),
        "log" => json!({"message": format!("{text} {n}")}),
        "entity" => json!({"entity_id": "n", "value": n}),
        "command" => json!({"command_id": "c", "type": "job", "status": "in-progress",
            "output": format!("{text} {n}")}),
        other => panic!("{other}"),
    };
    event["device"] = json!(device);
    event["kind"] = json!(kind);
    event["id"] = json!(format!("{kind}-{n}"));
    event
}

/// Makes the devices, a location and a command of each, and waits until they are known to all of `nodes`; the tenant's admin
/// at the first.
pub async fn placed(nodes: &[Api], tenant: &str, devices: &[&str]) -> Api {
    let token = json!({"role": "admin", "tenant": tenant});
    let admin = nodes[0].with_token(&nodes[0].token(&token).await);
    let mut events: Vec<Value> = Vec::new();
    for device in devices {
        events.push(
            json!({"device": device, "kind": "location", "location_id": place_of(device), "name": "Van",
                "geometry": {"type": "Point", "coordinates": [1.5, -80.5]}}),
        );
        // What follows are steps of it.
        events.push(json!({"device": device, "kind": "command", "command_id": "c", "type": "job", "status": "queued"}));
    }
    let cursor = admin.send_events(&events).await;
    for node in nodes {
        let admin = admin.at(&node.base);
        for device in devices {
            let path = format!("/v1/devices?id={device}&min_cursor={cursor}");
            until("the device is known", async || {
                (admin.get(&path).await.status == 200).then_some(())
            })
            .await;
        }
    }
    admin
}

/// Whether a frame of a WebSocket says that something is missing or wrong, in any dialect.
#[must_use]
pub fn is_fault(frame: &Value) -> bool {
    let names = [&frame["type"], &frame["event"], &frame["model"]];
    let mut names = names.into_iter().filter_map(Value::as_str);
    names.any(|name| matches!(name, "reset" | "Reset" | "error" | "fault"))
        || frame.get("reset").is_some()
        || frame.get("error").is_some()
}

/// A frame as it came.
#[derive(Debug)]
pub struct Frame {
    /// Its text.
    pub text: String,
    /// Where to resume after it.
    pub cursor: Option<String>,
    /// Says that something is missing, or that the stream ends.
    pub is_fault: bool,
}

impl Frame {
    /// Its text as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("frames are JSON")
    }
}

/// Somebody who watches.
pub enum Watcher {
    /// At a WebSocket.
    Socket(Box<Socket>),
    /// At an event stream.
    Events(Pin<Box<dyn Stream<Item = Option<eventsource_stream::Event>> + Send>>),
}

impl Watcher {
    /// Says what a client says first.
    pub async fn choose(&mut self, way: Way, devices: &[&str]) {
        for message in way.first(devices) {
            match self {
                Self::Socket(socket) => socket.send(&message).await,
                Self::Events(_) => panic!("nothing can be sent over SSE"),
            }
        }
    }

    /// The next frame.
    ///
    /// # Errors
    /// How it ended.
    pub async fn next(&mut self) -> Result<Frame, Ended> {
        match self {
            Self::Socket(socket) => {
                let text = socket.try_text().await?;
                let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
                Ok(Frame {
                    is_fault: is_fault(&frame),
                    cursor: frame["cursor"].as_str().map(str::to_owned),
                    text,
                })
            }
            Self::Events(events) => {
                let event = events.next().await.flatten().ok_or(Ended::Eof)?;
                Ok(Frame {
                    is_fault: matches!(&*event.event, "reset" | "fault"),
                    cursor: (!event.id.is_empty()).then_some(event.id),
                    text: event.data,
                })
            }
        }
    }
}
