//! A stream that has just opened misses nothing, and waits for nothing.

use std::time::Duration;

use tests::api::reading;
use tests::stream::Carrier;
use tests::world::World;

const HOUR: Duration = Duration::from_secs(3_600);

/// Workers sleep and wake again and again here: a wake-up that gets lost shows as a stream that stands
/// still, though not in every run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_once_a_stream_is_open_is_seen_by_it() {
    // Nothing but what is written wakes a worker, which would hide that it was not woken.
    let world = World::with(|config| {
        config.gateway.keep_alive = HOUR;
        config.gateway.ping = HOUR;
    })
    .await;
    for round in 0..100_u64 {
        let carrier = if round % 2 == 0 {
            Carrier::Sse
        } else {
            Carrier::WebSocket
        };
        let view = if round % 4 < 2 { "events" } else { "devices" };
        let query = format!("view={view}&device=bus&kind=telemetry");
        let mut stream = world.stream(carrier, &query, None).await;
        world.admin.send_events(&[reading("bus", round)]).await;
        loop {
            let data = stream.data().await.data;
            let item = if view == "events" { &data } else { &data["device"] };
            if item["fields"]["n"] == round {
                break;
            }
        }
    }
    world.end().await;
}
