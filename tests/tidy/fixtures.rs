//! Every frame that a dialect's document prints is a fixture, and every fixture is used by a test of that
//! dialect against a real node.

use crate::holds;
use crate::repository::{File, files};

/// Of each dialect that is there: how many frames, comments and errors its document prints.
const PRINTED: [(&str, usize); 5] = [
    ("controller", 2),
    ("filter", 6),
    ("realtime", 11),
    ("telemetry", 13),
    ("watch", 3),
];

fn breaches(fixtures: &[String], tests: &[File], printed: &[(&str, usize)]) -> Vec<String> {
    let mut breaches = Vec::new();
    for (dialect, count) in printed {
        let folder = format!("tests/fixtures/{dialect}/");
        let of_dialect: Vec<&str> = fixtures
            .iter()
            .filter_map(|path| path.strip_prefix(&folder))
            .collect();
        if of_dialect.len() != *count {
            breaches.push(format!("{folder}: {} of {count}", of_dialect.len()));
        }
        let text: String = tests
            .iter()
            .filter(|file| file.path.starts_with(&format!("tests/it/dialects/{dialect}")))
            .map(|file| file.text.as_str())
            .collect();
        for file in of_dialect {
            let name = file.strip_suffix(".json").unwrap_or(file);
            if !text.contains(&format!("\"{name}\"")) {
                breaches.push(format!("{folder}{file}: no test uses it"));
            }
        }
    }
    breaches
}

#[test]
fn every_printed_frame_is_tested() {
    let fixtures: Vec<String> = files(|path| path.starts_with("tests/fixtures/"))
        .into_iter()
        .map(|file| file.path)
        .collect();
    let tests = files(|path| path.starts_with("tests/it/dialects/"));
    holds(
        "every frame that a document prints is tested",
        &breaches(&fixtures, &tests, &PRINTED),
    );
}

#[test]
fn a_fixture_that_is_missing_or_unused_is_found() {
    let test = |text: &str| File {
        path: "tests/it/dialects/a.rs".to_owned(),
        text: text.to_owned(),
    };
    let fixtures = ["tests/fixtures/a/x.json".to_owned()];
    assert!(breaches(&fixtures, &[test("fixture(\"a\", \"x\")")], &[("a", 1)]).is_empty());
    assert_eq!(breaches(&fixtures, &[test("nothing")], &[("a", 1)]).len(), 1);
    assert_eq!(breaches(&fixtures, &[test("\"x\"")], &[("a", 2)]).len(), 1);
}
