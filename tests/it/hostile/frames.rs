//! WebSockets that are misused.

use std::time::Duration;

use tests::raw::Raw;
use tests::stream::Carrier;
use tests::wait;
use tests::world::World;

use super::{connections_are_given_up, is_served};

/// A client's text frame without an end, or a continuation, masked with zeros.
fn frame(opcode: u8, announced: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![opcode, 0x80 | 127];
    bytes.extend_from_slice(&announced.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

async fn upgraded(world: &World) -> Raw {
    let request = format!(
        "{}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        Raw::head(&world.admin, "GET", "/v1/stream?kind=telemetry")
    );
    let mut socket = Raw::send(&world.admin, request.as_bytes()).await;
    assert!(socket.until("\r\n\r\n").await.starts_with("HTTP/1.1 101"));
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_announces_more_than_may_come_is_refused_before_it_comes() {
    let world = World::start().await;
    let mut good = world.stream(Carrier::WebSocket, "kind=telemetry", None).await;
    for announced in [(64 << 10) + 1, 1 << 30, u64::MAX >> 1, u64::MAX] {
        let mut socket = upgraded(&world).await;
        socket.more(&frame(0x81, announced, b"x")).await;
        let rest = socket.rest().await;
        // A close frame, 1009 or 1002 for a length that no frame can have, and the end.
        assert!(rest.contains('\u{3}'), "{announced}: {rest:?}");
    }
    is_served(&world, &mut good, 1).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_that_add_up_to_more_than_a_message_may_have_are_refused() {
    let world = World::start().await;
    let mut socket = upgraded(&world).await;
    let part = vec![b'x'; 30 << 10];
    socket.more(&frame(0x01, part.len() as u64, &part)).await;
    socket.more(&frame(0x00, part.len() as u64, &part)).await;
    socket.more(&frame(0x00, part.len() as u64, &part)).await;
    assert!(socket.rest().await.contains('\u{3}'));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrades_that_are_left_half_open_are_given_up() {
    let world = World::with(|config| {
        config.gateway.ping = Duration::from_secs(1);
        config.gateway.keep_alive_jitter = Duration::ZERO;
        config.front_door.head_timeout = Duration::from_secs(2);
    })
    .await;
    let mut good = world.stream(Carrier::Sse, "kind=telemetry", None).await;
    let mut abandoned = Vec::new();
    for _ in 0..20 {
        // A head that asks for an upgrade and never ends; one that is upgraded and never heard of again;
        // one that begins a frame and leaves it so.
        abandoned.push(Raw::send(&world.admin, b"GET /v1/stream HTTP/1.1\r\nUpgrade: websocket\r\n").await);
        abandoned.push(upgraded(&world).await);
        let mut begun = upgraded(&world).await;
        begun.more(&frame(0x81, 1_000, b"half")).await;
        abandoned.push(begun);
    }
    wait::until("only the one stream is left", || async {
        (world.node.metric("wakeline_gateway_streams").await <= 1.0).then_some(())
    })
    .await;
    connections_are_given_up(&world).await;
    is_served(&world, &mut good, 1).await;
    drop(abandoned);
    world.end().await;
}
