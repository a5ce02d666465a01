//! `/lock-events` and `/health`.

use serde_json::{Value, json};
use tests::api::{Answer, Api};
use tests::wait::until;
use tests::world::World;

use super::lock;

async fn search(api: &Api, query: &str) -> Answer {
    let request = api
        .with_token("")
        .request(reqwest::Method::GET, &format!("/lock-events?{query}"));
    api.send(request.header("X-API-Key", &api.token)).await
}

fn ids(answer: &Answer) -> Vec<&str> {
    let events = answer.json["events"].as_array().expect("events");
    events
        .iter()
        .filter_map(|event| event["event_id"].as_str())
        .collect()
}

async fn four(world: &World) {
    let other: Value = json!({"device": "DEF456", "kind": "lock", "id": "d", "locked": false, "source": "key",
        "time": "2025-12-18T10:30:00Z"});
    for event in [
        lock(true, "a", "rfid", json!({"code": "1234"})),
        lock(false, "b", "keypad", json!({"code": "9"})),
        lock(true, "c", "remote", json!({"metadata": {"by": "ann"}})),
        other,
    ] {
        world.admin.send_events(&[event]).await;
    }
    until("the history has them", async || {
        (ids(&search(&world.admin, "").await).len() == 4).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lock_events_that_lie_beyond_the_rows_that_may_be_looked_through_are_told_from_none() {
    let world = World::with(|config| config.open.lock_rows_max = 4).await;
    four(&world).await;
    assert_eq!(ids(&search(&world.admin, "source=rfid").await), ["a"]);
    world
        .admin
        .send_events(&[lock(true, "e", "key", json!({}))])
        .await;
    until("the history has it", async || {
        ids(&search(&world.admin, "limit=1").await)
            .contains(&"e")
            .then_some(())
    })
    .await;
    let found = search(&world.admin, "source=rfid").await;
    let error = found.json["error"].as_str().unwrap_or_default();
    assert!(
        found.status == 400 && error.contains("hardware_id"),
        "{} {error}",
        found.status
    );
    assert_eq!(ids(&search(&world.admin, "limit=4").await), ["e", "d", "c", "b"]);
    let narrowed = search(&world.admin, "source=rfid&hardware_id=ABC123").await;
    assert_eq!(ids(&narrowed), ["a"]);
    // What a key does not cover is looked through all the same.
    let user = world.client(json!({"role": "user", "devices": ["DEF456"]})).await;
    assert_eq!(search(&user, "").await.status, 400);
    assert_eq!(ids(&search(&user, "hardware_id=DEF456").await), ["d"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lock_events_are_found_newest_first_by_every_filter() {
    let world = World::start().await;
    four(&world).await;
    for (query, expected) in [
        ("", vec!["d", "c", "b", "a"]),
        ("hardware_id=ABC123", vec!["c", "b", "a"]),
        ("source=rfid", vec!["a"]),
        ("event=unlock", vec!["d", "b"]),
        ("code=9", vec!["b"]),
        ("from=2025-12-18T00:00:00Z", vec!["d"]),
        ("to=2025-12-18T00:00:00Z", vec!["c", "b", "a"]),
        ("limit=2&offset=1", vec!["c", "b"]),
        ("hardware_id=none", vec![]),
    ] {
        assert_eq!(ids(&search(&world.admin, query).await), expected, "{query}");
    }
    let page = search(&world.admin, "limit=2&offset=3").await;
    assert_eq!(
        page.json,
        json!({
            "events": [{"event_id": "a", "hardware_id": "ABC123", "event": "lock",
                "timestamp": "2025-12-17T10:30:00.000Z", "source": "rfid", "code": "1234"}],
            "pagination": {"limit": 2, "offset": 3, "returned": 1},
        })
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_finds_what_it_covers() {
    let world = World::start().await;
    four(&world).await;
    let user = world.client(json!({"role": "user", "devices": ["DEF456"]})).await;
    assert_eq!(ids(&search(&user, "").await), ["d"]);
    assert!(ids(&search(&user, "hardware_id=ABC123").await).is_empty());
    let none = world.client(json!({"role": "user"})).await;
    assert!(ids(&search(&none, "").await).is_empty());
    let other = world
        .node
        .api
        .token(&json!({"role": "admin", "tenant": "other"}))
        .await;
    assert!(ids(&search(&world.admin.with_token(&other), "").await).is_empty());
    let nobody = search(&world.admin.with_token("nonsense"), "").await;
    assert_eq!(
        (nobody.status.as_u16(), &nobody.json),
        (401, &json!({"error": "Unauthorized"}))
    );
    for query in [
        "limit=0",
        "limit=1001",
        "event=dance",
        "source=magic",
        "from=yesterday",
    ] {
        let answer = search(&world.admin, query).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.json["error"].is_string(), "{query}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_needs_no_key() {
    let world = World::start().await;
    let answer = world.admin.with_token("").get("/health").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json["status"]),
        (200, &json!("ok"))
    );
    assert!(
        answer.json["timestamp"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
    world.end().await;
}
