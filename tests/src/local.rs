//! Servers of `infra/local` that a test has for itself, and may kill, freeze and start again.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

/// Running servers. They end, with their data, when this is dropped.
pub struct Local {
    dir: TempDir,
}

impl Local {
    /// Runs `infra/local/up` with `arguments`. Panics with what it said when it fails.
    pub async fn up(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        // Made at once, so that what was started is stopped whatever comes next.
        let local = Self { dir };
        let mut up = script("up");
        up.arg("--dir").arg(local.path()).args(arguments);
        let up = up.output().await.expect("runs");
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        local
    }

    /// Their directory (`infra/README.md`).
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What `up` says a node's variable is to be: `WAKELINE_KAFKA`, `WAKELINE_CQL`. Panics when it says nothing.
    #[must_use]
    pub fn variable(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.path().join("env")).expect("variables");
        let mut variables = text.lines().filter_map(|line| line.split_once('='));
        let found = variables.find(|(named, _)| *named == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {text}"))
            .1
            .to_owned()
    }

    /// `kill`, `start`, `freeze` or `thaw`; returns when it is done. The error is what it said.
    ///
    /// # Errors
    /// When it did not work.
    pub async fn tell(&self, what: &str, server: &str) -> Result<(), String> {
        let mut command = script(what);
        command.arg("--dir").arg(self.path()).arg(server);
        let told = command.output().await.map_err(|error| error.to_string())?;
        if told.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&told.stderr).into_owned())
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let mut down = std::process::Command::new(scripts().join("down"));
        down.arg("--dir").arg(self.path()).arg("--delete");
        // A failing test must not fail twice.
        drop(down.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}

/// A command of `infra/local`.
#[must_use]
pub fn script(name: &str) -> Command {
    let mut command = Command::new(scripts().join(name));
    command.stdin(Stdio::null());
    command
}

fn scripts() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/local"))
}
