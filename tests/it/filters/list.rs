//! Lists of devices with a filter.

use serde_json::{Value, json};
use tests::api::Api;
use tests::world::World;

use super::{drives, with_q};

/// Every page, and the ids on each.
async fn pages(api: &Api, query: &str) -> Vec<Vec<String>> {
    let (mut pages, mut page) = (Vec::new(), None);
    loop {
        let from = page.map_or_else(String::new, |page| format!("&page={page}"));
        let answer = api.get(&format!("/v1/devices?{query}{from}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let ids = answer.json["devices"].as_array().expect("devices").iter();
        pages.push(
            ids.map(|device| device["id"].as_str().expect("an id").to_owned())
                .collect(),
        );
        page = answer.json["next"].as_str().map(str::to_owned);
        if page.is_none() {
            return pages;
        }
        assert!(pages.len() < 1_000, "pages end");
    }
}

async fn all(api: &Api, query: &str) -> Vec<String> {
    let mut ids = pages(api, query).await.concat();
    ids.sort_unstable();
    ids
}

/// Forty devices, of which every tenth is fast, and one more.
async fn fleet(world: &World) {
    let mut events: Vec<Value> = (0..40)
        .map(|number| {
            drives(
                &format!("bus-{number:02}"),
                if number % 10 == 3 { 90 } else { number },
                None,
            )
        })
        .collect();
    events.push(drives("tram", 20, Some("A")));
    let cursor = world.admin.send_events(&events).await;
    for number in 0..40 {
        let path = format!("/v1/devices/bus-{number:02}?min_cursor={cursor}");
        assert_eq!(world.admin.get(&path).await.status, 200);
    }
    let path = format!("/v1/devices/tram?min_cursor={cursor}");
    assert_eq!(world.admin.get(&path).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_together_have_each_device_that_passes_once() {
    let world = World::start().await;
    fleet(&world).await;
    let fast = ["bus-03", "bus-13", "bus-23", "bus-33"];
    for limit in [1, 2, 3, 4, 5, 100, 1_000] {
        let query = with_q(&format!("limit={limit}"), "speed > 80");
        let pages = pages(&world.admin, &query).await;
        assert!(pages.iter().all(|page| page.len() <= limit), "{limit}: {pages:?}");
        let mut ids = pages.concat();
        ids.sort_unstable();
        assert_eq!(ids, fast, "limit {limit}");
    }
    for (q, expected) in [
        ("id = \"tram\" or id = \"bus-03\"", vec!["bus-03", "tram"]),
        ("id = \"tram\" and speed > 80", vec![]),
        ("zone = \"A\"", vec!["tram"]),
        ("id = \"tram\" and id = \"bus-03\"", vec![]),
    ] {
        assert_eq!(all(&world.admin, &with_q("limit=3", q)).await, expected, "{q}");
    }
    assert_eq!(all(&world.admin, "limit=7").await.len(), 41);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_has_looked_at_enough_says_where_to_go_on() {
    let world = World::with(|config| {
        config.native.list_documents_max = 5;
        config.native.page_items = 2;
    })
    .await;
    fleet(&world).await;
    let query = with_q("limit=2", "speed > 80");
    let pages = pages(&world.admin, &query).await;
    assert!(pages.len() > 6, "{pages:?}");
    let mut ids = pages.concat();
    ids.sort_unstable();
    assert_eq!(ids, ["bus-03", "bus-13", "bus-23", "bus-33"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_lists_nothing_beyond_the_credential() {
    let world = World::start().await;
    fleet(&world).await;
    let user = world
        .client(json!({"role": "user", "devices": ["bus-03", "bus-04", "bus-13", "tram", "nobody"]}))
        .await;
    for limit in [1, 2, 100] {
        let query = with_q(&format!("limit={limit}"), "speed > 80 or id = \"bus-23\"");
        assert_eq!(all(&user, &query).await, ["bus-03", "bus-13"], "limit {limit}");
    }
    let other = world
        .node
        .api
        .token(&json!({"role": "admin", "tenant": "other"}))
        .await;
    let other = world.admin.with_token(&other);
    assert!(
        all(&other, &with_q("", "speed or tenant = \"acme\""))
            .await
            .is_empty()
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_filter_and_one_that_asks_for_what_was_before_are_400s_that_point_at_the_column() {
    let world = World::start().await;
    for (q, column) in [
        ("speed == 80", 7),
        ("", 1),
        ("speed > 80 and @speed < 80", 16),
        ("name = 'Depot'", 8),
    ] {
        let answer = world
            .admin
            .get(&format!("/v1/devices?{}", with_q("limit=3", q)))
            .await;
        assert_eq!(answer.status, 400, "{q}: {}", answer.text);
        assert_eq!(answer.json["parameter"], "q", "{}", answer.text);
        assert_eq!(answer.json["column"], column, "{}", answer.text);
        let type_of = answer.headers["content-type"].to_str().expect("text");
        assert_eq!(type_of, "application/problem+json");
    }
    world.end().await;
}
