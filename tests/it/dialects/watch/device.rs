//! The device's own socket.

use serde_json::{Value, json};
use tests::api::Api;
use tests::socket::Socket;
use tests::stream::Ended;
use tests::wait::until;
use tests::world::World;

use super::{DEVICE, PATH, next, watch, world};

/// The device, connected with a token of its own.
pub(super) async fn connect(world: &World) -> Socket {
    let token = world
        .admin
        .token(&json!({"role": "device", "devices": [DEVICE]}))
        .await;
    let path = format!("{PATH}/connect/websocket?token={token}");
    Socket::open(&world.admin, &path, &[]).await.expect("a socket")
}

/// Waits until the device is connected, as everybody sees it.
pub(super) async fn is_connected(api: &Api) {
    until("the device is connected", async || {
        let status = api.get(&format!("{PATH}/status")).await;
        let device = api.get(&format!("/v1/devices?id={DEVICE}")).await;
        (status.json["result"]["connected"] == true && device.json["connected"] == true).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_says_becomes_events_and_what_it_should_not_say_is_passed_over() {
    let world = world().await;
    let (mut socket, _) = watch(&world.admin, "").await;
    let mut device = connect(&world).await;
    for message in [
        json!({"type": "ping"}),
        json!({"type": "log", "payload": {"level": "warn", "message": "hot"}}),
        json!([1, 2]),
        json!({"type": "gpio_state_changed", "payload": {"pin": 300, "state": "low"}}),
        json!({"id": "m-1", "type": "gpio_state_changed", "payload": {"pin": 15, "state": "low"}}),
        json!({"id": "m-2", "type": "something_else"}),
        json!({"type": "state", "payload": {"entity_id": "door", "value": "open"}}),
    ] {
        device.send(&message).await;
    }
    let found = next(&mut socket, "log").await;
    assert_eq!(
        (&found["data"]["level"], &found["data"]["message"]),
        (&json!("warn"), &json!("hot"))
    );
    let found = next(&mut socket, "state").await;
    assert_eq!(
        found["data"],
        json!({"entity_id": "gpio_pin_15", "value": "low", "source": "gpio_state_changed"})
    );
    let found = next(&mut socket, "state").await;
    assert_eq!(
        found["data"],
        json!({"entity_id": "door", "value": "open", "source": "user"})
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_connection_is_its_status_and_a_newer_one_takes_its_place() {
    let world = world().await;
    let (mut socket, _) = watch(&world.admin, "").await;
    let mut older = connect(&world).await;
    let is_up = |frame: &Value| frame["event"] == "status" && frame["data"]["connected"] == true;
    is_connected(&world.admin).await;
    let first = socket.first("connected", is_up).await["data"]["connectedSince"].clone();
    let newer = connect(&world).await;
    assert_eq!(older.ended().await, Ended::Closed(4001));
    let second = socket
        .first("connected anew", |frame| {
            is_up(frame) && frame["data"]["connectedSince"] != first
        })
        .await;
    assert!(second["data"]["connectedSince"].as_u64() >= first.as_u64());
    drop(newer);
    let down = |frame: &Value| frame["event"] == "status" && frame["data"]["connected"] == false;
    socket.first("disconnected", down).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_device_itself_connects() {
    let world = world().await;
    let path = format!("{PATH}/connect/websocket");
    let other = world
        .admin
        .token(&json!({"role": "device", "devices": ["my-project/other"]}))
        .await;
    for (token, status) in [
        ("", 401),
        ("nonsense", 401),
        (&*other, 404),
        (&*world.admin.token, 403),
    ] {
        let refused = Socket::open(&world.admin, &format!("{path}?token={token}"), &[])
            .await
            .err();
        let Some(Ended::Status(found, body)) = refused else {
            panic!("{refused:?}");
        };
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((found, &body["success"]), (status, &json!(false)), "{body}");
    }
    world.end().await;
}
