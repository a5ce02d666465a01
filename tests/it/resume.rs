//! Resume is exact: clients that are cut and come back at random points, on any of two gateways, end with
//! exactly what they should, while events flow.

mod clients;
mod devices;
mod events;
mod writers;

use std::time::Duration;

use node::config::Config;
use tests::api::Api;
use tests::nodes::{self, Running, Storage};

/// Two nodes on one engine. The second has so little room that its streams are always behind, and
/// short keep-alives, so that cursors come from those too.
struct Pair {
    _storage: Storage,
    roomy: Running,
    tight: Running,
}

impl Pair {
    async fn start() -> Self {
        let config = Config {
            projector: projector::Settings {
                stale_after: Duration::from_secs(3_600),
                offline_after: Duration::from_secs(7_200),
                ..projector::Settings::default()
            },
            ..nodes::config()
        };
        let storage = Storage::embedded(&config).await;
        let roomy = storage.node(&config).await;
        let tight = storage
            .gateway(&Config {
                gateway: tight(),
                ..config
            })
            .await;
        Self {
            _storage: storage,
            roomy,
            tight,
        }
    }

    fn gateways(&self) -> [Api; 2] {
        [self.roomy.api.clone(), self.tight.api.clone()]
    }

    async fn end(self) {
        self.tight.drain().await;
        self.roomy.drain().await;
    }
}

fn tight() -> gateway::Settings {
    gateway::Settings {
        workers: 2,
        ring_bytes_max: 4 << 10,
        turn_records_max: 16,
        turn_bytes_max: 2 << 10,
        slice_records_max: 16,
        tail_grace: Duration::from_millis(50),
        block_bytes: 8 << 10,
        block_align: 8,
        block_cache_bytes_max: 64 << 10,
        page_documents: 3,
        snapshot_changed_max: 8,
        keep_alive: Duration::from_millis(60),
        keep_alive_jitter: Duration::from_millis(20),
        ..gateway::Settings::default()
    }
}
