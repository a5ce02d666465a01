//! Which crate may depend on which: arrows point down only.

use std::collections::BTreeSet;

use toml::Table;

use crate::holds;
use crate::repository::{dependencies, manifests};

/// Each crate, and those of ours that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("schemas", &[]),
    ("migrations", &[]),
    ("query", &[]),
    ("journal", &["schemas"]),
    ("state", &["schemas", "journal", "migrations", "query"]),
    ("access", &["schemas", "journal"]),
    ("ingest", &["schemas", "journal", "access"]),
    ("projector", &["schemas", "journal", "state", "query"]),
    ("gateway", &["schemas", "journal", "state", "query", "access"]),
    ("embedded", &["schemas", "journal", "state"]),
    (
        "node",
        &[
            "schemas",
            "migrations",
            "journal",
            "state",
            "query",
            "access",
            "ingest",
            "projector",
            "gateway",
            "embedded",
        ],
    ),
    (
        "tests",
        &[
            "schemas",
            "migrations",
            "journal",
            "state",
            "query",
            "access",
            "ingest",
            "projector",
            "gateway",
            "embedded",
            "node",
        ],
    ),
    (
        "bench",
        &[
            "schemas", "journal", "state", "query", "gateway", "embedded", "node",
        ],
    ),
];

/// What any crate's own tests may use beside that: an engine that needs no server.
const FOR_TESTS: &str = "embedded";

fn breaches(manifests: &[(String, Table)]) -> Vec<String> {
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let mut breaches = Vec::new();
    for (folder, manifest) in manifests {
        let name = manifest["package"]["name"].as_str().expect("a name is text");
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            breaches.push(format!(
                "{folder} is a crate without a place in the table of arrows"
            ));
            continue;
        };
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for dependency in dependencies(manifest, section) {
                let is_for_tests =
                    section == "dev-dependencies" && (dependency == FOR_TESTS || dependency == name);
                let is_allowed = allowed.contains(&dependency.as_str()) || is_for_tests;
                if ours.contains(dependency.as_str()) && !is_allowed {
                    breaches.push(format!(
                        "{folder}: [{section}] {dependency} points up or sideways"
                    ));
                }
            }
        }
    }
    breaches
}

#[test]
fn arrows_point_down_only() {
    holds(
        "crates depend only on what lies below them",
        &breaches(&manifests()),
    );
}

#[test]
fn the_table_of_arrows_has_no_circle() {
    // Each crate stands after all that it may use.
    for (position, (name, allowed)) in ARROWS.iter().enumerate() {
        for below in *allowed {
            let place = ARROWS.iter().position(|(known, _)| known == below);
            assert!(
                place.is_some_and(|place| place < position),
                "{name} may use {below}, which stands after it"
            );
        }
    }
}

#[test]
fn an_arrow_that_points_up_is_seen_in_every_section() {
    for section in [
        "dependencies",
        "build-dependencies",
        "target.'cfg(unix)'.dependencies",
    ] {
        let manifest = format!("[package]\nname = \"state\"\n[{section}]\nembedded.workspace = true\n");
        let manifests = [("services/state".to_owned(), manifest.parse::<Table>().unwrap())];
        assert_eq!(breaches(&manifests).len(), 1, "{section}");
    }
    let renamed = "[package]\nname = \"query\"\n[dependencies]\nx = { package = \"journal\", path = \"\" }\n";
    let manifests = [("services/query".to_owned(), renamed.parse::<Table>().unwrap())];
    assert_eq!(breaches(&manifests).len(), 1);
}
