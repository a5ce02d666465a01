//! The program as a user starts it: a process with arguments, variables, output and an exit code.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::wait::within;

/// A run of the program; killed when dropped.
pub struct Program {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    errors: tokio::task::JoinHandle<String>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What was left of standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

/// The path of the program.
#[must_use]
pub fn path() -> PathBuf {
    // The test binary stands in target/<profile>/deps, the program one level up.
    let test = std::env::current_exe().expect("a path");
    let profile = test
        .parent()
        .and_then(std::path::Path::parent)
        .expect("target/<profile>");
    profile.join("wakeline-under-test")
}

impl Program {
    /// Starts it with nothing of this process's environment but `variables`.
    #[must_use]
    pub fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(path())
            .args(arguments)
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("standard output")).lines();
        let mut errors = child.stderr.take().expect("standard error");
        let errors = tokio::spawn(async move {
            let mut text = Vec::new();
            drop(errors.read_to_end(&mut text).await);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            child,
            output,
            errors,
        }
    }

    /// Runs it to its end.
    pub async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        Self::start(arguments, variables).ended().await
    }

    /// The next line of standard output that contains `text`. Panics when there is none.
    pub async fn line(&mut self, text: &str) -> String {
        while let Some(line) = within(text, self.output.next_line()).await.expect("output") {
            if line.contains(text) {
                return line;
            }
        }
        let errors = (&mut self.errors).await.expect("standard error");
        panic!("the program ended without printing {text:?}; it said: {errors}");
    }

    /// Asks it to end, as an operator does.
    pub async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Ends it at once, as a crash would.
    pub async fn kill(mut self) -> ExitStatus {
        self.child.kill().await.expect("killed");
        self.child.wait().await.expect("ended")
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let mut output = String::new();
        while let Some(line) = within("the end", self.output.next_line()).await.expect("output") {
            output.push_str(&line);
            output.push('\n');
        }
        let status = within("the end", self.child.wait()).await.expect("ended");
        let errors = self.errors.await.expect("standard error");
        Ended {
            code: status.code(),
            output,
            errors,
        }
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let status = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .await
            .expect("kill");
        assert!(status.success());
    }
}
