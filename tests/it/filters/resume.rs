//! Streams with filters that are cut at random and come back tell what a full evaluation of the log tells.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde_json::Value;
use tests::api::Api;
use tests::seed::{Seed, scale};
use tests::stream::{Carrier, Streaming};
use tests::wait::within;
use tests::world::World;

use super::{drives, with_q};

const DEVICES: u32 = 6;
/// A speed that only the last report of each device has; every filter passes it.
const END: i64 = 9_999;

/// What of a device before and after a change passes; written down twice, as a filter and by hand.
struct Case {
    q: &'static str,
    passes: fn(Option<&Value>, &Value) -> bool,
    /// A state that can be left, not a transition.
    is_state: bool,
}

fn speed(device: &Value) -> i64 {
    device["fields"]["speed"].as_i64().unwrap_or_default()
}

fn is_in_a(device: &Value) -> bool {
    device["fields"]["zone"] == "A"
}

static CASES: [Case; 3] = [
    Case {
        q: "speed > 2",
        passes: |_, device| speed(device) > 2,
        is_state: true,
    },
    Case {
        q: "zone = \"A\"",
        passes: |_, device| is_in_a(device),
        is_state: true,
    },
    Case {
        q: "@zone = \"A\" and zone != \"A\" or speed = 9999",
        passes: |before, device| before.is_some_and(is_in_a) && !is_in_a(device) || speed(device) == END,
        is_state: false,
    },
];

/// What a client was told of each device, in order: versions of its document, or that it left.
type Told = BTreeMap<String, Vec<String>>;

fn told(case: &Case, changes: &[Value]) -> Told {
    let (mut told, mut last) = (Told::new(), BTreeMap::new());
    for change in changes {
        let device = &change["device"];
        let id = device["id"].as_str().expect("an id").to_owned();
        let before: Option<Value> = last.insert(id.clone(), device.clone());
        let was = case.is_state && before.as_ref().is_some_and(|before| (case.passes)(None, before));
        if (case.passes)(before.as_ref(), device) {
            told.entry(id).or_default().push(device["version"].to_string());
        } else if was {
            told.entry(id).or_default().push("left".to_owned());
        }
    }
    told
}

/// Reads until every device has said its last word, cut again and again.
async fn read(api: Api, carrier: Carrier, q: &str, mut random: SmallRng) -> Told {
    let query = with_q("view=devices&kind=telemetry", q);
    let (mut told, mut ended) = (Told::new(), 0);
    let mut cursor: Option<String> = None;
    loop {
        let first = format!("{query}&since=earliest");
        let query = if cursor.is_some() { &query } else { &first };
        let mut stream = Streaming::open(&api, carrier, query, cursor.as_deref())
            .await
            .expect("a stream");
        for _ in 0..random.random_range(1..25) {
            let frame = stream.next().await.expect("the stream goes on");
            assert!(frame.kind != "reset", "{frame:?}");
            cursor = frame.cursor.or(cursor);
            let left = frame.data["left"].as_str();
            if let Some(left) = left {
                told.entry(left.to_owned()).or_default().push("left".to_owned());
            } else if frame.kind == "device" {
                let device = &frame.data["device"];
                let id = device["id"].as_str().expect("an id").to_owned();
                told.entry(id).or_default().push(device["version"].to_string());
                ended += u32::from(speed(device) == END);
            }
            if ended == DEVICES {
                return told;
            }
        }
    }
}

async fn drive(world: &World, mut random: SmallRng) {
    for _ in 0..40 * scale() {
        let moves: Vec<Value> = (0..random.random_range(1..30))
            .map(|_| {
                let zone = [None, Some("A"), Some("A"), Some("B")][random.random_range(0..4)];
                let device = format!("bus-{}", random.random_range(0..DEVICES));
                drives(&device, random.random_range(0..5), zone)
            })
            .collect();
        world.admin.send_events(&moves).await;
    }
    let last: Vec<Value> = (0..DEVICES)
        .map(|device| drives(&format!("bus-{device}"), END, Some("A")))
        .collect();
    let cursor = world.admin.send_events(&last).await;
    for device in 0..DEVICES {
        let path = format!("/v1/devices/bus-{device}?min_cursor={cursor}");
        assert_eq!(world.admin.get(&path).await.status, 200);
    }
}

async fn every_client_is_told_what_the_log_says(world: World) {
    let seed = Seed::of_test();
    let mut clients = Vec::new();
    for case in &CASES {
        for carrier in [Carrier::Sse, Carrier::WebSocket] {
            let random = seed.part(1 + clients.len() as u64);
            let reading = read(world.admin.clone(), carrier, case.q, random);
            clients.push((case, carrier, tokio::spawn(reading)));
        }
    }
    drive(&world, seed.part(0)).await;
    let mut all = world
        .stream(Carrier::Sse, "view=devices&kind=telemetry&since=earliest", None)
        .await;
    let changes = all.rest().await;
    for (case, carrier, client) in clients {
        let has = within("every device's last word", client)
            .await
            .expect("it reads");
        assert_eq!(has, told(case, &changes), "{}, {carrier:?}", case.q);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_often_it_is_cut() {
    every_client_is_told_what_the_log_says(World::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn also_on_a_gateway_that_is_always_behind() {
    let world = World::with(|config| config.gateway = tests::resume::tight()).await;
    every_client_is_told_what_the_log_says(world).await;
}
