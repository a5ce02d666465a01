//! JWTs of an outside issuer.

use access::jwt::Algorithm;
use node::config::Config;
use serde_json::{Value, json};
use tests::api::{Api, reading};
use tests::issuer::{Issuer, Published, claims, jwks};
use tests::stream::{Carrier, Ended, Streaming};
use tests::wait::until;
use tests::world::{TENANT, World};

/// A world that knows this issuer by a JWK set in a file.
async fn world(issuer: &Issuer, change: impl FnOnce(&mut Config)) -> (World, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("jwks.json");
    std::fs::write(&file, jwks(&[issuer])).expect("written");
    let world = World::with(|config| {
        config.jwt.jwks_file = Some(file);
        change(config);
    })
    .await;
    is_known(&world, issuer).await;
    (world, dir)
}

/// Waits until the node has read its keys.
async fn is_known(world: &World, issuer: &Issuer) {
    let known = world
        .admin
        .with_token(&issuer.sign(&claims(TENANT, "customer", 60)));
    until("the keys are read", async || {
        (known.get("/v1/devices").await.status != 503).then_some(())
    })
    .await;
}

fn bearer(world: &World, token: &str) -> Api {
    world.admin.with_token(token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_algorithm_gets_in_by_each_source_of_keys() {
    for algorithm in Algorithm::ALL {
        let issuer = Issuer::new(algorithm, "k1");
        let dir = tempfile::tempdir().expect("a directory");
        let (key, set) = (dir.path().join("key"), dir.path().join("jwks.json"));
        std::fs::write(&key, &issuer.public).expect("written");
        std::fs::write(&set, jwks(&[&issuer])).expect("written");
        let published = Published::start(jwks(&[&issuer])).await;
        for source in 0..3 {
            let world = World::with(|config| match source {
                0 => {
                    config.jwt.key_file = Some(key.clone());
                    config.jwt.algorithm = Some(algorithm);
                }
                1 => config.jwt.jwks_file = Some(set.clone()),
                _ => config.jwt.jwks_url = Some(published.url.clone()),
            })
            .await;
            is_known(&world, &issuer).await;
            world.admin.send_events(&[reading("bus", 1)]).await;
            let good = bearer(&world, &issuer.token(TENANT, "customer", 60));
            let answer = good.get("/v1/devices").await;
            assert_eq!(answer.status, 200, "{algorithm:?} {source}: {}", answer.text);
            let stranger = Issuer::new(algorithm, "k1");
            let forged = bearer(&world, &stranger.token(TENANT, "customer", 60));
            assert_eq!(forged.get("/v1/devices").await.status, 401);
            world.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_wrong_is_told_as_401() {
    let issuer = Issuer::new(Algorithm::Es256, "k1");
    let (world, _dir) = world(&issuer, |config| {
        config.jwt.issuer = Some("https://id.example.com/realms/fleet".to_owned());
        config.jwt.audience = vec!["wakeline".to_owned()];
    })
    .await;
    let status = async |change: Value| {
        let mut claims = claims(TENANT, "customer", 60);
        for (name, value) in change.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        bearer(&world, &issuer.sign(&claims))
            .get("/v1/devices")
            .await
            .status
    };
    assert_eq!(status(json!({})).await, 200);
    for wrong in [
        json!({"iss": "https://id.example.com/realms/other"}),
        json!({"aud": "account"}),
        json!({"exp": 1_700_000_000}),
        json!({"exp": null}),
        json!({"nbf": 4_000_000_000_i64}),
    ] {
        assert_eq!(status(wrong.clone()).await, 401, "{wrong}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_say_how_far_a_token_reaches_and_the_tenants_walls_stand() {
    let issuer = Issuer::new(Algorithm::Es256, "k1");
    let (world, _dir) = world(&issuer, |_| {}).await;
    world.admin.send_events(&[reading("bus", 1)]).await;
    for (role, reads, tokens) in [
        ("customer", 200, 403),
        ("operator", 200, 403),
        ("tenant-admin", 200, 200),
        ("operator-admin", 200, 200),
        ("gardener", 403, 403),
    ] {
        let api = bearer(&world, &issuer.token(TENANT, role, 60));
        assert_eq!(api.get("/v1/devices").await.status, reads, "{role}");
        assert_eq!(api.get("/v1/tokens").await.status, tokens, "{role}");
        let sent = api.post("/v1/events", &json!([])).await.status;
        assert_eq!(sent, tokens, "{role}");
        for path in ["/v1/devices?tenant=other", "/v1/summary?tenant=other"] {
            assert_eq!(api.get(path).await.status, 403, "{role} {path}");
        }
        let stream = Streaming::open(&api, Carrier::Sse, "", None).await;
        let refused = stream.err().map(|ended| matches!(ended, Ended::Status(403, _)));
        assert_eq!(refused, (reads == 403).then_some(true), "{role}");
    }
    let foreign = bearer(&world, &issuer.token("other", "tenant-admin", 60));
    assert_eq!(foreign.get("/v1/devices/bus").await.status, 404);
    let devices = foreign.get("/v1/devices").await;
    assert_eq!(
        (devices.status.as_u16(), &devices.json["devices"]),
        (200, &json!([]))
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_without_a_tenant_reaches_nothing() {
    let issuer = Issuer::new(Algorithm::Hs256, "k1");
    let (world, _dir) = world(&issuer, |_| {}).await;
    for (organization, tenant_id) in [
        (json!(null), json!(null)),
        (json!({"acme": {}, "other": {}}), json!(null)),
        (json!(["acme", "other"]), json!("third")),
    ] {
        let mut claims = claims(TENANT, "operator-admin", 60);
        claims["organization"] = organization;
        claims["tenant_id"] = tenant_id;
        let api = bearer(&world, &issuer.sign(&claims));
        for path in ["/v1/devices", "/v1/devices?tenant=acme", "/v1/stream"] {
            assert_eq!(api.get(path).await.status, 403, "{claims} {path}");
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_token_does() {
    let issuer = Issuer::new(Algorithm::Es256, "k1");
    let (world, _dir) = world(&issuer, |_| {}).await;
    let claims = claims(TENANT, "customer", 3);
    let ends_at = claims["exp"].as_i64().expect("a time") * 1_000;
    let api = bearer(&world, &issuer.sign(&claims));
    let socket = Streaming::open(&api, Carrier::WebSocket, "", None).await;
    let events = Streaming::open(&api, Carrier::Sse, "", None).await;
    let (socket, events) = tokio::join!(socket.expect("a stream").end(), events.expect("a stream").end());
    let late_ms = jiff::Timestamp::now().as_millisecond() - ends_at;
    assert_eq!(socket.0, Ended::Closed(4401));
    assert_eq!(events.1.as_deref(), Some("fault"));
    assert!((0..1_000).contains(&late_ms), "{late_ms} ms after its end");
    for carrier in [Carrier::Sse, Carrier::WebSocket] {
        let again = Streaming::open(&api, carrier, "", None).await;
        assert!(matches!(again, Err(Ended::Status(401, _))), "{carrier:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebodys_tokens_are_revoked_by_their_subject() {
    let issuer = Issuer::new(Algorithm::Es256, "k1");
    let (world, _dir) = world(&issuer, |_| {}).await;
    let mut before = claims(TENANT, "customer", 60);
    before["iat"] = json!(before["iat"].as_i64().expect("a time") - 10);
    let api = bearer(&world, &issuer.sign(&before));
    let stream = Streaming::open(&api, Carrier::WebSocket, "", None).await;
    let mut other = before.clone();
    other["sub"] = json!("somebody-else");
    let other = bearer(&world, &issuer.sign(&other));
    let path = "/v1/tokens/jwt%3A6f1c9a52-somebody";
    assert_eq!(world.admin.delete(path).await.status, 404, "not an admin's to do");
    assert_eq!(world.node.api.delete(path).await.status, 204);
    assert_eq!(stream.expect("a stream").end().await.0, Ended::Closed(4401));
    assert_eq!(api.get("/v1/devices").await.status, 401);
    assert_eq!(other.get("/v1/devices").await.status, 200);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_an_issuer_whose_clock_is_ahead_are_revoked_too_and_all_at_once() {
    let issuer = Issuer::new(Algorithm::Es256, "k1");
    let (world, _dir) = world(&issuer, |_| {}).await;
    let mut ahead = claims(TENANT, "customer", 60);
    ahead["iat"] = json!(ahead["iat"].as_i64().expect("a time") + 20);
    let mut other = ahead.clone();
    other["sub"] = json!("somebody-else");
    let (somebody, other) = (
        bearer(&world, &issuer.sign(&ahead)),
        bearer(&world, &issuer.sign(&other)),
    );
    assert_eq!(somebody.get("/v1/devices").await.status, 200);
    let path = "/v1/tokens/jwt%3A6f1c9a52-somebody";
    assert_eq!(world.node.api.delete(path).await.status, 204);
    assert_eq!(somebody.get("/v1/devices").await.status, 401);
    assert_eq!(other.get("/v1/devices").await.status, 200);
    assert_eq!(world.node.api.delete("/v1/tokens/jwt%3A%2A").await.status, 204);
    assert_eq!(other.get("/v1/devices").await.status, 401);
    world.end().await;
}
