//! A server that is away: who depends on it says so and waits, everybody else goes on, nothing restarts.
//!
//! `WAKELINE_TEST_OUTAGE_S` is how long it stays away; short by default, two minutes in the long form:
//! `WAKELINE_TEST_OUTAGE_S=120 cargo test -p tests --test real degraded`.

mod cql;
mod fleet;
mod kafka;
mod watching;

use std::time::Duration;

use tests::wait;
use tokio::time::Instant;

use crate::cluster::variable;
use crate::serving::{Cluster, Serving};

const TENANT: &str = "acme";
/// How long a server is away by default: longer than ingest waits for the log.
const OUTAGE: Duration = Duration::from_secs(14);

/// Kafka and a CQL server that a test has for itself, and a node of each role on them.
struct World {
    ingest: Serving,
    projector: Serving,
    gateway: Serving,
    // Ends after the nodes.
    cluster: Cluster,
}

impl World {
    /// `None`, said aloud, where there are no servers.
    async fn start() -> Option<Self> {
        let cluster = Cluster::apart().await?;
        Some(Self {
            ingest: cluster.start("ingest").await,
            projector: cluster.start("projector").await,
            gateway: cluster.start("gateway").await,
            cluster,
        })
    }

    /// Kills `server` and returns when it is gone.
    async fn kill(&self, server: &str) -> Away {
        self.cluster.tell("kill", server).await;
        Away(Instant::now())
    }

    /// Starts `server` again once it was away for as long as the test is run for.
    async fn start_again(&self, server: &str, away: Away) {
        let outage = variable("WAKELINE_TEST_OUTAGE_S").and_then(|seconds| seconds.parse().ok());
        let outage = outage.map_or(OUTAGE, Duration::from_secs);
        // The length of an outage is what is tested here; nothing is waited for.
        tokio::time::sleep_until(away.0 + outage).await;
        self.cluster.tell("start", server).await;
    }

    fn nodes(&mut self) -> [&mut Serving; 3] {
        [&mut self.ingest, &mut self.projector, &mut self.gateway]
    }

    /// None has ended, since nothing starts them again.
    fn nothing_restarted(&mut self) {
        assert!(self.nodes().into_iter().all(|node| node.lives()));
    }

    /// Waits until every node says of `dependency` what it should, in `/ready` and in its metrics.
    async fn tell_of(&mut self, dependency: &str, up: bool) {
        for node in self.nodes() {
            let what = format!(
                "a node says that {dependency} is {}",
                if up { "back" } else { "away" }
            );
            wait::until(&what, || async {
                let ready = node.operators("/ready").await;
                let degraded = ready.json["degraded"]
                    .as_array()?
                    .iter()
                    .any(|name| name == dependency);
                let value = metric(
                    node,
                    &format!("wakeline_dependency_up{{dependency=\"{dependency}\"}}"),
                )
                .await?;
                (degraded != up && (value > 0.0) == up).then_some(())
            })
            .await;
        }
    }

    /// Waits until every node is ready, with nothing degraded.
    async fn all_is_well(&mut self) {
        for node in self.nodes() {
            wait::until("everything is well again", || async {
                let ready = node.operators("/ready").await;
                let well = ready.status == 200 && ready.json["degraded"] == serde_json::json!([]);
                well.then_some(())
            })
            .await;
        }
    }
}

/// The sum of the samples whose line begins with `name`; `None` where there is none.
async fn metric(node: &Serving, name: &str) -> Option<f64> {
    let text = node.operators("/metrics").await.text;
    let values: Vec<f64> = text
        .lines()
        .filter(|line| line.starts_with(name))
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// Since when a server is away.
#[derive(Clone, Copy)]
struct Away(Instant);
