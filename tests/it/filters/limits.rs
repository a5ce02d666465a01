//! Filters that every change must be judged by are few.

use serde_json::json;
use tests::stream::{Carrier, Ended, Streaming};
use tests::wait::until;
use tests::world::World;

use super::{drives, with_q};

fn devices(q: &str) -> String {
    with_q("view=devices&kind=telemetry", q)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_so_many_distinct_filters_that_no_index_narrows() {
    let world = World::with(|config| config.gateway.filters_per_tenant_max = 1).await;
    let first = world.stream(Carrier::Sse, &devices("speed > 80"), None).await;
    // The same filter is judged once for all.
    let same = world
        .stream(Carrier::WebSocket, &devices("(speed > 80)"), None)
        .await;
    for q in [
        "site_id = \"north\" and speed > 1",
        "id = \"bus\"",
        "zone.name = \"A\" or zone.name = \"B\"",
    ] {
        drop(world.stream(Carrier::WebSocket, &devices(q), None).await);
    }
    let named = devices("speed > 2") + "&device=bus";
    drop(world.stream(Carrier::WebSocket, &named, None).await);
    let refused = Streaming::open(&world.admin, Carrier::WebSocket, &devices("speed > 90"), None).await;
    let Some(Ended::Status(503, body)) = refused.err() else {
        panic!("it is refused")
    };
    assert!(body.contains("name devices"), "{body}");
    // A browser never comes back after any status but 200.
    let mut refused = world.stream(Carrier::Sse, &devices("speed > 90"), None).await;
    assert!(refused.until("fault").await.data["reason"].is_string());
    assert_eq!(refused.next().await, Err(Ended::Eof));
    let other = json!({"role": "admin", "tenant": "other"});
    let other = world.admin.with_token(&world.node.api.token(&other).await);
    assert!(
        Streaming::open(&other, Carrier::WebSocket, &devices("speed > 90"), None)
            .await
            .is_ok()
    );
    drop((first, same));
    until("the filter's place is free again", || async {
        Streaming::open(&world.admin, Carrier::WebSocket, &devices("speed > 90"), None)
            .await
            .ok()
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_beyond_the_limit_is_told_and_changes_nothing() {
    let world = World::with(|config| config.gateway.filters_per_tenant_max = 1).await;
    let _first = world.stream(Carrier::Sse, &devices("speed > 80"), None).await;
    let mut stream = world
        .stream(Carrier::WebSocket, &devices("id = \"bus\" and speed > 50"), None)
        .await;
    stream.send(&json!({"type": "update", "q": "speed > 10"})).await;
    let told = stream.until("fault").await.data;
    assert!(
        told["error"]
            .as_str()
            .is_some_and(|error| error.contains("filters")),
        "{told}"
    );
    world
        .admin
        .send_events(&[drives("bus", 20, None), drives("bus", 60, None)])
        .await;
    assert_eq!(stream.data().await.data["device"]["fields"]["speed"], 60);
    stream.send(&json!({"type": "update", "q": "speed > 80"})).await;
    stream.until("updated").await;
    world.end().await;
}
