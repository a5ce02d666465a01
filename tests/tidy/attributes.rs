//! What says "later" in a program: tests that do not run, and places that are not written yet.

use std::collections::BTreeMap;

use crate::repository::{File, rust};
use crate::{holds, ratchet};

/// Tests that do not run unless asked, by file: measurements, and processes that another test starts.
const IGNORED: &str = include_str!("ignored.txt");

/// Put together here, so that this file does not break its own rule.
const UNFINISHED: [&str; 3] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("db", "g!("),
];
const IGNORE: &str = concat!("#[", "ignore");

fn unfinished(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            let found = UNFINISHED.iter().find(|word| line.contains(**word));
            breaches.extend(found.map(|word| format!("{}:{}: {word}…)", file.path, number + 1)));
        }
    }
    breaches
}

fn without_reason(files: &[File]) -> Vec<String> {
    let bare = format!("{IGNORE}]");
    files
        .iter()
        .filter(|file| file.text.contains(&bare))
        .map(|file| format!("{}: a test is ignored without a reason", file.path))
        .collect()
}

#[test]
fn nothing_is_left_for_later() {
    holds("what is committed is finished", &unfinished(&rust()));
}

#[test]
fn every_test_runs() {
    let files = rust();
    holds("an ignored test says why", &without_reason(&files));
    let counts: BTreeMap<_, _> = files
        .into_iter()
        .map(|file| (file.path, file.text.matches(IGNORE).count()))
        .collect();
    let breaches = ratchet::breaches(&counts, 0, "tests/tidy/ignored.txt", IGNORED);
    holds("a test that never runs shows nothing", &breaches);
}

#[test]
fn what_is_unfinished_is_seen() {
    for word in UNFINISHED {
        let file = File {
            path: "a.rs".to_owned(),
            text: format!("fn a() {{\n    {word})\n}}\n"),
        };
        assert_eq!(unfinished(&[file]).len(), 1, "{word}");
    }
    let file = File {
        path: "a.rs".to_owned(),
        text: format!("{IGNORE}]\nfn a() {{}}\n"),
    };
    assert_eq!(without_reason(&[file]).len(), 1);
}
