//! The routes, over a loopback connection.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ::http::response::Parts;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use access::http::{
    AdministrationService, Attempt, Handled, HttpService, Refusal, Surface, authenticate, authenticate_text,
    routes,
};
use access::{Denied, Principal};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{ADMIN_TOKEN, World, settings, system};

/// A server of the routes, for one test.
struct Server {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn new(world: &World) -> Self {
        let administration = Arc::clone(&world.administration);
        let service = AdministrationService::new(routes::Settings::default(), administration);
        let service = Arc::new(service);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                let service = Arc::clone(&service);
                connections.spawn(async move {
                    let serve = hyper::service::service_fn(|request: Request<Incoming>| async {
                        Ok::<_, Infallible>(match service.call(request, peer).await {
                            Handled::Response(response) => response,
                            Handled::NotMine(_) => {
                                let mut response = Response::new(access::http::body("not mine"));
                                *response.status_mut() = StatusCode::IM_A_TEAPOT;
                                response
                            }
                        })
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    connection
                        .serve_connection(TokioIo::new(stream), serve)
                        .await
                        .unwrap();
                });
            }
        });
        Self {
            address,
            _tasks: tasks,
        }
    }

    /// Status and body, parsed.
    async fn send(&self, token: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let (head, bytes) = self.request(method, path, &headers, body).await;
        (
            head.status.as_u16(),
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    /// The answer to a request with these headers.
    async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (Parts, Bytes) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { connection.await.unwrap() });
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        (head, body.collect().await.unwrap().to_bytes())
    }
}

#[tokio::test]
async fn a_token_is_made_listed_changed_and_revoked() {
    let world = World::new().await;
    let server = Server::new(&world).await;
    let body = r#"{"role":"admin","tenant":"acme","expires":"30d"}"#;
    let (status, made) = server.send(ADMIN_TOKEN, "POST", "/v1/tokens", body).await;
    assert_eq!(status, 201);
    let token = made["token"].as_str().unwrap();
    assert!(token.ends_with(made["last_four"].as_str().unwrap()));
    assert_eq!(made["expires_at"], "2027-02-14T08:00:00.000Z");
    let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());

    let (status, list) = server.send(token, "GET", "/v1/tokens", "").await;
    assert_eq!(status, 200);
    assert_eq!(list["tokens"].as_array().unwrap().len(), 1);
    assert!(!list.to_string().contains(token));
    assert!(list["tokens"][0].get("hash").is_none() && list["tokens"][0].get("token").is_none());

    let (status, changed) = server
        .send(ADMIN_TOKEN, "PATCH", &path, r#"{"devices":["a"]}"#)
        .await;
    assert_eq!((status, &changed["devices"]), (200, &json!(["a"])));
    assert_eq!(server.send(ADMIN_TOKEN, "DELETE", &path, "").await.0, 204);
    assert_eq!(server.send(ADMIN_TOKEN, "GET", &path, "").await.0, 404);
    assert_eq!(server.send(token, "GET", "/v1/tokens", "").await.0, 401);
    world.close().await;
}

#[tokio::test]
async fn a_device_token_is_revoked_under_its_encoded_id() {
    let world = World::new().await;
    let server = Server::new(&world).await;
    let body = r#"{"role":"device","devices":["a/b"]}"#;
    let (status, made) = server
        .send(ADMIN_TOKEN, "POST", "/v1/tokens?tenant=acme", body)
        .await;
    assert_eq!((status, &made["id"]), (201, &json!("device:acme/a/b")));
    let token = made["token"].as_str().unwrap();
    assert!(world.directory.authenticate(token, world.now()).is_ok());
    let path = "/v1/tokens/device%3Aacme%2Fa%2Fb";
    assert_eq!(server.send(ADMIN_TOKEN, "DELETE", path, "").await.0, 204);
    assert!(world.directory.authenticate(token, world.now()).is_err());
    world.close().await;
}

#[tokio::test]
async fn tenants_are_made_once_and_seen_by_their_own() {
    let world = World::new().await;
    let server = Server::new(&world).await;
    let put = |body| server.send(ADMIN_TOKEN, "PUT", "/v1/tenants/acme", body);
    assert_eq!(put(r#"{"spread":3}"#).await.0, 201);
    assert_eq!(put(r#"{"spread":3}"#).await.0, 200);
    let (status, problem) = put(r#"{"spread":4}"#).await;
    assert_eq!(
        (status, &problem["status"], &problem["spread"]),
        (409, &json!(409), &json!(3))
    );
    assert_eq!(put(r#"{"spread":99}"#).await.0, 400);
    assert_eq!(put(r#"{"spred":3}"#).await.0, 400);
    server.send(ADMIN_TOKEN, "PUT", "/v1/tenants/other", "").await;

    let (_, user) = world.token(&system(), r#"{"role":"user","tenant":"acme"}"#).await;
    let (_, own) = server.send(&user, "GET", "/v1/tenants", "").await;
    assert_eq!(own["tenants"].as_array().unwrap().len(), 1);
    let foreign = server.send(&user, "GET", "/v1/tenants/other", "").await;
    assert_eq!(foreign, server.send(&user, "GET", "/v1/tenants/nobody", "").await);
    assert_eq!(foreign.0, 404);
    assert_eq!(server.send(&user, "PUT", "/v1/tenants/acme", "").await.0, 403);

    let (_, page) = server.send(ADMIN_TOKEN, "GET", "/v1/tenants?limit=1", "").await;
    assert_eq!(
        (&page["tenants"][0]["id"], &page["next"]),
        (&json!("acme"), &json!("acme"))
    );
    let (_, page) = server
        .send(ADMIN_TOKEN, "GET", "/v1/tenants?limit=1&page=acme", "")
        .await;
    assert_eq!(
        (&page["tenants"][0]["id"], &page["next"]),
        (&json!("other"), &Value::Null)
    );
    world.close().await;
}

#[tokio::test]
async fn bad_requests_are_problems() {
    let world = World::new().await;
    let server = Server::new(&world).await;
    let (_, user) = world.token(&system(), r#"{"role":"user","tenant":"acme"}"#).await;
    let large = "x".repeat(1024 * 1024 + 1);
    let cases = [
        ("", "GET", "/v1/tokens", "", 401),
        ("wlt_000000000000_wrong", "GET", "/v1/tokens", "", 401),
        (ADMIN_TOKEN, "POST", "/v1/tokens", "{", 400),
        (ADMIN_TOKEN, "POST", "/v1/tokens", "[]", 400),
        (ADMIN_TOKEN, "POST", "/v1/tokens", r#"["user","acme"]"#, 400),
        (ADMIN_TOKEN, "POST", "/v1/tokens", "7", 400),
        (
            ADMIN_TOKEN,
            "POST",
            "/v1/tokens",
            r#"{"role":"user","tenant":"a","role":"admin"}"#,
            400,
        ),
        (
            ADMIN_TOKEN,
            "POST",
            "/v1/tokens",
            r#"{"role":"user","tenant":"a","devices":["x"],"devices":null}"#,
            400,
        ),
        (ADMIN_TOKEN, "PUT", "/v1/tenants/a", "[3]", 400),
        (ADMIN_TOKEN, "GET", "/v1/session", "", 405),
        ("", "POST", "/v1/session", "", 401),
        ("", "DELETE", "/v1/session", "", 401),
        (ADMIN_TOKEN, "DELETE", "/v1/session", "", 400),
        (
            ADMIN_TOKEN,
            "POST",
            "/v1/tokens",
            r#"{"role":"user","tennant":"a"}"#,
            400,
        ),
        (
            ADMIN_TOKEN,
            "POST",
            "/v1/tokens?tenant=b",
            r#"{"role":"user","tenant":"a"}"#,
            400,
        ),
        (ADMIN_TOKEN, "POST", "/v1/tokens", &large, 413),
        (ADMIN_TOKEN, "GET", "/v1/tokens?limit=0", "", 400),
        (ADMIN_TOKEN, "GET", "/v1/tokens?page=x", "", 400),
        (ADMIN_TOKEN, "PUT", "/v1/tokens", "", 405),
        (ADMIN_TOKEN, "PUT", "/v1/tenants/a%2Fb", "", 400),
        (ADMIN_TOKEN, "DELETE", "/v1/tokens/nobody", "", 404),
        (&user, "GET", "/v1/tokens", "", 403),
        (&user, "GET", "/v1/tokens?tenant=other", "", 403),
    ];
    for (token, method, path, body, expected) in cases {
        let (status, problem) = server.send(token, method, path, body).await;
        assert_eq!(status, expected, "{method} {path} {problem}");
        assert_eq!(problem["status"], expected);
        assert!(problem["detail"].is_string() && problem["title"].is_string());
    }
    assert_eq!(server.send(ADMIN_TOKEN, "GET", "/v1/other", "").await.0, 418);
    world.close().await;
}

/// What [`authenticate`] makes of a request from this machine.
async fn attempt(
    world: &World,
    surface: Surface,
    method: Method,
    headers: &[(&'static str, &str)],
) -> Result<Arc<Principal>, Refusal> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect();
    let attempt = Attempt {
        method: &method,
        headers: &headers,
        uri: &Uri::from_static("/v1/events"),
        peer: Ipv4Addr::LOCALHOST.into(),
        now: world.now(),
    };
    authenticate(&world.directory, surface, attempt).await
}

const UNKNOWN: Refusal = Refusal::Denied(Denied::Unknown);

#[tokio::test]
async fn an_address_with_too_many_failures_still_gets_in_with_a_good_credential() {
    let world = World::new().await;
    let bearer = async |token: &str| {
        let value = format!("Bearer {token}");
        attempt(&world, Surface::API, Method::GET, &[("authorization", &value)]).await
    };
    for _ in 0..settings().failed_authentications_per_minute {
        assert_eq!(bearer("wrong").await, Err(UNKNOWN));
    }
    let limited = bearer("wrong").await.unwrap_err();
    assert_eq!(limited, Refusal::Limited { retry_after_s: 60 });
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(bearer(ADMIN_TOKEN).await.is_ok());
    let none = attempt(&world, Surface::API, Method::GET, &[]).await;
    assert_eq!(none, Err(Refusal::Missing), "no attempt at anything");
    world.close().await;
}

#[tokio::test]
async fn failures_are_counted_wherever_the_credential_stands() {
    let world = World::new().await;
    let malformed = [("authorization", "Basic YTpi")];
    let cookie = [("cookie", "wakeline_session=wrong")];
    let key = [("x-api-key", "wrong")];
    let mut counted = 0;
    while counted + 4 <= settings().failed_authentications_per_minute {
        for headers in [&malformed, &cookie, &key] {
            let refusal = attempt(&world, Surface::API, Method::GET, headers)
                .await
                .unwrap_err();
            assert_eq!(refusal.status(), StatusCode::UNAUTHORIZED);
        }
        let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
        let refusal = authenticate_text(&world.directory, "wrong", peer, world.now()).await;
        assert_eq!(refusal, Err(UNKNOWN));
        counted += 4;
    }
    let limited = attempt(&world, Surface::API, Method::GET, &key)
        .await
        .unwrap_err();
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
    let good = authenticate_text(&world.directory, ADMIN_TOKEN, peer, world.now()).await;
    assert!(good.is_ok());
    world.close().await;
}

#[tokio::test]
async fn a_cookie_counts_for_what_changes_something_from_an_allowed_page_only() {
    let world = World::new().await;
    let session = world.session();
    let cookie = format!("sessionid={session}");
    let from = async |method, origin: Option<&'static str>, upgrade: bool| {
        let mut headers = vec![("cookie", cookie.as_str()), ("host", "api.example.com")];
        headers.extend(origin.map(|origin| ("origin", origin)));
        headers.extend(upgrade.then_some(("upgrade", "websocket")));
        attempt(&world, Surface::API, method, &headers).await.map(drop)
    };
    let (own, other) = ("https://api.example.com", "https://evil.example");
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(from(method.clone(), None, false).await, Ok(()));
        assert_eq!(from(method, Some(other), false).await, Ok(()));
    }
    for (method, upgrade) in [
        (Method::GET, true),
        (Method::POST, false),
        (Method::PUT, false),
        (Method::PATCH, false),
        (Method::DELETE, false),
    ] {
        assert_eq!(from(method.clone(), Some(own), upgrade).await, Ok(()));
        assert_eq!(
            from(method.clone(), Some(other), upgrade).await,
            Err(Refusal::Origin)
        );
        assert_eq!(from(method, None, upgrade).await, Err(Refusal::Origin));
    }
    world.close().await;
}

#[tokio::test]
async fn what_is_given_comes_before_a_cookie_and_a_foreign_cookie_does_no_harm() {
    let world = World::new().await;
    let session = world.session();
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let cookie = format!("wakeline_session=somebody-elses; sessionid={session}");
    let both = [("cookie", cookie.as_str()), ("authorization", bearer.as_str())];
    let principal = attempt(&world, Surface::API, Method::POST, &both).await.unwrap();
    assert_eq!(principal.session, None, "no origin is asked for");
    let principal = attempt(&world, Surface::API, Method::GET, &both[..1])
        .await
        .unwrap();
    assert!(principal.session.is_some());
    let wrong = [("cookie", cookie.as_str()), ("authorization", "Bearer wrong")];
    assert_eq!(
        attempt(&world, Surface::API, Method::GET, &wrong).await,
        Err(UNKNOWN)
    );
    world.close().await;
}

/// The cookies that an answer sets, by name: value and attributes.
fn cookies(head: &Parts) -> Vec<(String, String, String)> {
    let lines = head.headers.get_all("set-cookie").iter();
    lines
        .map(|line| {
            let (pair, attributes) = line.to_str().unwrap().split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned(), attributes.to_owned())
        })
        .collect()
}

#[tokio::test]
async fn a_session_is_set_under_every_name_and_ended() {
    let world = World::new().await;
    let server = Server::new(&world).await;
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let (head, body) = server
        .request("POST", "/v1/session", &[("authorization", &bearer)], "")
        .await;
    assert_eq!((head.status.as_u16(), body.len()), (204, 0));
    let set = cookies(&head);
    let names: Vec<&str> = set.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "wakeline_session",
            "sessionid",
            "devicesdk-session",
            "pulse_session"
        ]
    );
    let session = set[0].1.clone();
    for (_, value, attributes) in &set {
        assert_eq!(*value, session);
        assert_eq!(attributes, "Path=/; Max-Age=43200; HttpOnly; SameSite=Lax");
    }
    for name in names {
        let cookie = format!("{name}={session}");
        let (head, _) = server
            .request("GET", "/v1/tokens", &[("cookie", &cookie)], "")
            .await;
        assert_eq!(head.status.as_u16(), 200, "{name}");
    }
    let cookie = format!("wakeline_session={session}");
    let from_us = [("cookie", cookie.as_str()), ("origin", "http://localhost")];
    let (head, _) = server.request("POST", "/v1/session", &from_us, "").await;
    assert_eq!(head.status.as_u16(), 401, "a session makes no session");
    let elsewhere = [("cookie", cookie.as_str()), ("origin", "http://evil.example")];
    let (head, _) = server.request("DELETE", "/v1/session", &elsewhere, "").await;
    assert_eq!(head.status.as_u16(), 403);
    for round in ["ended", "ended again"] {
        let (head, _) = server.request("DELETE", "/v1/session", &from_us, "").await;
        assert_eq!(head.status.as_u16(), 204, "{round}");
        assert!(cookies(&head).iter().all(|(_, value, attributes)| {
            value.is_empty() && attributes.starts_with("Path=/; Max-Age=0;")
        }));
        let (head, _) = server.request("GET", "/v1/tokens", &from_us, "").await;
        assert_eq!(head.status.as_u16(), 401, "{round}");
    }
    world.close().await;
}

#[tokio::test]
async fn a_session_over_tls_is_for_tls_only() {
    let world = World::new().await;
    let server = Server::new(&world).await;
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let behind_proxy = [
        ("authorization", bearer.as_str()),
        ("x-forwarded-proto", "https, http"),
    ];
    let (head, _) = server.request("POST", "/v1/session", &behind_proxy, "").await;
    assert!(
        cookies(&head)
            .iter()
            .all(|(_, _, attributes)| attributes.ends_with("; Secure"))
    );
    world.close().await;
}
