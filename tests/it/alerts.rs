//! Alert rules, the alerts they open, and who settles them.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::api::{Api, reading};
use tests::wait::until;
use tests::world::World;

fn rule(when: &str) -> Value {
    json!({"when": when, "alert_type": "HIGH", "severity": 3, "summary": "n is high"})
}

async fn put(api: &Api, id: &str, rule: &Value) {
    let answer = api.put(&format!("/v1/rules/{id}"), rule).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
}

async fn alerts(api: &Api, query: &str) -> Vec<Value> {
    let answer = api.get(&format!("/v1/alerts?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json["alerts"].as_array().expect("alerts").clone()
}

async fn stand(api: &Api, count: usize) -> Vec<Value> {
    until(&format!("{count} alerts stand"), || async {
        let alerts = alerts(api, "").await;
        (alerts.len() == count).then_some(alerts)
    })
    .await
}

async fn counted(api: &Api, open: u64, acknowledged: u64) {
    let expected = json!({"OPEN": open, "ACKNOWLEDGED": acknowledged});
    until(&format!("the summary counts {expected}"), || async {
        let summary = api.get("/v1/summary").await;
        (summary.json["alerts"] == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_opens_with_its_rule_is_acknowledged_and_ends_with_it() {
    let world = World::start().await;
    let api = &world.admin;
    put(api, "high", &rule("n > 80")).await;
    api.send_events(&[reading("bus", 95), reading("tram", 20)]).await;
    let opened = stand(api, 1).await.remove(0);
    assert_eq!(
        (&opened["device"], &opened["status"]),
        (&json!("bus"), &json!("OPEN"))
    );
    assert_eq!(
        (&opened["alert_type"], &opened["severity"], &opened["summary"]),
        (&json!("HIGH"), &json!(3), &json!("n is high"))
    );
    counted(api, 1, 0).await;
    let path = format!("/v1/alerts/{}", opened["alert_id"].as_str().expect("an id"));
    let acknowledged = api.post(&format!("{path}/acknowledge"), &json!({})).await;
    assert_eq!(acknowledged.status, StatusCode::OK, "{}", acknowledged.text);
    assert_eq!(acknowledged.json["status"], "ACKNOWLEDGED");
    assert_eq!(alerts(api, "status=ACKNOWLEDGED").await, [acknowledged.json]);
    assert!(alerts(api, "status=OPEN").await.is_empty());
    counted(api, 0, 1).await;
    api.send_events(&[reading("bus", 96), reading("bus", 10)]).await;
    stand(api, 0).await;
    counted(api, 0, 0).await;
    let closed = alerts(api, "status=CLOSED").await;
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0]["alert_id"], opened["alert_id"]);
    let mut steps = world.events().await;
    steps.retain(|event| event["kind"] == "alert");
    let steps: Vec<&Value> = steps.iter().map(|event| &event["status"]).collect();
    assert_eq!(steps, ["OPEN", "ACKNOWLEDGED", "CLOSED"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_is_put_read_replaced_and_deleted() {
    let world = World::start().await;
    let api = &world.admin;
    api.send_events(&[reading("bus", 95)]).await;
    put(api, "high", &rule("n > 80")).await;
    // It finds who satisfies it already.
    stand(api, 1).await;
    let mut shown = rule("n > 80");
    shown["id"] = json!("high");
    assert_eq!(api.get("/v1/rules/high").await.json, shown);
    assert_eq!(api.get("/v1/rules").await.json["rules"], json!([shown]));
    let replaced = api.put("/v1/rules/high", &rule("n > 99")).await;
    assert_eq!(replaced.status, StatusCode::OK, "{}", replaced.text);
    stand(api, 0).await;
    api.send_events(&[reading("bus", 100)]).await;
    stand(api, 1).await;
    assert_eq!(api.delete("/v1/rules/high").await.status, StatusCode::NO_CONTENT);
    stand(api, 0).await;
    assert_eq!(api.delete("/v1/rules/high").await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.get("/v1/rules/high").await.status, StatusCode::NOT_FOUND);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_may_speak_of_a_change() {
    let world = World::start().await;
    let api = &world.admin;
    put(api, "fell", &rule("@n > 50 and n <= 50")).await;
    put(api, "known", &rule("n > 50")).await;
    api.send_events(&[reading("bus", 60)]).await;
    // The rules are in force, and the device is ONLINE, which ends what an earlier change opened.
    stand(api, 1).await;
    until("the device is online", || async {
        let document = api.get("/v1/devices/bus").await.json;
        (document["status"] == "ONLINE").then_some(())
    })
    .await;
    assert_eq!(api.delete("/v1/rules/known").await.status, StatusCode::NO_CONTENT);
    stand(api, 0).await;
    api.send_events(&[reading("bus", 40)]).await;
    let opened = stand(api, 1).await.remove(0);
    let is_of_it = |alert: &Value| {
        alert["alert_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("fell~"))
    };
    assert!(is_of_it(&opened), "{opened}");
    api.send_events(&[reading("bus", 30)]).await;
    stand(api, 0).await;
    let closed = alerts(api, "status=CLOSED").await;
    assert_eq!(
        closed.iter().filter(|alert| is_of_it(alert)).count(),
        1,
        "{closed:?}"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_filter_is_refused_with_its_column() {
    let world = World::start().await;
    let answer = world.admin.put("/v1/rules/bad", &rule("n == 80")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(
        (&answer.json["member"], &answer.json["column"]),
        (&json!("when"), &json!(3))
    );
    assert!(answer.text.contains("use = for equality"), "{}", answer.text);
    let reader = world.client(json!({"role": "user"})).await;
    assert_eq!(
        reader.put("/v1/rules/a", &rule("n")).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(reader.get("/v1/rules").await.status, StatusCode::FORBIDDEN);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_that_was_closed_by_hand_stays_closed_while_its_rule_holds() {
    let world = World::start().await;
    let api = &world.admin;
    put(api, "high", &rule("n > 80")).await;
    api.send_events(&[reading("bus", 95)]).await;
    let alert = stand(api, 1).await.remove(0);
    let path = format!("/v1/alerts/{}/close", alert["alert_id"].as_str().expect("an id"));
    assert_eq!(api.post(&path, &json!({})).await.json["status"], "CLOSED");
    stand(api, 0).await;
    assert_eq!(api.post(&path, &json!({})).await.status, StatusCode::NOT_FOUND);
    // Other rules still open theirs, by then this one would have, too.
    put(api, "odd", &rule("n = 97")).await;
    api.send_events(&[reading("bus", 97)]).await;
    let alerts = stand(api, 1).await;
    assert!(
        alerts[0]["alert_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("odd~")),
        "{alerts:?}"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_seen_and_settled_by_those_who_may() {
    let world = World::start().await;
    put(&world.admin, "high", &rule("n > 80")).await;
    world
        .admin
        .send_events(&[reading("bus", 95), reading("tram", 95)])
        .await;
    let both = stand(&world.admin, 2).await;
    let of = |device: &str| {
        let alert = both
            .iter()
            .find(|alert| alert["device"] == device)
            .expect("an alert");
        format!("/v1/alerts/{}/close", alert["alert_id"].as_str().expect("an id"))
    };
    let user = |permissions: Value| {
        world.client(json!({"role": "user", "devices": ["bus"], "permissions": permissions}))
    };
    let reader = user(json!([])).await;
    assert_eq!(alerts(&reader, "").await.len(), 1);
    assert_eq!(
        reader.post(&of("bus"), &json!({})).await.status,
        StatusCode::FORBIDDEN
    );
    let granted = user(json!(["command"])).await;
    assert_eq!(
        granted.post(&of("tram"), &json!({})).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(granted.post(&of("bus"), &json!({})).await.status, StatusCode::OK);
    let foreign = world.node.api.get("/v1/alerts?tenant=globex").await;
    assert_eq!(foreign.json["alerts"], json!([]));
    let path = format!("{}?tenant=globex", of("tram"));
    assert_eq!(
        world.node.api.post(&path, &json!({})).await.status,
        StatusCode::NOT_FOUND
    );
    for query in ["status=open", "status=CLOSED,OPEN", "state=OPEN", "page=!"] {
        let answer = world.admin.get(&format!("/v1/alerts?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}: {}", answer.text);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_alerts_hold_each_once() {
    let world = World::start().await;
    put(&world.admin, "high", &rule("n > 80")).await;
    let events: Vec<Value> = (0..23)
        .map(|number| reading(&format!("bus-{number}"), 95))
        .collect();
    world.admin.send_events(&events).await;
    stand_in_pages(&world.admin, 23).await;
    world.end().await;
}

/// Reads pages of two until there are `count` alerts in all, each of another device.
async fn stand_in_pages(api: &Api, count: usize) {
    until(&format!("{count} alerts stand, in pages of two"), || async {
        let mut devices = Vec::new();
        let mut page = String::new();
        loop {
            let answer = api.get(&format!("/v1/alerts?limit=2{page}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
            let found = answer.json["alerts"].as_array().expect("alerts");
            assert!(found.len() <= 2);
            devices.extend(found.iter().map(|alert| alert["device"].to_string()));
            match answer.json["next"].as_str() {
                Some(next) => page = format!("&page={next}"),
                None => break,
            }
        }
        let all = devices.len();
        devices.sort();
        devices.dedup();
        assert_eq!(devices.len(), all, "each once");
        (all == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_falls_silent_has_an_alert_until_it_is_heard() {
    let world = World::with(|config| config.projector.stale_after = Duration::from_millis(300)).await;
    let api = &world.admin;
    api.send_events(&[reading("bus", 1)]).await;
    let alert = stand(api, 1).await.remove(0);
    assert_eq!(
        (&alert["alert_type"], &alert["device"]),
        (&json!("NO_HEARTBEAT"), &json!("bus"))
    );
    until("it is heard again", || async {
        api.send_events(&[reading("bus", 2)]).await;
        alerts(api, "").await.is_empty().then_some(())
    })
    .await;
    world.end().await;
}
