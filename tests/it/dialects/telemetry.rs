//! The telemetry dialect.

mod ingest;
mod legacy;
mod opening;
mod stream;

use serde_json::{Value, json};
use tests::socket::Socket;
use tests::world::World;

const STREAM: &str = "/api/v1/customer/telemetry/stream";

/// Metrics of a device.
fn metrics(device: &str, fields: Value) -> Value {
    json!({"device": device, "kind": "telemetry", "time": "2026-02-17T10:00:00Z", "fields": fields})
}

/// The stream with a query, as the world's admin; `connected` has come.
async fn connected(world: &World, query: &str) -> Socket {
    let path = format!("{STREAM}?token={}&{query}", world.admin.token);
    let mut socket = Socket::open(&world.admin, &path, &[]).await.expect("a socket");
    assert_eq!(socket.next().await["type"], "connected");
    socket
}
