//! The controller dialect.

mod frames;
mod opening;
mod requests;

use serde_json::{Value, json};
use tests::api::Api;
use tests::socket::Socket;
use tests::world::{TENANT, World};

const DEVICE: &str = "0e4f3c1a-1111-4222-8333-444455556666";
const LOCATION: &str = "9b1f3c1a-1111-4222-8333-444455556666";

/// Somebody of the staff, with these permissions, in these organizations.
async fn staff(world: &World, permissions: &[&str], organizations: &[&str]) -> Api {
    let token = json!({"role": "user", "tenant": TENANT, "staff": true, "permissions": permissions,
        "organizations": organizations});
    world.node.api.with_token(&world.node.api.token(&token).await)
}

async fn superuser(world: &World) -> Api {
    let token = world
        .node
        .api
        .token(&json!({"role": "admin", "superuser": true}))
        .await;
    world.node.api.with_token(&token)
}

async fn open(api: &Api, path: &str) -> Socket {
    try_open(api, path).await.expect("a socket")
}

async fn try_open(api: &Api, path: &str) -> Result<Socket, tests::stream::Ended> {
    let bearer = format!("Bearer {}", api.token);
    Socket::open(api, path, &[("authorization", &bearer)]).await
}

fn commands(device: &str) -> String {
    format!("/ws/controller/device/{device}/command")
}

fn location(id: &str) -> String {
    format!("/ws/loci/location/{id}/")
}

const LOCATIONS: &str = "/ws/loci/location/";

/// A location event of the device.
fn placed(device: &str, more: Value) -> Value {
    let mut event = json!({"device": device, "kind": "location"});
    let members = more.as_object().expect("an object").clone();
    event.as_object_mut().expect("an object").extend(members);
    event
}

fn at(longitude: f64, latitude: f64) -> Value {
    json!({"type": "Point", "coordinates": [longitude, latitude]})
}

/// Makes the device, with a location of that id, and waits until it is known.
async fn place(world: &World, device: &str, id: &str) {
    let event = placed(
        device,
        json!({"location_id": id, "name": "Van", "address": "Via Roma 1", "geometry": at(12.5, 41.9)}),
    );
    let cursor = world.admin.send_events(&[event]).await;
    let answer = world
        .admin
        .get(&format!("/v1/devices?id={device}&min_cursor={cursor}"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}
