//! Every frame that a dialect's document prints is a fixture, and every fixture is used by a test of that
//! dialect against a real node.

use crate::frames::{table, uses};
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
        let found = fixtures.iter().filter(|path| path.starts_with(&folder)).count();
        if found != *count {
            breaches.push(format!("{folder}: {found} of {count}"));
        }
    }
    let unused = uses(fixtures, tests)
        .into_iter()
        .filter(|(_, tests)| tests.is_empty());
    breaches.extend(unused.map(|(fixture, _)| format!("{fixture}: no test uses it")));
    breaches
}

fn here() -> (Vec<String>, Vec<File>) {
    let fixtures = files(|path| path.starts_with("tests/fixtures/"));
    let fixtures = fixtures.into_iter().map(|file| file.path).collect();
    (fixtures, files(|path| path.starts_with("tests/it/dialects/")))
}

#[test]
fn every_printed_frame_is_tested() {
    let (fixtures, tests) = here();
    holds(
        "every frame that a document prints is tested",
        &breaches(&fixtures, &tests, &PRINTED),
    );
}

/// `cargo test -p tests --test tidy frame_by_frame -- --nocapture` prints it.
#[test]
fn frame_by_frame_the_tests_are_told() {
    let (fixtures, tests) = here();
    let table = table(&uses(&fixtures, &tests));
    println!("{table}");
    assert_eq!(table.lines().count(), fixtures.len() + 2);
}

#[test]
fn a_fixture_that_is_missing_or_unused_is_found() {
    let test = |text: &str| File {
        path: "tests/it/dialects/a.rs".to_owned(),
        text: format!("#[test]\nfn t() {{\n    {text}\n}}\n"),
    };
    let fixtures = ["tests/fixtures/a/x.json".to_owned()];
    assert!(breaches(&fixtures, &[test("fixture(\"a\", \"x\")")], &[("a", 1)]).is_empty());
    assert_eq!(breaches(&fixtures, &[test("nothing")], &[("a", 1)]).len(), 1);
    assert_eq!(
        breaches(&fixtures, &[test("fixture(\"a\", \"x\")")], &[("a", 2)]).len(),
        1
    );
}
