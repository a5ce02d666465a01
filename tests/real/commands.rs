//! Alert rules and commands on real servers, while the processes that keep them are killed.

use serde_json::{Value, json};
use tests::api::{Api, reading};
use tests::device::Device;
use tests::wait::until;

use crate::serving::Cluster;

const DEVICES: [&str; 4] = ["bus", "tram", "ferry", "bike"];

async fn standing(api: &Api, count: usize) -> Vec<Value> {
    until(&format!("{count} alerts stand"), || async {
        let answer = api.get("/v1/alerts").await;
        let alerts = answer.json["alerts"].as_array()?.clone();
        let of_rule = |alert: &Value| alert["alert_type"] == "HIGH";
        let alerts: Vec<Value> = alerts.into_iter().filter(of_rule).collect();
        (alerts.len() == count).then_some(alerts)
    })
    .await
}

async fn report(api: &Api, n: u64) {
    let events: Vec<Value> = DEVICES.iter().map(|device| reading(device, n)).collect();
    api.send_events(&events).await;
}

async fn becomes(api: &Api, command: &Value, status: &str) {
    let id = command["command_id"].as_str().expect("an id");
    let path = format!("/v1/devices/bus/commands/{id}");
    until(&format!("the command is {status}"), || async {
        (api.get(&path).await.json["status"] == status).then_some(())
    })
    .await;
}

async fn give(api: &Api, body: Value) -> Value {
    let answer = api.post("/v1/devices/bus/commands", &body).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
    answer.json
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_and_commands_go_on_whichever_projector_is_killed() {
    let Some(cluster) = Cluster::up().await else {
        return;
    };
    let front = cluster.start("ingest,gateway").await;
    let mut first = cluster.start("projector").await;
    let mut second = cluster.start("projector").await;
    let admin = front.api.token(&json!({"role": "admin", "tenant": "acme"})).await;
    let admin = front.api.with_token(&admin);
    let rule = json!({"when": "n > 80", "alert_type": "HIGH", "severity": 3, "summary": "n is high"});
    assert_eq!(admin.put("/v1/rules/high", &rule).await.status.as_u16(), 201);
    report(&admin, 95).await;
    let opened = standing(&admin, DEVICES.len()).await;
    // What stands in the log beside the rules is read by each process in its own time.
    let token = json!({"role": "device", "devices": ["bus"]});
    for _ in 0..3 {
        admin.token(&token).await;
    }
    first.kill().await;
    report(&admin, 96).await;
    let command = give(&admin, json!({"type": "reboot"})).await;
    assert_eq!(
        standing(&admin, DEVICES.len()).await,
        opened,
        "the alerts are the same"
    );
    let mut device = Device::connect(&admin, "bus").await;
    assert_eq!(device.command().await["command_id"], command["command_id"]);
    becomes(&admin, &command, "delivered").await;
    first.start_again().await;
    second.kill().await;
    let step = json!({"kind": "command", "command_id": command["command_id"], "status": "success"});
    device.send(&step).await;
    becomes(&admin, &command, "success").await;
    let forgotten = give(&admin, json!({"type": "blink", "expires_in_s": 1})).await;
    becomes(&admin, &forgotten, "expired").await;
    report(&admin, 20).await;
    standing(&admin, 0).await;
    let closed = admin.get("/v1/alerts?status=CLOSED").await.json;
    let mut closed: Vec<&Value> = closed["alerts"].as_array().expect("alerts").iter().collect();
    closed.retain(|alert| alert["alert_type"] == "HIGH");
    assert_eq!(closed.len(), DEVICES.len(), "each ended once: {closed:?}");
    second.start_again().await;
}
