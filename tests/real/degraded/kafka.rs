//! Kafka is away.

use serde_json::json;
use tests::api::Answer;
use tests::stream::{Carrier, Streaming};

use super::fleet::{Fleet, documents_end_at};
use super::watching::{Watching, assert_all_saw, from, whole_log};
use super::{TENANT, World, metric};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_kafka_is_away_ingest_says_503_and_streams_say_degraded_and_then_all_goes_on_exactly() {
    let Some(mut world) = World::start().await else {
        return;
    };
    let gateway = world.gateway.api.clone();
    let mut fleet = Fleet::new(&world.ingest.api);
    fleet.send(1).await;
    documents_end_at(&gateway, fleet.rounds()).await;
    let streams = Watching::all(&gateway).await;
    fleet.send(9).await;
    for stream in &streams {
        stream.has(fleet.rounds()).await;
    }

    let away = world.kill("kafka-1").await;
    is_told_to_come_again(&fleet.try_next().await);
    for stream in &streams {
        stream.says_degraded(true).await;
    }
    world.tell_of("kafka", false).await;
    assert!(metric(&world.gateway, "wakeline_gateway_partition_degraded{").await > Some(0.0));
    // What needs no log is answered, and who connects is not left waiting.
    assert_eq!(
        gateway
            .get(&format!("/v1/devices/d-0?tenant={TENANT}"))
            .await
            .status,
        200
    );
    let late = Watching::open(&gateway, "events", Carrier::Sse).await;
    late.says_degraded(true).await;
    world.start_again("kafka-1", away).await;

    for stream in streams.iter().chain([&late]) {
        stream.says_degraded(false).await;
    }
    let back = fleet.rounds();
    fleet.send(10).await;
    for stream in streams.iter().chain([&late]) {
        stream.has(fleet.rounds()).await;
    }
    documents_end_at(&gateway, fleet.rounds()).await;
    world.tell_of("kafka", true).await;
    world.all_is_well().await;
    world.nothing_restarted();
    let restarts = metric(&world.projector, "wakeline_projector_restarts_total").await;
    assert_eq!(restarts, Some(0.0));
    assert_eq!(
        late.seen_from(back),
        from(whole_log(&gateway, "events").await, back),
        "what was opened meanwhile"
    );
    assert_all_saw(&streams, &gateway, 1, fleet.rounds()).await;
    assert_eq!(silences(&world).await, 0);
}

/// 503 with the time to wait, and each event with word that it may be sent again.
fn is_told_to_come_again(refused: &Answer) {
    assert_eq!(refused.status, 503, "{}", refused.text);
    let retry_after = refused
        .headers
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.parse().ok());
    assert!(
        retry_after.is_some_and(|seconds: u64| seconds > 0),
        "{:?}",
        refused.headers
    );
    let items = refused.json["rejected"].as_array().expect("items");
    assert!(
        !items.is_empty() && items.iter().all(|item| item["retry"] == json!(true)),
        "{}",
        refused.text
    );
}

/// How often a device was found silent: never, since all that was silent was the log.
async fn silences(world: &World) -> usize {
    let query = format!("tenant={TENANT}&kind=presence&since=earliest");
    let stream = Streaming::open(&world.gateway.api, Carrier::Sse, &query, None).await;
    let events = stream.expect("a stream").rest().await;
    events.iter().filter(|event| event["reason"] == "silence").count()
}
