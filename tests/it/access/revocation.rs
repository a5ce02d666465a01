//! What becomes of open streams when their credentials change.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::api::{Api, reading};
use tests::stream::{Carrier, Ended, Streaming};
use tests::world::World;

/// A new token's id and its client.
async fn token(world: &World, body: Value) -> (String, Api) {
    let answer = world.node.api.post("/v1/tokens", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let text = |name: &str| answer.json[name].as_str().expect("a text").to_owned();
    (text("id"), world.admin.with_token(&text("token")))
}

async fn open(api: &Api, carrier: Carrier, query: &str) -> Streaming {
    Streaming::open(api, carrier, query, None)
        .await
        .expect("a stream")
}

/// How the stream ended, within a second of `since`.
async fn ended(stream: Streaming, since: Instant) -> (Ended, Option<String>) {
    let end = stream.end().await;
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_loses_its_streams_within_a_second_and_others_go_on() {
    let world = World::start().await;
    let (id, revoked) = token(&world, json!({"role": "user", "tenant": "acme"})).await;
    let (_, kept) = token(&world, json!({"role": "user", "tenant": "acme"})).await;
    let socket = open(&revoked, Carrier::WebSocket, "").await;
    let events = open(&revoked, Carrier::Sse, "").await;
    let mut others = [
        open(&kept, Carrier::WebSocket, "kind=telemetry").await,
        open(&kept, Carrier::Sse, "kind=telemetry").await,
    ];
    let since = Instant::now();
    assert_eq!(world.admin.delete(&format!("/v1/tokens/{id}")).await.status, 204);
    assert_eq!(ended(socket, since).await.0, Ended::Closed(4401));
    assert_eq!(ended(events, since).await, (Ended::Eof, Some("fault".to_owned())));
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let again = Streaming::open(&revoked, carrier, "", None).await;
        assert!(matches!(again, Err(Ended::Status(401, _))));
    }
    world.admin.send_events(&[reading("bus", 7)]).await;
    for other in &mut others {
        assert_eq!(other.data().await.data["fields"]["n"], 7);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_loses_a_device_closes_what_is_bound_to_it_with_4403_and_narrows_the_rest() {
    let world = World::start().await;
    let (id, user) = token(
        &world,
        json!({"role": "user", "tenant": "acme", "devices": ["bus", "tram"]}),
    )
    .await;
    let bound = open(&user, Carrier::WebSocket, "device=bus").await;
    let bound_events = open(&user, Carrier::Sse, "device=bus").await;
    let mut wide = open(&user, Carrier::WebSocket, "kind=telemetry").await;
    let mut other = open(&user, Carrier::WebSocket, "device=tram&kind=telemetry").await;
    let since = Instant::now();
    let path = format!("/v1/tokens/{id}");
    let changed = world.admin.patch(&path, &json!({"devices": ["tram"]})).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(ended(bound, since).await.0, Ended::Closed(4403));
    assert_eq!(
        ended(bound_events, since).await,
        (Ended::Eof, Some("fault".to_owned()))
    );
    world
        .admin
        .send_events(&[reading("bus", 1), reading("tram", 2)])
        .await;
    for stream in [&mut wide, &mut other] {
        assert_eq!(stream.data().await.data["device"], "tram");
    }
    let again = Streaming::open(&user, Carrier::WebSocket, "device=bus", None).await;
    assert!(matches!(again, Err(Ended::Status(403, _))));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_moves_to_another_tenant_or_reads_no_more_loses_its_streams_with_4403() {
    let world = World::start().await;
    for change in [json!({"tenant": "other"}), json!({"role": "ingest"})] {
        let (id, user) = token(&world, json!({"role": "user", "tenant": "acme"})).await;
        let stream = open(&user, Carrier::WebSocket, "").await;
        let since = Instant::now();
        let path = format!("/v1/tokens/{id}");
        let changed = world.node.api.patch(&path, &change).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        assert_eq!(ended(stream, since).await.0, Ended::Closed(4403), "{change}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_gains_a_device_shows_it_on_its_open_streams() {
    let world = World::start().await;
    let (id, user) = token(
        &world,
        json!({"role": "user", "tenant": "acme", "devices": ["bus"]}),
    )
    .await;
    let mut stream = open(&user, Carrier::WebSocket, "kind=telemetry").await;
    let path = format!("/v1/tokens/{id}");
    world
        .admin
        .patch(&path, &json!({"devices": ["bus", "tram"]}))
        .await;
    // The change is folded when it is answered; the workers hear of it at once, but not before.
    tests::wait::within("the new device shows", async {
        for n in 0.. {
            world
                .admin
                .send_events(&[reading("tram", n), reading("bus", n)])
                .await;
            if stream.data().await.data["device"] == "tram" {
                return;
            }
        }
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_token_expires_or_is_made_to() {
    let world = World::start().await;
    let (_, short) = token(&world, json!({"role": "user", "tenant": "acme", "expires": "2s"})).await;
    let (id, long) = token(&world, json!({"role": "user", "tenant": "acme"})).await;
    let (first, second) = (
        open(&short, Carrier::WebSocket, "").await,
        open(&long, Carrier::WebSocket, "").await,
    );
    let path = format!("/v1/tokens/{id}");
    world.admin.patch(&path, &json!({"expires": "1s"})).await;
    let (first, second) = tokio::join!(first.end(), second.end());
    assert_eq!((first.0, second.0), (Ended::Closed(4401), Ended::Closed(4401)));
    world.end().await;
}
