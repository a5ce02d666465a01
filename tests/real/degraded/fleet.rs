//! Devices that send numbered events, and what of them is acknowledged.

use serde_json::{Value, json};
use tests::api::{Answer, Api};
use tests::wait;

use super::TENANT;

pub(super) const DEVICES: u64 = 5;

/// Sends rounds: in each, one event of every device, with ids, so that the same again is the same.
pub(super) struct Fleet {
    api: Api,
    rounds: u64,
}

impl Fleet {
    pub(super) fn new(api: &Api) -> Self {
        Self {
            api: api.clone(),
            rounds: 0,
        }
    }

    /// Rounds that were acknowledged.
    pub(super) const fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Sends `count` rounds, each until it is acknowledged.
    pub(super) async fn send(&mut self, count: u64) {
        for _ in 0..count {
            let round = self.rounds;
            wait::until("the events are acknowledged", || async {
                (self.try_round(round).await.status == 200).then_some(())
            })
            .await;
            self.rounds += 1;
        }
    }

    /// Sends the next round once, whatever comes of it.
    pub(super) async fn try_next(&self) -> Answer {
        self.try_round(self.rounds).await
    }

    async fn try_round(&self, round: u64) -> Answer {
        let events: Vec<Value> = (0..DEVICES)
            .map(|device| {
                json!({"device": format!("d-{device}"), "kind": "telemetry", "id": format!("{device}-{round}"),
                       "fields": {"n": round}})
            })
            .collect();
        self.api
            .post(&format!("/v1/events?tenant={TENANT}"), &json!(events))
            .await
    }
}

/// Waits until every document ends at the last of `rounds`.
pub(super) async fn documents_end_at(gateway: &Api, rounds: u64) {
    for device in 0..DEVICES {
        let path = format!("/v1/devices/d-{device}?tenant={TENANT}");
        wait::until(&format!("the document of d-{device} is level"), || async {
            (gateway.get(&path).await.json["fields"]["n"] == json!(rounds - 1)).then_some(())
        })
        .await;
    }
}
