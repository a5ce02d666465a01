//! What every file of the repository keeps to, whoever writes it: the rules that no compiler knows.
//!
//! Each rule is a function from what is there to a list of what breaks it, so that it can be shown to
//! fail; then one test holds it against the repository.

mod arrows;
mod attributes;
mod avro;
mod downloads;
mod fixtures;
mod frames;
mod layout;
mod lengths;
mod migrations;
mod owners;
mod ratchet;
mod repository;
mod settings;
mod words;

/// Fails with every breach of `rule` at once.
#[track_caller]
fn holds(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}
