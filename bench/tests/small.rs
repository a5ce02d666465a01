//! Every scenario in its small form, against the real node: that it runs and verifies, never how fast.

use std::process::Command;

#[test]
fn every_scenario_runs_in_small_and_has_a_row() {
    let report = tempfile::NamedTempFile::new().expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["all", "--small", "--runs", "1", "--report"])
        .arg(report.path())
        .env_remove("WAKELINE_TEST_KAFKA")
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let table = std::fs::read_to_string(report.path()).expect("a report");
    for scenario in ["fanout", "keyed", "idle", "ingest", "replay", "filter"] {
        assert!(
            text.lines().any(|line| line.starts_with(scenario)),
            "{scenario} is missing:\n{text}"
        );
        assert!(
            table.contains(&format!("\n| {scenario} |")),
            "{scenario} is missing:\n{table}"
        );
    }
}
