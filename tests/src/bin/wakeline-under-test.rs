//! The program, built along with the tests that start it as a process, so that they never meet an old one.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::run()
}
