//! The numbered files of the CQL tables.

use crate::holds;
use crate::repository::{paths, text};

/// `files` in order, without their folder; `program` is what compiles them in.
fn breaches(files: &[&str], program: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    for (expected, file) in (1..).zip(files) {
        let prefix = format!("{expected:04}_");
        if !file.starts_with(&prefix) {
            breaches.push(format!(
                "{file} stands where {prefix}… is due: a gap, or a number used twice"
            ));
        }
        if !program.contains(&format!("\"../{file}\"")) {
            breaches.push(format!("{file} is not compiled in"));
        }
    }
    breaches
}

#[test]
fn migrations_are_numbered_without_gaps_and_compiled_in() {
    let paths = paths();
    let files: Vec<&str> = paths
        .iter()
        .filter_map(|path| path.strip_prefix("migrations/"))
        .filter(|file| file.ends_with(".cql"))
        .collect();
    assert!(!files.is_empty(), "no migration was found");
    holds(
        "migrations are 0001, 0002, …",
        &breaches(&files, &text("migrations/src/lib.rs")),
    );
}

#[test]
fn a_gap_is_seen_and_a_file_that_is_forgotten() {
    let program = r#"include_str!("../0001_a.cql") include_str!("../0003_b.cql")"#;
    assert_eq!(breaches(&["0001_a.cql"], program).len(), 0);
    assert_eq!(breaches(&["0001_a.cql", "0003_b.cql"], program).len(), 1);
    assert_eq!(breaches(&["0001_a.cql", "0002_b.cql"], program).len(), 1);
}
