//! A client that reads a hundredth of what is there.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::socket::Socket;
use tests::world::World;

use super::{PATH, filter, marked, telemetry};

const FLEET: usize = 40;
/// The last of them is one in which every device is back in its zone.
const ROUNDS: u64 = 151;

fn round(n: u64) -> Vec<Value> {
    let zone = if n.is_multiple_of(2) { "A" } else { "B" };
    let fields = json!({"zone": zone, "n": n, "load": "x".repeat(3_000)});
    let devices = (0..FLEET).map(|number| telemetry(&format!("tag-{number}"), fields.clone()));
    devices.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_leaving_of_every_device_arrives_though_all_are_back() {
    let world = World::start().await;
    let bearer = format!("Bearer {}", world.admin.token);
    let header = [("authorization", &*bearer)];
    let mut socket = Socket::open_narrow(&world.admin, PATH, &header).await;
    socket.send(&filter("@zone = \"A\" and zone != \"A\"")).await;
    marked(&mut socket).await;
    let (mut newest, mut came) = (BTreeMap::new(), 0_u64);
    let mut take = |frame: Value| {
        let device = &frame["update"];
        assert_eq!(device["zone"], "B", "{frame}");
        let (id, n) = (device["id"].to_string(), device["n"].as_u64().expect("a number"));
        let before = newest.insert(id, n);
        assert!(before.is_none_or(|before| before < n), "{n} after {before:?}");
        came += 1;
        newest.len() == FLEET && newest.values().all(|n| *n == ROUNDS - 2)
    };
    for n in 0..ROUNDS {
        world.admin.send_events(&round(n)).await;
        // Half of what is sent leaves: a hundredth of that.
        if n % 5 == 4 {
            take(socket.next().await);
        }
    }
    while !take(socket.next().await) {}
    let left = FLEET as u64 * (ROUNDS / 2);
    assert!(came < left * 3 / 4, "{came} of {left}: nothing was conflated");
    world.end().await;
}
