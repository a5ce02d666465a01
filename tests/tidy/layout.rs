//! Where things lie.

use std::collections::BTreeSet;

use crate::holds;
use crate::repository::{paths, text};

/// Everything that may stand in the root.
const ROOT: &[&str] = &[
    ".ci",
    ".clippy.toml",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "bench",
    "docs",
    "infra",
    "migrations",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "schemas",
    "services",
    "tests",
];

#[test]
fn the_root_holds_only_what_the_architecture_names() {
    let found: BTreeSet<String> = paths()
        .iter()
        .filter_map(|path| path.split('/').next().map(str::to_owned))
        .collect();
    let breaches: Vec<_> = found
        .into_iter()
        .filter(|name| !ROOT.contains(&name.as_str()))
        .map(|name| format!("{name} has no place in the root"))
        .collect();
    holds("a thing lives with its owner", &breaches);
}

#[test]
fn every_crate_is_named_in_the_architecture() {
    let map = text("ARCHITECTURE.md");
    let breaches: Vec<_> = paths()
        .iter()
        .filter_map(|path| path.strip_suffix("/Cargo.toml"))
        .filter(|folder| !map.contains(&format!("| `{folder}` |")))
        .map(|folder| format!("{folder} is not in the code map of ARCHITECTURE.md"))
        .collect();
    holds("a newcomer finds every crate", &breaches);
}

#[test]
fn modules_are_named_after_themselves() {
    let breaches: Vec<_> = paths()
        .into_iter()
        .filter(|path| path.ends_with("/mod.rs"))
        .collect();
    holds("a module `foo` lies in foo.rs, with foo/ beside it", &breaches);
}
