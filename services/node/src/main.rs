//! The only binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::run()
}
