//! The CQL server is away.

use serde_json::json;
use tests::stream::Carrier;
use tests::wait;

use super::fleet::{Fleet, documents_end_at};
use super::watching::{Watching, assert_all_saw, from, whole_log};
use super::{TENANT, World, metric};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_cql_is_away_events_flow_and_the_projector_waits_and_catches_up() {
    let Some(mut world) = World::start().await else {
        return;
    };
    let gateway = world.gateway.api.clone();
    let mut fleet = Fleet::new(&world.ingest.api);
    fleet.send(5).await;
    documents_end_at(&gateway, fleet.rounds()).await;
    let streams = Watching::all(&gateway).await;

    let away = world.kill("cql").await;
    fleet.send(10).await;
    world.tell_of("cql", false).await;
    wait::until("the projector says that it waits", || async {
        let ready = world.projector.operators("/ready").await;
        let waits = metric(&world.projector, "wakeline_projector_waiting{").await > Some(0.0);
        (ready.status == 503 && ready.json["checks"]["projector"] != json!("ok") && waits).then_some(())
    })
    .await;
    // The others are of use all the same.
    for node in [&world.ingest, &world.gateway] {
        assert_eq!(node.operators("/ready").await.status, 200);
    }
    let read = gateway.get(&format!("/v1/devices/d-0?tenant={TENANT}")).await;
    assert_eq!(read.status, 503, "{}", read.text);
    assert!(read.headers.contains_key("retry-after"), "{:?}", read.headers);
    let opened = fleet.rounds();
    let meanwhile = Watching::open(&gateway, "events", Carrier::WebSocket).await;
    fleet.send(10).await;
    let of_events = streams.iter().filter(|stream| stream.is_of("events"));
    for stream in of_events.chain([&meanwhile]) {
        stream.has(fleet.rounds()).await;
    }
    wait::until("how late the tables are is told", || async {
        let late = metric(&world.projector, "wakeline_projector_lag_seconds{").await;
        (late > Some(0.0)).then_some(())
    })
    .await;
    world.start_again("cql", away).await;

    fleet.send(5).await;
    documents_end_at(&gateway, fleet.rounds()).await;
    for stream in streams.iter().chain([&meanwhile]) {
        stream.has(fleet.rounds()).await;
    }
    world.tell_of("cql", true).await;
    world.all_is_well().await;
    world.nothing_restarted();
    assert_eq!(
        metric(&world.projector, "wakeline_projector_restarts_total").await,
        Some(0.0)
    );
    assert_eq!(
        meanwhile.seen_from(opened),
        from(whole_log(&gateway, "events").await, opened),
        "what was opened meanwhile"
    );
    assert_all_saw(&streams, &gateway, 5, fleet.rounds()).await;
}
