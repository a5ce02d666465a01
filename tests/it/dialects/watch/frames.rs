//! What the document prints, frame by frame.

use std::time::Duration;

use serde_json::json;
use tests::fixture::{assert_like, fixture};
use tests::stream::Ended;
use tests::wait::until;
use tokio_tungstenite::tungstenite::Message;

use super::{DEVICE, LATER, TIME, event, log, next, watch, world};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_frame_is_the_status_as_it_stands() {
    let world = world().await;
    let (_, status) = watch(&world.admin, "").await;
    assert_like("watch", "status", &status, &["event"], &[]);
    let connect = json!({"connected": true, "reason": "connect", "session": "s", "time": TIME});
    world.admin.send_events(&[event("presence", connect)]).await;
    let (_, status) = watch(&world.admin, "").await;
    assert_eq!(status, fixture("watch", "status"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_and_states_come_as_the_device_sends_them() {
    let world = world().await;
    let (mut socket, _) = watch(&world.admin, "").await;
    let said = event(
        "log",
        json!({"id": "l", "level": "info", "message": "a \"b\"", "time": LATER}),
    );
    world.admin.send_events(&[said]).await;
    let frame = next(&mut socket, "log").await;
    assert_like(
        "watch",
        "log",
        &frame,
        &["event", "data.level", "data.created_at"],
        &[],
    );
    assert_eq!(
        (&frame["data"]["id"], &frame["data"]["message"]),
        (&json!("l"), &json!("a \"b\""))
    );
    let gpio = json!({"type": "gpio_state_changed", "payload": {"pin": 15, "state": "low"}});
    world.admin.send_events(&[event("hardware", gpio)]).await;
    let frame = next(&mut socket, "state").await;
    assert_like("watch", "state", &frame, &["event"], &[]);
    assert_eq!(frame, fixture("watch", "state"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hardware_message_and_every_value_is_a_state() {
    let world = world().await;
    let (mut socket, _) = watch(&world.admin, "").await;
    let hardware = |kind: &str, payload| event("hardware", json!({"type": kind, "payload": payload}));
    for (sent, state) in [
        (
            hardware("gpio_state_changed", json!({"pin": 0, "state": "high"})),
            json!({"entity_id": "gpio_pin_0", "value": "high", "source": "gpio_state_changed"}),
        ),
        (
            hardware("pin_state_update", json!({"pin": 255, "value": 512})),
            json!({"entity_id": "gpio_pin_255_analog", "value": 512, "source": "pin_state_update"}),
        ),
        (
            hardware("pin_state_update", json!({"pin": 7, "value": "low"})),
            json!({"entity_id": "gpio_pin_7_analog", "value": "low", "source": "pin_state_update"}),
        ),
        (
            hardware("temperature_result", json!({"celsius": 21.5})),
            json!({"entity_id": "temperature", "value": 21.5, "source": "temperature_result"}),
        ),
        (
            event(
                "entity",
                json!({"entity_id": "door", "value": {"open": [true, null]}}),
            ),
            json!({"entity_id": "door", "value": {"open": [true, null]}, "source": "user"}),
        ),
        (
            event("entity", json!({"entity_id": "door", "value": null})),
            json!({"entity_id": "door", "value": null, "source": "user"}),
        ),
    ] {
        world.admin.send_events(&[sent]).await;
        assert_eq!(
            next(&mut socket, "state").await,
            json!({"event": "state", "data": state})
        );
    }
    for pin in [json!(256), json!(-1), json!(1.5), json!("1"), json!(null)] {
        let bad = hardware("gpio_state_changed", json!({"pin": pin, "state": "low"}));
        assert_eq!(world.admin.post("/v1/events", &bad).await.status, 400, "{pin}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_is_told_when_the_connection_changes_or_another_takes_its_place() {
    let world = world().await;
    let presence = |connected: bool, session: &str, second: u32| {
        let reason = if connected { "connect" } else { "disconnect" };
        let time = format!("2024-04-05T19:00:0{second}Z");
        event(
            "presence",
            json!({"connected": connected, "reason": reason, "session": session, "time": time}),
        )
    };
    let close = event("presence", json!({"connected": false, "reason": "disconnect"}));
    world.admin.send_events(&[close]).await;
    let (mut socket, status) = watch(&world.admin, "").await;
    assert_eq!(
        status["data"],
        json!({"connected": false, "connectedSince": null})
    );
    let second = 1_712_343_600_000_u64;
    for (sent, told) in [
        (
            presence(true, "a", 1),
            Some(json!({"connected": true, "connectedSince": second + 1_000})),
        ),
        (presence(true, "a", 2), None),
        (
            presence(true, "b", 3),
            Some(json!({"connected": true, "connectedSince": second + 3_000})),
        ),
        (presence(false, "a", 4), None),
        (
            presence(false, "b", 5),
            Some(json!({"connected": false, "connectedSince": null})),
        ),
        (presence(false, "b", 6), None),
    ] {
        // The log stands behind whatever is told.
        world
            .admin
            .send_events(&[sent.clone(), log("mark", "mark")])
            .await;
        if let Some(told) = told {
            assert_eq!(
                socket.next().await,
                json!({"event": "status", "data": told}),
                "{sent}"
            );
        }
        assert_eq!(socket.next().await["event"], "log", "{sent}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_only_posts_is_connected_while_it_is_online() {
    let world = world().await;
    until("it is ONLINE", async || {
        let device = world.admin.get(&format!("/v1/devices?id={DEVICE}")).await;
        (device.json["status"] == "ONLINE").then_some(())
    })
    .await;
    let (mut socket, status) = watch(&world.admin, "").await;
    assert_eq!(status["data"]["connected"], true);
    assert!(status["data"]["connectedSince"].is_u64(), "{status}");
    world.clock.advance(Duration::from_secs(60));
    let told = next(&mut socket, "status").await;
    assert_eq!(told["data"], json!({"connected": false, "connectedSince": null}));
    world.admin.send_events(&[log("again", "back")]).await;
    let told = next(&mut socket, "status").await;
    assert_eq!(told["data"]["connected"], true);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_send_is_ignored_and_what_is_too_long_ends_it() {
    let world = world().await;
    let (mut socket, _) = watch(&world.admin, "").await;
    for message in [
        Message::text("{"),
        Message::text(json!({"event": "status"}).to_string()),
        Message::binary(vec![0, 159, 146]),
        Message::text(""),
    ] {
        socket.send_raw(message).await;
    }
    world.admin.send_events(&[log("after", "after")]).await;
    let frame = socket.next().await;
    assert_eq!(frame["data"]["id"], "after", "{frame}");
    socket.send_raw(Message::text("x".repeat(70_000))).await;
    assert_eq!(socket.ended().await, Ended::Closed(1009));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_a_sequence_and_the_watch_outlives_the_connection() {
    let world = world().await;
    let (mut socket, _) = watch(&world.admin, "").await;
    let connect = |connected: bool| {
        event(
            "presence",
            json!({"connected": connected, "session": "s",
        "reason": if connected { "connect" } else { "disconnect" }}),
        )
    };
    let mut events = vec![connect(true)];
    events.extend((0..200).map(|n| log(&format!("n{n}"), "x")));
    events.push(connect(false));
    events.extend((200..300).map(|n| log(&format!("n{n}"), "x")));
    world.admin.send_events(&events).await;
    for n in 0..300 {
        let frame = next(&mut socket, "log").await;
        assert_eq!(frame["data"]["id"], format!("n{n}"));
    }
    world.end().await;
}
