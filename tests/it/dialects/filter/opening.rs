//! Who gets a socket, and whose devices it shows.

use serde_json::{Value, json};
use tests::api::Api;
use tests::socket::Socket;
use tests::stream::Ended;
use tests::world::{TENANT, World};

use super::{PATH, filtered, telemetry, update};

async fn refused(api: &Api, query: &str, authorization: &str) -> (u16, Value) {
    let path = format!("{PATH}?{query}");
    match Socket::open(api, &path, &[("authorization", authorization)])
        .await
        .err()
    {
        Some(Ended::Status(status, body)) => (status, serde_json::from_str(&body).expect("JSON")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_refused_before_the_upgrade() {
    let world = World::start().await;
    let device = world.client(json!({"role": "device", "devices": ["tag"]})).await;
    let ingest = world.client(json!({"role": "ingest"})).await;
    for (authorization, status, error) in [
        ("Bearer nonsense".to_owned(), 401, "unauthorized"),
        ("Bearer ".to_owned(), 401, "unauthorized"),
        (format!("Basic {}", world.admin.token), 401, "unauthorized"),
        (format!("Bearer {}", device.token), 403, "forbidden"),
        (format!("Bearer {}", ingest.token), 403, "forbidden"),
    ] {
        let answer = refused(&world.admin, "", &authorization).await;
        assert_eq!(answer, (status, json!({"error": error})), "{authorization}");
    }
    let admin = format!("Bearer {}", world.admin.token);
    let foreign = refused(&world.admin, "tenant=other", &admin).await;
    assert_eq!(foreign, (403, json!({"error": "forbidden"})));
    let (status, body) = refused(&world.admin, "since=nonsense", &admin).await;
    assert!(status == 400 && body["error"].is_string(), "{body}");
    let plain = world.admin.get(PATH).await;
    assert_eq!(plain.status, 426, "{}", plain.text);
    assert!(plain.json["error"].is_string(), "{}", plain.text);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_system_token_says_of_which_tenant() {
    let world = World::start().await;
    let system = &world.node.api;
    let bearer = format!("Bearer {}", system.token);
    let (status, body) = refused(system, "", &bearer).await;
    assert!(status == 400 && body["error"].is_string(), "{status} {body}");
    let mut socket = filtered(system, &format!("tenant={TENANT}"), "n").await;
    world
        .admin
        .send_events(&[telemetry("tag", json!({"n": 1}))])
        .await;
    assert_eq!(update(&mut socket).await["id"], "tag");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_shows_the_devices_of_its_tenant_and_scope_only() {
    let world = World::start().await;
    let other = world
        .node
        .api
        .token(&json!({"role": "admin", "tenant": "other"}))
        .await;
    let other = world.admin.with_token(&other);
    let user = world.client(json!({"role": "user", "devices": ["mine"]})).await;
    let mut foreign = filtered(&other, "", "n").await;
    let mut own = filtered(&user, "", "n").await;
    let events = [
        telemetry("tag", json!({"n": 1})),
        telemetry("mine", json!({"n": 2})),
    ];
    world.admin.send_events(&events).await;
    world.admin.delete("/v1/devices/tag").await;
    assert_eq!(update(&mut own).await["id"], "mine");
    world.admin.delete("/v1/devices/mine").await;
    let deleted = own
        .first("a deletion", |frame| frame.get("delete").is_some())
        .await;
    assert_eq!(deleted, json!({"delete": "mine"}));
    other.send_events(&[telemetry("theirs", json!({"n": 3}))]).await;
    assert_eq!(foreign.next().await["update"]["id"], "theirs");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_closes_with_4401() {
    let world = World::start().await;
    let made = world
        .admin
        .post("/v1/tokens", &json!({"role": "user", "devices": ["tag"]}))
        .await;
    let api = world
        .admin
        .with_token(made.json["token"].as_str().expect("a token"));
    let mut socket = filtered(&api, "", "n").await;
    let id = made.json["id"].as_str().expect("an id");
    world.admin.delete(&format!("/v1/tokens/{id}")).await;
    assert_eq!(socket.ended().await, Ended::Closed(4401));
    world.end().await;
}
