//! The program as a user starts it: a process with arguments, variables, output and an exit code.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::watch;

use crate::api::Api;
use crate::nodes::ADMIN_TOKEN;
use crate::ports;
use crate::wait::within;

/// A run of the program; killed when dropped.
pub struct Program {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    errors: watch::Receiver<String>,
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
    let profile = test.parent().and_then(Path::parent).expect("target/<profile>");
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
        let errors = watched(child.stderr.take().expect("standard error"));
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

    /// Starts `serve` on `data` and free ports, and waits until it listens. The API is `system`.
    pub async fn serve(data: &Path, arguments: &[&str]) -> (Self, Api) {
        Self::serve_at(&ports::free().to_string(), data, arguments).await
    }

    /// [`Program::serve`], at the address `listen`.
    pub async fn serve_at(listen: &str, data: &Path, arguments: &[&str]) -> (Self, Api) {
        let mut all = vec!["serve", "--listen", listen, "--admin-listen", "127.0.0.1:0"];
        all.extend(["--log-json", "--data", data.to_str().expect("a path")]);
        all.extend(arguments);
        let mut program = Self::start(&all, &[("WAKELINE_ADMIN_TOKEN", ADMIN_TOKEN)]);
        let line = program.error("\"message\":\"listening\"").await;
        let line: serde_json::Value = serde_json::from_str(&line).expect("the log is JSON");
        let address = line["fields"]["public"].as_str().expect("an address");
        let api = Api::new(&format!("http://{address}"), ADMIN_TOKEN);
        // It listens before it can judge credentials.
        crate::wait::until("the node judges credentials", || async {
            (api.get("/v1/tokens").await.status == 200).then_some(())
        })
        .await;
        (program, api)
    }

    /// The next line of standard output that contains `text`. Panics when there is none.
    pub async fn line(&mut self, text: &str) -> String {
        while let Some(line) = within(text, self.output.next_line()).await.expect("output") {
            if line.contains(text) {
                return line;
            }
        }
        panic!(
            "the program ended without printing {text:?}; it said: {}",
            *self.errors.borrow()
        );
    }

    /// A line of standard error that contains `text`. Panics when there is none.
    pub async fn error(&mut self, text: &str) -> String {
        let mut errors = self.errors.clone();
        let found = within(text, errors.wait_for(|said| said.contains(text))).await;
        let said = found.map(|said| said.clone());
        let said = said.unwrap_or_else(|_| {
            panic!(
                "the program ended without saying {text:?}: {}",
                *self.errors.borrow()
            )
        });
        said.lines()
            .find(|line| line.contains(text))
            .unwrap_or_default()
            .to_owned()
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Asks it to end, as an operator does.
    pub async fn terminate(&self) {
        terminate(&self.child).await;
    }

    /// Ends it at once, as a crash would.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let mut output = String::new();
        while let Some(line) = within("the end", self.output.next_line()).await.expect("output") {
            output.push_str(&line);
            output.push('\n');
        }
        let status = within("the end", self.child.wait()).await.expect("ended");
        // The sender is gone when standard error has ended.
        while self.errors.changed().await.is_ok() {}
        Ended {
            code: status.code(),
            output,
            errors: self.errors.borrow().clone(),
        }
    }
}

/// What is said, as it is said.
fn watched(errors: ChildStderr) -> watch::Receiver<String> {
    let (sender, receiver) = watch::channel(String::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(errors).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|said| {
                said.push_str(&line);
                said.push('\n');
            });
        }
    });
    receiver
}

/// Asks a process to end, as an operator does.
pub async fn terminate(child: &Child) {
    let id = child.id().expect("it runs").to_string();
    let status = Command::new("kill")
        .args(["-s", "TERM", &id])
        .status()
        .await
        .expect("kill");
    assert!(status.success());
}
