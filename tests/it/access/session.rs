//! Sessions: what a browser gets for a credential.

use reqwest::Method;
use serde_json::json;
use tests::api::{Answer, Api, reading};
use tests::raw::Raw;
use tests::world::World;

const PAGE: &str = "https://app.example.com";

async fn world() -> World {
    World::with(|config| config.front_door.allowed_origins = vec![PAGE.to_owned()]).await
}

/// A session of the client's credential.
async fn session(api: &Api) -> String {
    let answer = api.send(api.request(Method::POST, "/v1/session")).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    let set = answer.headers["set-cookie"].to_str().expect("text");
    let (_, value) = set.split_once('=').expect("a cookie");
    value.split(';').next().unwrap_or_default().to_owned()
}

/// A request with the session in this cookie, and nothing else.
async fn with(api: &Api, method: Method, path: &str, cookie: &str, origin: Option<&str>) -> Answer {
    let mut request = api.with_token("").request(method, path).header("cookie", cookie);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    api.send(request).await
}

/// The status of a WebSocket handshake with the session, and the connection.
async fn upgrade(api: &Api, cookie: &str, origin: Option<&str>) -> (String, Raw) {
    let origin = origin.map_or_else(String::new, |origin| format!("Origin: {origin}\r\n"));
    let request = format!(
        "GET /v1/stream HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: {cookie}\r\n{origin}\r\n"
    );
    let mut raw = Raw::send(api, request.as_bytes()).await;
    let head = raw.until("\r\n\r\n").await;
    (head.split(' ').nth(1).unwrap_or_default().to_owned(), raw)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_opens_what_its_credential_opens_until_it_is_ended() {
    let world = world().await;
    world
        .admin
        .send_events(&[reading("bus", 1), reading("tram", 1)])
        .await;
    let user = world.client(json!({"role": "user", "devices": ["bus"]})).await;
    let cookie = format!("wakeline_session={}", session(&user).await);
    let get = async |path: &str| {
        with(&user, Method::GET, path, &cookie, None)
            .await
            .status
            .as_u16()
    };
    assert_eq!(get("/v1/devices").await, 200);
    assert_eq!(get("/v1/devices/tram").await, 404);
    assert_eq!(get("/v1/devices?tenant=other").await, 403);
    let (status, raw) = upgrade(&user, &cookie, Some(PAGE)).await;
    assert_eq!(status, "101");
    let ended = with(&user, Method::DELETE, "/v1/session", &cookie, Some(PAGE)).await;
    assert_eq!(ended.status, 204);
    let close = raw.rest_bytes().await;
    assert!(
        close.windows(2).any(|code| code == 4401_u16.to_be_bytes()),
        "{close:?}"
    );
    assert_eq!(get("/v1/devices").await, 401);
    assert_eq!(
        user.get("/v1/devices").await.status,
        200,
        "the credential itself is good"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_not_allowed_can_do_nothing_with_it() {
    let world = world().await;
    let cookie = format!("sessionid={}", session(&world.admin).await);
    for (origin, status) in [
        (Some(PAGE), "101"),
        (Some("https://evil.example"), "403"),
        (None, "403"),
    ] {
        assert_eq!(
            upgrade(&world.admin, &cookie, origin).await.0,
            status,
            "{origin:?}"
        );
        let write = with(&world.admin, Method::DELETE, "/v1/devices/bus", &cookie, origin).await;
        let forbidden = write.status == 403;
        assert_eq!(forbidden, status == "403", "{origin:?} {}", write.text);
    }
    let own = world.admin.base.clone();
    let write = with(&world.admin, Method::POST, "/v1/events", &cookie, Some(&own)).await;
    assert!(
        write.status != 401 && write.status != 403,
        "a page of this host may: {}",
        write.text
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowed_page_may_send_its_cookies() {
    let world = world().await;
    let answer = with(&world.admin, Method::GET, "/v1/devices", "a=b", Some(PAGE)).await;
    assert_eq!(answer.headers["access-control-allow-origin"], PAGE);
    assert_eq!(answer.headers["access-control-allow-credentials"], "true");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_a_jwt_ends_with_it() {
    use access::jwt::Algorithm;
    use tests::issuer::{Issuer, jwks};

    let issuer = Issuer::new(Algorithm::Es256, "k1");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("jwks.json");
    std::fs::write(&file, jwks(&[&issuer])).expect("written");
    let world = World::with(|config| config.jwt.jwks_file = Some(file)).await;
    let api = world
        .admin
        .with_token(&issuer.token(tests::world::TENANT, "customer", 600));
    tests::wait::until("the keys are read", async || {
        (api.get("/v1/devices").await.status == 200).then_some(())
    })
    .await;
    let cookie = format!("pulse_session={}", session(&api).await);
    let get = async || {
        with(&api, Method::GET, "/v1/devices", &cookie, None)
            .await
            .status
            .as_u16()
    };
    assert_eq!(get().await, 200);
    world.clock.advance(std::time::Duration::from_secs(601));
    assert_eq!(get().await, 401);
    world.end().await;
}
