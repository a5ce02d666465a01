//! The alerts and dashboards of `infra/` speak of metrics and labels that a node really has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tests::api::reading;
use tests::nodes::Running;
use tests::stream::{Carrier, Streaming};
use tests::wait;

use crate::in_process::InProcess;

/// Where what operators use lies.
const FOLDERS: [&str; 2] = ["infra/prometheus", "infra/grafana"];
/// What a histogram's samples add to its name.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_and_label_that_operators_files_name_is_exported_by_a_node() {
    let Some(InProcess { node, .. }) = InProcess::start().await else {
        return;
    };
    let stream = stir(&node).await;
    let metrics = wait::until("every part has counted something", || async {
        let text = reqwest::get(format!("{}/metrics", node.admin_url))
            .await
            .ok()?
            .text()
            .await
            .ok()?;
        let all = [
            "wakeline_gateway_resets_total{",
            "wakeline_projector_lag_seconds{",
            "wakeline_ingest_requests_total{",
        ];
        all.iter().all(|name| text.contains(name)).then_some(text)
    })
    .await;
    drop(stream);
    node.drain().await;

    let mut named = 0;
    for path in FOLDERS.iter().flat_map(|folder| files(folder)) {
        let text = std::fs::read_to_string(&path).expect("text");
        for (name, labels) in uses(&text) {
            let samples: Vec<&str> = metrics.lines().filter(|line| is_of(line, &name)).collect();
            assert!(!samples.is_empty(), "{}: no node exports {name}", path.display());
            for label in labels {
                let has = samples.iter().any(|line| line.contains(&format!("{label}=\"")));
                assert!(has, "{}: {name} has no label {label}", path.display());
            }
            named += 1;
        }
    }
    assert!(named >= 8, "only {named} uses were found");
}

/// Does what makes counters with labels appear: an event, a refused one, a stream with a reset.
async fn stir(node: &Running) -> Streaming {
    node.api.send_events_of("acme", &[reading("bus", 1)]).await;
    let mut stream = Streaming::open(&node.api, Carrier::Sse, "tenant=acme", Some("not-a-cursor"))
        .await
        .expect("a stream");
    stream.until("reset").await;
    stream
}

/// Names of metrics in `text`, each with the labels that it is selected by.
fn uses(text: &str) -> BTreeSet<(String, Vec<String>)> {
    let starts = text.match_indices("wakeline_").map(|(at, _)| &text[at..]);
    starts
        .map(|rest| {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let selector = after
                .strip_prefix('{')
                .and_then(|inside| inside.split('}').next());
            let labels = selector.unwrap_or_default().split(',').filter_map(|matcher| {
                let label = matcher.split(['=', '!']).next()?.trim();
                (!label.is_empty()).then(|| label.to_owned())
            });
            (name.to_owned(), labels.collect())
        })
        .collect()
}

/// Whether the line of /metrics is a sample of `name`.
fn is_of(line: &str, name: &str) -> bool {
    let sampled = line.split(['{', ' ']).next().unwrap_or_default();
    let of_histogram = SUFFIXES
        .iter()
        .any(|suffix| sampled.strip_suffix(suffix) == Some(name));
    sampled == name || of_histogram
}

fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the repository");
    // One of them may not be there.
    let entries = std::fs::read_dir(root.join(folder))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect()
}

#[test]
fn uses_of_metrics_are_found_with_their_labels() {
    let text = "expr: sum(rate(wakeline_a_total{status=\"503\", b!=\"x\"}[5m])) > 0 and wakeline_b == 0";
    let found: Vec<_> = uses(text).into_iter().collect();
    let expected = [
        ("wakeline_a_total", vec!["status", "b"]),
        ("wakeline_b", Vec::new()),
    ];
    assert_eq!(found.len(), expected.len());
    for ((name, labels), (expected, with)) in found.iter().zip(expected) {
        assert_eq!(
            (
                name.as_str(),
                labels.iter().map(String::as_str).collect::<Vec<_>>()
            ),
            (expected, with)
        );
    }
    assert!(is_of("wakeline_b_bucket{le=\"1\"} 3", "wakeline_b") && !is_of("wakeline_bc 3", "wakeline_b"));
}
