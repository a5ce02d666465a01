//! Bad input: a clear 4xx that names the item and the reason, nothing appended, and the node serves on.

use std::io::Write as _;

use serde_json::{Value, json};
use tests::api::reading;
use tests::raw::Raw;
use tests::world::World;

use crate::ingest::send;

const GOOD: &str = r#"{"device":"bus","kind":"telemetry","fields":{"n":1}}"#;
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

/// Nothing was appended, and the next event is.
async fn unharmed(world: &World) {
    assert_eq!(world.events().await, Vec::<Value>::new());
    world.admin.send_events(&[reading("bus", 1)]).await;
    assert_eq!(world.sent().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_not_json_is_refused_whole_with_its_place() {
    let world = World::start().await;
    for (headers, body, line) in [
        (vec![], format!("[{GOOD},{GOOD}"), 1),
        (vec![], format!("[{GOOD},\n{GOOD},]"), 2),
        (vec![], format!("{GOOD}{GOOD}"), 1),
        (vec![], format!("[{GOOD}] x"), 1),
        (
            vec![],
            r#"[{"device":"bus","kind":"telemetry","fields":{"n":NaN}}]"#.to_owned(),
            1,
        ),
        (
            vec![],
            r#"[{"device":"bus","kind":"telemetry","fields":{"n":Infinity}}]"#.to_owned(),
            1,
        ),
        (vec![], "{'device':'bus'}".to_owned(), 1),
        (vec![], String::new(), 1),
        (vec![LINES], format!("{GOOD}\n{GOOD}\n{{\"device\":"), 3),
        (vec![LINES], format!("{GOOD}\n\n\nnonsense\n{GOOD}"), 4),
    ] {
        let answer = send(&world.admin, &headers, body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["line"]),
            (400, &json!(line)),
            "{body}: {}",
            answer.text
        );
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert!(
            answer.json["column"].is_u64() && answer.json["detail"].is_string(),
            "{}",
            answer.text
        );
    }
    for body in ["17", "\"text\"", "null", "true"] {
        let answer = send(&world.admin, &[], body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(
            answer.json["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("object")),
            "{}",
            answer.text
        );
    }
    let answer = send(&world.admin, &[], [GOOD.as_bytes(), b"\xff\xfe"].concat()).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    unharmed(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_body_appends_nothing() {
    let world = World::start().await;
    let head = format!(
        "{}Content-Type: application/x-ndjson\r\n",
        Raw::head(&world.admin, "POST", "/v1/events")
    );
    let announced = format!("{head}Content-Length: 1000\r\n\r\n{GOOD}\n{GOOD}\n");
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{GOOD}\n\r\n",
        GOOD.len() + 1
    );
    for request in [announced, chunked] {
        let mut half = Raw::send(&world.admin, request.as_bytes()).await;
        half.half_close().await;
        let answer = half.rest().await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
        // And one whose sender is simply gone.
        drop(Raw::send(&world.admin, request.as_bytes()).await);
    }
    unharmed(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_is_given_up() {
    let world = World::with(|config| config.ingest.body_within = std::time::Duration::from_millis(300)).await;
    let head = Raw::head(&world.admin, "POST", "/v1/events");
    let mut slow = Raw::send(
        &world.admin,
        format!("{head}Content-Length: 1000\r\n\r\n[{GOOD}").as_bytes(),
    )
    .await;
    let answer = slow.until("\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    unharmed(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_a_413_however_small_it_came() {
    let world = World::start().await;
    let blank = vec![b' '; 64 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&blank).expect("compressed");
    let line = format!("{{\"device\":\"{}\"}}\n", "x".repeat(10 << 20));
    let many = format!("[{}{GOOD}]", format!("{GOOD},").repeat(10_000));
    for (headers, body) in [
        (
            vec![("content-encoding", "gzip")],
            gzip.finish().expect("compressed"),
        ),
        (
            vec![("content-encoding", "zstd")],
            zstd::encode_all(&blank[..], 1).expect("compressed"),
        ),
        (vec![LINES], line.into_bytes()),
        (vec![], many.into_bytes()),
    ] {
        let answer = send(&world.admin, &headers, body).await;
        assert_eq!(answer.status, 413, "{headers:?}: {}", answer.text);
        assert!(
            answer.json["detail"]
                .as_str()
                .is_some_and(|detail| detail.len() > 10),
            "{}",
            answer.text
        );
    }
    unharmed(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_that_announces_its_length_is_refused_before_it_is_read() {
    let world = World::start().await;
    let head = Raw::head(&world.admin, "POST", "/v1/events");
    let mut bomb = Raw::send(
        &world.admin,
        format!("{head}Content-Length: 99999999999\r\n\r\n[").as_bytes(),
    )
    .await;
    let answer = bomb.until("\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    unharmed(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encoding_that_is_unknown_or_damaged_is_refused() {
    let world = World::start().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(GOOD.as_bytes()).expect("compressed");
    let whole = gzip.finish().expect("compressed");
    let half = whole[..whole.len() - 6].to_vec();
    for (encoding, body, status) in [
        ("br", GOOD.as_bytes().to_vec(), 415),
        ("gzip", GOOD.as_bytes().to_vec(), 400),
        ("zstd", GOOD.as_bytes().to_vec(), 400),
        ("gzip", half, 400),
    ] {
        let answer = send(&world.admin, &[("content-encoding", encoding)], body).await;
        assert_eq!(answer.status, status, "{encoding}: {}", answer.text);
    }
    unharmed(&world).await;
    world.end().await;
}

/// Items that are refused, and a word of the reason.
#[rustfmt::skip]
const BAD_ITEMS: [(&str, &str); 28] = [
    (r#"{"device":"a\u0000b","kind":"telemetry","fields":{"n":1}}"#, "device"),
    (r#"{"device":"a\u001fb","kind":"telemetry","fields":{"n":1}}"#, "device"),
    (r#"{"device":"a\u007fb","kind":"telemetry","fields":{"n":1}}"#, "device"),
    (r#"{"device":"a\u0085b","kind":"telemetry","fields":{"n":1}}"#, "device"),
    (r#"{"device":"a,b","kind":"telemetry","fields":{"n":1}}"#, "device"),
    (r#"{"device":"default/a","kind":"telemetry","fields":{"n":1}}"#, "device"),
    (r#"{"device":"","kind":"telemetry","fields":{"n":1}}"#, "device"),
    (r#"{"kind":"telemetry","fields":{"n":1}}"#, "device"),
    (r#"{"device":7,"kind":"telemetry","fields":{"n":1}}"#, "device"),
    (r#"{"device":"bus","fields":{"n":1}}"#, "kind"),
    (r#"{"device":"bus","kind":"nonsense"}"#, "kind"),
    (r#"{"device":"bus","kind":"Telemetry","fields":{"n":1}}"#, "kind"),
    (r#"{"device":"bus","kind":"telemetry","fields":[1]}"#, "fields"),
    (r#"{"device":"bus","kind":"telemetry","fields":{"n":1e999}}"#, ""),
    (r#"{"device":"bus","kind":"telemetry","fields":{"n":1},"time":"yesterday"}"#, "time"),
    (r#"{"device":"bus","kind":"telemetry","fields":{"n":1},"time":17}"#, "time"),
    (r#"{"device":"bus","kind":"telemetry","fields":{"n":1},"seq":"one"}"#, "seq"),
    (r#"{"device":"bus","kind":"telemetry","fields":{"n":1},"id":"a\u0000b"}"#, "id"),
    (r#"{"device":"bus","kind":"telemetry","fields":{"n":1},"tenant":"other"}"#, "tenant"),
    (r#"{"device":"bus","kind":"log","level":"shout","message":"x"}"#, "level"),
    (r#"{"device":"bus","kind":"log","level":"info"}"#, "message"),
    (r#"{"device":"bus","kind":"lock","locked":"yes","source":"rfid"}"#, "locked"),
    (r#"{"device":"bus","kind":"entity","value":1}"#, "entity_id"),
    (r#"{"device":"bus","kind":"location","geometry":{"type":"Point","coordinates":[200,0]}}"#, "longitude"),
    (r#"{"device":"bus","kind":"presence","status":"MAYBE"}"#, "status"),
    ("17", "object"),
    ("null", "object"),
    ("[]", "object"),
];

/// [`BAD_ITEMS`], and those that are long.
fn bad_items() -> Vec<(String, &'static str)> {
    let deep = format!(
        r#"{{"device":"bus","kind":"telemetry","fields":{}1{}}}"#,
        r#"{"a":"#.repeat(1_000),
        "}".repeat(1_000)
    );
    let deep_list = format!(
        r#"{{"device":"bus","kind":"telemetry","fields":{{"a":{}1{}}}}}"#,
        "[".repeat(1_000),
        "]".repeat(1_000)
    );
    let long = |length: usize| {
        format!(
            r#"{{"device":"{}","kind":"telemetry","fields":{{"n":1}}}}"#,
            "x".repeat(length)
        )
    };
    let large = format!(
        r#"{{"device":"bus","kind":"telemetry","fields":{{"n":"{}"}}}}"#,
        "x".repeat(256 << 10)
    );
    let mut items = vec![
        (deep, "nested"),
        (deep_list, "nested"),
        (long(201), "device"),
        (large, "bytes"),
    ];
    items.extend(BAD_ITEMS.map(|(item, reason)| (item.to_owned(), reason)));
    items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_is_wrong_is_named_with_its_reason() {
    let world = World::start().await;
    for (item, reason) in bad_items() {
        let shown = &item[..item.len().min(120)];
        let answer = send(&world.admin, &[], format!("[{item}]")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["accepted"]),
            (400, &json!(0)),
            "{shown}: {}",
            answer.text
        );
        let rejected = &answer.json["rejected"][0];
        let error = rejected["error"].as_str().expect("a reason");
        assert!(error.contains(reason) && error.len() < 1_000, "{shown}: {error}");
        assert_eq!(rejected["index"], 0);
        assert_eq!(rejected.get("retry"), None);
    }
    unharmed(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_items_among_good_ones_are_told_by_their_index() {
    let world = World::start().await;
    let bad = bad_items();
    let body: Vec<String> = bad
        .iter()
        .flat_map(|(item, _)| [GOOD.to_owned(), item.clone()])
        .collect();
    let answer = send(&world.admin, &[], format!("[{}]", body.join(","))).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json["accepted"]),
        (207, &json!(bad.len())),
        "{}",
        answer.text
    );
    let rejected = answer.json["rejected"].as_array().expect("a list");
    let indexes: Vec<u64> = rejected
        .iter()
        .map(|item| item["index"].as_u64().expect("a number"))
        .collect();
    assert_eq!(
        indexes,
        (0..bad.len() as u64).map(|n| 2 * n + 1).collect::<Vec<_>>()
    );
    assert_eq!(world.sent().await.len(), bad.len());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_is_kept_without_its_secrets() {
    let world = World::start().await;
    let item =
        json!({"device": "bus", "kind": "nonsense", "password": "hunter2", "padding": "x".repeat(10_000)});
    assert_eq!(world.admin.post("/v1/events", &item).await.status, 400);
    let reader = &world.storage.opened().journal.reader;
    let partitions: Vec<u32> = (0..world.storage.opened().journal.layout.partitions).collect();
    let kept = tests::wait::until("it is kept", || async {
        for partition in &partitions {
            let block = reader
                .read(journal::Topic::Rejected, *partition, 0, 1 << 20)
                .await
                .ok()?;
            if let Some(record) = block.records.into_iter().next() {
                return record.value;
            }
        }
        None
    })
    .await;
    let text = String::from_utf8_lossy(&kept);
    assert!(
        text.contains("nonsense") && !text.contains("hunter2") && text.len() < 6_000,
        "{text}"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_no_http_harm_nobody() {
    let world = World::start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET /v1/stream HTTP/1.1\r\nbroken header\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut connection = Raw::send(&world.admin, bytes).await;
        connection.half_close().await;
        let answer = connection.rest().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    unharmed(&world).await;
    world.end().await;
}
