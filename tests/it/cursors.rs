//! Every row of the table of cursors, through a real node.

mod another_log;
mod other_view;
mod unreadable;
mod worn;

use journal::{Cursor, Placement};
use serde_json::{Value, json};
use tests::wait::until;
use tests::world::{TENANT, World};

/// A log event of `device`: nothing but itself, so that a stream shows it as it was sent.
fn line(device: &str, message: &str) -> Value {
    json!({"device": device, "kind": "log", "level": "info", "message": message})
}

fn messages(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["message"].as_str().expect("a message"))
        .collect()
}

fn parsed(text: &str) -> Cursor {
    text.parse().expect("a cursor")
}

/// Two devices that lie in different partitions.
fn apart(world: &World) -> (String, String) {
    let layout = &world.storage.opened().journal.layout;
    let placement = Placement::new(TENANT, layout.default_spread, layout.partitions);
    let first = "bus-0".to_owned();
    let other = (1..)
        .map(|number| format!("bus-{number}"))
        .find(|other| placement.of(other) != placement.of(&first));
    (first, other.expect("another partition"))
}

/// Waits until the product has said of `device` that it is there: its log is quiet then.
async fn quiet(world: &World, device: &str) {
    until("the device is online", || async {
        let read = world.admin.get(&format!("/v1/devices/{device}")).await;
        (read.json["status"] == "ONLINE").then_some(())
    })
    .await;
}

fn partition(world: &World, device: &str) -> u32 {
    let layout = &world.storage.opened().journal.layout;
    Placement::new(TENANT, layout.default_spread, layout.partitions).of(device)
}
