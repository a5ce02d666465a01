//! Frames as bytes and members: SSE blocks, WebSocket messages, events of every kind, changes.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tests::api::reading;
use tests::raw::Raw;
use tests::stream::{Carrier, Streaming};
use tests::wait::until;
use tests::world::World;

/// A stream over SSE, as the bytes of its body.
struct Body {
    raw: Raw,
    read: String,
}

impl Body {
    /// The answer's head, and its body.
    async fn of(world: &World, query: &str) -> (String, Self) {
        let request = format!(
            "{}\r\n",
            Raw::head(&world.admin, "GET", &format!("/v1/stream?{query}"))
        );
        let mut raw = Raw::send(&world.admin, request.as_bytes()).await;
        let head = raw.until("\r\n\r\n").await.to_ascii_lowercase();
        let read = String::new();
        (head, Self { raw, read })
    }

    /// Everything up to and with the next empty line.
    async fn block(&mut self) -> String {
        loop {
            if let Some(at) = self.read.find("\n\n") {
                return self.read.drain(..at + 2).collect();
            }
            self.read += &self.raw.chunk().await;
        }
    }
}

/// The lines of a block, by name; its comment under the empty name.
fn lines(block: &str) -> Map<String, Value> {
    let lines = block
        .trim_end()
        .lines()
        .map(|line| line.split_once(':').expect("name: value"));
    lines
        .map(|(name, value)| (name.to_owned(), json!(value.strip_prefix(' ').unwrap_or(value))))
        .collect()
}

fn names(members: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = members
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_opens_with_a_comment_and_a_hello_and_sends_unnamed_data() {
    let world = World::with(|config| {
        config.gateway.keep_alive = Duration::from_millis(300);
        config.gateway.keep_alive_jitter = Duration::from_millis(10);
    })
    .await;
    let (head, mut stream) = Body::of(&world, "device=bus&kind=telemetry").await;
    assert!(
        head.starts_with("http/1.1 200") && head.contains("content-type: text/event-stream"),
        "{head}"
    );
    let opening = stream.block().await;
    assert!(opening.starts_with(':'), "a comment comes first: {opening}");
    let hello = lines(&opening);
    assert_eq!((&hello["event"], &hello["data"]), (&json!("hello"), &json!("{}")));
    let retry: u64 = hello["retry"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("milliseconds");
    assert!((3_000..=8_000).contains(&retry), "{retry}");
    let caught_up = lines(&stream.block().await);
    assert_eq!(caught_up["event"], "caught_up");
    world.admin.send_events(&[reading("bus", 1)]).await;
    let data = loop {
        let block = lines(&stream.block().await);
        if block.get("event").is_none() {
            break block;
        }
        assert_eq!(
            block["event"], "keepalive",
            "nothing else stands before the event"
        );
    };
    assert_eq!(names(&Value::Object(data.clone())), ["data", "id"]);
    let event: Value = serde_json::from_str(data["data"].as_str().expect("text")).expect("JSON");
    assert_eq!(event["fields"], json!({"n": 1}));
    let keepalive = lines(&stream.block().await);
    assert_eq!(names(&Value::Object(keepalive.clone())), ["data", "event", "id"]);
    assert_eq!(
        (&keepalive["event"], &keepalive["data"]),
        (&json!("keepalive"), &json!("{}"))
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keepalive_moves_the_cursor_past_events_that_the_stream_does_not_show() {
    let world = World::with(|config| {
        config.gateway.keep_alive = Duration::from_millis(50);
        config.gateway.keep_alive_jitter = Duration::from_millis(10);
    })
    .await;
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let mut stream = world.stream(carrier, "kind=alert", None).await;
        let written: journal::Cursor = world
            .admin
            .send_events(&[reading("bus", 1)])
            .await
            .parse()
            .expect("a cursor");
        let [(partition, offset)] = written.positions[..] else {
            panic!("{written:?}")
        };
        loop {
            let frame = stream.until("keepalive").await;
            let cursor: journal::Cursor = frame.cursor.expect("a cursor").parse().expect("a cursor");
            if cursor
                .position(partition)
                .is_some_and(|position| position >= offset)
            {
                break;
            }
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caught_up_comes_once_when_the_end_of_the_opening_is_reached() {
    let world = World::with(|config| {
        config.gateway.keep_alive = Duration::from_millis(100);
        config.gateway.keep_alive_jitter = Duration::from_millis(10);
    })
    .await;
    let before: Vec<Value> = (0..50).map(|n| reading(&format!("bus-{}", n % 7), n)).collect();
    world.admin.send_events(&before).await;
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let mut stream = world.stream(carrier, "kind=telemetry&since=earliest", None).await;
        assert!(
            stream.rest().await.len() >= 50,
            "all that was there comes before caught_up"
        );
        world.admin.send_events(&[reading("bus-0", 50)]).await;
        let mut kinds = Vec::new();
        while kinds.iter().filter(|kind| *kind == "keepalive").count() < 2 {
            kinds.push(stream.next().await.expect("the stream goes on").kind);
        }
        assert!(
            kinds.contains(&"event".to_owned()) && !kinds.contains(&"caught_up".to_owned()),
            "{kinds:?}"
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_holds_from_its_response_head_on() {
    let world = World::start().await;
    for round in 0..40_u64 {
        let carrier = if round % 2 == 0 {
            Carrier::Sse
        } else {
            Carrier::WebSocket
        };
        let view = if round % 4 < 2 { "events" } else { "devices" };
        let mut stream = world
            .stream(carrier, &format!("view={view}&device=bus&kind=telemetry"), None)
            .await;
        world.admin.send_events(&[reading("bus", round)]).await;
        println!("round {round}: {carrier:?}, view {view}");
        loop {
            let data = stream.data().await.data;
            let event = if view == "events" { &data } else { &data["device"] };
            let n = event["fields"]["n"].as_u64().expect("a number");
            if n == round {
                break;
            }
            // It may begin a little earlier than it must.
            assert!(n < round, "{carrier:?}, view {view}: {n} in round {round}");
        }
    }
    world.end().await;
}

/// One event of every kind, with every member that it may have.
fn every_kind() -> Vec<Value> {
    vec![
        json!({"kind": "telemetry", "fields": {
            "speed": 12.5, "doors": 3, "open": true, "line": "14", "gone": null, "engine": {"temperature": 80},
            "list": [1, {"a": "b"}], "dotted.name": 1, "empty": {},
        }}),
        json!({"kind": "presence", "connected": true, "status": "ONLINE", "previous": "OFFLINE", "reason": "connect",
            "session": "s-1"}),
        json!({"kind": "lock", "locked": true, "source": "rfid", "code": "0815", "metadata": {"by": "x"}}),
        json!({"kind": "log", "level": "warn", "message": "ünïcode \"quoted\"\n\u{1f68c} and a new line"}),
        json!({"kind": "entity", "entity_id": "lamp", "value": "on", "source": "schedule"}),
        json!({"kind": "location", "location_id": "l-1", "name": "Depot", "address": "1 Road", "type": "depot",
            "is_mobile": false, "geometry": {"type": "Point", "coordinates": [-2.97, 53.4]}}),
        json!({"kind": "alert", "alert_id": "a-1", "alert_type": "HEAT", "severity": 3, "confidence": 0.5,
            "summary": "hot", "status": "OPEN", "site_id": "site"}),
        json!({"kind": "device", "name": "Bus", "type": "bus", "site_id": "site", "tags": ["a", "b"],
            "attributes": {"seats": 40}}),
        json!({"kind": "deleted"}),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_every_kind_come_back_as_they_were_sent() {
    let world = World::start().await;
    let mut streams = [
        world.stream(Carrier::Sse, "device=bus/1", None).await,
        world.stream(Carrier::WebSocket, "device=bus/1", None).await,
    ];
    for (number, mut event) in every_kind().into_iter().enumerate() {
        event["device"] = json!("bus/1");
        event["id"] = json!(format!("event-{number}"));
        event["seq"] = json!(number);
        event["time"] = json!("2026-01-26T15:57:02.25Z");
        world.admin.send_events(&[event.clone()]).await;
        for stream in &mut streams {
            let mut shown = loop {
                let shown = stream.data().await.data;
                // What the product finds out about presence stands between.
                if shown["id"] == event["id"] {
                    break shown;
                }
                assert_eq!(shown["kind"], "presence");
            };
            let received_at = shown
                .as_object_mut()
                .and_then(|members| members.remove("received_at"));
            assert!(received_at.is_some_and(|time| time.as_str().is_some_and(|time| time.ends_with('Z'))));
            let mut expected = event.clone();
            expected["tenant"] = json!("acme");
            let time: jiff::Timestamp = shown["time"].as_str().expect("a time").parse().expect("a time");
            assert_eq!(time.as_millisecond(), 1_769_443_022_250);
            (expected["time"], shown["time"]) = (Value::Null, Value::Null);
            assert_eq!(shown, expected);
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_shows_the_document_what_changed_and_what_it_was() {
    let world = World::start().await;
    let fields = |fields: Value| json!({"device": "bus", "kind": "telemetry", "fields": fields});
    world
        .admin
        .send_events(&[fields(json!({"speed": 1, "engine": {"oil": 5, "on": true}}))])
        .await;
    until("the device is online", || async {
        let read = world.admin.get("/v1/devices/bus").await;
        (read.json["status"] == "ONLINE").then_some(())
    })
    .await;
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let mut stream = world.stream(carrier, "view=devices&device=bus", None).await;
        world
            .admin
            .send_events(&[fields(json!({"speed": 2, "engine": {"oil": 4, "on": true}}))])
            .await;
        let frame = stream.data().await;
        let data = frame.data;
        assert_eq!(
            data["device"]["fields"],
            json!({"speed": 2, "engine": {"oil": 4, "on": true}})
        );
        assert_eq!(data["changed"], json!(["fields.engine.oil", "fields.speed"]));
        assert_eq!(
            data["before"],
            json!({"fields": {"speed": 1, "engine": {"oil": 5}}})
        );
        let members = match carrier {
            Carrier::Sse => vec!["before", "changed", "device"],
            Carrier::WebSocket => vec!["before", "changed", "cursor", "device", "type"],
        };
        assert_eq!(names(&data), members);
        // What changes nothing is not told.
        world.admin.send_events(&[fields(json!({"speed": 2}))]).await;
        world
            .admin
            .send_events(&[fields(json!({"speed": 1, "engine": {"oil": 5}}))])
            .await;
        assert_eq!(
            stream.data().await.data["before"]["fields"],
            json!({"speed": 2, "engine": {"oil": 4}})
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_a_frame_of_its_own() {
    let world = World::start().await;
    let mut sse = world.stream(Carrier::Sse, "view=devices&device=bus", None).await;
    let mut socket = world
        .stream(Carrier::WebSocket, "view=devices&device=bus", None)
        .await;
    world.admin.send_events(&[reading("bus", 1)]).await;
    let deleted = world.admin.delete("/v1/devices/bus").await;
    assert_eq!(deleted.status, 202, "{}", deleted.text);
    assert_eq!(sse.until("deleted").await.data, json!({"deleted": "bus"}));
    let frame = socket.until("deleted").await;
    assert_eq!(
        frame.data,
        json!({"type": "deleted", "cursor": frame.cursor, "deleted": "bus"})
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_shows_every_device_once_without_changes_and_then_what_follows() {
    let world = World::start().await;
    let devices: Vec<Value> = (0..150)
        .map(|n| json!({"device": format!("bus-{n}"), "kind": "device", "name": "Bus"}))
        .collect();
    let written = world.admin.send_events(&devices).await;
    for n in 0..150 {
        let read = world
            .admin
            .get(&format!("/v1/devices/bus-{n}?min_cursor={written}"))
            .await;
        assert_eq!(read.status, 200);
    }
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let mut stream = world.stream(carrier, "view=devices&snapshot=true", None).await;
        let mut ids: Vec<String> = Vec::new();
        for frame in stream.rest().await {
            assert!(
                frame.get("changed").is_none() && frame.get("before").is_none(),
                "{frame}"
            );
            ids.push(frame["device"]["id"].as_str().expect("an id").to_owned());
        }
        assert_eq!(ids.len(), 150, "{carrier:?}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 150, "{carrier:?}");
        world
            .admin
            .send_events(&[json!({"device": "bus-7", "kind": "device", "name": format!("{carrier:?}")})])
            .await;
        assert_eq!(stream.data().await.data["device"]["name"], format!("{carrier:?}"));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_of_a_device_gets_each_event() {
    let world = World::start().await;
    let mut streams: Vec<Streaming> = Vec::new();
    for number in 0..20 {
        let carrier = if number % 2 == 0 {
            Carrier::Sse
        } else {
            Carrier::WebSocket
        };
        streams.push(world.stream(carrier, "device=bus&kind=telemetry", None).await);
    }
    world
        .admin
        .send_events(&(0..20).map(|n| reading("bus", n)).collect::<Vec<_>>())
        .await;
    for stream in &mut streams {
        for n in 0..20 {
            assert_eq!(stream.data().await.data["fields"]["n"], n);
        }
    }
    world.end().await;
}
