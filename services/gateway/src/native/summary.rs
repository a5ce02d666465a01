//! `GET /v1/summary`: how many devices are in which status, and how many alerts stand.

use access::Scope;
use access::http::{Problem, json};
use futures::future::try_join_all;
use http::StatusCode;
use state::{Counts, DeviceKey};

use super::answer::store_problem;
use super::{Answer, Caller, Native};

impl Native {
    pub(super) async fn summary(&self, caller: &Caller) -> Answer {
        caller.knows(&[])?;
        caller.may_read()?;
        let counts = match &caller.principal.devices {
            Scope::All => self.counts_of_tenant(caller).await?,
            Scope::Devices(devices) => {
                let placement = self.placement(&caller.tenant);
                let key = |device: &str| DeviceKey {
                    tenant: caller.tenant.clone(),
                    device: device.into(),
                };
                let keys: Vec<_> = devices
                    .iter()
                    .map(|device| (placement.of(device), key(device)))
                    .collect();
                let stored = self
                    .store
                    .documents
                    .get(&keys)
                    .await
                    .map_err(|error| store_problem(&error))?;
                sum(stored.iter().flatten().map(|stored| Counts::of(&stored.document)))
            }
        };
        let text = serde_json::json!({
            "ONLINE": counts.online, "STALE": counts.stale, "OFFLINE": counts.offline, "total": counts.devices,
            "alerts": {"OPEN": counts.alerts_open, "ACKNOWLEDGED": counts.alerts_acknowledged},
        });
        Ok(json(StatusCode::OK, text.to_string()))
    }

    async fn counts_of_tenant(&self, caller: &Caller) -> Result<Counts, Problem> {
        let placement = self.placement(&caller.tenant);
        let reads = placement
            .partitions()
            .iter()
            .map(|partition| self.store.progress.applied(*partition));
        let applied = try_join_all(reads).await.map_err(|error| store_problem(&error))?;
        let counts = applied
            .iter()
            .flatten()
            .filter_map(|applied| applied.counts.get(&caller.tenant));
        Ok(sum(counts.copied()))
    }
}

fn sum(counts: impl Iterator<Item = Counts>) -> Counts {
    counts.fold(Counts::default(), |mut total, counts| {
        total.add(&counts);
        total
    })
}
