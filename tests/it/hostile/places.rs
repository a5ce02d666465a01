//! Floods of connections.

use tests::raw::Raw;
use tests::stream::Carrier;
use tests::wait;
use tests::world::World;

use super::{connections_are_given_up, is_served};

const PLACES: usize = 40;
const FLOOD: usize = 300;

/// Waits until so many connections were refused: connecting is not being taken.
async fn refused(world: &World, count: usize) {
    wait::until("connections are refused", || async {
        let refused = world.node.metric("wakeline_gateway_front_refused_total").await;
        (refused >= count as f64).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_connections_takes_no_more_than_its_places_and_open_streams_go_on() {
    let world = World::with(|config| config.front_door.connections_max = PLACES).await;
    let mut good = world.stream(Carrier::Sse, "kind=telemetry", None).await;
    is_served(&world, &mut good, 0).await;
    let mut flood = Vec::new();
    for _ in 0..FLOOD {
        flood.push(Raw::send(&world.admin, b"GET /").await);
    }
    refused(&world, FLOOD - PLACES).await;
    assert!(world.node.metric("wakeline_gateway_front_connections").await <= PLACES as f64);
    // The connection that sends is one that was open before the flood, and the stream has a worker.
    is_served(&world, &mut good, 1).await;
    drop(flood);
    connections_are_given_up(&world).await;
    let mut late = world.stream(Carrier::WebSocket, "kind=telemetry", None).await;
    is_served(&world, &mut late, 2).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_one_address_leaves_places_for_the_others() {
    let world = World::with(|config| {
        config.front_door.connections_max = PLACES;
        config.front_door.connections_per_address_max = PLACES / 2;
    })
    .await;
    let mut flood = Vec::new();
    for _ in 0..FLOOD {
        flood.push(Raw::send_from([127, 0, 0, 2], &world.admin, b"GET /").await);
    }
    refused(&world, FLOOD - PLACES / 2).await;
    let held = world.node.metric("wakeline_gateway_front_connections").await;
    assert!(held <= (PLACES / 2 + 1) as f64, "{held}");
    let mut good = world.stream(Carrier::Sse, "kind=telemetry", None).await;
    is_served(&world, &mut good, 0).await;
    drop(flood);
    world.end().await;
}
