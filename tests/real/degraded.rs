//! A server that is away: who depends on it says so and waits, everybody else goes on, nothing restarts.
//!
//! `WAKELINE_TEST_OUTAGE_S` is how long it stays away; short by default, two minutes in the long form:
//! `WAKELINE_TEST_OUTAGE_S=120 cargo test -p tests --test real degraded`.

mod cql;
mod fleet;
mod kafka;
mod watching;

use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tests::wait;
use tokio::time::Instant;

use crate::cluster::{Servers, script, variable};
use crate::serving::{Serving, migrate};

const TENANT: &str = "acme";
/// How long a server is away by default: longer than ingest waits for the log.
const OUTAGE: Duration = Duration::from_secs(14);

/// Kafka and a CQL server that a test has for itself, and a node of each role on them.
struct World {
    ingest: Serving,
    projector: Serving,
    gateway: Serving,
    // Ends after the nodes.
    pair: Pair,
}

impl World {
    /// `None`, said aloud, where there are no servers.
    async fn start() -> Option<Self> {
        // Whether servers can be had at all is told by the ones that tests share.
        Servers::shared()?;
        let pair = Pair::up().await;
        migrate(&pair.servers).await;
        Some(Self {
            ingest: Serving::start("ingest", &pair.servers).await,
            projector: Serving::start("projector", &pair.servers).await,
            gateway: Serving::start("gateway", &pair.servers).await,
            pair,
        })
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

/// The servers of one test. They end with it.
struct Pair {
    dir: TempDir,
    servers: Servers,
}

impl Pair {
    async fn up() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let up = script("up")
            .arg("--dir")
            .arg(dir.path())
            .output()
            .await
            .expect("runs");
        let printed = String::from_utf8_lossy(&up.stdout).into_owned();
        let address = |name: &str| {
            let found = printed
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_default().to_owned()
        };
        // Made at once, so that what was started is stopped whatever comes next.
        let pair = Self {
            dir,
            servers: Servers {
                kafka: address("WAKELINE_KAFKA"),
                cql: address("WAKELINE_CQL"),
                keyspace: "degraded".to_owned(),
            },
        };
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        pair
    }

    /// Kills `server` and returns when it is gone.
    async fn kill(&self, server: &str) -> Away {
        self.tell("kill", server).await;
        Away(Instant::now())
    }

    async fn tell(&self, what: &str, server: &str) {
        let told = script(what)
            .arg("--dir")
            .arg(self.dir.path())
            .arg(server)
            .output()
            .await
            .expect("runs");
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(told.status.success(), "{what} {server}: {said}");
    }

    /// Starts `server` again once it was away for as long as the test is run for.
    async fn start(&self, server: &str, away: Away) {
        let outage = variable("WAKELINE_TEST_OUTAGE_S").and_then(|seconds| seconds.parse().ok());
        let outage = outage.map_or(OUTAGE, Duration::from_secs);
        // The length of an outage is what is tested here; nothing is waited for.
        tokio::time::sleep_until(away.0 + outage).await;
        self.tell("start", server).await;
    }
}

/// Since when a server is away.
#[derive(Clone, Copy)]
struct Away(Instant);

impl Drop for Pair {
    fn drop(&mut self) {
        let mut down = std::process::Command::new(script("down").as_std().get_program());
        down.arg("--dir").arg(self.dir.path()).arg("--delete");
        // A failing test must not fail twice.
        drop(down.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}
