//! `GET /api/v2/devices`.

use reqwest::Url;
use serde_json::{Value, json};
use tests::api::{Answer, Api};
use tests::world::{TENANT, World};

use super::{filtered, telemetry, update};

async fn get(api: &Api, parameters: &[(&str, &str)]) -> Answer {
    let mut url = Url::parse("http://localhost/api/v2/devices").expect("a URL");
    url.query_pairs_mut().extend_pairs(parameters);
    let query = url.query().unwrap_or_default().to_owned();
    api.get(&format!("/api/v2/devices?{query}")).await
}

fn ids(answer: &Answer) -> Vec<String> {
    let devices = answer.json["devices"].as_array().expect("devices");
    let mut ids: Vec<String> = devices
        .iter()
        .map(|device| device["id"].as_str().expect("an id").to_owned())
        .collect();
    ids.sort_unstable();
    ids
}

/// Thirty devices; the tables have them.
async fn fleet(world: &World) {
    let events: Vec<Value> = (0..30)
        .map(|number| telemetry(&format!("tag-{number:02}"), json!({"speed": number})))
        .collect();
    let cursor = world.admin.send_events(&events).await;
    for number in 0..30 {
        let path = format!("/v1/devices/tag-{number:02}?min_cursor={cursor}");
        assert_eq!(world.admin.get(&path).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_that_match_are_listed_as_the_socket_sends_them() {
    let world = World::start().await;
    fleet(&world).await;
    let mut socket = filtered(&world.admin, "", "speed = 99").await;
    let cursor = world
        .admin
        .send_events(&[telemetry("tag-07", json!({"speed": 99}))])
        .await;
    let sent = update(&mut socket).await;
    let path = format!("/v1/devices/tag-07?min_cursor={cursor}");
    assert_eq!(world.admin.get(&path).await.status, 200);
    let answer = get(&world.admin, &[("q", "speed > 27 and status != \"OFFLINE\"")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(ids(&answer), ["tag-07", "tag-28", "tag-29"]);
    let listed = answer.json["devices"].as_array().expect("devices").iter();
    let listed = listed
        .filter(|device| device["id"] == "tag-07")
        .collect::<Vec<_>>();
    for name in ["id", "tenant", "speed", "created_at", "entities"] {
        assert_eq!(listed[0][name], sent[name], "{name}");
    }
    assert!(listed[0].get("fields").is_none(), "{}", listed[0]);
    assert_eq!(answer.json.as_object().map(serde_json::Map::len), Some(1));
    for parameters in [&[][..], &[("q", "")]] {
        assert_eq!(ids(&get(&world.admin, parameters).await).len(), 30);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_filter_is_a_400_with_its_column_and_so_is_what_was_before() {
    let world = World::start().await;
    for (q, found) in [("speed >", "column 8"), ("@speed > 1", "column 1")] {
        let answer = get(&world.admin, &[("q", q)]).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        let text = answer.json["error"]["filter_parse"].as_str().expect("a text");
        assert!(text.starts_with(found), "{text}");
    }
    let answer = get(&world.admin, &[("page", "nonsense?")]).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.json["error"].is_string(), "{}", answer.text);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_one_answer_may_hold_goes_on_with_next() {
    let world = World::with(|config| config.open.filter.devices_max = 7).await;
    fleet(&world).await;
    let user = world
        .client(json!({"role": "user", "devices": ["tag-01", "tag-02", "tag-03"]}))
        .await;
    for (api, expected) in [(&world.admin, 20), (&user, 0)] {
        let (mut all, mut page) = (Vec::new(), String::new());
        for number in 0.. {
            assert!(number < 30, "pages end");
            let answer = get(api, &[("q", "speed >= 10"), ("page", &page)]).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert!(ids(&answer).len() <= 7, "{}", answer.text);
            all.extend(ids(&answer));
            match answer.json["next"].as_str() {
                Some(next) => page = next.to_owned(),
                None => break,
            }
        }
        all.sort_unstable();
        let whole = all.len();
        all.dedup();
        assert_eq!((whole, all.len()), (expected, expected));
    }
    // Whoever asks for no pages does not get a part as if it were all.
    let answer = get(&world.admin, &[("q", "speed >= 10")]).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.json["error"].is_string() && answer.json.get("devices").is_none());
    assert_eq!(ids(&get(&user, &[("q", "speed >= 2")]).await).len(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_needs_a_bearer_that_reads_and_shows_its_scope() {
    let world = World::start().await;
    fleet(&world).await;
    let ingest = world.client(json!({"role": "ingest"})).await;
    for (token, status, error) in [
        ("", 401, "unauthorized"),
        ("nonsense", 401, "unauthorized"),
        (&*ingest.token, 403, "forbidden"),
    ] {
        let answer = get(&world.admin.with_token(token), &[]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json),
            (status, json!({"error": error}))
        );
    }
    let query = [("token", &*world.admin.token)];
    let answer = get(&world.admin.with_token(""), &query).await;
    assert_eq!(answer.status, 401);
    let user = world
        .client(json!({"role": "user", "devices": ["tag-05", "tag-09", "absent"]}))
        .await;
    assert_eq!(ids(&get(&user, &[]).await), ["tag-05", "tag-09"]);
    assert_eq!(ids(&get(&user, &[("q", "speed > 5")]).await), ["tag-09"]);
    assert_eq!(ids(&get(&user, &[("q", "id = \"tag-06\"")]).await), [""; 0]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_devices_as_one_answer_may_hold_come_without_pages_and_one_more_does_not() {
    let world = World::with(|config| config.open.filter.devices_max = 7).await;
    fleet(&world).await;
    let answer = get(&world.admin, &[("q", "speed >= 23")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(ids(&answer).len(), 7);
    let answer = get(&world.admin, &[("q", "speed >= 22")]).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_devices_than_may_be_looked_at_are_told_from_none() {
    let world = World::with(|config| {
        config.open.filter.devices_max = 10;
        config.open.filter.looks_max = 20;
    })
    .await;
    fleet(&world).await;
    let answer = get(&world.admin, &[("q", "speed = 99")]).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let (mut looks, mut page) = (0, String::new());
    loop {
        let answer = get(&world.admin, &[("q", "speed = 99"), ("page", &page)]).await;
        assert_eq!(ids(&answer), [""; 0]);
        looks += 1;
        match answer.json["next"].as_str() {
            Some(next) => page = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(looks, 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_for_which_there_is_no_room_are_503_and_those_of_others_are_not() {
    let world = World::with(|config| {
        config.open.filter.held_tenant_bytes_max = 1 << 20;
        config.native.list_held_tenant_bytes_max = 1 << 19;
    })
    .await;
    fleet(&world).await;
    let operator = &world.node.api;
    for (path, busy) in [("/api/v2/devices", "error"), ("/v1/devices", "detail")] {
        let answer = world.admin.get(path).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.text);
        assert!(answer.json[busy].is_string(), "{path}: {}", answer.text);
        assert!(answer.headers.contains_key("retry-after"), "{path}");
        let answer = operator.get(&format!("{path}?tenant={TENANT}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    world.end().await;
}
