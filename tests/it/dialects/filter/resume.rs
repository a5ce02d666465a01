//! Clients that are cut at random and come back with their cursor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use tests::api::Api;
use tests::seed::{Seed, scale};
use tests::stream::Carrier;
use tests::wait::until;
use tests::world::World;

use super::{filter, filtered, opened, telemetry, update};

const DEVICES: u32 = 6;
const FILTERS: [&str; 2] = ["speed > 7", "@zone = \"A\" and zone != \"A\""];

/// Versions of each device.
type Seen = BTreeMap<String, BTreeSet<u64>>;

/// The filters, written down a second time.
fn passes(before: Option<&Value>, device: &Value) -> bool {
    let is_in_a = |device: &Value| device["fields"]["zone"] == "A";
    let is_fast = device["fields"]["speed"].as_u64().is_some_and(|speed| speed > 7);
    is_fast || before.is_some_and(is_in_a) && !is_in_a(device)
}

/// What matches of all changes.
fn matching(changes: &[Value]) -> Seen {
    let (mut seen, mut last) = (Seen::new(), BTreeMap::new());
    for device in changes.iter().map(|change| &change["device"]) {
        let id = device["id"].as_str().expect("an id").to_owned();
        let before: Option<Value> = last.insert(id.clone(), device.clone());
        if passes(before.as_ref(), device) {
            let version = device["version"].as_u64().expect("a version");
            seen.entry(id).or_default().insert(version);
        }
    }
    seen
}

/// Reads until it is ended, cut again and again.
async fn read(api: Api, mut random: SmallRng, seen: Arc<Mutex<Seen>>) {
    let mut since = "earliest".to_owned();
    loop {
        let mut socket = opened(&api, &format!("cursor=1&since={since}")).await;
        for q in FILTERS {
            socket.send(&filter(q)).await;
        }
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for _ in 0..random.random_range(1..25) {
            let next = tokio::time::timeout(Duration::from_millis(300), socket.try_next()).await;
            let Ok(frame) = next else {
                break;
            };
            let frame = frame.expect("the socket goes on");
            assert!(frame.get("reset").is_none(), "{frame}");
            let device = &frame["update"];
            let id = device["id"].as_str().expect("an id").to_owned();
            let version = device["version"].as_u64().expect("a version");
            let before = last.insert(id.clone(), version);
            assert!(before.is_none_or(|before| before < version), "{frame}");
            since = frame["cursor"].as_str().expect("a cursor").to_owned();
            seen.lock()
                .expect("the lock")
                .entry(id)
                .or_default()
                .insert(version);
        }
    }
}

async fn drive(world: &World, mut random: SmallRng) {
    for _ in 0..40 * scale() {
        let moves: Vec<Value> = (0..random.random_range(1..30))
            .map(|_| {
                let zone = [None, Some("A"), Some("A"), Some("B")][random.random_range(0..4)];
                let speed = random.random_range(0..10_u64);
                let device = format!("tag-{}", random.random_range(0..DEVICES));
                telemetry(&device, json!({"speed": speed, "zone": zone}))
            })
            .collect();
        world.admin.send_events(&moves).await;
    }
    // What matches last lies somewhere before.
    let last: Vec<Value> = (0..DEVICES)
        .map(|device| telemetry(&format!("tag-{device}"), json!({"speed": 1, "zone": "A"})))
        .collect();
    let cursor = world.admin.send_events(&last).await;
    for device in 0..DEVICES {
        let path = format!("/v1/devices/tag-{device}?min_cursor={cursor}");
        assert_eq!(world.admin.get(&path).await.status, 200);
    }
}

async fn every_client_has_the_newest_that_matched(world: World) {
    let seed = Seed::of_test();
    let mut clients = Vec::new();
    for number in 1..4 {
        let seen = Arc::new(Mutex::new(Seen::new()));
        let reading = read(world.admin.clone(), seed.part(number), Arc::clone(&seen));
        clients.push((seen, tokio::spawn(reading)));
    }
    drive(&world, seed.part(0)).await;
    let mut all = world
        .stream(Carrier::Sse, "view=devices&since=earliest", None)
        .await;
    let matching = matching(&all.rest().await);
    for (seen, client) in clients {
        until("the newest of every device came", async || {
            let seen = seen.lock().expect("the lock").clone();
            let newest = |id: &String| seen.get(id).and_then(|versions| versions.last().copied());
            let mut devices = matching.iter();
            devices
                .all(|(id, versions)| newest(id) >= versions.last().copied())
                .then_some(())
        })
        .await;
        client.abort();
        for (id, versions) in seen.lock().expect("the lock").iter() {
            let (all, newest) = (&matching[id], matching[id].last().expect("one"));
            let mut known = versions.iter().filter(|version| *version <= newest);
            assert!(
                known.all(|version| all.contains(version)),
                "{id}: {versions:?} of {all:?}"
            );
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_often_it_is_cut() {
    every_client_has_the_newest_that_matched(World::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn also_on_a_gateway_that_is_always_behind() {
    let world = World::with(|config| config.gateway = tests::resume::tight()).await;
    every_client_has_the_newest_that_matched(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_of_the_beginning_hold_from_the_cursor_on_one_after_the_other() {
    let world = World::start().await;
    let event = |n: u64| telemetry(&format!("tag-{n}"), json!({"n": n}));
    let mut socket = filtered(&world.admin, "cursor=1", "n = 1").await;
    world.admin.send_events(&[event(1)]).await;
    let frame = socket
        .first("an update", |frame| frame.get("update").is_some())
        .await;
    let cursor = frame["cursor"].as_str().expect("a cursor").to_owned();
    world.admin.send_events(&[event(2), event(3)]).await;
    drop(socket);
    let mut socket = opened(&world.admin, &format!("cursor=1&since={cursor}")).await;
    socket.send(&filter("n = 2")).await;
    assert_eq!(update(&mut socket).await["n"], 2);
    socket.send(&filter("n = 3")).await;
    assert_eq!(update(&mut socket).await["n"], 3);
    world.end().await;
}
