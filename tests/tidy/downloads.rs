//! Whatever a script downloads it tries again: a mirror that is away for a moment fails no run.

use std::process::Command;

use crate::holds;
use crate::repository::{File, files, root};

/// What downloads, as it stands in a command.
const DOWNLOADS: &[&str] = &[
    "apt-get update",
    "apt-get install",
    "pip install",
    "pip\" install",
    "npm ci",
    "npm install",
    "mvn -",
    "curl -",
    "wget ",
];
/// What runs a command again, or says to.
const RETRIES: &[&str] = &["infra/retry ", "$retry ", "/retry\" ", "/retry\""];
/// Clients of the product, which download nothing.
const CLIENTS: &str = "tests/clients/programs/";

fn breaches(files: &[File]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files {
        let is_script = file.text.starts_with("#!") || file.path.ends_with(".sh");
        if !is_script || file.path.starts_with(CLIENTS) {
            continue;
        }
        // A command that goes on over lines is one.
        let text = file.text.replace("\\\n", "");
        for line in text.lines().map(str::trim_start) {
            let downloads = DOWNLOADS.iter().any(|command| line.contains(command));
            let retries = RETRIES.iter().any(|command| line.contains(command));
            if downloads && !retries && !line.starts_with('#') && !line.starts_with("echo ") {
                breaches.push(format!("{}: {line}", file.path));
            }
        }
    }
    breaches
}

#[test]
fn every_download_of_a_script_is_tried_again() {
    holds(
        "a download goes through infra/retry",
        &breaches(&files(|path| !path.ends_with(".rs"))),
    );
}

#[test]
fn a_download_that_is_tried_once_is_found() {
    let script = |text: &str| File {
        path: "infra/some".to_owned(),
        text: format!("#!/bin/sh\n{text}\n"),
    };
    let bad = ["npm ci --silent", "  apt-get update -q && apt-get install -y x"];
    let good = [
        "# npm ci installs them",
        "infra/retry npm ci",
        "\"$here/retry\" sh -c \\\n  'apt-get update'",
    ];
    assert_eq!(breaches(&bad.map(script)).len(), bad.len());
    assert_eq!(breaches(&good.map(script)), [""; 0]);
}

/// Runs a command under `infra/retry` that fails so many times first; its exit code, and how often it ran.
fn retried(failures: u32) -> (Option<i32>, usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let command = format!("echo x >>ran; [ $(wc -l <ran) -gt {failures} ] || exit 7");
    let status = Command::new(root().join("infra/retry"))
        .args(["sh", "-c", &command])
        .env("DOWNLOAD_TRIES", "3")
        .env("DOWNLOAD_PAUSE_S", "0")
        .current_dir(dir.path())
        .stderr(std::process::Stdio::null())
        .status()
        .expect("runs");
    let ran = std::fs::read_to_string(dir.path().join("ran")).expect("it ran");
    (status.code(), ran.lines().count())
}

#[test]
fn a_command_that_fails_is_run_again_until_it_works_or_the_tries_are_used_up() {
    assert_eq!(retried(0), (Some(0), 1));
    assert_eq!(retried(2), (Some(0), 3));
    assert_eq!(retried(3), (Some(7), 3));
}
