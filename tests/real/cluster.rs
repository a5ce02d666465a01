//! Real servers: the pair that tests share, and what names them to nodes.

use std::sync::atomic::{AtomicU32, Ordering};

use node::config::Config;
use tests::local::script;
use tests::nodes;

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

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment where the servers are"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
