//! No word of the machine on which something was written: it means nothing to anybody else.

use crate::holds;
use crate::repository::{File, files, root, text};

/// Put together here, so that this file does not break its own rule.
const WORDS: &[&str] = &[
    concat!("/wo", "rk"),
    concat!("/sha", "red"),
    concat!("shared/", "DESIGN"),
    concat!("shared/", "STYLE"),
    concat!("shared/", "PROTOCOLS"),
    concat!("shared/", "infra"),
    concat!("shared/", "seeds"),
    concat!("shared/", "data"),
    concat!("/tmp/", "brief"),
];

/// The one registry that a lock file may name.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn breaches(files: &[File], words: &[&str]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            for word in words.iter().filter(|word| has_word(line, word)) {
                breaches.push(format!("{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    breaches
}

/// Whether `word` stands in `line` as a path of its own, not within a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || "_-.".contains(character);
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(|after| is_part(after) && after != '.')
    })
}

#[test]
fn no_file_names_the_machine() {
    let files = files(|_| true);
    holds(
        "paths of one machine mean nothing on another",
        &breaches(&files, WORDS),
    );
    let checkout = root().to_string_lossy().into_owned();
    let breaches: Vec<_> = files
        .iter()
        // A checkout in a short path, such as a container's root, says nothing.
        .filter(|file| checkout.matches('/').count() > 1 && file.text.contains(&checkout))
        .map(|file| format!("{}: {checkout}", file.path))
        .collect();
    holds(
        "the path of this checkout means nothing on another machine",
        &breaches,
    );
}

#[test]
fn the_lock_file_names_no_mirror() {
    let lock = text("Cargo.lock");
    let breaches: Vec<_> = lock
        .lines()
        .filter_map(|line| line.strip_prefix("source = "))
        .filter(|source| source.trim_matches('"') != REGISTRY)
        .map(str::to_owned)
        .collect();
    holds("dependencies come from the public registry", &breaches);
}

/// Where `npm` and `pip` fetch from is the user's own affair; their files hold versions and checksums.
#[test]
fn the_pins_of_other_peoples_clients_name_no_registry() {
    let pins = [
        "tests/clients/package-lock.json",
        "tests/clients/requirements.txt",
    ];
    let breaches: Vec<_> = pins
        .iter()
        .flat_map(|path| {
            let text = text(path);
            let named = text.lines().filter(|line| line.contains("://"));
            named.map(|line| format!("{path}: {line}")).collect::<Vec<_>>()
        })
        .collect();
    holds(
        "dependencies come from whatever registry the user has set",
        &breaches,
    );
}

#[test]
fn a_word_of_the_machine_is_seen_and_a_longer_one_is_not() {
    let word = WORDS[0];
    let seen = |text: String| {
        !breaches(
            &[File {
                path: "a".to_owned(),
                text,
            }],
            WORDS,
        )
        .is_empty()
    };
    assert!(seen(format!("see {word}/main")));
    assert!(seen(format!("see `{word}`.")));
    assert!(seen(format!("in {word}.")));
    assert!(!seen(format!("engine{word}er/core.rs")));
    assert!(!seen(format!("crate{word}/core.rs")));
}
