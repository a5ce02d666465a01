//! A byte at a time.

use std::time::Duration;

use tests::raw::Raw;
use tests::stream::Carrier;
use tests::world::World;

use super::{connections_are_given_up, is_served};

/// What a head or a body may take in these tests.
const LIMIT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);
const SENDERS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_comes_byte_by_byte_is_given_up_and_others_are_served_meanwhile() {
    let world = World::with(|config| config.front_door.head_timeout = LIMIT).await;
    let mut good = world.stream(Carrier::Sse, "kind=telemetry", None).await;
    let senders = (0..SENDERS).map(|_| async {
        let mut sender = Raw::send(&world.admin, b"GET /v1/stream HTTP/1.1\r\nX: ").await;
        sender.trickle(&[b'a'; 100], PAUSE).await;
        sender.rest().await
    });
    let good = async {
        for n in 0..10 {
            is_served(&world, &mut good, n).await;
        }
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(senders), good);
    // A connection that is closed while the sender goes on may be reset before its answer is read.
    assert!(
        answers
            .iter()
            .all(|answer| answer.is_empty() || answer.starts_with("HTTP/1.1 408")),
        "{answers:?}"
    );
    connections_are_given_up(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_byte_by_byte_is_given_up_and_nothing_of_it_is_kept() {
    let world = World::with(|config| config.ingest.body_within = LIMIT).await;
    let mut good = world.stream(Carrier::WebSocket, "kind=telemetry", None).await;
    let body = format!(
        "[{{\"device\":\"slow\",\"kind\":\"telemetry\",\"fields\":{{\"n\":1}}}}{}]",
        " ".repeat(100)
    );
    let head = format!(
        "{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        Raw::head(&world.admin, "POST", "/v1/events"),
        body.len()
    );
    let senders = (0..SENDERS).map(|_| async {
        let mut sender = Raw::send(&world.admin, head.as_bytes()).await;
        sender.trickle(body.as_bytes(), PAUSE).await;
        sender.rest().await
    });
    let good = async {
        for n in 0..10 {
            is_served(&world, &mut good, n).await;
        }
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(senders), good);
    assert!(
        answers
            .iter()
            .all(|answer| answer.is_empty() || answer.starts_with("HTTP/1.1 408")),
        "{answers:?}"
    );
    assert!(world.sent().await.iter().all(|event| event["device"] == "good"));
    assert!(
        world.node.metric("wakeline_ingest_held_bytes").await.abs() < 1.0,
        "room for bodies is given back"
    );
    world.end().await;
}
