//! Clients that open a stream and read nothing of it.

use serde_json::{Value, json};
use tests::program::Program;
use tests::raw::Raw;

use super::memory::Memory;

const CLIENTS: usize = 20;
/// Events of the flood, and bytes of text in each.
const EVENTS: usize = 4_000;
const TEXT: usize = 9_000;
/// How much more the process may hold than before, MiB. The flood itself takes some 220, whether 2 or 20 are stuck; a copy
/// for each client would be 700 more.
const GROWTH_MAX: u64 = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stuck_clients_miss_is_not_kept_for_them_in_memory() {
    let data = tempfile::tempdir().expect("a directory");
    let unlimited = [
        "--ingest-device-events-per-second",
        "1000000",
        "--ingest-device-events-burst",
        "1000000",
    ];
    let (program, api) = Program::serve(data.path(), &unlimited).await;
    let admin = api.token(&json!({"role": "admin", "tenant": "acme"})).await;
    let api = api.with_token(&admin);
    let mut stuck = Vec::new();
    for deliver in ["every", "latest"].repeat(CLIENTS / 2) {
        let query = format!("/v1/stream?kind=telemetry&deliver={deliver}");
        let request = format!("{}\r\n", Raw::head(&api, "GET", &query));
        let mut raw = Raw::send_with_small_buffer(&api, request.as_bytes()).await;
        raw.until("event: hello").await;
        stuck.push(raw);
    }
    let before = Memory::of(program.id());
    let text = "x".repeat(TEXT);
    let flood = async {
        let numbers: Vec<usize> = (0..EVENTS).collect();
        for batch in numbers.chunks(400) {
            let event = |n: &usize| json!({"device": format!("bus-{}", n % 4), "kind": "telemetry", "fields": {"n": n, "text": text}});
            let events: Vec<Value> = batch.iter().map(event).collect();
            api.send_events(&events).await;
        }
    };
    let ((), most) = Memory::most(program.id(), flood).await;
    let growth = most.pss.saturating_sub(before.pss);
    assert!(
        growth <= GROWTH_MAX,
        "{growth} MiB for {CLIENTS} clients: {before:?}, {most:?}"
    );
    // They are still there, and served: nothing was saved by dropping them.
    for raw in &mut stuck {
        raw.until("\"text\"").await;
    }
    program.terminate().await;
    program.ended().await;
}
