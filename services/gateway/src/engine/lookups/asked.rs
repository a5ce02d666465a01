//! What conversations ask about the state of their tenant.

use access::{Principal, Scope, Submission};
use futures::future::try_join_all;
use journal::{Micros, Partition, Placement};
use schemas::json::write_string;
use serde_json::value::RawValue;
use state::{Counts, DeviceKey, HistoryPage, HistoryQuery, StoreError, Stored};
use uuid::Uuid;

use super::Sources;
use crate::dialect::conversation::StandingAlert;
use crate::dialect::{Answer, Ask};
use crate::subscription::TenantScope;

/// Answers within `scope`. A stream of all tenants has no state of its own.
pub(crate) async fn answer(sources: &Sources, tenant: &TenantScope, scope: &Scope, ask: Ask) -> Answer {
    let Some(tenant) = tenant.name().map(|name| Tenant::new(sources, name, scope)) else {
        return Answer::Unavailable;
    };
    let answer = match ask {
        Ask::Documents(devices) => tenant.documents(&devices).await.map(Answer::Documents),
        Ask::Counts => tenant.counts().await.map(Answer::Counts),
        Ask::Alerts { limit } => tenant.alerts(limit).await.map(Answer::Alerts),
        Ask::History {
            device,
            kinds,
            from,
            page,
            limit,
        } => {
            let query = HistoryQuery {
                tenant: tenant.name.into(),
                device,
                kinds,
                from,
                to: Micros::MAX,
                page,
                limit,
            };
            tenant.history(&query).await.map(Answer::History)
        }
        Ask::Command {
            device,
            command_type,
            input,
            by,
        } => Ok(tenant
            .command(&device, &command_type, input.as_deref(), &by)
            .await),
    };
    answer.unwrap_or_else(|error| {
        tracing::warn!(%error, "what a client asks cannot be read");
        Answer::Unavailable
    })
}

struct Tenant<'a> {
    sources: &'a Sources,
    name: &'a str,
    scope: &'a Scope,
    placement: Placement,
}

impl<'a> Tenant<'a> {
    fn new(sources: &'a Sources, name: &'a str, scope: &'a Scope) -> Self {
        let layout = &sources.journal.layout;
        let spread = sources.access.spread(name).unwrap_or(layout.default_spread);
        Self {
            sources,
            name,
            scope,
            placement: Placement::new(name, spread, layout.partitions),
        }
    }

    async fn documents(&self, devices: &[Box<str>]) -> Result<Vec<Stored>, StoreError> {
        let keys: Vec<(Partition, DeviceKey)> = devices
            .iter()
            .filter(|device| self.scope.contains(device))
            .map(|device| {
                let (tenant, device) = (self.name.into(), device.clone());
                (self.placement.of(&device), DeviceKey { tenant, device })
            })
            .collect();
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(self.sources.page_documents) {
            found.extend(
                self.sources
                    .store
                    .documents
                    .get(keys)
                    .await?
                    .into_iter()
                    .flatten(),
            );
        }
        Ok(found)
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        match self.scope {
            Scope::All => {
                let progress = &self.sources.store.progress;
                let applied = self
                    .placement
                    .partitions()
                    .iter()
                    .map(|partition| progress.applied(*partition));
                let applied = try_join_all(applied).await?;
                let counts = applied
                    .iter()
                    .flatten()
                    .filter_map(|applied| applied.counts.get(self.name));
                Ok(sum(counts.copied()))
            }
            Scope::Devices(devices) => {
                let devices: Vec<Box<str>> = devices.iter().cloned().collect();
                let documents = self.documents(&devices).await?;
                Ok(sum(documents.iter().map(|stored| Counts::of(&stored.document))))
            }
        }
    }

    async fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        let is_outside = |device: &str| !self.scope.contains(device);
        if query.device.as_deref().is_some_and(is_outside) {
            return Ok(HistoryPage::default());
        }
        let mut page = self.sources.store.history.read(query).await?;
        page.rows.retain(|row| self.scope.contains(&row.event.device));
        Ok(page)
    }

    async fn command(&self, device: &str, command_type: &str, input: Option<&str>, by: &str) -> Answer {
        let Some(events) = self.sources.events.get() else {
            return Answer::Unavailable;
        };
        let id = Uuid::now_v7().to_string();
        let text = |text: &str| {
            let mut json = Vec::with_capacity(text.len() + 2);
            write_string(text, &mut json);
            String::from_utf8_lossy(&json).into_owned()
        };
        let mut event = format!(
            "{{\"kind\":\"command\",\"command_id\":\"{id}\",\"type\":{},\"status\":\"queued\",\"by\":{}",
            text(command_type),
            text(by),
        );
        if let Some(input) = input {
            event.push_str(&format!(",\"input\":{input}"));
        }
        event.push('}');
        let Ok(item) = RawValue::from_string(event) else {
            return Answer::Unavailable;
        };
        let submission = Submission {
            tenant: self.name.into(),
            device: Some(device.into()),
            items: vec![item],
            traceparent: None,
        };
        match events.submit(&Principal::system(by), submission).await.pop() {
            Some(Ok(_)) => Answer::Commanded(id.into()),
            Some(Err(error)) => {
                tracing::debug!(%error, "a command was not taken");
                Answer::Unavailable
            }
            None => Answer::Unavailable,
        }
    }

    /// Looks through the documents only as long as there is an alert to find.
    async fn alerts(&self, limit: usize) -> Result<Vec<StandingAlert>, StoreError> {
        let mut found = Vec::new();
        if let Scope::Devices(devices) = self.scope {
            let devices: Vec<Box<str>> = devices.iter().cloned().collect();
            found.extend(standing(&self.documents(&devices).await?));
        } else {
            let counts = self.counts().await?;
            let total = counts.alerts_open + counts.alerts_acknowledged;
            let mut after: Option<Box<str>> = None;
            let (documents, slots) = (&self.sources.store.documents, self.placement.partitions());
            while (found.len() as u64) < total {
                let limit = self.sources.page_documents;
                let page = documents.page(self.name, slots, after.as_deref(), limit).await?;
                found.extend(standing(&page.documents));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        found.sort_by_key(|found| std::cmp::Reverse(found.alert.created_at));
        found.truncate(limit);
        Ok(found)
    }
}

fn standing(documents: &[Stored]) -> impl Iterator<Item = StandingAlert> {
    documents.iter().flat_map(|stored| {
        let device = &stored.document.id;
        stored.document.alerts.iter().map(|alert| StandingAlert {
            device: device.clone(),
            alert: alert.clone(),
        })
    })
}

fn sum(counts: impl Iterator<Item = Counts>) -> Counts {
    counts.fold(Counts::default(), |mut total, counts| {
        total.add(&counts);
        total
    })
}
