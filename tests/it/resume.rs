//! Resume is exact: clients that are cut and come back at random points, on any of two gateways, end with
//! exactly what they should, while events flow.

use std::time::Duration;

use node::config::Config;
use tests::api::Api;
use tests::nodes::{self, Running, Storage};
use tests::resume::devices::every_client_ends_with_exactly_the_final_documents;
use tests::resume::events::every_client_ends_with_exactly_its_events;
use tests::seed::Seed;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_ends_with_exactly_its_events_however_often_it_is_cut() {
    let pair = Pair::start().await;
    let done = every_client_ends_with_exactly_its_events(&pair.gateways(), Seed::of_test()).await;
    println!("{done}");
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_ends_with_exactly_the_final_documents_however_often_it_is_cut() {
    let pair = Pair::start().await;
    let done = every_client_ends_with_exactly_the_final_documents(&pair.gateways(), Seed::of_test()).await;
    println!("{done}");
    pair.end().await;
}

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

    fn gateways(&self) -> [Api; 2] {
        [self.roomy.api.clone(), self.tight.api.clone()]
    }

    async fn end(self) {
        self.tight.drain().await;
        self.roomy.drain().await;
    }
}
