//! One node with a tenant and a credential of every role: what most behaviours need.

use std::path::Path;
use std::sync::Arc;

use node::config::Config;
use serde_json::{Value, json};

use crate::api::Api;
use crate::clock::MovedClock;
use crate::nodes::{self, Running, Storage};
use crate::stream::{Carrier, Streaming};

/// The tenant that the world is about.
pub const TENANT: &str = "acme";

/// A node on a new embedded engine, and clients of it.
pub struct World {
    /// What it keeps its data in.
    pub storage: Storage,
    /// The node; its `api` is `system`.
    pub node: Running,
    /// Admin of [`TENANT`].
    pub admin: Api,
    /// The node's clock.
    pub clock: MovedClock,
    config: Box<Config>,
}

impl World {
    /// With the configuration of test nodes.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With `change` made to it.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        // What is large is kept apart from the futures of whoever starts one.
        let mut config = Box::new(nodes::config());
        change(&mut config);
        let clock = MovedClock::default();
        let storage = Box::pin(Storage::at(&config, clock.clock())).await;
        let node = Box::pin(storage.node(&config)).await;
        let admin = node.api.token(&json!({"role": "admin", "tenant": TENANT})).await;
        let admin = node.api.with_token(&admin);
        Self {
            storage,
            node,
            admin,
            clock,
            config,
        }
    }

    /// A client with a new token of the tenant; `body` says of which role and with what.
    pub async fn client(&self, body: Value) -> Api {
        let token = self.admin.token(&body).await;
        self.admin.with_token(&token)
    }

    /// A stream of the tenant, opened as its admin.
    pub async fn stream(&self, carrier: Carrier, query: &str, cursor: Option<&str>) -> Streaming {
        Streaming::open(&self.admin, carrier, query, cursor)
            .await
            .expect("a stream")
    }

    /// Every event of the tenant that the log holds, in the order of a stream.
    pub async fn events(&self) -> Vec<Value> {
        self.stream(Carrier::Sse, "since=earliest", None)
            .await
            .rest()
            .await
    }

    /// Every event that senders appended: without what the product itself found out of presence.
    pub async fn sent(&self) -> Vec<Value> {
        let mut events = self.events().await;
        let is_found_out =
            |event: &Value| event["kind"] == "presence" || event["alert_type"] == "NO_HEARTBEAT";
        events.retain(|event| !is_found_out(event));
        events
    }

    /// The same node on a copy of its data, which is another log.
    pub async fn on_a_copy(self) -> Self {
        let Self {
            storage,
            node,
            admin,
            config,
            ..
        } = self;
        node.drain().await;
        let from = storage.release();
        let to = Arc::new(tempfile::tempdir().expect("a directory"));
        copy(from.path(), to.path()).expect("a copy");
        let storage = Storage::reopen(to, &config).await;
        let node = storage.node(&config).await;
        let admin = admin.at(&node.api.base);
        Self {
            storage,
            node,
            admin,
            clock: MovedClock::default(),
            config,
        }
    }

    /// One more node on the same storage, that takes events and streams.
    pub async fn gateway(&self) -> Running {
        self.storage.gateway(&self.config).await
    }

    /// Ends the node.
    pub async fn end(self) {
        self.node.end().await;
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
