//! A herd that reads the whole log at once.

use serde_json::{Value, json};
use tests::stream::Carrier;
use tests::world::World;

use super::is_served;

const CLIENTS: usize = 1_000;
const EVENTS: u64 = 120;
/// Bytes of text in each event.
const TEXT: usize = 1_200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_that_resume_from_the_earliest_read_the_log_once_and_get_everything() {
    let world = World::with(|config| config.gateway.ring_bytes_max = 64 << 10).await;
    let text = "x".repeat(TEXT);
    let events: Vec<Value> = (0..EVENTS)
        .map(|n| json!({"device": format!("bus-{}", n % 4), "kind": "telemetry", "fields": {"n": n, "text": text}}))
        .collect();
    world.admin.send_events(&events).await;
    let mut good = world.stream(Carrier::WebSocket, "device=good", None).await;
    is_served(&world, &mut good, 0).await;

    let clients = (0..CLIENTS).map(|number| {
        let carrier = if number % 2 == 0 {
            Carrier::Sse
        } else {
            Carrier::WebSocket
        };
        let world = &world;
        async move {
            let query = "kind=telemetry&device=bus-0,bus-1,bus-2,bus-3&since=earliest";
            let all = world.stream(carrier, query, None).await.rest().await;
            let mut next = [0, 1, 2, 3];
            for event in &all {
                let n = event["fields"]["n"].as_u64().expect("a number");
                let next = &mut next[(n % 4) as usize];
                assert_eq!(n, *next);
                *next += 4;
            }
            all.len() as u64
        }
    });
    let good = async {
        for n in 1..10 {
            is_served(&world, &mut good, n).await;
        }
    };
    let (seen, ()) = tokio::join!(futures::future::join_all(clients), good);
    assert!(seen.iter().all(|seen| *seen == EVENTS), "{seen:?}");
    let read = world.node.metric("wakeline_gateway_block_read_bytes_total").await;
    assert!(read > 0.0);
    let log = (EVENTS as usize * TEXT) as f64;
    assert!(
        read < 10.0 * log,
        "{read} bytes were read for a log of {log}, and not {CLIENTS} times as many"
    );
    world.end().await;
}
