//! The watch dialect.

mod backfill;
mod device;
mod event_stream;
mod frames;
mod opening;
mod requests;

use serde_json::{Value, json};
use tests::api::Api;
use tests::socket::Socket;
use tests::world::World;

/// The device of the document.
const DEVICE: &str = "my-project/my-device";
const PATH: &str = "/v1/projects/my-project/devices/my-device";
/// The times that the document prints: 1712345678901 and 1712345678902.
const TIME: &str = "2024-04-05T19:34:38.901Z";
const LATER: &str = "2024-04-05T19:34:38.902Z";

/// An event of the device.
fn event(kind: &str, more: Value) -> Value {
    let mut event = json!({"device": DEVICE, "kind": kind});
    let members = more.as_object().expect("an object").clone();
    event.as_object_mut().expect("an object").extend(members);
    event
}

fn log(id: &str, message: &str) -> Value {
    event("log", json!({"id": id, "level": "info", "message": message}))
}

/// A world in which the device is known.
async fn world() -> World {
    known(World::start().await).await
}

async fn known(world: World) -> World {
    // Presence alone makes no device.
    let sent = world.admin.send_events(&[log("first", "hello")]).await;
    let path = format!("/v1/devices?id={DEVICE}&min_cursor={sent}");
    assert_eq!(world.admin.get(&path).await.status, 200);
    world
}

/// A watch of the device, and its first frame.
async fn watch(api: &Api, query: &str) -> (Socket, Value) {
    let path = format!("{PATH}/watch?token={}&{query}", api.token);
    let mut socket = Socket::open(api, &path, &[]).await.expect("a socket");
    let status = socket.next().await;
    assert_eq!(status["event"], "status", "{status}");
    (socket, status)
}

/// The next frame of that name, passing over others.
async fn next(socket: &mut Socket, name: &str) -> Value {
    socket.first(name, |frame| frame["event"] == name).await
}
