//! `GET /v1/stream`.

use futures::{SinkExt as _, StreamExt as _};
use gateway::Settings;
use journal::{Cursor, Epoch, Topic};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::harness::{Gateway, Options, SYSTEM, within};

const READING: &str = r#"{"kind":"telemetry","fields":{"speed":1}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_reaches_a_live_stream_with_a_cursor() {
    let gateway = Gateway::start(Options::default()).await;
    let mut stream = gateway.stream("tenant=acme", "").await;
    let head = stream.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    for line in [
        "content-type: text/event-stream",
        "cache-control: no-cache",
        "x-accel-buffering: no",
    ] {
        assert!(head.contains(line), "{line} is missing in {head}");
    }
    let opening = stream.until("event: hello").await;
    assert!(opening.contains("\n: "), "{opening}");
    assert!(
        !opening.contains("\n\n"),
        "some clients make a message of a block without data: {opening}"
    );
    gateway.append("bus", READING).await;
    let (cursor, event) = stream.data().await;
    assert_eq!(event["device"], "bus");
    assert_eq!(event["fields"]["speed"], 1);
    assert!(cursor.parse::<Cursor>().is_ok(), "{cursor}");
}

/// Without chunks, half a block at the end of a connection cannot be told from the end of the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_block_is_a_chunk_with_its_id_last() {
    let gateway = Gateway::start(Options::default()).await;
    let mut stream = gateway.stream("tenant=acme", "").await;
    let head = stream.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert_eq!(stream.chunk().await, ": wakeline\n");
    assert!(stream.chunk().await.starts_with("event: hello\n"));
    gateway.append("bus", READING).await;
    let mut block = stream.chunk().await;
    while block.starts_with("event: ") {
        block = stream.chunk().await;
    }
    let (data, id) = block.split_once("\nid: ").unwrap();
    assert!(data.starts_with("data: {") && id.ends_with("\n\n"), "{block}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_know_chunks_gets_none() {
    let gateway = Gateway::start(Options::default()).await;
    let request =
        format!("GET /v1/stream?tenant=acme HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {SYSTEM}\r\n\r\n");
    let mut stream = crate::harness::Reading::new(gateway.connect(&request).await);
    let head = stream.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert!(
        stream
            .until("\n\n")
            .await
            .starts_with(": wakeline\nevent: hello\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_event_id_continues_with_the_next_event() {
    let gateway = Gateway::start(Options::default()).await;
    let mut stream = gateway.stream("tenant=acme&device=bus", "").await;
    stream.until("event: hello").await;
    gateway
        .append("bus", r#"{"kind":"log","level":"info","message":"one"}"#)
        .await;
    let (cursor, _) = stream.data().await;
    drop(stream);
    gateway
        .append("bus", r#"{"kind":"log","level":"info","message":"two"}"#)
        .await;
    let header = format!("Last-Event-ID: {cursor}\r\n");
    let mut stream = gateway.stream("tenant=acme&device=bus", &header).await;
    assert_eq!(stream.data().await.1["message"], "two");
    stream.until("event: caught_up").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_sent_with_others_on_one_connection_streams_too() {
    let gateway = Gateway::start(Options::default()).await;
    let request = format!(
        "GET /subjects HTTP/1.1\r\nHost: x\r\n\r\n\
         GET /v1/stream?tenant=acme HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SYSTEM}\r\n\r\n"
    );
    let mut stream = crate::harness::Reading::new(gateway.connect(&request).await);
    stream.until("wakeline.events-value").await;
    stream.until("event: hello").await;
    gateway.append("bus", READING).await;
    assert_eq!(stream.data().await.1["device"], "bus");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_a_400_in_the_query_and_a_reset_in_the_header() {
    let gateway = Gateway::start(Options::default()).await;
    let answer = gateway.get("/v1/stream?tenant=acme&since=garbage").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["parameter"], "since");
    let mut stream = gateway.stream("tenant=acme", "Last-Event-ID: garbage\r\n").await;
    let reset = stream.until("event: reset").await + &stream.until("\n\n").await;
    assert!(reset.contains("\"reason\":\"invalid\""), "{reset}");
    gateway.append("bus", READING).await;
    assert_eq!(stream.data().await.1["device"], "bus");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_another_log_resets_and_goes_on_by_time() {
    let gateway = Gateway::start(Options::default()).await;
    gateway.append("bus", READING).await;
    let foreign = Cursor {
        epoch: Epoch(1),
        time_ms: (gateway.clock)() / 1_000,
        topic: Topic::Events,
        positions: vec![(0, 77)],
        snapshot: None,
    };
    let mut stream = gateway.stream(&format!("tenant=acme&since={foreign}"), "").await;
    let reset = stream.until("event: reset").await + &stream.until("\n\n").await;
    assert!(
        reset.contains("\"reason\":\"epoch\"") && reset.contains("\"duplicates\":true"),
        "{reset}"
    );
    assert_eq!(stream.data().await.1["device"], "bus");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_ahead_of_the_log_resets_after_some_patience() {
    let engine = Settings {
        ahead_max: std::time::Duration::from_millis(300),
        ..Settings::default()
    };
    let gateway = Gateway::start(Options {
        engine,
        ..Options::default()
    })
    .await;
    let position = gateway.append("bus", READING).await;
    let ahead = Cursor {
        epoch: gateway.journal.epoch,
        time_ms: (gateway.clock)() / 1_000,
        topic: Topic::Events,
        positions: vec![(position.partition, 1_000)],
        snapshot: None,
    };
    let mut stream = gateway
        .stream(&format!("tenant=acme&device=bus&since={ahead}"), "")
        .await;
    let reset = stream.until("event: reset").await + &stream.until("\n\n").await;
    assert!(reset.contains("\"reason\":\"ahead\""), "{reset}");
    assert_eq!(stream.data().await.1["device"], "bus");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_devices_on_events_is_a_400_that_names_both() {
    let gateway = Gateway::start(Options::default()).await;
    let devices = Cursor {
        epoch: gateway.journal.epoch,
        time_ms: 0,
        topic: Topic::State,
        positions: Vec::new(),
        snapshot: None,
    };
    let answer = gateway
        .get(&format!("/v1/stream?tenant=acme&since={devices}"))
        .await;
    assert_eq!(answer.status, 400);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("view=devices") && detail.contains("view=events"),
        "{detail}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_shows_the_documents() {
    let gateway = Gateway::start(Options::default()).await;
    gateway.put("acme", "bus").await;
    let mut stream = gateway.stream("tenant=acme&view=devices&snapshot=true", "").await;
    assert_eq!(stream.data().await.1["device"]["id"], "bus");
    stream.until("event: caught_up").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_decide_who_streams_what() {
    let gateway = Gateway::start(Options::default()).await;
    let user = gateway
        .token(json!({"role": "user", "tenant": "acme", "devices": ["bus"]}))
        .await;
    let ingest = gateway.token(json!({"role": "ingest", "tenant": "acme"})).await;
    assert_eq!(
        gateway
            .send("GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .status,
        401
    );
    assert_eq!(gateway.get_as("wlt_nope_nope", "/v1/stream").await.status, 401);
    assert_eq!(gateway.get_as(&ingest, "/v1/stream").await.status, 403);
    assert_eq!(gateway.get_as(&user, "/v1/stream?tenant=other").await.status, 403);
    assert_eq!(
        gateway.get_as(&user, "/v1/stream?device=bus,tram").await.status,
        403
    );
    let request = format!("GET /v1/stream?token={user} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut stream = crate::harness::Reading::new(gateway.connect(&request).await);
    stream.until("event: hello").await;
    gateway.append("tram", READING).await;
    gateway.append("bus", READING).await;
    assert_eq!(stream.data().await.1["device"], "bus");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_system_principal_without_a_tenant_sees_all_of_them() {
    let gateway = Gateway::start(Options::default()).await;
    let mut stream = gateway.stream("", "").await;
    stream.until("event: hello").await;
    gateway.append_of("acme", "bus", READING).await;
    assert_eq!(stream.data().await.1["tenant"], "acme");
    gateway.append_of("other", "tram", READING).await;
    assert_eq!(stream.data().await.1["tenant"], "other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_cap_each_transport_is_told_in_its_own_way() {
    let engine = Settings {
        streams_max: 0,
        ..Settings::default()
    };
    let gateway = Gateway::start(Options {
        engine,
        ..Options::default()
    })
    .await;
    let answer = gateway.get("/v1/stream?tenant=acme").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("event: fault\nretry: "), "{answer:?}");
    let answer = gateway.send(&upgrade("/v1/stream?tenant=acme")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("\r\nretry-after: "), "{answer:?}");
}

fn upgrade(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SYSTEM}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_gets_events_and_may_change_what_it_sees() {
    let gateway = Gateway::start(Options::default()).await;
    let mut request = format!("ws://{}/v1/stream?tenant=acme&device=bus", gateway.address)
        .into_client_request()
        .unwrap();
    request.headers_mut().insert("x-api-key", SYSTEM.parse().unwrap());
    let (mut socket, _) = within("the upgrade", tokio_tungstenite::connect_async(request))
        .await
        .unwrap();
    gateway.append("bus", READING).await;
    assert_eq!(next(&mut socket, "event").await["event"]["device"], "bus");
    socket
        .send(Message::text(r#"{"type":"update","device":["tram"]}"#))
        .await
        .unwrap();
    next(&mut socket, "updated").await;
    gateway.append("bus", READING).await;
    gateway.append("tram", READING).await;
    assert_eq!(next(&mut socket, "event").await["event"]["device"], "tram");
}

/// The next message of that type.
async fn next(
    socket: &mut (impl futures::Stream<Item = Result<Message, Error>> + Unpin),
    kind: &str,
) -> Value {
    loop {
        let message = within(kind, socket.next()).await.unwrap().unwrap();
        let Message::Text(text) = message else { continue };
        let value: Value = serde_json::from_str(&text).unwrap();
        if value["type"] == kind {
            return value;
        }
    }
}
