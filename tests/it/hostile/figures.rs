//! What bad clients cost a node and the good ones: memory of its process, and the time from sending an
//! event to having it. `cargo test --release -p tests --test it figures -- --ignored --nocapture` prints a
//! table. The node has one core, and the clients the other; among these the good ones come first.

mod cores;
mod good;

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tests::api::Api;
use tests::program::Program;
use tests::raw::Raw;
use tokio::time::{Instant, timeout};

use super::memory::Memory;
use good::Good;

/// How long each phase is measured at least.
const PHASE: Duration = Duration::from_secs(8);
/// Events of an hour at fifty a second.
const HOUR: usize = 180_000;
/// As many are sent at a time, so often.
const BATCH: usize = 1_000;
const BATCH_EVERY: Duration = Duration::from_millis(100);
/// Events of the log that the herd reads.
const LOG: usize = 5_000;
const DEVICES: usize = 50;

#[tokio::test]
#[ignore = "minutes; for people"]
async fn what_hostile_clients_cost() {
    println!(
        "| scenario | p50 ms before / during / after | p99 ms | PSS MiB before / most / after | RSS most |"
    );
    println!("|---|---|---|---|---|");
    measure("an hour of events is sent, nobody stuck", async |api| {
        hour(&api).await
    })
    .await;
    measure("the same, 20 streams that stopped reading", stuck).await;
    measure("1,000 resume from earliest at once", herd).await;
    measure("2,000 heads and 500 bodies, a byte a second", bytes_a_second).await;
    measure("a flood of connects", connects).await;
    measure("1,000 half-open upgrades, oversized frames", sockets).await;
}

#[expect(clippy::print_stdout, reason = "the table is for people")]
async fn measure(name: &str, harm: impl AsyncFnOnce(Api) + Send + 'static) {
    let data = tempfile::tempdir().expect("a directory");
    let unlimited = [
        "--ingest-device-events-per-second",
        "100000000",
        "--ingest-device-events-burst",
        "100000000",
        // Those that were stuck read on at once: their tenant's share of reading is not what is measured.
        "--gateway-catch-up-bytes-per-s",
        "64GiB",
    ];
    let (program, api) = Program::serve(data.path(), &unlimited).await;
    cores::part(program.id()).await;
    let admin = api.token(&json!({"role": "admin", "tenant": "acme"})).await;
    let api = api.with_token(&admin);
    let good = Good::start(&api).await;
    let before = good.during(tokio::time::sleep(PHASE)).await;
    let memory_before = Memory::of(program.id());
    let ends = Instant::now() + PHASE;
    let harm = cores::behind(api.clone(), harm);
    let watched = Memory::most(program.id(), async {
        let phase = async {
            harm.await.expect("the harm is done");
            tokio::time::sleep_until(ends).await;
        };
        good.during(phase).await
    });
    let (during, most) = watched.await;
    let after = good.during(tokio::time::sleep(PHASE)).await;
    let memory_after = Memory::of(program.id());
    println!(
        "| {name} | {:.1} / {:.1} / {:.1} | {:.1} / {:.1} / {:.1} | {} / {} / {} | {} |",
        before.p50,
        during.p50,
        after.p50,
        before.p99,
        during.p99,
        after.p99,
        memory_before.pss,
        most.pss,
        memory_after.pss,
        most.rss,
    );
    good.stop().await;
    program.terminate().await;
    program.ended().await;
}

/// Sends an hour's worth of events in some twenty seconds.
async fn hour(api: &Api) {
    send(api, HOUR).await;
}

async fn send(api: &Api, count: usize) {
    let text = "x".repeat(200);
    let numbers: Vec<usize> = (0..count).collect();
    let mut every = tokio::time::interval(BATCH_EVERY);
    for batch in numbers.chunks(BATCH) {
        every.tick().await;
        let events: Vec<Value> = batch
            .iter()
            .map(|n| json!({"device": format!("bus-{}", n % DEVICES), "kind": "telemetry", "fields": {"n": n, "text": text}}))
            .collect();
        api.send_events(&events).await;
    }
}

fn stream(api: &Api, query: &str) -> String {
    format!("{}\r\n", Raw::head(api, "GET", &format!("/v1/stream?{query}")))
}

fn buses() -> String {
    let names: Vec<String> = (0..DEVICES).map(|n| format!("bus-{n}")).collect();
    names.join(",")
}

/// Twenty stop reading, an hour passes, they read on: all of it, or the newest of each device.
async fn stuck(api: Api) {
    let mut stuck = Vec::new();
    for deliver in ["every", "latest"].repeat(10) {
        let request = stream(
            &api,
            &format!("kind=telemetry&device={}&deliver={deliver}", buses()),
        );
        let mut raw = Raw::send_with_small_buffer(&api, request.as_bytes()).await;
        raw.until("event: hello").await;
        stuck.push((deliver, raw));
    }
    hour(&api).await;
    let read_on = stuck
        .into_iter()
        .map(|(deliver, raw)| tokio::spawn(reads_on(deliver, raw)));
    for read_on in join_all(read_on).await {
        read_on.expect("it reads everything");
    }
}

/// Every event of each device in order, or some hundred of which the last of each device is its newest.
async fn reads_on(deliver: &str, mut raw: Raw) {
    let (mut newest, mut frames) = (vec![None; DEVICES], 0);
    while newest.iter().any(|n| n.is_none_or(|n| n < HOUR - DEVICES)) {
        let block = raw.until("\n\n").await;
        let Some((_, number)) = block.split_once("\"fields\":{\"n\":") else {
            continue;
        };
        let (number, _) = number.split_once(',').expect("more fields");
        let n: usize = number.parse().expect("a number");
        let last = newest[n % DEVICES].replace(n);
        let next = last.map_or(n % DEVICES, |last| last + DEVICES);
        assert!(
            if deliver == "every" { n == next } else { n >= next },
            "{deliver}: {n} after {last:?}"
        );
        frames += 1;
    }
    assert!(
        if deliver == "every" {
            frames == HOUR
        } else {
            frames < HOUR / 10
        },
        "{deliver}: {frames} of {HOUR}"
    );
}

async fn herd(api: Api) {
    send(&api, LOG).await;
    let request = stream(&api, &format!("kind=telemetry&device={}&since=earliest", buses()));
    join_all((0..1_000).map(|_| async {
        let mut raw = Raw::send(&api, request.as_bytes()).await;
        raw.pass_over("event: caught_up", Duration::from_secs(300)).await;
    }))
    .await;
}

async fn bytes_a_second(api: Api) {
    let slow = async |beginning: String| {
        let mut raw = Raw::send(&api, beginning.as_bytes()).await;
        raw.trickle(&[b' '; 12], Duration::from_secs(1)).await;
    };
    let body = format!(
        "{}Content-Length: 1000\r\n\r\n[",
        Raw::head(&api, "POST", "/v1/events")
    );
    let heads = (0..2_000).map(|_| slow("GET /v1/stream HTTP/1.1\r\nX:".to_owned()));
    let bodies = (0..500).map(|_| slow(body.clone()));
    tokio::join!(join_all(heads), join_all(bodies));
}

async fn connects(api: Api) {
    let flood = async {
        let mut held = std::collections::VecDeque::new();
        loop {
            held.push_back(Raw::send(&api, b"GET /").await);
            if held.len() > 2_000 {
                held.pop_front();
            }
        }
    };
    let flooded: Result<(), _> = timeout(PHASE, flood).await;
    assert!(flooded.is_err());
}

async fn sockets(api: Api) {
    let upgrade = format!(
        "{}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        Raw::head(&api, "GET", "/v1/stream?kind=telemetry&device=bus-0")
    );
    let mut left = Vec::new();
    for number in 0..1_000 {
        let mut raw = Raw::send(&api, upgrade.as_bytes()).await;
        raw.until("\r\n\r\n").await;
        // Half of them announce a gibibyte and go on.
        if number % 2 == 0 {
            raw.more(&[0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0])
                .await;
            raw.trickle(&[0; 64], Duration::ZERO).await;
        }
        left.push(raw);
    }
    tokio::time::sleep(PHASE).await;
}
