//! Input that is refused: a clear 4xx, and nothing in the log.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::support::{SYSTEM, World};

const GOOD: &str = r#"{"device":"d","kind":"telemetry","fields":{"speed":1}}"#;

async fn nothing_was_appended(world: &World) {
    assert_eq!(world.events().await, []);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_whole_and_told_where() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let cases = [
        (format!("[{GOOD},\n{{\"device\":]"), 2),
        (format!("[{GOOD}"), 1),
        (
            format!("[{GOOD},{{\"device\":\"d\",\"kind\":\"telemetry\",\"fields\":{{\"x\":NaN}}}}]"),
            1,
        ),
        (String::new(), 1),
    ];
    for (body, line) in cases {
        let answer = world.post(&token, body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.body["line"], line, "{body}");
        assert!(answer.body["column"].is_number());
    }
    let lines = format!("{GOOD}\n{GOOD}\n{{\"device\"\n");
    let headers = [("content-type", "application/x-ndjson")];
    let answer = world.send("POST", "/v1/events", &token, &headers, lines).await;
    assert_eq!((answer.status, &answer.body["line"]), (400, &json!(3)));
    nothing_was_appended(&world).await;
    world.close().await;
}

#[tokio::test]
async fn half_a_body_is_refused_whole() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let head = format!("POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
    let lines = "content-type: application/x-ndjson\r\n";
    let announced = format!("{head}{lines}content-length: 1000\r\n\r\n{GOOD}\n{GOOD}\n");
    let chunked = format!(
        "{head}{lines}transfer-encoding: chunked\r\n\r\n{:x}\r\n{GOOD}\n\r\n",
        GOOD.len() + 1
    );
    for request in [announced, chunked] {
        let answer = world.raw(request.as_bytes()).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
    nothing_was_appended(&world).await;
    world.close().await;
}

#[tokio::test]
async fn a_bomb_is_told_that_it_is_too_large() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let bomb = vec![b' '; 256 * 1024 * 1024];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bomb).unwrap();
    for (encoding, body) in [
        ("gzip", gzip.finish().unwrap()),
        ("zstd", zstd::encode_all(&bomb[..], 1).unwrap()),
    ] {
        let headers = [("content-encoding", encoding)];
        let answer = world.send("POST", "/v1/events", &token, &headers, body).await;
        assert_eq!((answer.status, &answer.body["status"]), (413, &json!(413)));
    }
    nothing_was_appended(&world).await;
    world.close().await;
}

#[tokio::test]
async fn a_line_of_ten_mebibytes_is_told_that_it_is_too_large() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let body = format!("{{\"device\":\"{}\"}}\n", "x".repeat(10 * 1024 * 1024));
    let headers = [("content-type", "application/x-ndjson")];
    let answer = world.send("POST", "/v1/events", &token, &headers, body).await;
    assert_eq!(answer.status, 413);
    nothing_was_appended(&world).await;
    world.close().await;
}

#[tokio::test]
async fn too_many_events_are_told_so() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let answer = world.post(&token, format!("[{}1]", "1,".repeat(10_000))).await;
    assert_eq!(answer.status, 413);
    world.close().await;
}

#[tokio::test]
async fn an_encoding_that_is_not_known_or_damaged_is_refused() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    for (encoding, expected) in [("br", 415), ("gzip, zstd", 415), ("gzip", 400), ("zstd", 400)] {
        let headers = [("content-encoding", encoding)];
        let answer = world.send("POST", "/v1/events", &token, &headers, GOOD).await;
        assert_eq!(answer.status, expected, "{encoding}");
    }
    nothing_was_appended(&world).await;
    world.close().await;
}

#[tokio::test]
async fn items_that_are_all_bad_make_a_400_with_the_normal_body() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let deep = format!(
        r#"{{"device":"d","kind":"telemetry","fields":{}1{}}}"#,
        "{\"a\":".repeat(1_000),
        "}".repeat(1_000)
    );
    for item in [
        r#"{"device":"a\u0000b","kind":"telemetry"}"#,
        r#"{"device":"d","kind":"nonsense"}"#,
        r#"{"device":"d","kind":"telemetry","tenant":"other"}"#,
        "17",
        &deep,
    ] {
        let answer = world.post(&token, format!("[{item}]")).await;
        assert_eq!((answer.status, &answer.body["accepted"]), (400, &json!(0)));
        assert_eq!(answer.body["rejected"][0]["index"], 0);
        assert!(answer.body["rejected"][0]["error"].as_str().unwrap().len() > 10);
        assert!(answer.body.get("cursor").is_some());
    }
    nothing_was_appended(&world).await;
    world.close().await;
}

#[tokio::test]
async fn who_may_not_send_is_turned_away() {
    let world = World::new().await;
    let user = world.token(r#"{"role":"user","tenant":"acme"}"#).await;
    let ingest = world.ingest_token().await;
    let cases = [
        ("POST", "/v1/events", "wrong", 401),
        ("POST", "/v1/events", user.as_str(), 403),
        ("POST", "/v1/events?tenant=other", ingest.as_str(), 403),
        ("POST", "/v1/events?tenant=nobody", ingest.as_str(), 403),
        ("GET", "/v1/events", ingest.as_str(), 405),
        ("POST", "/v1/events", SYSTEM, 400),
        ("POST", "/v1/other", SYSTEM, 404),
    ];
    for (method, path, token, expected) in cases {
        let answer = world.send(method, path, token, &[], GOOD).await;
        assert_eq!(answer.status, expected, "{method} {path}");
    }
    nothing_was_appended(&world).await;
    world.close().await;
}

#[tokio::test]
async fn refused_input_is_kept_without_its_secrets() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let item = json!({
        "device": "d", "kind": "nonsense", "password": "hunter2", "pin": "4711", "secret": ["pin"],
        "padding": "x".repeat(10_000),
    });
    world.post(&token, item.to_string()).await;
    world.post(&token, r#"{"device":"d","token":"hunter2","#).await;
    let mut kept = world.rejected().await;
    kept.sort_by(|a, b| a.0.cmp(&b.0));
    let [(whole_key, whole), (item_key, item)] = &kept[..] else {
        panic!("{kept:?}");
    };
    assert_eq!((whole_key.as_str(), item_key.as_str()), ("acme/", "acme/d"));
    assert_eq!(
        (whole.device.as_deref(), item.device.as_deref()),
        (None, Some("d"))
    );
    for rejected in [whole, item] {
        assert!(!rejected.original.contains("hunter2") && !rejected.original.contains("4711"));
        assert!(!rejected.original.is_empty() && rejected.original.len() <= 4_096);
        assert!(!rejected.reason.is_empty());
    }
    world.close().await;
}

#[tokio::test]
async fn refused_input_beyond_the_rate_is_not_kept() {
    let world = World::new().await;
    let token = world.ingest_token().await;
    let items: Vec<Value> = vec![json!({"device": "d"}); 500];
    let answer = world.post(&token, Value::from(items).to_string()).await;
    assert_eq!(answer.body["rejected"].as_array().unwrap().len(), 500);
    assert_eq!(world.rejected().await.len(), 100);
    world.close().await;
}

#[tokio::test]
async fn bodies_beyond_the_room_are_told_to_come_again() {
    let settings = ingest::Settings {
        held_bytes_max: 64 * 1024,
        ..ingest::Settings::default()
    };
    let world = World::with(settings).await;
    let token = world.ingest_token().await;
    let large = format!("[{GOOD}{}]", " ".repeat(100 * 1024));
    let answer = world.post(&token, large).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    // The room was given back.
    assert_eq!(world.post(&token, GOOD).await.status, 200);
    world.close().await;
}
