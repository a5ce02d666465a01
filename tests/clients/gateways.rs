//! nginx in front of two gateways of which one is killed: every client goes on exactly on the other. With real Kafka,
//! since two gateways are two processes, and the embedded engine belongs to one.

use rand::rngs::SmallRng;
use tests::api::Api;
use tests::seed::Seed;
use tests::wait;

use crate::client::{self, Client, Running, Seen};
use crate::cutter::{Cutter, Plan};
use crate::fleet::Sent;
use crate::nginx::Nginx;
use crate::serving::Cluster;

/// Events of one step: before, between and after the kills.
const STEP: usize = 30;
const STEPS: usize = 3;
const ARGUMENTS: [&str; 4] = ["--allowed-origins", "*", "--trusted-proxies", "127.0.0.1/32"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_gateway_behind_nginx_is_killed_every_client_goes_on_on_the_other() {
    if !client::are_here() {
        return;
    }
    let Some(cluster) = Cluster::up().await else {
        return;
    };
    // It sends, and no client comes to it.
    let node = cluster.start("all").await;
    let mut first = cluster.start_with("gateway", &ARGUMENTS).await;
    let mut second = cluster.start_with("gateway", &ARGUMENTS).await;
    let gateways = [&first.api, &second.api].map(Api::clone);
    let nginx = Nginx::start(&[host(&gateways[0]), host(&gateways[1])]).await;
    let mut sent = Sent::nothing(&node.api).await;
    for gateway in &gateways {
        knows(gateway, &sent.reader).await;
    }
    let mut random = Seed::of_test().part(0);
    let mut clients = Vec::new();
    for client in Client::ALL {
        clients.push(Watch::start(client, &nginx, &sent.reader).await);
    }

    send(&mut sent, &mut clients, 1, &mut random).await;
    first.kill().await;
    // Whoever sees these has them from the second one, and then the other way round.
    send(&mut sent, &mut clients, 2, &mut random).await;
    first.start_again().await;
    knows(&gateways[0], &sent.reader).await;
    second.kill().await;
    send(&mut sent, &mut clients, 3, &mut random).await;

    // nginx spreads them: those of the first gateway are cut by both kills, the others by the second.
    let mut resumed = Vec::new();
    for watch in clients {
        resumed.push(watch.finish(&sent).await);
    }
    assert!(resumed.iter().all(|times| *times >= 1), "{resumed:?}");
    assert!(resumed.iter().any(|times| *times >= 2), "{resumed:?}");
}

/// Sends the events of a step, and waits until every client has those of all steps so far.
async fn send(sent: &mut Sent, clients: &mut [Watch], step: usize, random: &mut SmallRng) {
    sent.send(STEP, random).await;
    for watch in clients {
        watch.has(step * STEP).await;
    }
}

/// Waits until a gateway takes the credential of readers: a browser that is refused never comes back.
async fn knows(gateway: &Api, reader: &str) {
    let api = gateway.with_token(reader);
    wait::until("the gateway knows the reader", || async {
        (api.get("/v1/devices").await.status == 200).then_some(())
    })
    .await;
}

/// `host:port`.
fn host(api: &Api) -> &str {
    api.base.trim_start_matches("http://")
}

/// A client of nginx, and what it saw.
struct Watch {
    client: Client,
    cutter: Cutter,
    running: Running,
    seen: Vec<Seen>,
}

impl Watch {
    async fn start(client: Client, nginx: &Nginx, reader: &str) -> Self {
        // It cuts nothing, and tells where the client asked to go on.
        let cutter = Cutter::start(nginx.address(), Plan::default()).await;
        let url = format!("{}/v1/stream?kind=telemetry&since=earliest", cutter.base());
        Self {
            client,
            running: Running::start(client, &url, reader, STEPS * STEP),
            cutter,
            seen: Vec::new(),
        }
    }

    /// Reads on until it has seen `count` events.
    async fn has(&mut self, count: usize) {
        while self.seen.iter().filter(|frame| frame.event == "message").count() < count {
            let Some(frame) = self.running.next().await else {
                panic!("{:?} ended after {} frames", self.client, self.seen.len());
            };
            // Where nginx has not yet found out that a gateway is back, it says so itself.
            let is_bad = ["reset", "gave up"].contains(&frame.event.as_str());
            assert!(!is_bad, "{:?}: {frame:?}", self.client);
            self.seen.push(frame);
        }
    }

    /// How often it resumed.
    async fn finish(mut self, sent: &Sent) -> usize {
        let name = format!("{:?}", self.client);
        if let Some(frame) = self.running.next().await {
            panic!("{name}: {frame:?} came after all that was sent");
        }
        sent.assert_seen(&name, &self.seen);
        let visits = self.cutter.visits();
        let resumed = visits.iter().filter(|visit| visit.asked(self.client).is_some());
        resumed.count()
    }
}
