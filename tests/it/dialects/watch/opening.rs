//! Who gets a watch.

use reqwest::Method;
use serde_json::{Value, json};
use tests::api::Api;
use tests::socket::Socket;
use tests::stream::Ended;
use tests::world::World;

use super::{DEVICE, PATH, event, known, log, next, watch, world};

const PAGE: &str = "https://app.example.com";

/// The refusal of a watch: its status and body.
async fn refused(api: &Api, path: &str, headers: &[(&'static str, &str)]) -> (u16, Value) {
    match Socket::open(api, path, headers).await.err() {
        Some(Ended::Status(status, body)) => (status, serde_json::from_str(&body).expect("JSON")),
        other => panic!("{path}: {other:?}"),
    }
}

fn failure(error: &str) -> Value {
    json!({"success": false, "error": error})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_stands_in_the_query_the_header_or_the_cookie() {
    let world = World::with(|config| config.front_door.allowed_origins = vec![PAGE.to_owned()]).await;
    let world = known(world).await;
    let made = world
        .admin
        .send(world.admin.request(Method::POST, "/v1/session"))
        .await;
    let set = made.headers["set-cookie"].to_str().expect("text");
    let session = set
        .split_once('=')
        .expect("a cookie")
        .1
        .split(';')
        .next()
        .unwrap_or_default();
    let cookie = format!("devicesdk-session={session}");
    let bearer = format!("Bearer {}", world.admin.token);
    let plain = format!("{PATH}/watch");
    let query = format!("{plain}?token={}", world.admin.token);
    let open = async |path: &str, headers: &[(&'static str, &str)]| {
        Socket::open(&world.admin, path, headers).await.is_ok()
    };
    assert!(open(&query, &[]).await);
    assert!(open(&plain, &[("authorization", &bearer)]).await);
    assert!(open(&plain, &[("cookie", &cookie), ("origin", PAGE)]).await);
    let (status, _) = refused(
        &world.admin,
        &plain,
        &[("cookie", &cookie), ("origin", "https://evil.example")],
    )
    .await;
    assert_eq!(status, 403);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_no_good_credential_is_told_which_it_is() {
    let world = world().await;
    let path = format!("{PATH}/watch");
    let (status, body) = refused(&world.admin, &path, &[]).await;
    assert_eq!(
        (status, &body["success"], &body["code"]),
        (401, &json!(false), &json!("missing_credentials"))
    );
    assert!(body["error"].is_string());
    let (status, body) = refused(&world.admin, &format!("{path}?token=nonsense"), &[]).await;
    assert_eq!(
        (status, &body["success"], &body["code"]),
        (401, &json!(false), &json!("invalid_token"))
    );
    // The credential comes before the upgrade.
    let plain = world.admin.with_token("");
    assert_eq!(plain.get(&path).await.status, 401);
    let answer = world.admin.get(&path).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json),
        (426, failure("Expected Upgrade: websocket"))
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unknown_foreign_or_out_of_reach_is_not_there() {
    let world = world().await;
    let other = world
        .node
        .api
        .token(&json!({"role": "admin", "tenant": "globex"}))
        .await;
    let other = world.node.api.with_token(&other);
    let elsewhere = world
        .client(json!({"role": "user", "devices": ["my-project/other"]}))
        .await;
    let nowhere = world
        .client(json!({"role": "user", "devices": ["yard/gate"]}))
        .await;
    let ingest = world.client(json!({"role": "ingest"})).await;
    let another = json!({"device": "my-project/other", "kind": "telemetry", "fields": {}});
    let sent = world.admin.send_events(&[another]).await;
    let path = format!("/v1/devices?id=my-project/other&min_cursor={sent}");
    assert_eq!(world.admin.get(&path).await.status, 200);
    let of = |project: &str, device: &str| format!("/v1/projects/{project}/devices/{device}");
    for (api, path, error) in [
        (&world.admin, of("my-project", "nobody"), "Device not found"),
        (&world.admin, of("no-project", "my-device"), "Project not found"),
        (&world.admin, of("default", "nobody"), "Device not found"),
        (&other, PATH.to_owned(), "Project not found"),
        (&elsewhere, PATH.to_owned(), "Device not found"),
        (&nowhere, PATH.to_owned(), "Project not found"),
        (&ingest, PATH.to_owned(), "Device not found"),
    ] {
        let bearer = format!("Bearer {}", api.token);
        let found = refused(api, &format!("{path}/watch"), &[("authorization", &bearer)]).await;
        assert_eq!(found, (404, failure(error)), "{path}");
        for rest in ["logs", "status", "logs/stream"] {
            let answer = api.get(&format!("{path}/{rest}")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.json),
                (404, failure(error)),
                "{path}/{rest}"
            );
        }
        let answer = api.post(&format!("{path}/command"), &json!({"type": "x"})).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json),
            (404, failure(error)),
            "{path}/command"
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_project_is_that_of_devices_without_one() {
    let world = World::start().await;
    let said = |id: &str| json!({"device": "lamp", "kind": "log", "id": id, "message": "x"});
    world.admin.send_events(&[said("a")]).await;
    let path = format!(
        "/v1/projects/default/devices/lamp/watch?token={}",
        world.admin.token
    );
    let mut socket = Socket::open(&world.admin, &path, &[]).await.expect("a socket");
    assert_eq!(socket.next().await["event"], "status");
    world.admin.send_events(&[said("b")]).await;
    assert_eq!(next(&mut socket, "log").await["data"]["id"], "b");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_credential_and_a_lost_device_end_it() {
    let world = world().await;
    let made = world
        .admin
        .post("/v1/tokens", &json!({"role": "user", "devices": [DEVICE]}))
        .await;
    let api = world
        .admin
        .with_token(made.json["token"].as_str().expect("a token"));
    let path = format!("/v1/tokens/{}", made.json["id"].as_str().expect("an id"));
    let (mut socket, _) = watch(&api, "").await;
    world.admin.patch(&path, &json!({"devices": ["another"]})).await;
    assert_eq!(socket.ended().await, Ended::Closed(4403));
    world.admin.patch(&path, &json!({"devices": [DEVICE]})).await;
    let (mut socket, _) = watch(&api, "").await;
    world.admin.delete(&path).await;
    assert_eq!(socket.ended().await, Ended::Closed(4401));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_are_for_whoever_asks_and_resume_exactly() {
    let world = world().await;
    let (mut plain, status) = watch(&world.admin, "").await;
    assert!(status.get("cursor").is_none(), "{status}");
    let (mut socket, status) = watch(&world.admin, "cursor=1").await;
    let begun = status["cursor"].as_str().expect("a cursor").to_owned();
    world.admin.send_events(&[log("a", "x")]).await;
    assert!(next(&mut plain, "log").await.get("cursor").is_none());
    let cursor = next(&mut socket, "log").await["cursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    drop(socket);
    let state = event("entity", json!({"entity_id": "door", "value": 1}));
    world.admin.send_events(&[log("b", "x"), state]).await;
    for name in ["since", "last_event_id"] {
        let (mut socket, _) = watch(&world.admin, &format!("cursor=1&{name}={cursor}")).await;
        assert_eq!(socket.next().await["data"]["id"], "b");
        assert_eq!(socket.next().await["data"]["entity_id"], "door");
    }
    // One that was cut off before anything happened.
    let (mut socket, _) = watch(&world.admin, &format!("cursor=1&since={begun}")).await;
    assert_eq!(socket.next().await["data"]["id"], "a");
    let path = format!("{PATH}/watch?token={}&since=nonsense", world.admin.token);
    let (status, body) = refused(&world.admin, &path, &[]).await;
    assert_eq!((status, &body["success"]), (400, &json!(false)));
    world.end().await;
}
