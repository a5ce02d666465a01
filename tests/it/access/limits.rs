//! Failed attempts are limited on every way in, and whoever has a good credential gets in all the same.

use serde_json::json;
use tests::stream::{Carrier, Ended, Streaming};
use tests::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_count_on_every_path_and_a_good_credential_still_gets_in() {
    for path in [
        "/v1/devices",
        "/v1/tokens",
        "/v1/stream",
        "/v1/connect",
        "/v1/summary",
    ] {
        let world = World::with(|config| config.failed_authentications_per_minute = 3).await;
        let wrong = world.admin.with_token("wrong");
        for _ in 0..3 {
            assert_eq!(wrong.get(path).await.status, 401, "{path}");
        }
        let limited = wrong.get(path).await;
        assert_eq!(limited.status, 429, "{path}");
        let wait: u64 = limited.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{path}: {wait}");
        for other in ["/v1/devices", "/v1/stream"] {
            assert_eq!(wrong.get(other).await.status, 429, "{path}, then {other}");
        }
        assert_eq!(wrong.post("/v1/events", &json!([])).await.status, 429, "{path}");
        let socket = Streaming::open(&wrong, Carrier::WebSocket, "", None).await;
        assert!(matches!(socket, Err(Ended::Status(429, _))), "{path}");
        assert_eq!(world.admin.get("/v1/devices").await.status, 200, "{path}");
        let good = Streaming::open(&world.admin, Carrier::WebSocket, "", None).await;
        assert!(good.is_ok(), "{path}");
        let none = world.admin.with_token("").get(path).await;
        assert_eq!(none.status, 401, "{path}: no attempt at anything");
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_behind_a_trusted_proxy_are_told_apart_and_others_are_not_believed() {
    for trusted in [true, false] {
        let world = World::with(|config| {
            config.failed_authentications_per_minute = 1;
            if trusted {
                config.front_door.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            }
        })
        .await;
        let wrong = world.admin.with_token("wrong");
        let from = async |address: &str| {
            let request = wrong.request(reqwest::Method::GET, "/v1/devices");
            let answer = wrong.send(request.header("x-forwarded-for", address)).await;
            answer.status.as_u16()
        };
        assert_eq!(from("198.51.100.1").await, 401);
        assert_eq!(from("198.51.100.1").await, 429);
        assert_eq!(from("198.51.100.2").await, if trusted { 401 } else { 429 });
        world.end().await;
    }
}
