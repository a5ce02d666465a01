//! The requests beside the watch.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::api::{Answer, Api};
use tests::device::Device;
use tests::wait::until;
use tests::world::World;

use super::device::{connect, is_connected};
use super::{DEVICE, PATH, event, known, log, next, watch, world};

fn result(answer: &Answer) -> &Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json["success"], true, "{}", answer.text);
    &answer.json["result"]
}

fn ids(result: &Value) -> Vec<String> {
    let logs = result["logs"].as_array().expect("logs").iter();
    logs.map(|log| log["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_listed_newest_first_in_the_order_of_their_own_time() {
    let world = World::start().await;
    let said = |n: u32| {
        // Two logs in each second; every third is a warning.
        let (second, level) = (n / 2, if n.is_multiple_of(3) { "warn" } else { "info" });
        event(
            "log",
            json!({"id": format!("l{n:02}"), "level": level, "message": format!("m{n}"),
            "time": format!("2024-04-05T19:00:{second:02}Z")}),
        )
    };
    let events: Vec<Value> = [5, 1, 0, 3, 2, 4, 9, 8, 6, 7].map(said).into();
    world.admin.send_events(&events).await;
    let page = async |query: &str| world.admin.get(&format!("{PATH}/logs?{query}")).await;
    let all: Vec<String> = (0..10).rev().map(|n| format!("l{n:02}")).collect();
    let first = page("").await;
    assert_eq!(
        (ids(result(&first)), &result(&first)["next_cursor"]),
        (all.clone(), &Value::Null)
    );
    assert_eq!(
        result(&first)["logs"][0],
        json!({"id": "l09", "level": "warn", "message": "m9", "created_at": 1_712_343_604_000_u64})
    );
    let (mut seen, mut query) = (Vec::new(), "limit=3".to_owned());
    for _ in 0..4 {
        let answer = page(&query).await;
        seen.extend(ids(result(&answer)));
        match result(&answer)["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, all);
    assert_eq!(
        ids(result(&page("level=warn").await)),
        ["l09", "l06", "l03", "l00"]
    );
    let next = page("limit=2").await;
    assert_eq!(result(&next)["next_cursor"], "1712343604000:l08");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_that_lie_beyond_the_rows_that_may_be_looked_through_are_told_from_none() {
    let world = World::with(|config| config.open.watch.logs_rows_max = 20).await;
    let log = |n: usize, level: &str| {
        event(
            "log",
            json!({"id": format!("l{n}"), "level": level, "message": "m"}),
        )
    };
    // Older than what may be looked through.
    let mut events = vec![log(0, "error")];
    events.extend((1..40).map(|n| log(n, if n == 30 { "error" } else { "info" })));
    let cursor = world.admin.send_events(&events).await;
    let path = format!("/v1/devices?id={DEVICE}&min_cursor={cursor}");
    assert_eq!(world.admin.get(&path).await.status, 200);
    let page = world.admin.get(&format!("{PATH}/logs?level=error")).await;
    assert_eq!(
        (page.status.as_u16(), &page.json["success"]),
        (400, &json!(false)),
        "{}",
        page.json
    );
    let page = world.admin.get(&format!("{PATH}/logs?level=error&limit=1")).await;
    assert_eq!(page.status, 400, "logs come late: an older row may be newer");
    let page = world.admin.get(&format!("{PATH}/logs?limit=1")).await;
    assert_eq!(page.status, 400);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_asks_for_no_page_of_logs_is_refused() {
    let world = world().await;
    let page = async |query: &str| world.admin.get(&format!("{PATH}/logs?{query}")).await;
    for (query, error) in [
        ("cursor=nonsense", Some("Invalid cursor")),
        ("cursor=x:y", Some("Invalid cursor")),
        ("limit=0", None),
        ("limit=101", None),
        ("limit=x", None),
        ("level=loud", None),
    ] {
        let answer = page(query).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["success"]),
            (400, &json!(false)),
            "{query}"
        );
        assert!(
            error.is_none_or(|error| answer.json["error"] == error),
            "{}",
            answer.text
        );
    }
    let anybody = world.admin.with_token("").get(&format!("{PATH}/logs")).await;
    assert_eq!(
        (anybody.status.as_u16(), &anybody.json["code"]),
        (401, &json!("missing_credentials"))
    );
    let in_query = format!("{PATH}/logs?token={}", world.admin.token);
    assert_eq!(
        world.admin.with_token("").get(&in_query).await.status,
        401,
        "only streams take it there"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_says_since_when_and_when_last() {
    let world = world().await;
    let status = async || world.admin.get(&format!("{PATH}/status")).await;
    let presence = |connected: bool, time: &str| {
        let reason = if connected { "connect" } else { "disconnect" };
        event(
            "presence",
            json!({"connected": connected, "reason": reason, "session": "s", "time": time}),
        )
    };
    world
        .admin
        .send_events(&[presence(true, "2024-04-05T19:00:00Z")])
        .await;
    let at = 1_712_343_600_000_u64;
    let up = json!({"connected": true, "connected_since": at, "last_connected_at": at});
    assert_eq!(result(&status().await), &up);
    world
        .admin
        .send_events(&[presence(false, "2024-04-05T19:01:00Z")])
        .await;
    let down = json!({"connected": false, "connected_since": null, "last_connected_at": at});
    assert_eq!(result(&status().await), &down);
    world.end().await;
}

async fn command(api: &Api, body: &Value) -> Answer {
    api.post(&format!("{PATH}/command"), body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_waits_for_the_devices_answer() {
    let world = world().await;
    let mut device = connect(&world).await;
    is_connected(&world.admin).await;
    let (mut socket, _) = watch(&world.admin, "").await;
    let asked = json!({"type": "read_temperature", "payload": {"pin": 4, "password": "s3cret"}});
    let answered = async {
        let told = device.next().await;
        assert_eq!(
            (&told["type"], &told["payload"]),
            (&asked["type"], &asked["payload"])
        );
        let answer = json!({"id": told["id"], "type": "temperature_result", "payload": {"celsius": 21.5}});
        device.send(&answer).await;
        told["id"].clone()
    };
    let (answer, id) = tokio::join!(command(&world.admin, &asked), answered);
    assert_eq!(
        result(&answer),
        &json!({"id": id, "type": "temperature_result", "payload": {"celsius": 21.5}})
    );
    // An answer that is a hardware message is a state too.
    let state = next(&mut socket, "state").await;
    assert_eq!(
        state["data"],
        json!({"entity_id": "temperature", "value": 21.5, "source": "temperature_result"})
    );
    let failing = async {
        let told = device.next().await;
        let error = json!({"id": told["id"], "type": "command_error", "payload": {"error": "no such pin"}});
        device.send(&error).await;
    };
    let blink = json!({"type": "blink"});
    let (answer, ()) = tokio::join!(command(&world.admin, &blink), failing);
    assert_eq!(
        (answer.status.as_u16(), answer.json),
        (500, json!({"success": false, "error": "no such pin"}))
    );
    let events = world.events().await;
    assert!(!events.iter().any(|event| event.to_string().contains("s3cret")));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_without_a_socket_or_an_answer_is_told_apart() {
    let world = World::with(|config| config.open.watch.answer_within = Duration::from_millis(300)).await;
    let world = known(world).await;
    let answer = command(&world.admin, &json!({"type": "blink"})).await;
    let away = json!({"success": false, "error": "Device is not connected"});
    assert_eq!((answer.status.as_u16(), answer.json), (503, away));
    let _device = connect(&world).await;
    is_connected(&world.admin).await;
    let answer = command(&world.admin, &json!({"type": "blink"})).await;
    let silent = json!({"success": false, "error": "Command timed out - device did not respond"});
    assert_eq!((answer.status.as_u16(), answer.json), (504, silent));
    for body in [json!({}), json!({"type": ""}), json!({"type": 1}), json!([])] {
        let answer = command(&world.admin, &body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["success"]),
            (400, &json!(false)),
            "{body}"
        );
    }
    let reader = world.client(json!({"role": "user", "devices": [DEVICE]})).await;
    assert_eq!(
        command(&reader, &json!({"type": "blink"})).await.status,
        StatusCode::FORBIDDEN
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_nobody_could_wait_for_is_not_sent() {
    // The device's own stream of commands is the tenant's one stream; who waits is counted apart.
    let world = World::with(|config| config.gateway.streams_per_tenant_max = 1).await;
    let world = known(world).await;
    let mut device = connect(&world).await;
    is_connected(&world.admin).await;
    let (first, second) = (json!({"type": "first"}), json!({"type": "second"}));
    let meanwhile = async {
        let told = device.next().await;
        assert_eq!(told["type"], "first");
        let refused = command(&world.admin, &second).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json["success"]),
            (503, &json!(false))
        );
        device.send(&json!({"id": told["id"], "type": "done"})).await;
    };
    let (answer, ()) = tokio::join!(command(&world.admin, &first), meanwhile);
    assert_eq!(result(&answer)["type"], "done");
    // The device never hears of the second.
    let third = json!({"type": "third"});
    let answered = async {
        let told = device.next().await;
        device.send(&json!({"id": told["id"], "type": "done"})).await;
        told["type"].clone()
    };
    // The first one's place is given back in a moment.
    let sent = until("there is room again", async || {
        (command(&world.admin, &third).await.status == StatusCode::OK).then_some(())
    });
    let ((), heard) = tokio::join!(sent, answered);
    assert_eq!(heard, "third");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_on_the_native_socket_answers_too() {
    let world = world().await;
    let mut device = Device::connect(&world.admin, DEVICE).await;
    is_connected(&world.admin).await;
    let answered = async {
        let told = device.command().await;
        let id = told["command_id"].clone();
        device
            .send(&json!({"kind": "command", "command_id": id, "status": "success", "output": "done"}))
            .await;
        id
    };
    let blink = json!({"type": "blink"});
    let (answer, id) = tokio::join!(command(&world.admin, &blink), answered);
    assert_eq!(
        result(&answer),
        &json!({"id": id, "type": "blink", "payload": "done"})
    );
    world.admin.send_events(&[log("end", "x")]).await;
    world.end().await;
}
