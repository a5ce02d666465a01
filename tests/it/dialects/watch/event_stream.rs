//! The legacy event stream of logs.

use eventsource_stream::{Event, Eventsource as _};
use futures::{Stream, StreamExt as _};
use serde_json::{Value, json};
use tests::api::Api;
use tests::raw::Raw;
use tests::wait::within;

use super::{PATH, TIME, event, log, world};

type Events = std::pin::Pin<Box<dyn Stream<Item = Event> + Send>>;

async fn open(api: &Api, last_event_id: &str) -> Events {
    let mut request = api.request(reqwest::Method::GET, &format!("{PATH}/logs/stream"));
    if !last_event_id.is_empty() {
        request = request.header("Last-Event-ID", last_event_id);
    }
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    Box::pin(
        answer
            .bytes_stream()
            .eventsource()
            .filter_map(|event| std::future::ready(event.ok())),
    )
}

async fn next(events: &mut Events) -> (String, Value, String) {
    let event = within("an event", events.next()).await.expect("it goes on");
    (
        event.event,
        serde_json::from_str(&event.data).expect("JSON"),
        event.id,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_comes_first_and_on_change_and_logs_are_unnamed() {
    let world = world().await;
    let mut events = open(&world.admin, "").await;
    let (name, status, _) = next(&mut events).await;
    assert_eq!(name, "status");
    let mut names: Vec<&str> = status
        .as_object()
        .expect("members")
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["connected", "connectedSince"]);
    let connect = json!({"connected": true, "reason": "connect", "session": "s", "time": TIME});
    let state = event("entity", json!({"entity_id": "door", "value": 1}));
    let said = event(
        "log",
        json!({"id": "l", "level": "warn", "message": "hot", "time": TIME}),
    );
    world
        .admin
        .send_events(&[event("presence", connect), state, said])
        .await;
    let (name, status, id) = loop {
        let found = next(&mut events).await;
        if found.1["connectedSince"] == 1_712_345_678_901_u64 {
            break found;
        }
    };
    assert_eq!(
        (&*name, status),
        (
            "status",
            json!({"connected": true, "connectedSince": 1_712_345_678_901_u64})
        )
    );
    assert!(!id.is_empty());
    let (name, data, id) = next(&mut events).await;
    assert_eq!(
        (&*name, data),
        (
            "message",
            json!({"id": "l", "level": "warn", "message": "hot", "created_at": 1_712_345_678_901_u64})
        )
    );
    assert!(!id.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_resumes_where_the_last_event_was() {
    let world = world().await;
    let mut events = open(&world.admin, "").await;
    assert_eq!(next(&mut events).await.0, "status");
    world.admin.send_events(&[log("a", "x"), log("b", "x")]).await;
    let cursor = loop {
        let (_, data, id) = next(&mut events).await;
        if data["id"] == "a" {
            break id;
        }
    };
    drop(events);
    world.admin.send_events(&[log("c", "x")]).await;
    let mut events = open(&world.admin, &cursor).await;
    assert_eq!(next(&mut events).await.0, "status");
    for id in ["b", "c"] {
        let found = loop {
            let (name, data, _) = next(&mut events).await;
            if name == "message" {
                break data;
            }
        };
        assert_eq!(found["id"], id);
    }
    let mut events = open(&world.admin, "12345").await;
    let (name, data, _) = loop {
        let found = next(&mut events).await;
        if found.0 != "status" {
            break found;
        }
    };
    assert_eq!((&*name, &data["reason"]), ("reset", &json!("invalid")));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_first_bytes_are_a_comment_and_a_token_may_stand_in_the_query() {
    let world = world().await;
    let request = format!(
        "GET {PATH}/logs/stream?token={} HTTP/1.1\r\nHost: test\r\n\r\n",
        world.admin.token
    );
    let mut raw = Raw::send(&world.admin, request.as_bytes()).await;
    let head = raw.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let body = raw.until("event: status").await;
    assert!(
        body.trim_start_matches(|c: char| c != ':').starts_with(':'),
        "{body}"
    );
    world.end().await;
}
