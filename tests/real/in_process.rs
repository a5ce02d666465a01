//! Nodes in this process on the servers that tests share, with topics and a keyspace of the test's own.

use node::config::Config;
use node::storage::{self, Opened};
use prometheus::Registry;
use tests::nodes::{Running, Storage};

use crate::cluster::Servers;

/// A node with every role, and what it stands on.
pub(crate) struct InProcess {
    pub(crate) servers: Servers,
    pub(crate) config: Config,
    pub(crate) opened: Opened,
    pub(crate) node: Running,
}

impl InProcess {
    /// `None`, said aloud, where there are no servers.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(|_| ()).await
    }

    /// [`Self::start`], with what `adjust` makes of the configuration.
    pub(crate) async fn start_with(adjust: impl FnOnce(&mut Config)) -> Option<Self> {
        let servers = Servers::shared()?;
        let mut config = servers.config();
        adjust(&mut config);
        let opened = Storage::servers(&config).await;
        let node = Running::start(&config, opened.clone()).await;
        Some(Self {
            servers,
            config,
            opened,
            node,
        })
    }
}

/// A node with connections of its own, as a process of its own has, and the metrics of these.
pub(crate) async fn apart(config: &Config) -> (Running, Registry) {
    let connections = Registry::new();
    let opened = storage::open(config, &node::system_clock(), &connections).await;
    let node = Running::start(config, opened.expect("opened")).await;
    (node, connections)
}
