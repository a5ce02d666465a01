//! Real servers: the pair that tests share, and brokers that a test has for itself.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use node::config::Config;
use tempfile::TempDir;
use tests::nodes;
use tokio::process::Command;

/// Servers to connect to, with a keyspace of the test's own.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    /// `host:port` of a broker.
    pub(crate) kafka: String,
    /// `host:port` of a CQL server.
    pub(crate) cql: String,
    /// A keyspace that no other test uses.
    pub(crate) keyspace: String,
}

impl Servers {
    /// The pair that tests share; `None`, said aloud, where there is none.
    #[expect(clippy::print_stdout, reason = "a test that is not run must say so")]
    pub(crate) fn shared() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (Some(kafka), Some(cql)) = (variable("WAKELINE_TEST_KAFKA"), variable("WAKELINE_TEST_CQL"))
        else {
            println!("skipped: WAKELINE_TEST_KAFKA and WAKELINE_TEST_CQL name no servers");
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let keyspace = format!("real_{}_{}_{number}", std::process::id(), node::system_clock()());
        Some(Self { kafka, cql, keyspace })
    }

    /// The same CQL server and keyspace with the topics of another broker.
    pub(crate) fn on(&self, broker: &Broker) -> Self {
        Self {
            kafka: broker.address.clone(),
            ..self.clone()
        }
    }

    /// For nodes in this process: topics of their own too, by a prefix that processes do not have.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config {
            kafka: vec![self.kafka.clone()],
            cql: vec![self.cql.clone()],
            cql_keyspace: self.keyspace.clone(),
            ..nodes::config()
        };
        config.kafka_settings.namespace = format!("{}.", self.keyspace);
        config
    }

    /// For processes: the flags that name them.
    pub(crate) fn flags(&self) -> [&str; 6] {
        [
            "--kafka",
            &self.kafka,
            "--cql",
            &self.cql,
            "--cql-keyspace",
            &self.keyspace,
        ]
    }
}

/// One broker that a test may stop, freeze and kill. It ends with the test.
pub(crate) struct Broker {
    dir: TempDir,
    /// `host:port`.
    pub(crate) address: String,
}

impl Broker {
    pub(crate) async fn up() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let up = script("up")
            .arg("--dir")
            .arg(dir.path())
            .args(["--only", "kafka"])
            .output()
            .await
            .expect("runs");
        // Made at once, so that what was started is stopped whatever comes next.
        let mut broker = Self {
            dir,
            address: String::new(),
        };
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        let printed = String::from_utf8_lossy(&up.stdout).into_owned();
        let address = printed
            .lines()
            .find_map(|line| line.strip_prefix("WAKELINE_KAFKA="));
        address.expect("an address").clone_into(&mut broker.address);
        broker
    }

    /// `freeze`, `thaw`, `kill` or `start`.
    pub(crate) async fn tell(&self, name: &str) {
        let told = script(name)
            .arg("--dir")
            .arg(self.dir.path())
            .arg("kafka-1")
            .output()
            .await
            .expect("runs");
        assert!(
            told.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&told.stderr)
        );
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let path = |name: &str| scripts().join(name);
        for name in ["thaw", "down"] {
            let mut command = std::process::Command::new(path(name));
            command
                .arg("--dir")
                .arg(self.dir.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let names: &[&str] = if name == "thaw" {
                &["kafka-1"]
            } else {
                &["--delete"]
            };
            // Thawing what is not frozen is no error that matters, and a failing test must not fail twice.
            drop(command.args(names).status());
        }
    }
}

/// Runs one of Kafka's own tools and returns what it printed.
pub(crate) async fn tool(class: &str, arguments: &[&str]) -> String {
    let output = script("tool")
        .arg(class)
        .args(arguments)
        .output()
        .await
        .expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{class}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// A command of `infra/local`.
pub(crate) fn script(name: &str) -> Command {
    let mut command = Command::new(scripts().join(name));
    command.stdin(Stdio::null());
    command
}

fn scripts() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/local"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment where the servers are"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
