//! Resume is exact on Kafka: two gateways with connections of their own, as two processes have.

use std::time::Duration;

use node::config::{Config, Roles};
use tests::api::Api;
use tests::nodes::Running;
use tests::resume::devices::every_client_ends_with_exactly_the_final_documents;
use tests::resume::events::every_client_ends_with_exactly_its_events;
use tests::seed::Seed;

use crate::in_process::{InProcess, apart};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_ends_with_exactly_its_events_however_often_it_is_cut() {
    let Some(pair) = Pair::start().await else { return };
    let done = every_client_ends_with_exactly_its_events(&pair.gateways(), Seed::of_test()).await;
    println!("{done}");
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_ends_with_exactly_the_final_documents_however_often_it_is_cut() {
    let Some(pair) = Pair::start().await else { return };
    let done = every_client_ends_with_exactly_the_final_documents(&pair.gateways(), Seed::of_test()).await;
    println!("{done}");
    pair.end().await;
}

struct Pair {
    whole: Running,
    gateway: Running,
}

impl Pair {
    async fn start() -> Option<Self> {
        let adjust = |config: &mut Config| {
            config.projector.stale_after = Duration::from_secs(3_600);
            config.projector.offline_after = Duration::from_secs(7_200);
        };
        let InProcess { node, config, .. } = InProcess::start_with(adjust).await?;
        let roles = Roles {
            projector: false,
            ..Roles::ALL
        };
        let gateway = tests::resume::tight();
        let (gateway, _) = apart(&Config {
            roles,
            gateway,
            ..config
        })
        .await;
        Some(Self { whole: node, gateway })
    }

    fn gateways(&self) -> [Api; 2] {
        [self.whole.api.clone(), self.gateway.api.clone()]
    }

    async fn end(self) {
        self.gateway.drain().await;
        self.whole.drain().await;
    }
}
