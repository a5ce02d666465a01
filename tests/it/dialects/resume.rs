//! Clients of every dialect, cut at random and resumed, have each event once and in order.

use std::collections::BTreeMap;

use eventsource_stream::Eventsource as _;
use futures::StreamExt as _;
use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use tests::api::Api;
use tests::seed::Seed;
use tests::socket::Socket;
use tests::wait::within;
use tests::world::World;

const DEVICES: [&str; 4] = ["bus-0", "bus-1", "bus-2", "bus-3"];
const EVENTS: u64 = 60;

/// What a client has of each device, in the order in which it came.
type Seen = BTreeMap<String, Vec<u64>>;

fn take(seen: &mut Seen, frame: &Value) {
    let device = frame.get("device_id").or_else(|| frame.get("hardwareId"));
    let n = frame
        .pointer("/metrics/n")
        .or_else(|| frame.pointer("/payload/n"));
    if let (Some(device), Some(n)) = (device.and_then(Value::as_str), n.and_then(Value::as_u64)) {
        seen.entry(device.to_owned()).or_default().push(n);
    }
}

fn is_whole(seen: &Seen) -> bool {
    seen.values().map(Vec::len).sum::<usize>() >= DEVICES.len() * EVENTS as usize
}

/// Reads up to so many frames of a socket; the last cursor is kept.
async fn read(socket: &mut Socket, most: usize, seen: &mut Seen, cursor: &mut String) {
    for _ in 0..most {
        if is_whole(seen) {
            return;
        }
        let frame = socket.next().await;
        assert_ne!(frame["type"], "reset", "{frame}");
        take(seen, &frame);
        if let Some(told) = frame["cursor"].as_str() {
            told.clone_into(cursor);
        }
    }
}

async fn realtime(api: &Api, cursor: &str) -> Socket {
    let path = format!("/realtime?api_key={}&cursor=1&since={cursor}", api.token);
    let mut socket = Socket::open(api, &path, &[]).await.expect("a socket");
    socket
        .send(&json!({"type": "subscribe", "hardwareIds": DEVICES}))
        .await;
    socket
}

async fn telemetry(api: &Api, cursor: &str) -> Socket {
    let token = &api.token;
    let path = format!("/api/v1/customer/telemetry/stream?token={token}&cursor=1&since={cursor}");
    Socket::open(api, &path, &[]).await.expect("a socket")
}

async fn sockets(api: &Api, dialect: &str, random: &mut SmallRng) -> Seen {
    let (mut seen, mut cursor) = (Seen::new(), "earliest".to_owned());
    while !is_whole(&seen) {
        let mut socket = match dialect {
            "realtime" => realtime(api, &cursor).await,
            _ => telemetry(api, &cursor).await,
        };
        read(&mut socket, random.random_range(1..40), &mut seen, &mut cursor).await;
    }
    seen
}

async fn event_streams(api: &Api, random: &mut SmallRng) -> Seen {
    let (mut seen, mut cursor) = (Seen::new(), String::new());
    while !is_whole(&seen) {
        let path = "/api/v1/customer/telemetry/stream/sse?since=earliest";
        let mut request = api.request(reqwest::Method::GET, path);
        if !cursor.is_empty() {
            request = request.header("Last-Event-ID", &cursor);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let mut events = answer.bytes_stream().eventsource();
        for _ in 0..random.random_range(1..40) {
            if is_whole(&seen) {
                break;
            }
            let event = within("an event", events.next())
                .await
                .expect("it goes on")
                .expect("an event");
            assert_ne!(event.event, "reset", "{}", event.data);
            take(&mut seen, &serde_json::from_str(&event.data).expect("JSON"));
            cursor = event.id;
        }
    }
    seen
}

/// The number that a log, a state, a step of a command or a place of these tests carries.
fn number(frame: &Value) -> Option<u64> {
    let text = frame
        .pointer("/data/message")
        .or_else(|| frame.pointer("/data/output"))
        .or_else(|| frame.get("message"));
    let number = frame
        .pointer("/data/value")
        .or_else(|| frame.pointer("/geometry/coordinates/1"));
    let text = text.and_then(Value::as_str).map(str::to_owned);
    let number = number.and_then(Value::as_f64).map(|number| number.to_string());
    text.or(number)?.parse().ok()
}

/// Reads one dialect's socket to the last number, cut at random.
async fn cut(api: &Api, path: &str, first: &str, most: usize, random: &mut SmallRng) -> Vec<u64> {
    let (mut seen, mut cursor) = (Vec::new(), first.to_owned());
    while seen.len() < most {
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{sign}cursor=1&since={cursor}");
        let bearer = format!("Bearer {}", api.token);
        let socket = Socket::open(api, &path, &[("authorization", &bearer)]).await;
        let mut socket = socket.expect("a socket");
        for _ in 0..random.random_range(1..40) {
            if seen.len() >= most {
                break;
            }
            let frame = socket.next().await;
            let is_reset = frame["event"] == "reset" || frame["model"] == "Reset";
            assert!(!is_reset, "{frame}");
            seen.extend(number(&frame));
            if let Some(told) = frame["cursor"].as_str() {
                told.clone_into(&mut cursor);
            }
        }
    }
    seen
}

/// The same for the event stream of logs.
async fn cut_logs(api: &Api, path: &str, first: &str, most: usize, random: &mut SmallRng) -> Vec<u64> {
    let (mut seen, mut cursor) = (Vec::new(), first.to_owned());
    while seen.len() < most {
        let request = api
            .request(reqwest::Method::GET, path)
            .header("Last-Event-ID", &cursor);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let mut events = answer.bytes_stream().eventsource();
        for _ in 0..random.random_range(1..40) {
            if seen.len() >= most {
                break;
            }
            let event = within("an event", events.next()).await;
            let event = event.expect("it goes on").expect("an event");
            assert_ne!(event.event, "reset", "{}", event.data);
            seen.extend(number(&serde_json::from_str(&event.data).expect("JSON")));
            if !event.id.is_empty() {
                cursor = event.id;
            }
        }
    }
    seen
}

/// A log, a state, a place and a step of a command for each number.
async fn send_numbers(world: &World) {
    let event = |kind: &str, more: Value| {
        let mut event = json!({"device": "yard/van", "kind": kind});
        let members = more.as_object().expect("an object").clone();
        event.as_object_mut().expect("an object").extend(members);
        event
    };
    for n in 0..EVENTS {
        let step =
            json!({"command_id": "c", "type": "job", "status": "in-progress", "output": n.to_string()});
        let events = [
            event("log", json!({"message": n.to_string()})),
            event("entity", json!({"entity_id": "n", "value": n})),
            event("telemetry", json!({"fields": {"lat": n as f64, "lon": 1.5}})),
            event("command", step),
        ];
        world.admin.send_events(&events).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_and_controllers_have_each_event_once_and_in_order_however_often_they_are_cut() {
    let seed = Seed::of_test();
    let world = World::start().await;
    let device = json!({"device": "yard/van", "kind": "location", "location_id": "spot", "geometry":
        {"type": "Point", "coordinates": [1.5, 80.5]}});
    let first = world.admin.send_events(&[device]).await;
    let path = format!("/v1/devices?id=yard/van&min_cursor={first}");
    assert_eq!(world.admin.get(&path).await.status, 200);
    let send = send_numbers(&world);
    let root = world.node.api.clone();
    let most = EVENTS as usize;
    let mut random: Vec<SmallRng> = (1..=5).map(|part| seed.part(part)).collect();
    let [one, two, three, four, five] = &mut random[..] else {
        panic!("five");
    };
    // A cursor of events, and one of devices: an event's does for both.
    let ((), watch, logs, commands, place, places) = tokio::join!(
        send,
        cut(
            &world.admin,
            "/v1/projects/yard/devices/van/watch",
            &first,
            2 * most,
            one
        ),
        cut_logs(
            &world.admin,
            "/v1/projects/yard/devices/van/logs/stream",
            &first,
            most,
            two
        ),
        cut(
            &root,
            "/ws/controller/device/yard%2Fvan/command",
            &first,
            most - 1,
            three
        ),
        cut(&root, "/ws/loci/location/spot/", &first, most, four),
        cut(&root, "/ws/loci/location/", &first, most, five),
    );
    let whole: Vec<u64> = (0..EVENTS).collect();
    let twice: Vec<u64> = whole.iter().flat_map(|n| [*n, *n]).collect();
    assert_eq!(watch, twice);
    // The first makes the command.
    assert_eq!(commands, whole[1..], "commands");
    for (name, seen) in [("logs", logs), ("place", place), ("places", places)] {
        assert_eq!(seen, whole, "{name}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_once_and_in_order_however_often_they_are_cut() {
    let seed = Seed::of_test();
    let world = World::with(|config| config.open.telemetry.streams_max = 1_000).await;
    let send = async {
        for n in 0..EVENTS {
            for device in DEVICES {
                let event = json!({"device": device, "kind": "telemetry", "fields": {"n": n}});
                world.admin.send_events(&[event]).await;
            }
        }
    };
    let (mut one, mut two, mut three) = (seed.part(1), seed.part(2), seed.part(3));
    let (_, realtime, telemetry, events) = tokio::join!(
        send,
        sockets(&world.admin, "realtime", &mut one),
        sockets(&world.admin, "telemetry", &mut two),
        event_streams(&world.admin, &mut three),
    );
    let whole: Vec<u64> = (0..EVENTS).collect();
    let expected: Seen = DEVICES
        .iter()
        .map(|device| ((*device).to_owned(), whole.clone()))
        .collect();
    assert_eq!(realtime, expected);
    assert_eq!(telemetry, expected);
    assert_eq!(events, expected);
    world.end().await;
}
