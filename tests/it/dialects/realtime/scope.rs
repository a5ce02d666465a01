//! What a key covers, and commands.

use std::time::Duration;

use node::config::Config;
use serde_json::{Value, json};
use tests::api::reading;
use tests::device::Device;
use tests::fixture::fixture;
use tests::socket::Socket;
use tests::wait::until;
use tests::world::World;

use super::connected;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_out_of_scope_are_left_out_and_told() {
    let world = World::start().await;
    let user = world.client(json!({"role": "user", "devices": ["ABC123"]})).await;
    let mut socket = connected(&user, "").await;
    socket
        .send(&json!({"type": "subscribe", "hardwareIds": ["X", "ABC123", "Y"]}))
        .await;
    assert_eq!(
        socket.next().await,
        json!({"type": "subscribed", "hardwareIds": ["ABC123"]})
    );
    let denied = json!({"type": "error", "message": "Access denied for hardwareIds: X, Y"});
    assert_eq!(socket.next().await, denied);
    for device in ["X", "ABC123"] {
        let event = json!({"device": device, "kind": "telemetry", "fields": {"n": 1}});
        world.admin.send_events(&[event]).await;
    }
    assert_eq!(socket.until("device_data").await["hardwareId"], "ABC123");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_a_list_of_devices_has_none() {
    let world = World::start().await;
    let user = world.client(json!({"role": "user"})).await;
    let mut socket = connected(&user, "").await;
    socket.send(&fixture("realtime", "example-subscribe")).await;
    assert_eq!(
        socket.next().await,
        json!({"type": "subscribed", "hardwareIds": []})
    );
    assert_eq!(
        socket.next().await["message"],
        "Access denied for hardwareIds: ABC123"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_of_that_name_of_another_tenant_stays_behind_the_wall() {
    let world = World::start().await;
    let other = world
        .node
        .api
        .token(&json!({"role": "admin", "tenant": "other"}))
        .await;
    let other = world.admin.with_token(&other);
    let mut socket = connected(&other, "").await;
    socket.send(&fixture("realtime", "example-subscribe")).await;
    socket.until("subscribed").await;
    let event = |n: u64| json!({"device": "ABC123", "kind": "telemetry", "fields": {"n": n}});
    world.admin.send_events(&[event(1)]).await;
    other.send_events(&[event(2)]).await;
    assert_eq!(socket.until("device_data").await["payload"], json!({"n": 2}));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_sent_and_becomes_an_event() {
    let (world, mut socket) = commanding(|_| {}).await;
    let message =
        json!({"type": "command", "hardwareId": "ABC123", "command": "lock", "params": {"fast": true}});
    socket.send(&message).await;
    let sent = socket.next().await;
    let id = sent["commandId"].as_str().expect("an id");
    assert_eq!(
        sent,
        json!({"type": "command_sent", "commandId": id, "hardwareId": "ABC123", "command": "lock",
            "status": "pending"})
    );
    let events = world.sent().await;
    let event = events
        .iter()
        .find(|event| event["command_id"] == id)
        .expect("the command");
    assert_eq!(
        (&event["type"], &event["status"]),
        (&json!("lock"), &json!("queued"))
    );
    assert_eq!(event["input"], json!({"fast": true}));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_for_a_device_that_nobody_knows_is_sent_and_expires() {
    let lifetime = Duration::from_millis(200);
    let world = World::with(|config| config.gateway.commands.lifetime = lifetime).await;
    let mut socket = connected(&world.admin, "").await;
    let message = json!({"type": "command", "hardwareId": "ghost", "command": "lock"});
    socket.send(&message).await;
    let sent = socket.next().await;
    assert_eq!(
        (&sent["type"], &sent["status"]),
        (&json!("command_sent"), &json!("pending"))
    );
    until("the command is expired", || async {
        let events = world.sent().await;
        let mut steps = events
            .iter()
            .filter(|event| event["command_id"] == sent["commandId"]);
        steps.any(|step| step["status"] == "expired").then_some(())
    })
    .await;
    // A command makes no device.
    assert_eq!(world.admin.get("/v1/devices/ghost").await.status, 404);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_needs_scope_and_permission() {
    let world = World::start().await;
    let user = world.client(json!({"role": "user", "devices": ["ABC123"]})).await;
    let mut socket = connected(&user, "").await;
    let message = |device: &str| json!({"type": "command", "hardwareId": device, "command": "lock"});
    for (device, text) in [
        ("X", "Access denied for hardwareIds: X"),
        ("ABC123", "Permission denied for command"),
    ] {
        socket.send(&message(device)).await;
        assert_eq!(socket.next().await, json!({"type": "error", "message": text}));
    }
    assert!(world.sent().await.is_empty());
    world.end().await;
}

/// A world with device `ABC123`, and the socket of somebody who may command it.
async fn commanding(configure: impl FnOnce(&mut Config)) -> (World, Socket) {
    let world = World::with(configure).await;
    let body = json!({"role": "user", "devices": ["ABC123"], "permissions": ["command"]});
    let socket = connected(&world.client(body).await, "").await;
    let cursor = world.admin.send_events(&[reading("ABC123", 1)]).await;
    world
        .admin
        .get(&format!("/v1/devices/ABC123?min_cursor={cursor}"))
        .await;
    (world, socket)
}

fn command() -> Value {
    json!({"type": "command", "hardwareId": "ABC123", "command": "lock", "params": {"password": "hunter2"}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_goes_down_the_socket_of_its_device_with_its_secrets() {
    let (world, mut socket) = commanding(|_| {}).await;
    let mut device = Device::connect(&world.admin, "ABC123").await;
    socket.send(&command()).await;
    let sent = socket.next().await;
    let received = device.command().await;
    assert_eq!(received["command_id"], sent["commandId"]);
    assert_eq!(received["input"], json!({"password": "hunter2"}));
    let shown = until("the command is listed", || async {
        let shown = world.admin.get("/v1/devices/ABC123/commands").await.json;
        shown["commands"].get(0).cloned()
    })
    .await;
    assert_eq!(shown["input"], json!({"password": "********"}));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_nobody_answers_expires() {
    let (world, mut socket) =
        commanding(|config| config.gateway.commands.lifetime = Duration::from_millis(200)).await;
    socket.send(&command()).await;
    let sent = socket.next().await;
    let path = format!(
        "/v1/devices/ABC123/commands/{}",
        sent["commandId"].as_str().expect("an id")
    );
    until("the command is expired", || async {
        (world.admin.get(&path).await.json["status"] == "expired").then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_takes_only_so_many_commands() {
    let (world, mut socket) = commanding(|config| config.gateway.commands.open_max = 1).await;
    socket.send(&command()).await;
    assert_eq!(socket.next().await["type"], "command_sent");
    until("the command is open", || async {
        let document = world.admin.get("/v1/devices/ABC123").await.json;
        (document["commands"]
            .as_array()
            .is_some_and(|open| open.len() == 1))
        .then_some(())
    })
    .await;
    socket.send(&command()).await;
    assert_eq!(socket.next().await["type"], "error");
    world.end().await;
}
