//! The realtime dialect.

mod frames;
mod opening;
mod requests;
mod scope;

use serde_json::{Value, json};
use tests::api::Api;
use tests::fixture::fixture;
use tests::socket::Socket;
use tests::world::World;

/// When everything happens.
const TIME: &str = "2025-12-17T10:30:00.000Z";

/// A socket with the key of `api`; `connected` has come.
async fn connected(api: &Api, query: &str) -> Socket {
    let path = format!("/realtime?api_key={}&{query}", api.token);
    let mut socket = Socket::open(api, &path, &[]).await.expect("a socket");
    assert_eq!(socket.next().await["type"], "connected");
    socket
}

/// The same, subscribed to the devices of the document.
async fn subscribed(world: &World, query: &str) -> Socket {
    let mut socket = connected(&world.admin, query).await;
    socket.send(&fixture("realtime", "subscribe")).await;
    assert_eq!(socket.next().await, fixture("realtime", "subscribed"));
    socket
}

/// The fixture of that name, with other members.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut frame = fixture("realtime", name);
    change(&mut frame);
    frame
}

fn lock(locked: bool, id: &str, source: &str, more: Value) -> Value {
    let mut event = json!({"device": "ABC123", "kind": "lock", "id": id, "time": TIME, "locked": locked,
        "source": source});
    let members = more.as_object().expect("an object").clone();
    event.as_object_mut().expect("an object").extend(members);
    event
}
