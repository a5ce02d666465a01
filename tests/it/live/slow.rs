//! Clients that do not read: they get what their stream asked for, and hold up nobody.

use std::time::Duration;

use serde_json::{Value, json};
use tests::raw::Raw;
use tests::stream::Carrier;
use tests::world::World;

/// Events of the flood, and bytes of each: together more than a socket holds.
const EVENTS: u64 = 1_600;
const TEXT: usize = 9_000;

/// A client that reads nothing until it is told to.
async fn stuck(world: &World, query: &str) -> Raw {
    let request = format!(
        "{}\r\n",
        Raw::head(&world.admin, "GET", &format!("/v1/stream?{query}"))
    );
    let mut stream = Raw::send_with_small_buffer(&world.admin, request.as_bytes()).await;
    stream.until("event: hello").await;
    stream.until("\n\n").await;
    stream
}

async fn flood(world: &World) {
    let text = "x".repeat(TEXT);
    let events: Vec<Value> = (0..EVENTS)
        .map(|n| json!({"device": format!("bus-{}", n % 4), "kind": "telemetry", "fields": {"n": n, "text": text}}))
        .collect();
    for batch in events.chunks(400) {
        world.admin.send_events(batch).await;
    }
}

/// The next data block, as JSON.
async fn data(stream: &mut Raw) -> Value {
    loop {
        let block = stream.until("\n\n").await;
        if !block.contains("event: ")
            && let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: "))
        {
            return serde_json::from_str(data).expect("JSON");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_every_event_gets_all_of_them_late_and_nobody_waits_for_it() {
    let world = World::with(|config| config.gateway.ring_bytes_max = 1 << 20).await;
    let query = "kind=telemetry";
    let mut slow = stuck(&world, query).await;
    let mut fast = world.stream(Carrier::WebSocket, query, None).await;
    let reading = async {
        let mut next = [0, 1, 2, 3];
        for _ in 0..EVENTS {
            in_order(&fast.data().await.data, &mut next);
        }
    };
    tokio::join!(flood(&world), reading);
    // All is out at the fast one before the slow one reads its first event.
    let mut next = [0, 1, 2, 3];
    for _ in 0..EVENTS {
        in_order(&data(&mut slow).await, &mut next);
    }
    world.end().await;
}

fn in_order(event: &Value, next: &mut [u64; 4]) {
    let n = event["fields"]["n"].as_u64().expect("a number");
    let next = &mut next[(n % 4) as usize];
    assert_eq!(n, *next);
    *next += 4;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_the_latest_skips_to_the_newest() {
    let world = World::with(|config| config.gateway.ring_bytes_max = 1 << 20).await;
    for view in ["events", "devices"] {
        let mut slow = stuck(&world, &format!("view={view}&kind=telemetry&deliver=latest")).await;
        flood(&world).await;
        let (mut frames, mut newest) = (0, [0_u64; 4]);
        while newest.iter().any(|n| *n < EVENTS - 4) {
            let data = data(&mut slow).await;
            let event = if view == "events" { &data } else { &data["device"] };
            let n = event["fields"]["n"].as_u64().expect("a number");
            let last = &mut newest[(n % 4) as usize];
            assert!(n >= *last, "{n} after {last}");
            *last = n;
            frames += 1;
        }
        assert!(
            frames < EVENTS * 3 / 4,
            "view {view}: {frames} of {EVENTS} were sent"
        );
        assert!(
            slow.quiet_of_data_for(Duration::from_millis(300)).await,
            "view {view}: the newest comes last"
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_for_too_long_is_given_up() {
    let world = World::with(|config| config.gateway.stalled_max = Duration::from_millis(500)).await;
    let slow = stuck(&world, "kind=telemetry").await;
    flood(&world).await;
    let metric = "wakeline_gateway_streams";
    tests::wait::until("the stream is gone", || async {
        let metrics = reqwest::get(format!("{}/metrics", world.node.admin_url))
            .await
            .ok()?
            .text()
            .await
            .ok()?;
        let open: f64 = metrics
            .lines()
            .filter(|line| line.starts_with(metric) && !line.starts_with("wakeline_gateway_streams_"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        assert!(metrics.contains(metric), "there is no {metric}");
        (open == 0.0).then_some(())
    })
    .await;
    drop(slow);
    world.end().await;
}
