//! Three brokers and a CQL server of the run's own, from `infra/local`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use node::config::Config;
use node::storage::{self, OpenError, Opened};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::process::Command;

/// Brokers.
pub const BROKERS: usize = 3;

/// Running servers. They end, with their data, when this is dropped.
pub struct Servers {
    dir: TempDir,
    /// `host:port` of every broker, past every proxy.
    pub kafka: Vec<String>,
    /// Where each broker takes the connections that come through its proxy.
    pub proxied: Vec<SocketAddr>,
    /// `host:port` of the CQL server, past the proxy.
    pub cql: SocketAddr,
}

impl Servers {
    /// Brings them up. Clients that come through `advertised` are told these addresses.
    pub async fn up(advertised: &[SocketAddr; BROKERS]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let list: Vec<String> = advertised.iter().map(SocketAddr::to_string).collect();
        let up = script("up")
            .arg("--dir")
            .arg(dir.path())
            .args(["--brokers", "3", "--advertise", &list.join(",")])
            .output()
            .await
            .expect("runs");
        // Made at once, so that what was started is stopped whatever comes next.
        let mut servers = Self {
            dir,
            kafka: Vec::new(),
            proxied: Vec::new(),
            cql: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        let nodes = std::fs::read_to_string(servers.dir.path().join("nodes")).expect("a list of servers");
        for line in nodes.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let at = |word: usize| format!("127.0.0.1:{}", words[word]);
            if words[0] == "cql" {
                servers.cql = at(1).parse().expect("an address");
            } else {
                servers.kafka.push(at(1));
                servers.proxied.push(at(3).parse().expect("an address"));
            }
        }
        servers
    }

    /// The log, and the tables that serve now, past every proxy.
    ///
    /// # Errors
    /// When one of them is away.
    pub async fn open(&self) -> Result<Opened, OpenError> {
        let config = Config {
            kafka: self.kafka.clone(),
            cql: vec![self.cql.to_string()],
            allow_weak_durability: true,
            ..Config::default()
        };
        Box::pin(storage::open(&config, &node::system_clock(), &Registry::new())).await
    }

    /// `kill`, `start`, `freeze` or `thaw`. The error is what it said.
    ///
    /// # Errors
    /// When it did not work.
    pub async fn tell(&self, what: &str, name: &str) -> Result<(), String> {
        let mut command = script(what);
        command.arg("--dir").arg(self.dir.path()).arg(name);
        let told = command.output().await.map_err(|error| error.to_string())?;
        if told.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&told.stderr).into_owned())
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for (name, arguments) in [
            ("thaw", ["kafka-1", "kafka-2", "kafka-3", "cql"].as_slice()),
            ("down", &["--delete"]),
        ] {
            let mut command = std::process::Command::new(scripts().join(name));
            command.arg("--dir").arg(self.dir.path()).args(arguments);
            // What is not frozen cannot be thawed, which is no error that matters here.
            drop(command.stdout(Stdio::null()).stderr(Stdio::null()).status());
        }
    }
}

fn script(name: &str) -> Command {
    let mut command = Command::new(scripts().join(name));
    command.stdin(Stdio::null());
    command
}

fn scripts() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/local"))
}
