//! What stands in one place only: the crates that speak to a log, a store, a disk or a selector, and who
//! starts tasks.

use toml::Table;

use crate::holds;
use crate::repository::{File, dependencies, manifests, rust};

/// Outside crates, and the folders whose manifest may name them.
const OWNERS: &[(&str, &[&str])] = &[
    ("rdkafka", &["services/journal", "bench"]),
    ("rdkafka-sys", &[]),
    ("scylla", &["services/state"]),
    ("scylla-cql", &[]),
    ("fjall", &["services/embedded"]),
    // `bench` holds the limit servers that the gateway is measured against.
    ("mio", &["services/gateway", "bench"]),
];

/// Starts a task that nobody owns.
const SPAWN: &str = concat!("tokio::", "spawn(");

fn breaches(manifests: &[(String, Table)]) -> Vec<String> {
    let mut breaches = Vec::new();
    for (folder, manifest) in manifests {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for dependency in dependencies(manifest, section) {
                let owners = OWNERS.iter().find(|(name, _)| *name == dependency);
                if owners.is_some_and(|(_, owners)| !owners.contains(&folder.as_str())) {
                    breaches.push(format!(
                        "{folder}: [{section}] {dependency} belongs to another crate"
                    ));
                }
            }
        }
    }
    breaches
}

/// Integration tests own what they start by ending; everything else does not.
fn unowned_tasks(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| !file.path.contains("/tests/") && !file.path.starts_with("tests/"))
        .flat_map(|file| {
            let lines = file.text.lines().enumerate();
            lines.filter(|(_, line)| line.contains(SPAWN)).map(|(number, _)| {
                format!(
                    "{}:{}: {SPAWN}…): put the task into a JoinSet",
                    file.path,
                    number + 1
                )
            })
        })
        .collect()
}

#[test]
fn outside_crates_have_one_owner() {
    holds(
        "each of these crates is named where it belongs",
        &breaches(&manifests()),
    );
}

#[test]
fn every_task_has_an_owner() {
    holds("no task is left to itself", &unowned_tasks(&rust()));
}

#[test]
fn a_second_owner_is_seen() {
    let manifest = "[package]\nname = \"node\"\n[dev-dependencies]\nfjall = \"3\"\n";
    let manifests = [("services/node".to_owned(), manifest.parse::<Table>().unwrap())];
    assert_eq!(breaches(&manifests).len(), 1);
}

#[test]
fn a_task_without_an_owner_is_seen() {
    let file = |path: &str| File {
        path: path.to_owned(),
        text: format!("    {SPAWN}async {{}});\n"),
    };
    assert_eq!(
        unowned_tasks(&[file("services/node/src/app.rs"), file("tests/it/main.rs")]).len(),
        1
    );
}
