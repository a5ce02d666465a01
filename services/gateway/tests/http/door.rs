//! The front door itself: limits, manners, TLS.

use std::sync::Arc;
use std::time::Duration;

use gateway::FrontDoorSettings;
use gateway::front_door::tls::server_config;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::{Gateway, Options, Reading, SYSTEM, within};

async fn with(door: FrontDoorSettings) -> Gateway {
    Gateway::start(Options {
        door,
        ..Options::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_comes_too_slowly_is_given_up() {
    let gateway = with(FrontDoorSettings {
        head_timeout: Duration::from_millis(100),
        ..Default::default()
    })
    .await;
    let answer = gateway.send("GET /v1/stream HT").await;
    assert_eq!(answer.status, 408);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_too_long_is_refused() {
    let gateway = with(FrontDoorSettings {
        head_bytes_max: 10_000,
        ..Default::default()
    })
    .await;
    let answer = gateway
        .send(&format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(20_000)))
        .await;
    assert_eq!(answer.status, 431);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_a_400_and_harms_nobody() {
    let gateway = with(FrontDoorSettings::default()).await;
    assert_eq!(gateway.send("\u{1}\u{2}\r\n\r\n").await.status, 400);
    assert_eq!(gateway.get("/v1/devices?tenant=acme").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_paths_and_wrong_methods_are_told_apart() {
    let gateway = with(FrontDoorSettings::default()).await;
    let missing = gateway.get("/nowhere").await;
    assert_eq!(missing.status, 404);
    assert!(missing.head.contains("application/problem+json"), "{missing:?}");
    for (method, path, allow) in [
        ("POST", "/v1/stream", "get"),
        ("PUT", "/v1/devices/a", "get, delete"),
    ] {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let answer = gateway.send(&request).await;
        assert_eq!(answer.status, 405);
        assert!(answer.head.contains(&format!("allow: {allow}")), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_cap_connections_are_told_to_come_back() {
    let gateway = with(FrontDoorSettings {
        connections_max: 1,
        ..Default::default()
    })
    .await;
    let held = gateway.connect("GET /v1/").await;
    let request = |accept: &str| format!("GET /v1/stream HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
    // The first connection has its place once a second one is refused.
    within("the refusal", async {
        while gateway.send(&request("*/*")).await.status != 503 {}
    })
    .await;
    let answer = gateway.send(&request("text/event-stream")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("event: fault\nretry: "), "{answer:?}");
    drop(held);
    within("a free place", async {
        while gateway.send(&request("*/*")).await.status == 503 {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_allowed_origins_may_stream() {
    let door = FrontDoorSettings {
        allowed_origins: vec!["https://app.example".to_owned()],
        ..Default::default()
    };
    let gateway = with(door).await;
    let mut stream = gateway
        .stream("tenant=acme", "Origin: https://app.example\r\n")
        .await;
    let head = stream.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(
        head.contains("access-control-allow-origin: https://app.example"),
        "{head}"
    );
    let preflight = gateway
        .send("OPTIONS /v1/events HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: POST\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(preflight.status, 204);
    assert!(preflight.head.contains("last-event-id"), "{preflight:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_counted_by_the_address_that_a_trusted_proxy_names() {
    let door = FrontDoorSettings {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..Default::default()
    };
    let gateway = with(door).await;
    let request = |client: &str| {
        format!("GET /v1/stream HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {client}\r\nX-API-Key: bad\r\n\r\n")
    };
    for _ in 0..20 {
        assert_eq!(gateway.send(&request("192.0.2.1")).await.status, 401);
    }
    assert_eq!(gateway.send(&request("192.0.2.1")).await.status, 429);
    assert_eq!(gateway.send(&request("192.0.2.2")).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_front_door_that_closes_finishes_what_is_under_way_and_takes_no_more() {
    let gateway = with(FrontDoorSettings::default()).await;
    let mut kept = Reading::new(gateway.connect("GET /subjects HTTP/1.1\r\nHost: x\r\n\r\n").await);
    kept.until("wakeline.events-value").await;
    gateway.cancel.cancel();
    within("the end of listening", async {
        while TcpStream::connect(gateway.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A gateway with TLS, and what a client must trust.
async fn secured() -> (Gateway, CertificateDer<'static>) {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (issued.cert.pem(), issued.signing_key.serialize_pem());
    let tls = Some(server_config(chain.as_bytes(), key.as_bytes()).unwrap());
    (
        Gateway::start(Options {
            tls,
            ..Options::default()
        })
        .await,
        issued.cert.der().clone(),
    )
}

async fn dial(
    gateway: &Gateway,
    trusted: CertificateDer<'static>,
    protocol: &str,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let socket = TcpStream::connect(gateway.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    within("the handshake", connector.connect(name, socket))
        .await
        .unwrap()
}

const READING: &str = r#"{"kind":"telemetry","fields":{"speed":1}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_runs_over_tls() {
    let (gateway, trusted) = secured().await;
    let mut io = dial(&gateway, trusted, "http/1.1").await;
    let request = format!("GET /v1/stream?tenant=acme&token={SYSTEM} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    io.write_all(request.as_bytes()).await.unwrap();
    let mut stream = Reading::new(io);
    stream.until("event: hello").await;
    gateway.append("bus", READING).await;
    stream.until("\"device\":\"bus\"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_runs_over_tls() {
    use futures::StreamExt as _;
    let (gateway, trusted) = secured().await;
    let io = dial(&gateway, trusted, "http/1.1").await;
    let url = format!("wss://localhost/v1/stream?tenant=acme&token={SYSTEM}");
    let (mut socket, _) = within("the upgrade", Box::pin(tokio_tungstenite::client_async(url, io)))
        .await
        .unwrap();
    gateway.append("bus", READING).await;
    loop {
        let message = within("an event", socket.next()).await.unwrap().unwrap();
        if message.to_text().unwrap().contains("\"device\":\"bus\"") {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_runs_over_http_2() {
    use http_body_util::BodyExt as _;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let (gateway, trusted) = secured().await;
    let io = TokioIo::new(dial(&gateway, trusted, "h2").await);
    let (mut client, connection) = hyper::client::conn::http2::handshake::<
        _,
        _,
        http_body_util::Empty<bytes::Bytes>,
    >(TokioExecutor::new(), io)
    .await
    .unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://localhost/v1/stream?tenant=acme")
        .header("authorization", format!("Bearer {SYSTEM}"))
        .body(http_body_util::Empty::new())
        .unwrap();
    let response = within("the head", client.send_request(request)).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    gateway.append("bus", READING).await;
    let mut body = response.into_body();
    let mut seen = String::new();
    while !seen.contains("\"device\":\"bus\"") {
        let frame = within("a frame", body.frame()).await.unwrap().unwrap();
        seen.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_take_its_answers_is_cut_off() {
    let gateway = with(FrontDoorSettings {
        connections_max: 1,
        write_timeout: Duration::from_millis(300),
        ..Default::default()
    })
    .await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut stuck = socket.connect(gateway.address).await.unwrap();
    // More answers than any buffer on the way holds; not one is read.
    let request = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    within("the connection is cut", async {
        while stuck.write_all(request.as_bytes()).await.is_ok() {}
    })
    .await;
    within("its place is free", async {
        while gateway
            .send("GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .status
            != 404
        {}
    })
    .await;
}
