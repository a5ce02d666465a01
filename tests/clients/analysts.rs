//! What `schemas/ANALYSTS.md` shows is what happens: its code is run as it stands there, against real Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use node::trace;
use serde_json::{Value, json};
use tests::api::Api;
use tests::nodes::ADMIN_TOKEN;
use tests::program::Program;
use tests::wait;
use tokio::process::Command;

use crate::client;
use crate::serving::Cluster;

const PAGE: &str = include_str!("../../schemas/ANALYSTS.md");
const TENANT: &str = "liverpool";
/// Longest run of the page's code; it starts Python and draws.
const PATIENCE: Duration = Duration::from_secs(120);
/// A bus that is deleted in the end, so that the topic of state has a tombstone.
const SCRAPPED: &str = "bus-4716";
/// Tells what the page's code found.
const TELL: &str = r#"
print(json.dumps({
    "kinds": kinds,
    "points": {device: len(found) for device, found in track.items()},
    "documents": {key: {"version": found["version"], "numbers": found["fields"]["numbers"]}
                  for key, found in documents.items()},
    "fastavro": {"numbers": {key: found["fields"]["numbers"] for key, found in devices.items()}, "gone": sorted(gone)},
    "bus": bus,
    "plotted": len(path.get_offsets()),
}))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_analysts_page_goes_from_an_empty_notebook_to_a_plot_of_the_bus() {
    if !client::are_here() {
        return;
    }
    let Some(cluster) = Cluster::up().await else {
        return;
    };
    let node = cluster.start("all").await;
    drive_buses(&node.api).await;
    let here = tempfile::tempdir().expect("a directory");
    let run = |mut command: Command| {
        command
            .current_dir(here.path())
            .env("WAKELINE_KAFKA", &cluster.servers.kafka)
            .env("WAKELINE_URL", &node.api.base)
            .env("MPLBACKEND", "Agg")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        run(command)
    };

    let mut notebook = Command::new(client::python());
    notebook.arg("-c").arg(blocks("python").join("\n") + TELL);
    let printed = run(notebook).await;
    let found: Value = serde_json::from_str(&printed).expect("JSON");
    finds_what_was_recorded(&found, &node.api).await;
    is_a_picture(&here.path().join("bus.png"));

    let kcat: Vec<String> = blocks("sh")
        .into_iter()
        .filter(|it| it.contains("kcat -b"))
        .collect();
    let [events, state] = &kcat[..] else {
        panic!("{kcat:?}")
    };
    let shell = |text: &str| {
        let mut shell = Command::new("bash");
        shell.arg("-c").arg(format!("set -euo pipefail; {text}"));
        shell
    };
    let counts = run(shell(events)).await;
    let telemetry = found["kinds"]["telemetry"].as_u64().expect("a number");
    assert!(
        counts.contains(&format!(" {telemetry} kind=telemetry\n")),
        "{counts}"
    );
    kcat_tells_what_became_of_each(&run(shell(state)).await, &found);
}

/// The code in the page's fences of one language.
fn blocks(language: &str) -> Vec<String> {
    let mut parts = PAGE.split("\n```");
    let mut blocks = Vec::new();
    parts.next();
    // Fences open and close in turn.
    while let (Some(block), Some(_)) = (parts.next(), parts.next()) {
        let (named, code) = block.split_once('\n').expect("a fence has a line of its own");
        if named == language {
            blocks.push(code.to_owned());
        }
    }
    assert!(!blocks.is_empty(), "the page has no {language}");
    blocks
}

/// Replays the recording and scraps one bus.
async fn drive_buses(api: &Api) {
    let arguments = [
        "simulate", "--url", &api.base, "--tenant", TENANT, "--trace", "bundled",
    ];
    let simulated = Program::run(&arguments, &[("WAKELINE_TOKEN", ADMIN_TOKEN)]).await;
    assert_eq!(simulated.code, Some(0), "{}", simulated.errors);
    let path = |device: &str| format!("/v1/devices/{device}?tenant={TENANT}");
    let deleted = api.delete(&path(SCRAPPED)).await;
    assert_eq!(deleted.status, 202, "{}", deleted.text);
    wait::until("the bus is scrapped", || async {
        (api.get(&path(SCRAPPED)).await.status == 404).then_some(())
    })
    .await;
    // The others are folded in partitions of their own.
    for (device, event) in last_events() {
        wait::until(&format!("{device} has arrived"), || async {
            let document = api.get(&path(&device)).await.json;
            (document["fields"]["lat"] == event["fields"]["lat"]).then_some(())
        })
        .await;
    }
}

/// The last event of each bus that is not scrapped.
fn last_events() -> BTreeMap<String, Value> {
    let recorded = trace::read(None).expect("the recording");
    let events = recorded.into_iter().map(|record| record.event);
    let named = events.map(|event| (event["device"].as_str().expect("a device").to_owned(), event));
    let mut last: BTreeMap<_, _> = named.collect();
    last.remove(SCRAPPED).expect("the bus is in the recording");
    last
}

async fn run(mut command: Command) -> String {
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.expect("in time").expect("it runs");
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

async fn finds_what_was_recorded(found: &Value, api: &Api) {
    let recorded = trace::read(None).expect("the recording");
    assert_eq!(found["kinds"]["telemetry"], json!(recorded.len()));
    assert_eq!(found["kinds"]["deleted"], 1);
    let mut points = serde_json::Map::new();
    for record in &recorded {
        let device = record.event["device"].as_str().expect("a device");
        let count = points.get(device).and_then(Value::as_u64).unwrap_or_default();
        points.insert(device.to_owned(), json!(count + 1));
    }
    assert_eq!(found["points"], Value::Object(points));
    let documents = found["documents"].as_object().expect("documents");
    let last = last_events();
    let keys: BTreeSet<String> = last.keys().map(|device| format!("{TENANT}/{device}")).collect();
    assert_eq!(documents.keys().cloned().collect::<BTreeSet<_>>(), keys);
    for (device, event) in &last {
        let numbers = &documents[&format!("{TENANT}/{device}")]["numbers"];
        for name in ["lat", "lng"] {
            assert_eq!(numbers[name], event["fields"][name], "{device}");
        }
    }
    let with_fastavro = &found["fastavro"];
    assert_eq!(with_fastavro["gone"], json!([format!("{TENANT}/{SCRAPPED}")]));
    for (key, document) in documents {
        assert_eq!(with_fastavro["numbers"][key], document["numbers"], "{key}");
    }
    assert_ne!(
        found["bus"], SCRAPPED,
        "a bus that is not there now cannot be shown"
    );
    let bus = found["bus"].as_str().expect("a bus");
    assert_eq!(
        found["plotted"], found["points"][bus],
        "each of its points is on the plot"
    );
    let document = api.get(&format!("/v1/devices/{bus}?tenant={TENANT}")).await.json;
    assert_eq!(document["id"], bus);
}

fn is_a_picture(path: &Path) {
    let bytes = std::fs::read(path).expect("the plot");
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "no PNG");
    assert!(bytes.len() > 20_000, "an empty plot: {} bytes", bytes.len());
}

/// A line for each device, with a size of -1 for the one that is gone.
fn kcat_tells_what_became_of_each(printed: &str, found: &Value) {
    let mut gone = Vec::new();
    let mut there = BTreeSet::new();
    for line in printed.lines() {
        let (key, rest) = line.split_once(' ').expect("a key");
        assert!(rest.contains("source-offset="), "{line}");
        if rest.starts_with("-1 ") {
            gone.push(key);
        } else {
            there.insert(key);
        }
    }
    assert_eq!(gone, [format!("{TENANT}/{SCRAPPED}")]);
    let documents = found["documents"].as_object().expect("documents");
    assert_eq!(
        there,
        documents.keys().map(String::as_str).collect::<BTreeSet<_>>()
    );
}
