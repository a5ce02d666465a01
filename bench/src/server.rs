//! Processes under measurement: started on the server's core, ended with their owner.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::error::{Error, io};
use crate::machine::Cores;
use crate::publisher;

/// The `system` credential of the product under measurement.
pub(crate) const TOKEN: &str = "bench-admin-token-of-at-least-32-characters";
/// Longest start.
const START: Duration = Duration::from_secs(40);
/// Longest graceful end.
const END: Duration = Duration::from_secs(15);
/// Lines of a server's log that are kept for an error.
const LOG_LINES: usize = 4_096;

/// Settings that would hold a measurement back: limits per tenant and device, not of the machine.
const SETTINGS: &[(&str, &str)] = &[
    ("WAKELINE_GATEWAY_STREAMS_PER_TENANT_MAX", "100000"),
    ("WAKELINE_HTTP_CONNECTIONS_MAX", "100000"),
    ("WAKELINE_HTTP_CONNECTIONS_PER_ADDRESS_MAX", "100000"),
    ("WAKELINE_INGEST_DEVICE_EVENTS_PER_SECOND", "100000000"),
    ("WAKELINE_INGEST_DEVICE_EVENTS_BURST", "100000000"),
    ("WAKELINE_GATEWAY_CATCH_UP_BYTES_PER_S", "64GiB"),
];

/// A process with an address.
pub(crate) struct Server {
    child: Child,
    name: &'static str,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// The product, with `arguments` of `serve` that say where data is kept.
    pub(crate) fn product(cores: Cores, roles: &str, arguments: &[String]) -> Result<Self, Error> {
        let mut command = product()?;
        command
            .args([
                "serve",
                "--role",
                roles,
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
            ])
            .args(["--log", "warn,node=info", "--log-json", "--drain", "8s"])
            .args(arguments)
            .stderr(Stdio::piped());
        let mut child = cores.spawn_server(&mut command).map_err(io("the node"))?;
        let stderr = child.stderr.take();
        let mut server = Self {
            child,
            name: "node",
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let (public, admin) = listening(stderr)?;
        server.address = public;
        publisher::until_ready(admin, START)?;
        Ok(server)
    }

    /// A limit server: this binary with `arguments`, which prints its address first.
    pub(crate) fn limit(cores: Cores, arguments: &[String]) -> Result<Self, Error> {
        let mut command = Command::new(own_binary()?);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let child = cores.spawn_server(&mut command).map_err(io("the limit server"))?;
        let mut server = Self {
            child,
            name: "limit server",
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let line = server.line()?;
        server.address = line.parse().map_err(|_| Error::Unreadable {
            what: "the limit server's address".to_owned(),
            text: line,
        })?;
        Ok(server)
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a limit server a line.
    pub(crate) fn tell(&mut self, line: &str) -> Result<(), Error> {
        let Some(stdin) = self.child.stdin.as_mut() else {
            return Ok(());
        };
        writeln!(stdin, "{line}").map_err(io(self.name))
    }

    /// The next line that a limit server prints.
    pub(crate) fn line(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        if let Some(stdout) = self.child.stdout.as_mut() {
            // A buffer of one byte holds nothing of the next line when it is dropped.
            BufReader::with_capacity(1, stdout)
                .read_line(&mut line)
                .map_err(io(self.name))?;
        }
        Ok(line.trim().to_owned())
    }

    /// Ends it and waits until it is gone.
    pub(crate) fn end(mut self) -> Result<(), Error> {
        self.stop().map_err(io(self.name))
    }

    fn stop(&mut self) -> std::io::Result<()> {
        drop(self.child.stdin.take());
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where this fails the process is gone already.
        drop(self.stop());
    }
}

/// Runs `wakeline migrate` with `arguments`.
pub(crate) fn migrate(arguments: &[String]) -> Result<(), Error> {
    let mut command = product()?;
    let output = command
        .arg("migrate")
        .args(arguments)
        .output()
        .map_err(io("migrate"))?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Server {
        name: "migrate".to_owned(),
        reason,
    })
}

/// Runs a limit that prints and ends.
pub(crate) fn limit_output(cores: Cores, arguments: &[String]) -> Result<String, Error> {
    let mut command = Command::new(own_binary()?);
    command.args(arguments).stdout(Stdio::piped());
    let child = cores.spawn_server(&mut command).map_err(io("the limit"))?;
    finished(child, "the limit")
}

/// Runs one of Kafka's tools on the server's core and returns what it prints.
pub(crate) fn kafka_tool(cores: Cores, tool: &Path, arguments: &[&str]) -> Result<String, Error> {
    let mut command = Command::new(tool);
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = cores
        .spawn_server(&mut command)
        .map_err(io(tool.display().to_string()))?;
    finished(child, arguments.first().copied().unwrap_or("Kafka's tool"))
}

fn finished(child: Child, name: &str) -> Result<String, Error> {
    let output = child.wait_with_output().map_err(io(name))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let reason = format!("{}{text}", String::from_utf8_lossy(&output.stderr));
    Err(Error::Server {
        name: name.to_owned(),
        reason,
    })
}

fn own_binary() -> Result<std::path::PathBuf, Error> {
    std::env::current_exe().map_err(io("the path of this program"))
}

/// The product: this binary under another name, with nothing of our environment but the settings.
fn product() -> Result<Command, Error> {
    let mut command = Command::new(own_binary()?);
    command
        .arg0(crate::PRODUCT)
        .env_clear()
        .envs(SETTINGS.iter().copied())
        .env("WAKELINE_ADMIN_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Ok(command)
}

/// Reads a node's log until it says where it listens; goes on reading as long as the node lives.
fn listening(stderr: Option<ChildStderr>) -> Result<(SocketAddr, SocketAddr), Error> {
    let (found, addresses) = mpsc::sync_channel(LOG_LINES);
    let reader = move || {
        for line in BufReader::new(stderr.into_iter().next()?).lines() {
            // A full channel or a receiver that has what it wanted: the line is read and dropped.
            drop(found.try_send(line.ok()?));
        }
        Some(())
    };
    // The thread ends with the node, whose standard error it reads.
    drop(std::thread::spawn(reader));
    let deadline = Instant::now() + START;
    let mut log = Vec::new();
    loop {
        let Ok(line) = addresses.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
            return Err(Error::Server {
                name: "node".to_owned(),
                reason: log.join("\n"),
            });
        };
        let entry: Value = serde_json::from_str(&line).unwrap_or_default();
        let fields = &entry["fields"];
        let address = |name: &str| fields[name].as_str().and_then(|text| text.parse().ok());
        if fields["message"] == "listening"
            && let (Some(public), Some(admin)) = (address("public"), address("admin"))
        {
            return Ok((public, admin));
        }
        log.push(line);
    }
}
