//! Two gateways on one engine, one of which is always behind: what clients that come and go meet.

use std::time::Duration;

use node::config::Config;
use tests::api::Api;
use tests::nodes::{self, Running, Storage};

/// Two nodes on one engine. The second has so little room that its streams are always behind, and
/// short keep-alives, so that cursors come from those too.
pub(crate) struct Pair {
    _storage: Storage,
    roomy: Running,
    tight: Running,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With `change` made to their configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            projector: projector::Settings {
                stale_after: Duration::from_secs(3_600),
                offline_after: Duration::from_secs(7_200),
                ..projector::Settings::default()
            },
            ..nodes::config()
        };
        change(&mut config);
        let storage = Storage::embedded(&config).await;
        let roomy = storage.node(&config).await;
        let tight = storage
            .gateway(&Config {
                gateway: tests::resume::tight(),
                ..config
            })
            .await;
        Self {
            _storage: storage,
            roomy,
            tight,
        }
    }

    /// Their APIs, as `system`.
    pub(crate) fn gateways(&self) -> [Api; 2] {
        [self.roomy.api.clone(), self.tight.api.clone()]
    }

    pub(crate) async fn end(self) {
        self.tight.end().await;
        self.roomy.end().await;
    }
}
