//! The routes, over a loopback connection.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use access::http::{AdministrationService, Handled, HttpService, Surface, authenticate, routes};
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
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {token}"))
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { connection.await.unwrap() });
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
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

#[tokio::test]
async fn an_address_with_too_many_failures_still_gets_in_with_a_good_credential() {
    let world = World::new().await;
    let peer: IpAddr = Ipv4Addr::LOCALHOST.into();
    let attempt = |token: &str| {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        let headers = HeaderMap::from_iter([(::http::header::AUTHORIZATION, value)]);
        let uri = Uri::from_static("/v1/events");
        let outcome = authenticate(&world.directory, Surface::Api, &headers, &uri, peer, world.now());
        outcome.map_err(|problem| problem.status().as_u16())
    };
    for _ in 0..settings().failed_authentications_per_minute {
        assert_eq!(attempt("wrong").unwrap_err(), 401);
    }
    assert_eq!(attempt("wrong").unwrap_err(), 429);
    assert!(attempt(ADMIN_TOKEN).is_ok());
    world.close().await;
}
