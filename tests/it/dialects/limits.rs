//! Streams of all dialects count together: a tenant never has more than it may, whatever their clients do, and
//! each that ends leaves its place to another.

use rand::RngExt as _;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use tests::api::Api;
use tests::seed::{Seed, scale};
use tests::stream::Ended;
use tests::wait::{until, within};
use tests::ways::{DEVICE, WAYS, Watcher, Way, placed};
use tests::world::{TENANT, World};
use tokio_tungstenite::tungstenite::Message;

const STREAMS_MAX: usize = 7;
const TELEMETRY_MAX: usize = 2;

/// Under which names a way is counted while it opens: its tenant's, or that of all tenants, or both.
fn counted_under(way: Way) -> &'static [&'static str] {
    match way {
        Way::Locations => &["all tenants"],
        Way::Commands | Way::Location => &["all tenants", TENANT],
        Way::Telemetry | Way::TelemetryEvents => &[TENANT, "telemetry"],
        Way::Realtime | Way::Watch | Way::Logs | Way::Filter | Way::Legacy => &[TENANT],
    }
}

/// Under which it stays counted.
fn kept_under(way: Way) -> &'static [&'static str] {
    match way {
        Way::Commands | Way::Location => &[TENANT],
        Way::Locations
        | Way::Realtime
        | Way::Watch
        | Way::Logs
        | Way::Filter
        | Way::Telemetry
        | Way::TelemetryEvents
        | Way::Legacy => counted_under(way),
    }
}

/// Whether there is room for one more.
fn has_room(way: Way, open: &[(Way, Watcher)]) -> bool {
    counted_under(way).iter().all(|name| {
        let most = if *name == "telemetry" {
            TELEMETRY_MAX
        } else {
            STREAMS_MAX
        };
        let counted = open.iter().filter(|(other, _)| kept_under(*other).contains(name));
        counted.count() < most
    })
}

/// Opens one too many: refused in the way that its dialect documents.
async fn is_refused(way: Way, admin: &Api, open: &[(Way, Watcher)]) {
    let counted = |way: &Way| counted_under(*way).contains(&"telemetry");
    let telemetry = open.iter().filter(|(other, _)| counted(other)).count();
    let of_tenant = open
        .iter()
        .filter(|(other, _)| kept_under(*other).contains(&TENANT));
    let is_capped = counted(&way) && telemetry >= TELEMETRY_MAX && of_tenant.count() < STREAMS_MAX;
    match way.open(admin, "", None).await {
        Err(Ended::Status(429, body)) if is_capped => {
            assert!(body.contains("Max streaming connections (2) reached"), "{body}");
        }
        // A browser gives an event stream up for ever after any other status.
        Ok(mut watcher) if way.is_event_stream() && !is_capped => {
            let frame = within("the fault", watcher.next()).await.expect("a frame");
            assert!(frame.is_fault, "{way:?}: {frame:?}");
        }
        Err(Ended::Status(503, body)) if !way.is_event_stream() && !is_capped => {
            assert!(body.contains("as many streams as it may"), "{way:?}: {body}");
        }
        Err(other) => panic!("{way:?}: {other:?}"),
        Ok(_) => panic!("{way:?} was opened as one too many"),
    }
}

/// What no client should send, to somebody's socket.
async fn misbehave(open: &mut [(Way, Watcher)], random: &mut SmallRng) {
    let number = random.random_range(0..open.len());
    if let Watcher::Socket(socket) = &mut open[number].1 {
        let nonsense: Vec<u8> = (0..200).map(|_| random.random()).collect();
        let text = String::from_utf8_lossy(&nonsense).into_owned();
        socket.send_raw(Message::text(text)).await;
        socket.send_raw(Message::binary(nonsense)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_never_has_more_streams_than_it_may() {
    let mut random = Seed::of_test().part(0);
    let world = World::with(|config| {
        config.gateway.streams_per_tenant_max = STREAMS_MAX;
        config.open.telemetry.streams_max = TELEMETRY_MAX;
    })
    .await;
    let admin = placed(std::slice::from_ref(&world.node.api), TENANT, &[DEVICE]).await;
    let mut open: Vec<(Way, Watcher)> = Vec::new();
    let mut refused = 0;
    for _ in 0..150 * scale() {
        match random.random_range(0..10) {
            0..6 => {
                let way = *WAYS.choose(&mut random).expect("ways");
                if has_room(way, &open) {
                    // Those that were closed may take a moment to go.
                    let opened = until("there is room", async || way.open(&admin, "", None).await.ok());
                    open.push((way, opened.await));
                } else {
                    is_refused(way, &admin, &open).await;
                    refused += 1;
                }
            }
            6..8 if !open.is_empty() => {
                drop(open.swap_remove(random.random_range(0..open.len())));
                until("its place is free", async || {
                    let streams = world.node.metric("wakeline_gateway_streams").await;
                    (streams == open.len() as f64).then_some(())
                })
                .await;
            }
            _ if !open.is_empty() => misbehave(&mut open, &mut random).await,
            _ => {}
        }
        let streams = world.node.metric("wakeline_gateway_streams").await;
        assert!(streams <= (2 * STREAMS_MAX) as f64, "{streams}");
    }
    assert!(refused > 0, "nobody was refused: nothing was shown");
    drop(open);
    until("all have gone", async || {
        (world.node.metric("wakeline_gateway_streams").await == 0.0).then_some(())
    })
    .await;
    world.end().await;
}
