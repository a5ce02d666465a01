//! Real nodes in this process: the application as `wakeline serve` runs it, on free ports.
//!
//! Several nodes may share one embedded engine, as several processes share Kafka and a CQL server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::Duration;

use journal::Clock;
use node::app::{Listeners, Node};
use node::config::{Config, Roles, Secret};
use node::storage::{self, Opened};
use prometheus::Registry;
use tempfile::TempDir;

use crate::api::Api;

/// The `system` credential of every test node.
pub const ADMIN_TOKEN: &str = "test-admin-token-of-at-least-32-characters";
/// Longest end of a test node whose data is used further, or whose streams are watched.
const DRAIN: Duration = Duration::from_secs(10);
/// The same of one that nobody looks at any more: streams end over a part of it, however few there are.
const END: Duration = Duration::from_secs(1);

/// A running node.
pub struct Running {
    node: Option<Node>,
    /// Its API, as `system`.
    pub api: Api,
    /// `http://…` of the operators' listener.
    pub admin_url: String,
}

/// Storage that nodes share, and the directory it lies in.
pub struct Storage {
    dir: Arc<TempDir>,
    opened: Opened,
    clock: Clock,
}

impl Storage {
    /// A new embedded engine in a new directory.
    pub async fn embedded(config: &Config) -> Self {
        Self::at(config, node::system_clock()).await
    }

    /// The same with a clock of the test's.
    pub async fn at(config: &Config, clock: Clock) -> Self {
        prepare();
        let dir = Arc::new(tempfile::tempdir().expect("a directory"));
        Self::open(dir, config, clock).await
    }

    /// The same directory again, after every node on it has ended.
    pub async fn reopen(dir: Arc<TempDir>, config: &Config) -> Self {
        Self::open(dir, config, node::system_clock()).await
    }

    async fn open(dir: Arc<TempDir>, config: &Config, clock: Clock) -> Self {
        let config = Config {
            data: Some(dir.path().to_owned()),
            ..config.clone()
        };
        let opened = storage::open(&config, &clock, &Registry::new())
            .await
            .expect("an engine");
        Self { dir, opened, clock }
    }

    /// Kafka and a CQL server, migrated, in a keyspace of their own.
    pub async fn servers(config: &Config) -> Opened {
        prepare();
        let clock = node::system_clock();
        storage::migrate(config, &clock, &Registry::new(), false)
            .await
            .expect("migrated");
        storage::open(config, &clock, &Registry::new())
            .await
            .expect("servers")
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// What it was opened as.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// A node with every role.
    pub async fn node(&self, config: &Config) -> Running {
        Running::start_at(config, self.opened.clone(), self.clock.clone()).await
    }

    /// A node that takes events and streams, beside that of [`Self::node`].
    pub async fn gateway(&self, config: &Config) -> Running {
        let roles = Roles {
            ingest: true,
            projector: false,
            gateway: true,
        };
        // The engine belongs to the node with every role: it maintains it, and closes it last.
        let opened = Opened {
            engine: None,
            ..self.opened.clone()
        };
        let config = Config {
            roles,
            ..config.clone()
        };
        Running::start_at(&config, opened, self.clock.clone()).await
    }

    /// Gives the directory back once every node on it has ended.
    #[must_use]
    pub fn release(self) -> Arc<TempDir> {
        self.dir
    }
}

impl Running {
    /// Starts a node on `opened`.
    pub async fn start(config: &Config, opened: Opened) -> Self {
        Self::start_at(config, opened, node::system_clock()).await
    }

    async fn start_at(config: &Config, opened: Opened, clock: Clock) -> Self {
        prepare();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config {
            listen: loopback,
            admin_listen: loopback,
            ..config.clone()
        };
        let listeners = Listeners::bind(&config).await.expect("free ports");
        let node = Node::start(&config, opened, listeners, clock, Registry::new()).expect("a node");
        node.ready().await;
        Self {
            api: Api::new(&format!("http://{}", node.public()), ADMIN_TOKEN),
            admin_url: format!("http://{}", node.admin()),
            node: Some(node),
        }
    }

    /// Every path that it answers.
    #[must_use]
    pub fn paths(&self) -> Vec<access::http::Path> {
        self.node
            .as_ref()
            .map_or_else(Vec::new, |node| node.paths().to_vec())
    }

    /// The sum of a metric's samples, over all its labels. Panics when there is none.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = reqwest::get(format!("{}/metrics", self.admin_url))
            .await
            .expect("an answer");
        let text = answer.text().await.expect("text");
        let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        let values: Vec<f64> = text
            .lines()
            .filter(of_name)
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        assert!(!values.is_empty(), "there is no {name}");
        values.iter().sum()
    }

    /// Ends it gracefully.
    pub async fn drain(self) {
        self.end_within(DRAIN).await;
    }

    /// Ends it when the test has seen what it is about.
    pub async fn end(self) {
        self.end_within(END).await;
    }

    async fn end_within(mut self, deadline: Duration) {
        if let Some(node) = self.node.take() {
            node.drain(deadline).await;
        }
    }
}

/// The configuration of test nodes: the defaults, with the `system` credential above.
#[must_use]
pub fn config() -> Config {
    Config {
        admin_token: Some(Secret(ADMIN_TOKEN.to_owned())),
        allow_weak_durability: true,
        partitions: 8,
        default_spread: 4,
        ..Config::default()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment what to log"
)]
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        drop(rustls::crypto::ring::default_provider().install_default());
        let filter = std::env::var("WAKELINE_TEST_LOG").unwrap_or_else(|_| "off".to_owned());
        drop(
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_test_writer()
                .try_init(),
        );
    });
}
