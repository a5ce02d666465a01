//! The outage harness in its small form: see `tests/README.md`.

use std::process::Command;

#[test]
#[ignore = "has five servers of its own and both cores to itself: tests/run runs it alone"]
fn whatever_is_killed_what_was_acknowledged_arrives_once() {
    // Output goes where the test's goes: it is the evidence. It has a deadline of its own, at which it tells the state
    // of everything.
    let status = Command::new(env!("CARGO_BIN_EXE_outage")).arg("--small").status();
    assert!(status.expect("runs").success(), "see what it printed");
}
