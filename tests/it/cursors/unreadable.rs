//! What is no cursor of ours: refused in the query, told in band where it came in the header.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tests::stream::{Carrier, Ended, Streaming};
use tests::world::World;

use super::line;

/// What nobody ever was given.
fn garbage() -> Vec<String> {
    let some = ["garbage", "AAAA", "!!!", "0", "eyJhIjoxfQ", "AQ"];
    some.into_iter()
        .map(str::to_owned)
        .chain([newer(), "A".repeat(20_000)])
        .collect()
}

/// What a newer version of the product might give.
fn newer() -> String {
    let mut bytes = vec![2_u8; 30];
    let mut checksum = flate2::Crc::new();
    checksum.update(&bytes);
    bytes.extend_from_slice(&checksum.sum().to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_query_it_is_a_400_with_a_reason_before_streaming() {
    let world = World::start().await;
    for text in garbage() {
        for (carrier, parameter) in [
            (Carrier::Sse, "since"),
            (Carrier::Sse, "last_event_id"),
            (Carrier::WebSocket, "since"),
            (Carrier::WebSocket, "last_event_id"),
        ] {
            let query = format!("view=devices&{parameter}={text}");
            let Err(Ended::Status(400, body)) = Streaming::open(&world.admin, carrier, &query, None).await
            else {
                panic!("{parameter}={text:.40} was not refused with a 400");
            };
            let problem: serde_json::Value = serde_json::from_str(&body).expect("a problem");
            assert_eq!(problem["parameter"], parameter, "{body}");
            assert!(
                problem["detail"].as_str().is_some_and(|detail| detail.len() > 20),
                "{body}"
            );
        }
    }
    let newer = world.admin.get(&format!("/v1/stream?since={}", newer())).await;
    assert!(
        newer.json["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("newer")),
        "{}",
        newer.text
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_header_it_is_a_reset_and_then_the_stream_is_live() {
    let world = World::start().await;
    world.admin.send_events(&[line("bus", "before")]).await;
    for text in garbage().iter().filter(|text| text.len() < 10_000) {
        let mut stream = world
            .stream(Carrier::Sse, "device=bus&kind=log", Some(text))
            .await;
        assert_eq!(
            stream.next().await.map(|frame| frame.kind),
            Ok("hello".to_owned())
        );
        let reset = stream.next().await.expect("a frame");
        assert_eq!(
            (reset.kind.as_str(), &reset.data["reason"]),
            ("reset", &json!("invalid")),
            "{text}"
        );
        assert_eq!(
            reset.data["cursor"].as_str(),
            reset.cursor.as_deref(),
            "where it goes on from"
        );
        world.admin.send_events(&[line("bus", "after")]).await;
        assert_eq!(stream.data().await.data["message"], "after", "{text}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cursor_of_its_reset_is_a_good_one() {
    let world = World::start().await;
    let mut stream = world
        .stream(Carrier::Sse, "device=bus&kind=log", Some("garbage"))
        .await;
    let cursor = stream.until("reset").await.cursor.expect("a cursor");
    drop(stream);
    world.admin.send_events(&[line("bus", "while away")]).await;
    let mut stream = world
        .stream(Carrier::Sse, "device=bus&kind=log", Some(&cursor))
        .await;
    assert_eq!(stream.data().await.data["message"], "while away");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_header_of_a_snapshot_it_is_a_reset_and_then_the_snapshot() {
    let world = World::start().await;
    let written = world
        .admin
        .send_events(&[json!({"device": "bus", "kind": "device", "name": "Bus"})])
        .await;
    let read = world
        .admin
        .get(&format!("/v1/devices/bus?min_cursor={written}"))
        .await;
    assert_eq!(read.status, 200, "{}", read.text);
    let mut stream = world
        .stream(Carrier::Sse, "view=devices&snapshot=true", Some("garbage"))
        .await;
    assert_eq!(stream.until("reset").await.data["reason"], "invalid");
    assert_eq!(stream.data().await.data["device"]["name"], "Bus");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_header_comes_before_the_query() {
    let world = World::start().await;
    let cursor = world.admin.send_events(&[line("bus", "one")]).await;
    world.admin.send_events(&[line("bus", "two")]).await;
    let mut stream = world
        .stream(Carrier::Sse, "device=bus&kind=log&since=earliest", Some(&cursor))
        .await;
    assert_eq!(stream.data().await.data["message"], "two");
    // An EventSource that was opened with the cursor in its URL comes back with both.
    let query = format!("device=bus&kind=log&last_event_id={cursor}");
    world.admin.send_events(&[line("bus", "three")]).await;
    let second = stream.data().await.cursor.expect("a cursor");
    let mut stream = world.stream(Carrier::Sse, &query, Some(&second)).await;
    world.admin.send_events(&[line("bus", "four")]).await;
    assert_eq!(stream.data().await.data["message"], "four");
    world.end().await;
}
