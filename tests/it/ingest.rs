//! `POST /v1/events`: forms of a body, answers, and reading one's own writes.

use std::io::Write as _;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Answer, Api, reading};
use tests::stream::Carrier;
use tests::world::World;

/// Sends a body as it is.
pub(crate) async fn send(api: &Api, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
    let request = api.request(Method::POST, "/v1/events").body(body);
    api.send(
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value)),
    )
    .await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

async fn numbers(world: &World) -> Vec<u64> {
    world
        .sent()
        .await
        .iter()
        .map(|event| event["fields"]["n"].as_u64().expect("a number"))
        .collect()
}

const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_one_event_an_array_or_lines_plain_or_compressed() {
    let world = World::start().await;
    let mut n = 0;
    let mut next = || {
        n += 1;
        reading("bus", n).to_string()
    };
    let (one, two, three, four) = (next(), next(), next(), next());
    let array = format!(" [{one},\n {two} ] ");
    let lines = format!("{three}\r\n\n  {four}");
    let zstd = zstd::encode_all(next().as_bytes(), 3).expect("compressed");
    let gzipped = gzip(format!("{}\n{}\n", next(), next()).as_bytes());
    for (headers, body, accepted) in [
        (vec![], array.into_bytes(), 2),
        (vec![LINES], lines.into_bytes(), 2),
        (vec![("content-encoding", "zstd")], zstd, 1),
        (vec![LINES, ("content-encoding", "gzip")], gzipped, 2),
        (
            vec![("content-type", "application/json; charset=utf-8")],
            next().into_bytes(),
            1,
        ),
    ] {
        let answer = send(&world.admin, &headers, body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["accepted"]),
            (200, &json!(accepted)),
            "{}",
            answer.text
        );
        assert_eq!(answer.json["rejected"], json!([]));
        assert!(
            answer.json["cursor"]
                .as_str()
                .is_some_and(|cursor| cursor.parse::<journal::Cursor>().is_ok())
        );
    }
    assert_eq!(numbers(&world).await, [1, 2, 3, 4, 5, 6, 7, 8]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_to_append_is_accepted() {
    let world = World::start().await;
    for (headers, body) in [(vec![], "[]"), (vec![LINES], ""), (vec![LINES], "\n\n")] {
        let answer = send(&world.admin, &headers, body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["accepted"]),
            (200, &json!(0)),
            "{body:?}: {}",
            answer.text
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_and_bad_items_make_a_207_and_the_good_ones_are_appended_in_order() {
    let world = World::start().await;
    let events: Vec<Value> = (0..20)
        .map(|n| {
            if n % 3 == 1 {
                json!({"device": "bus", "kind": "telemetry", "fields": n})
            } else {
                reading("bus", n)
            }
        })
        .collect();
    let answer = world.admin.post("/v1/events", &json!(events)).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json["accepted"]),
        (207, &json!(13)),
        "{}",
        answer.text
    );
    let rejected = answer.json["rejected"].as_array().expect("a list");
    let indexes: Vec<u64> = rejected
        .iter()
        .map(|item| item["index"].as_u64().expect("a number"))
        .collect();
    assert_eq!(indexes, [1, 4, 7, 10, 13, 16, 19]);
    for item in rejected {
        assert!(
            item["error"]
                .as_str()
                .is_some_and(|error| error.contains("fields")),
            "{item}"
        );
        assert_eq!(item.get("retry"), None, "sending it again does not help");
    }
    assert_eq!(
        numbers(&world).await,
        (0..20).filter(|n| n % 3 != 1).collect::<Vec<_>>()
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_in_one_request_arrive_in_order() {
    let world = World::start().await;
    let events: Vec<Value> = (0..10_000)
        .map(|n| reading(&format!("bus-{}", n % 10), n))
        .collect();
    world.admin.send_events(&events).await;
    let mut next: Vec<u64> = (0..10).collect();
    for n in numbers(&world).await {
        let next = &mut next[(n % 10) as usize];
        assert_eq!(n, *next);
        *next += 10;
    }
    assert_eq!(next, (10_000..10_010).collect::<Vec<_>>());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_cursor_reads_ones_own_writes_at_once() {
    let world = World::start().await;
    for n in 0..100 {
        let cursor = world.admin.send_events(&[reading("a/b", n)]).await;
        for path in [
            format!("/v1/devices/a%2Fb?min_cursor={cursor}"),
            format!("/v1/devices?id=a/b&min_cursor={cursor}"),
        ] {
            let read = world.admin.get(&path).await;
            assert_eq!(
                (read.status.as_u16(), &read.json["fields"]["n"]),
                (200, &json!(n)),
                "{}",
                read.text
            );
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_not_applied_in_time_is_a_504() {
    let config = tests::nodes::config();
    let storage = tests::nodes::Storage::embedded(&config).await;
    // No projector runs.
    let node = storage.gateway(&config).await;
    let answer = node.api.post("/v1/events?tenant=acme", &reading("bus", 1)).await;
    let cursor = answer.json["cursor"].as_str().expect("a cursor").to_owned();
    let read = node
        .api
        .get(&format!(
            "/v1/devices/bus?tenant=acme&min_cursor={cursor}&wait=200ms"
        ))
        .await;
    assert_eq!(read.status, 504, "{}", read.text);
    assert_eq!(read.headers["content-type"], "application/problem+json");
    for (parameters, status) in [
        (format!("min_cursor={cursor}&wait=1h"), 400),
        (format!("min_cursor={cursor}&wait=soon"), 400),
        ("wait=1s".to_owned(), 400),
        ("min_cursor=garbage".to_owned(), 400),
        (String::new(), 404),
    ] {
        let read = node
            .api
            .get(&format!("/v1/devices/bus?tenant=acme&{parameters}"))
            .await;
        assert_eq!(read.status, status, "{parameters}: {}", read.text);
    }
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_cursor_starts_a_stream_right_behind_what_was_written() {
    let world = World::start().await;
    let cursor = world.admin.send_events(&[reading("bus", 1)]).await;
    world.admin.send_events(&[reading("bus", 2)]).await;
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let mut stream = world
            .stream(carrier, &format!("kind=telemetry&since={cursor}"), None)
            .await;
        assert_eq!(stream.data().await.data["fields"]["n"], 2);
    }
    world.end().await;
}

/// Sends events, and again those that may be, in order, until all are taken. Whether any were put off.
async fn persist(api: &Api, mut events: Vec<Value>) -> bool {
    let mut put_off = false;
    while !events.is_empty() {
        let answer = api.post("/v1/events", &json!(events)).await;
        assert!(
            matches!(answer.status.as_u16(), 200 | 207 | 429 | 503),
            "{}",
            answer.text
        );
        let rejected = answer.json["rejected"].as_array().expect("a list");
        put_off |= !rejected.is_empty();
        if !rejected.is_empty() {
            assert!(answer.headers.contains_key("retry-after"), "{}", answer.text);
        }
        let mut again = Vec::new();
        for item in rejected {
            assert_eq!(item["retry"], true, "{item}");
            again.push(events[item["index"].as_u64().expect("a number") as usize].clone());
        }
        events = again;
    }
    put_off
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_the_log_has_no_room_for_are_to_be_sent_again_and_keep_their_order() {
    let world = World::with(|config| config.embedded.writer_queue_appends_max = 1).await;
    let send = |bus: usize| {
        let events = (0..400)
            .map(move |n| reading(&format!("bus-{bus}-{}", n % 3), n))
            .collect();
        persist(&world.admin, events)
    };
    // Sixteen at a time, until the log had no room for one of them.
    let mut buses = 0;
    let mut put_off = false;
    while !put_off {
        put_off = futures::future::join_all((buses..buses + 16).map(send))
            .await
            .contains(&true);
        buses += 16;
        assert!(buses < 1_600, "the log had room all the time");
    }
    for bus in buses - 16..buses {
        for part in 0..3 {
            let query = format!("kind=telemetry&since=earliest&device=bus-{bus}-{part}");
            let events = world.stream(Carrier::Sse, &query, None).await.rest().await;
            let numbers: Vec<u64> = events
                .iter()
                .map(|event| event["fields"]["n"].as_u64().expect("a number"))
                .collect();
            assert_eq!(numbers, (0..400).filter(|n| n % 3 == part).collect::<Vec<_>>());
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_beyond_its_rate_is_told_to_send_the_rest_again() {
    let world = World::with(|config| {
        config.ingest.device_events_burst = 10;
        config.ingest.device_events_per_second = 20;
    })
    .await;
    assert!(persist(&world.admin, (0..20).map(|n| reading("bus", n)).collect()).await);
    assert_eq!(numbers(&world).await, (0..20).collect::<Vec<_>>());
    // Another device has a rate of its own.
    world
        .admin
        .send_events(&(0..10).map(|n| reading("tram", n)).collect::<Vec<_>>())
        .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_senders_retry_is_two_events_and_folded_once() {
    let world = World::start().await;
    let event = |n: u64, id: &str| {
        let mut event = reading("bus", n);
        event["id"] = json!(id);
        event
    };
    world.admin.send_events(&[event(1, "one"), event(2, "two")]).await;
    let cursor = world.admin.send_events(&[event(1, "one")]).await;
    let read = world
        .admin
        .get(&format!("/v1/devices/bus?min_cursor={cursor}"))
        .await;
    assert_eq!(read.json["fields"]["n"], 2, "{}", read.text);
    assert_eq!(numbers(&world).await, [1, 2, 1]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_ahead_of_receipt_counts_as_receipt() {
    let world = World::start().await;
    let ahead = jiff::Timestamp::now() + Duration::from_secs(3_600);
    let mut event = reading("bus", 1);
    event["time"] = json!(ahead.to_string());
    world.admin.send_events(&[event]).await;
    let shown = world.sent().await.remove(0);
    assert_eq!(shown["time"], shown["received_at"], "{shown}");
    world.end().await;
}
