//! Three brokers and a CQL server of the run's own, from `infra/local`.

use std::net::SocketAddr;

use node::config::Config;
use node::storage::{self, OpenError, Opened};
use prometheus::Registry;

use crate::local::Local;

/// Brokers.
pub const BROKERS: usize = 3;

/// Running servers. They end, with their data, when this is dropped.
pub struct Servers {
    local: Local,
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
        let list: Vec<String> = advertised.iter().map(SocketAddr::to_string).collect();
        let local = Local::up(&["--brokers", "3", "--advertise", &list.join(",")]).await;
        let nodes = std::fs::read_to_string(local.path().join("nodes")).expect("a list of servers");
        let mut servers = Self {
            local,
            kafka: Vec::new(),
            proxied: Vec::new(),
            cql: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
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

    /// [`Local::tell`].
    ///
    /// # Errors
    /// When it did not work.
    pub async fn tell(&self, what: &str, name: &str) -> Result<(), String> {
        self.local.tell(what, name).await
    }
}
