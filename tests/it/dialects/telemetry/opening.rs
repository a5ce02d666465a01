//! Who gets a stream, and how others are refused.

use serde_json::{Value, json};
use tests::api::Api;
use tests::socket::Socket;
use tests::stream::Ended;
use tests::wait::until;
use tests::world::{TENANT, World};

use super::{STREAM, connected};

async fn refused(api: &Api, path: &str, headers: &[(&'static str, &str)]) -> (u16, Value) {
    match Socket::open(api, path, headers).await.err() {
        Some(Ended::Status(status, body)) => (status, serde_json::from_str(&body).expect("JSON")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_frame_tells_tenant_and_filters_sorted() {
    let world = World::start().await;
    let path = format!("{STREAM}?token={}&device_id=b,%20a&metric=z,y", world.admin.token);
    let mut socket = Socket::open(&world.admin, &path, &[]).await.expect("a socket");
    assert_eq!(
        socket.next().await,
        json!({"type": "connected", "tenant_id": TENANT,
            "filters": {"device_ids": ["a", "b"], "metric_names": ["y", "z"]}})
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_query_header_or_cookie_opens_it() {
    let world = World::start().await;
    let (token, path) = (
        &world.admin.token,
        format!("{STREAM}?token={}", world.admin.token),
    );
    let (bearer, cookie) = (format!("Bearer {token}"), format!("pulse_session={token}"));
    for (path, headers) in [
        (&*path, &[][..]),
        (STREAM, &[("authorization", &*bearer)]),
        (STREAM, &[("cookie", &*cookie), ("origin", &*world.admin.base)]),
    ] {
        assert!(
            Socket::open(&world.admin, path, headers).await.is_ok(),
            "{headers:?}"
        );
    }
    let evil = [("cookie", &*cookie), ("origin", "https://evil.example")];
    assert_eq!(refused(&world.admin, STREAM, &evil).await.0, 403);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_refused_before_the_upgrade_with_a_detail() {
    let world = World::start().await;
    let device = world.client(json!({"role": "device", "devices": ["bus"]})).await;
    let system = &world.node.api;
    for (token, status) in [
        ("", 401),
        ("nonsense", 401),
        (&device.token, 403),
        (&system.token, 403),
    ] {
        let (found, body) = refused(&world.admin, &format!("{STREAM}?token={token}"), &[]).await;
        assert_eq!(found, status, "{body}");
        assert!(body["detail"].is_string(), "{body}");
        let sse = world.admin.with_token(token).get(&format!("{STREAM}/sse")).await;
        assert_eq!(sse.status, status, "{}", sse.text);
        assert!(sse.json["detail"].is_string(), "{}", sse.text);
    }
    let path = format!("{STREAM}?token={}&tenant={TENANT}", system.token);
    assert!(Socket::open(system, &path, &[]).await.is_ok());
    let plain = world.admin.get(STREAM).await;
    assert_eq!(plain.status, 426);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_ten_streams_and_the_status_counts_them() {
    let world = World::start().await;
    let mut open = Vec::new();
    for _ in 0..9 {
        open.push(connected(&world, "").await);
    }
    let sse = world
        .admin
        .request(reqwest::Method::GET, &format!("{STREAM}/sse"));
    let sse = sse.send().await.expect("an answer");
    assert_eq!(sse.status(), 200);
    let path = format!("{STREAM}?token={}", world.admin.token);
    let refused = refused(&world.admin, &path, &[]).await;
    let detail = "Max streaming connections (10) reached for tenant";
    assert_eq!(refused, (429, json!({"detail": detail})));
    let answer = world.admin.get(&format!("{STREAM}/sse")).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json),
        (429, &json!({"detail": detail}))
    );
    assert!(answer.headers.contains_key("retry-after"));

    let anybody = world.admin.with_token("");
    let status = anybody.get("/api/v1/telemetry/stream/status").await;
    assert_eq!(
        status.json,
        json!({"total_connections": 10, "max_per_tenant": 10})
    );
    let other = world
        .node
        .api
        .token(&json!({"role": "admin", "tenant": "other"}))
        .await;
    let other = Socket::open(&world.admin, &format!("{STREAM}?token={other}"), &[]).await;
    assert!(other.is_ok());
    drop((open, sse, other));
    until("every stream has ended", async || {
        let status = anybody.get("/api/v1/telemetry/stream/status").await;
        (status.json["total_connections"] == 0).then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_closes_with_4401_and_ends_an_event_stream() {
    let world = World::start().await;
    let made = world
        .admin
        .post("/v1/tokens", &json!({"role": "user", "devices": ["bus"]}))
        .await;
    let token = made.json["token"].as_str().expect("a token");
    let path = format!("{STREAM}?token={token}");
    let mut socket = Socket::open(&world.admin, &path, &[]).await.expect("a socket");
    let events = world.admin.with_token(token);
    let events = events.request(reqwest::Method::GET, &format!("{STREAM}/sse"));
    let events = events.send().await.expect("an answer");
    let id = made.json["id"].as_str().expect("an id");
    world.admin.delete(&format!("/v1/tokens/{id}")).await;
    assert_eq!(socket.ended().await, Ended::Closed(4401));
    let text = tests::wait::within("the end", events.text())
        .await
        .expect("a body");
    assert!(text.contains("event: fault\n"), "{text}");
    world.end().await;
}
