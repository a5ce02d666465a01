//! The programs in `programs/`, as processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Longest wait for a frame. A client may be refused for a while and wait 8 s each time before it comes
/// again, and a browser takes long to start where much else runs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client that somebody else wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    HttpxSse,
    SseclientPy,
    PythonWebsockets,
    EventSource,
    FetchEventSource,
    Ws,
    Curl,
    /// A page with an `EventSource`.
    Chromium,
    /// A page with a `WebSocket`.
    ChromiumWebSocket,
}

/// A frame that a client saw.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Seen {
    /// `message`, or the name of a control frame.
    pub(crate) event: String,
    /// What it carries.
    pub(crate) data: Value,
}

impl Client {
    /// Every client.
    pub(crate) const ALL: [Self; 9] = [
        Self::HttpxSse,
        Self::SseclientPy,
        Self::PythonWebsockets,
        Self::EventSource,
        Self::FetchEventSource,
        Self::Ws,
        Self::Curl,
        Self::Chromium,
        Self::ChromiumWebSocket,
    ];

    fn command(self) -> Command {
        let (interpreter, program) = match self {
            Self::HttpxSse => (python(), "httpx-sse.py"),
            Self::SseclientPy => (python(), "sseclient-py.py"),
            Self::PythonWebsockets => (python(), "python-websockets.py"),
            Self::EventSource => ("node".into(), "eventsource.cjs"),
            Self::FetchEventSource => ("node".into(), "fetch-event-source.cjs"),
            Self::Ws => ("node".into(), "ws.cjs"),
            Self::Curl => ("bash".into(), "curl.sh"),
            Self::Chromium | Self::ChromiumWebSocket => ("node".into(), "chromium.cjs"),
        };
        let page = if self == Self::ChromiumWebSocket {
            "websocket.html"
        } else {
            "eventsource.html"
        };
        let mut command = Command::new(interpreter);
        command.env("PAGE", page);
        command.arg(folder().join("programs").join(program));
        command
    }

    /// Whether it resumes by the query and not by a header.
    pub(crate) fn is_web_socket(self) -> bool {
        matches!(self, Self::PythonWebsockets | Self::Ws | Self::ChromiumWebSocket)
    }

    /// Whether it takes an id before the block is whole: cut between the two, it loses an event.
    pub(crate) fn takes_ids_early(self) -> bool {
        self == Self::FetchEventSource
    }
}

/// A run of a client. It ends when dropped, with what it started.
pub(crate) struct Running {
    who: String,
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    /// Its temporary files.
    _scratch: TempDir,
}

impl Running {
    /// Starts `client` on a stream; it ends by itself after `count` events or changes.
    pub(crate) fn start(client: Client, url: &str, token: &str, count: usize) -> Self {
        let mut command = client.command();
        command.args([url, &count.to_string()]);
        Self::run(command, format!("{client:?}"), token)
    }

    /// Starts the program of that name in `programs/`; it goes on until it is dropped.
    pub(crate) fn program(name: &str, arguments: &[&str], token: &str) -> Self {
        let interpreter = if name.ends_with(".py") {
            python()
        } else {
            "node".into()
        };
        let mut command = Command::new(interpreter);
        command.arg(folder().join("programs").join(name)).args(arguments);
        Self::run(command, format!("{name} {arguments:?}"), token)
    }

    fn run(mut command: Command, who: String, token: &str) -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let mut child = command
            .env("WAKELINE_TOKEN", token)
            .env("NODE_PATH", installed().join("node_modules"))
            .env("TMPDIR", scratch.path())
            .env_remove("http_proxy")
            .env_remove("HTTP_PROXY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("the client starts");
        let output = BufReader::new(child.stdout.take().expect("standard output")).lines();
        Self {
            who,
            child,
            output,
            _scratch: scratch,
        }
    }

    /// The next frame; `None` once it has ended well.
    pub(crate) async fn next(&mut self) -> Option<Seen> {
        let who = &self.who;
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("timed out waiting for the next frame of {who}"));
        if let Some(line) = line.expect("output") {
            return Some(
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{who}: {error}: {line}")),
            );
        }
        let status = tests::wait::within("the client's end", self.child.wait()).await;
        let status = status.expect("ended");
        assert!(status.success(), "{who}: {status}");
        None
    }
}

impl Drop for Running {
    /// A browser is many processes.
    fn drop(&mut self) {
        if let Some(group) = self.child.id() {
            let group = format!("-{group}");
            // Those that have ended meanwhile are no concern.
            drop(
                std::process::Command::new("kill")
                    .args(["-s", "KILL", "--", &group])
                    .stderr(Stdio::null())
                    .status(),
            );
        }
    }
}

/// The Python that has the pinned packages.
pub(crate) fn python() -> PathBuf {
    installed().join("python/bin/python")
}

/// This folder.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Whether the clients are there. Panics when they are not, unless they may be left out.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment what to leave out"
)]
#[expect(clippy::print_stdout, reason = "a test that is not run must say so")]
pub(crate) fn are_here() -> bool {
    if std::env::var("WAKELINE_TEST_CLIENTS").is_ok_and(|value| value == "skip") {
        println!("skipped: WAKELINE_TEST_CLIENTS=skip");
        return false;
    }
    assert!(
        installed().join("complete").exists(),
        "run tests/clients/install first (or set WAKELINE_TEST_CLIENTS=skip)"
    );
    true
}

/// Where `install` puts the pinned packages.
fn installed() -> &'static Path {
    static WHERE: OnceLock<PathBuf> = OnceLock::new();
    WHERE.get_or_init(|| {
        let install = std::process::Command::new(folder().join("install"))
            .arg("--where")
            .output()
            .expect("tests/clients/install runs");
        PathBuf::from(String::from_utf8_lossy(&install.stdout).trim())
    })
}
