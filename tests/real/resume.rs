//! Resume is exact on Kafka: two gateways with connections of their own, as two processes have.

use std::time::Duration;

use node::config::{Config, Roles};
use node::storage;
use prometheus::Registry;
use tests::api::Api;
use tests::nodes::{Running, Storage};
use tests::resume::devices::every_client_ends_with_exactly_the_final_documents;
use tests::resume::events::every_client_ends_with_exactly_its_events;
use tests::seed::Seed;

use crate::cluster::Servers;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_ends_with_exactly_its_events_however_often_it_is_cut() {
    let Some(shared) = Servers::shared() else { return };
    let pair = Pair::start(&shared.config()).await;
    let done = every_client_ends_with_exactly_its_events(&pair.gateways(), Seed::of_test()).await;
    println!("{done}");
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_ends_with_exactly_the_final_documents_however_often_it_is_cut() {
    let Some(shared) = Servers::shared() else { return };
    let pair = Pair::start(&shared.config()).await;
    let done = every_client_ends_with_exactly_the_final_documents(&pair.gateways(), Seed::of_test()).await;
    println!("{done}");
    pair.end().await;
}

struct Pair {
    whole: Running,
    gateway: Running,
}

impl Pair {
    async fn start(config: &Config) -> Self {
        let config = Config {
            projector: projector::Settings {
                stale_after: Duration::from_secs(3_600),
                offline_after: Duration::from_secs(7_200),
                ..projector::Settings::default()
            },
            ..config.clone()
        };
        let whole = Running::start(&config, Storage::servers(&config).await).await;
        let roles = Roles {
            ingest: true,
            projector: false,
            gateway: true,
        };
        let opened = storage::open(&config, &node::system_clock(), &Registry::new())
            .await
            .expect("opened");
        let gateway = tests::resume::tight();
        let gateway = Running::start(
            &Config {
                roles,
                gateway,
                ..config
            },
            opened,
        )
        .await;
        Self { whole, gateway }
    }

    fn gateways(&self) -> [Api; 2] {
        [self.whole.api.clone(), self.gateway.api.clone()]
    }

    async fn end(self) {
        self.gateway.drain().await;
        self.whole.drain().await;
    }
}
