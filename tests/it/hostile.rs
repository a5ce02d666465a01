//! Clients that mean harm, or behave as if they did: each is held to its limit, and nobody else notices.

mod figures;
mod frames;
mod herd;
mod memory;
mod places;
mod slow_senders;
mod stuck;

use serde_json::json;
use tests::api::reading;
use tests::stream::Streaming;
use tests::wait;
use tests::world::World;

/// Sends an event and waits until `stream` has it: whoever behaves is served.
async fn is_served(world: &World, stream: &mut Streaming, n: u64) {
    world.admin.send_events(&[reading("good", n)]).await;
    wait::within("the event", async {
        while stream.data().await.data["fields"]["n"] != json!(n) {}
    })
    .await;
}

/// Connections that the harness's own client may keep open.
const KEPT: f64 = 4.0;

/// Waits until the front door itself holds the connections of nobody else but the harness.
async fn connections_are_given_up(world: &World) {
    wait::until("connections are given up", || async {
        let held = world.node.metric("wakeline_gateway_front_connections").await;
        (held <= KEPT).then_some(())
    })
    .await;
}
