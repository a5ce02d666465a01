//! Who gets a socket.

use serde_json::json;
use tests::fixture::fixture;
use tests::socket::Socket;
use tests::stream::Ended;
use tests::world::{TENANT, World};

use super::{connected, subscribed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_query_or_header_opens_it_two_that_differ_do_not() {
    let world = World::start().await;
    let key = &world.admin.token;
    let query = format!("/realtime?api_key={key}");
    for (path, header, opens) in [
        (&*query, None, true),
        ("/realtime", Some(&**key), true),
        (&*query, Some(&**key), true),
        (&*query, Some("other"), false),
    ] {
        let headers: Vec<(&'static str, &str)> =
            header.map(|value| ("x-api-key", value)).into_iter().collect();
        assert_eq!(
            Socket::open(&world.admin, path, &headers).await.is_ok(),
            opens,
            "{headers:?}"
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_else_is_unauthorized() {
    let world = World::start().await;
    let device = world
        .client(json!({"role": "device", "devices": ["ABC123"]}))
        .await
        .token;
    let ingest = world.client(json!({"role": "ingest"})).await.token;
    let system = world.node.api.token.clone();
    let body = json!({"error": "Unauthorized"}).to_string();
    for key in ["", "nonsense", &device, &ingest, &system] {
        let refused = Socket::open(&world.admin, &format!("/realtime?api_key={key}"), &[])
            .await
            .err();
        assert_eq!(refused, Some(Ended::Status(401, body.clone())));
    }
    let path = format!("/realtime?api_key={system}&tenant={TENANT}");
    assert!(Socket::open(&world.admin, &path, &[]).await.is_ok());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_closes_with_4401() {
    let world = World::start().await;
    let made = world
        .admin
        .post("/v1/tokens", &json!({"role": "user", "devices": ["ABC123"]}))
        .await;
    let api = world
        .admin
        .with_token(made.json["token"].as_str().expect("a token"));
    let mut socket = connected(&api, "").await;
    let id = made.json["id"].as_str().expect("an id");
    world.admin.delete(&format!("/v1/tokens/{id}")).await;
    assert_eq!(socket.ended().await, Ended::Closed(4401));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_made_in_the_beginning_holds_from_the_cursor_on() {
    let world = World::start().await;
    let mut socket = subscribed(&world, "cursor=1").await;
    let event = |n: u64| json!({"device": "DEF456", "kind": "telemetry", "fields": {"n": n}});
    let online = json!({"device": "DEF456", "kind": "presence", "status": "OFFLINE", "previous": "ONLINE",
        "reason": "report"});
    world.admin.send_events(&[event(1)]).await;
    let first = socket.until("device_data").await;
    let cursor = first["cursor"].as_str().expect("a cursor");
    world.admin.send_events(&[online, event(2)]).await;
    let status = socket
        .first("a status", |frame| frame["payload"]["is_online"] == false)
        .await;
    assert!(status["cursor"].is_string(), "{status}");
    drop(socket);
    let mut socket = connected(&world.admin, &format!("cursor=1&since={cursor}")).await;
    socket.send(&fixture("realtime", "subscribe")).await;
    assert_eq!(socket.next().await["type"], "subscribed");
    let status = socket
        .first("a status", |frame| frame["payload"]["is_online"] == false)
        .await;
    assert!(status["cursor"].is_string(), "{status}");
    assert_eq!(socket.until("device_data").await["payload"], json!({"n": 2}));
    world.end().await;
}
