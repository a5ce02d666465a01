//! What conversations ask about the state of their tenant.

use std::collections::BTreeSet;
use std::ops::Bound;

use access::events::Reason;
use access::{Principal, Scope, Submission};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::try_join_all;
use journal::{Micros, Offset, Partition, Placement, Topic};
use query::Memo;
use schemas::Document;
use schemas::event::AlertStatus;
use serde_json::value::to_raw_value;
use state::{Counts, DeviceKey, Filterable, HistoryPage, HistoryQuery, Page, StoreError, Stored};

use super::Sources;
use super::scan::AlertScan;
use crate::commands::{COMMAND_DENIED, Order};
use crate::dialect::conversation::{Looked, Search, Standing, StandingAlert};
use crate::dialect::{Answer, Ask};
use crate::filters::Filters;
use crate::subscription::{DeviceSet, TenantScope};

/// Answers within `scope`. A stream of all tenants has no state of its own.
pub(crate) async fn answer(sources: &Sources, tenant: &TenantScope, scope: &Scope, ask: Ask) -> Answer {
    // These are asked of no tenant.
    if let Ask::TenantsOf(device) = &ask {
        return told(tenants_of(sources, device).await);
    }
    if let Ask::DevicesAt {
        location,
        tenants,
        limit,
    } = &ask
    {
        return told(devices_at(sources, location, tenants.as_deref(), *limit).await);
    }
    let (named, ask) = if let Ask::Within { tenant, ask } = ask {
        (Some(tenant), *ask)
    } else {
        (None, ask)
    };
    let name = match &named {
        Some(named) => Some(&**named).filter(|named| tenant.contains(named)),
        None => tenant.name(),
    };
    let Some(tenant) = name.map(|name| Tenant::new(sources, name, scope)) else {
        return Answer::Unavailable;
    };
    let answer = match ask {
        Ask::Documents(devices) => tenant.documents(&devices).await.map(Answer::Documents),
        Ask::Settled(devices) => tenant.settled(&devices).await.map(Answer::Documents),
        Ask::Counts => tenant.counts().await.map(Answer::Counts),
        Ask::Device(device) => tenant.standing(device).await,
        Ask::HasAny(prefix) => tenant.has_any(&prefix).await.map(Answer::HasAny),
        // Answered above, or nothing in itself.
        Ask::TenantsOf(_) | Ask::DevicesAt { .. } | Ask::Within { .. } => Ok(Answer::Unavailable),
        Ask::Devices(search) => match tenant.devices(&search).await {
            Err(StoreError::BadPage) => Ok(Answer::Devices(None)),
            found => found.map(|found| Answer::Devices(Some(found))),
        },
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
            principal,
        } => {
            tenant
                .command(&device, &command_type, input.as_deref(), &principal)
                .await
        }
    };
    told(answer)
}

fn told(answer: Result<Answer, StoreError>) -> Answer {
    answer.unwrap_or_else(|error| unavailable(&error))
}

/// What a client is told when the store does not answer.
pub(super) fn unavailable(error: &StoreError) -> Answer {
    tracing::warn!(%error, "what a client asks cannot be read");
    Answer::Unavailable
}

async fn tenants_of(sources: &Sources, device: &str) -> Result<Answer, StoreError> {
    let tenants = sources.store.documents.tenants_of(device).await;
    tenants.map(Answer::Tenants)
}

async fn devices_at(
    sources: &Sources,
    location: &str,
    tenants: Option<&BTreeSet<Box<str>>>,
    limit: usize,
) -> Result<Answer, StoreError> {
    let documents = &sources.store.documents;
    let partitions = match tenants {
        None => (0..sources.journal.layout.partitions).collect(),
        Some(tenants) => {
            let placements = tenants.iter().map(|tenant| placement(sources, tenant));
            placements
                .flat_map(|placement| placement.partitions().to_vec())
                .collect()
        }
    };
    settle(sources, &partitions).await;
    let Some(tenants) = tenants else {
        let devices = documents.devices_at(None, location, limit).await;
        return devices.map(Answer::Places);
    };
    let mut found = Vec::new();
    for tenant in tenants {
        found.extend(documents.devices_at(Some(tenant), location, limit).await?);
    }
    Ok(Answer::Places(found))
}

/// Waits until what the log of these partitions holds now is in the documents, if that does not take long.
async fn settle(sources: &Sources, partitions: &BTreeSet<Partition>) {
    let partitions: Vec<Partition> = partitions.iter().copied().collect();
    let bounds = sources.ends.bounds(Topic::Events, &partitions).await;
    let ends = partitions.iter().zip(bounds);
    let reached = ends.filter_map(|(partition, bounds)| {
        let end = bounds.ok()?.end;
        Some(sources.applied.reached(*partition, end))
    });
    let all = tokio::time::timeout(sources.applied_within, try_join_all(reached)).await;
    if !matches!(all, Ok(Ok(_))) {
        tracing::debug!(partitions = partitions.len(), "the documents are behind the log");
    }
}

fn placement(sources: &Sources, tenant: &str) -> Placement {
    let layout = &sources.journal.layout;
    let spread = sources.access.spread(tenant).unwrap_or(layout.default_spread);
    Placement::new(tenant, spread, layout.partitions)
}

struct Tenant<'a> {
    sources: &'a Sources,
    name: &'a str,
    scope: &'a Scope,
    placement: Placement,
}

impl<'a> Tenant<'a> {
    fn new(sources: &'a Sources, name: &'a str, scope: &'a Scope) -> Self {
        Self {
            sources,
            name,
            scope,
            placement: placement(sources, name),
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

    async fn settled(&self, devices: &[Box<str>]) -> Result<Vec<Stored>, StoreError> {
        let partitions = devices.iter().map(|device| self.placement.of(device));
        settle(self.sources, &partitions.collect()).await;
        self.documents(devices).await
    }

    /// First the position, then the document, which may be newer.
    async fn standing(&self, device: Box<str>) -> Result<Answer, StoreError> {
        let partition = self.placement.of(&device);
        let applied = self.applied(partition).await?;
        let stored = self.documents(&[device]).await?.pop();
        Ok(Answer::Device(Standing {
            partition,
            applied,
            stored,
        }))
    }

    /// How far a partition is applied: as far as its log goes now, if that does not take long.
    async fn applied(&self, partition: Partition) -> Result<Offset, StoreError> {
        let Sources { ends, applied, .. } = self.sources;
        let bounds = ends.bounds(Topic::Events, &[partition]).await.pop();
        if let Some(Ok(bounds)) = bounds {
            let reached = applied.reached(partition, bounds.end);
            if tokio::time::timeout(self.sources.applied_within, reached)
                .await
                .is_ok_and(|reached| reached.is_ok())
            {
                return Ok(bounds.end);
            }
        }
        let applied = self.sources.store.progress.applied(partition).await?;
        Ok(applied.map_or(0, |applied| applied.source))
    }

    async fn has_any(&self, prefix: &str) -> Result<bool, StoreError> {
        let begins = |device: &str| device.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
        match self.scope {
            Scope::All => {
                let partitions = self.placement.partitions();
                let documents = &self.sources.store.documents;
                documents.has_any(self.name, partitions, prefix).await
            }
            Scope::Devices(devices) => {
                let named: Vec<Box<str>> = devices.iter().filter(|device| begins(device)).cloned().collect();
                Ok(!self.documents(&named).await?.is_empty())
            }
        }
    }

    /// Reads pages until enough is found, or as much is looked at as may be.
    async fn devices(&self, search: &Search) -> Result<Looked, StoreError> {
        let in_scope = DeviceSet::All.within(self.scope);
        let devices = match &search.filters {
            Some(filters) => filters.narrow(&in_scope),
            None => in_scope,
        };
        let limit = search.limit.max(1);
        let mut found = Looked {
            next: search.page.clone(),
            ..Looked::default()
        };
        loop {
            let after = found.next.as_deref();
            let page = match &devices {
                DeviceSet::All => {
                    let (documents, slots) = (&self.sources.store.documents, self.placement.partitions());
                    documents.page(self.name, slots, after, limit).await?
                }
                DeviceSet::Set(devices) => self.some_of(devices, after, limit).await?,
            };
            found.looks += page.documents.len();
            let passes = |stored: &Stored| {
                let filters = search.filters.as_ref();
                filters.is_none_or(|filters| passes(filters, &stored.document))
            };
            found.documents.extend(page.documents.into_iter().filter(passes));
            found.next = page.next;
            let is_enough =
                found.documents.len() + limit > search.enough || found.looks + limit > search.looks;
            if found.next.is_none() || is_enough {
                return Ok(found);
            }
        }
    }

    /// A page of a set of devices, by id; the page key says the last id looked at.
    async fn some_of(
        &self,
        devices: &BTreeSet<Box<str>>,
        page: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let after = page.map(id_of).transpose()?;
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let ids = devices.range::<str, _>((from, Bound::Unbounded));
        let ids: Vec<Box<str>> = ids.take(limit).cloned().collect();
        let last = ids.last().filter(|_| ids.len() == limit);
        Ok(Page {
            next: last.map(|id| URL_SAFE_NO_PAD.encode(id.as_bytes()).into()),
            documents: self.documents(&ids).await?,
        })
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
        let read = page.rows.len();
        page.rows.retain(|row| self.scope.contains(&row.event.device));
        page.left_out += read - page.rows.len();
        Ok(page)
    }

    async fn command(
        &self,
        device: &str,
        command_type: &str,
        input: Option<&str>,
        principal: &Principal,
    ) -> Result<Answer, StoreError> {
        let Some(events) = self.sources.events.get() else {
            return Ok(Answer::Unavailable);
        };
        let limits = &self.sources.commands;
        let stored = self.documents(&[device.into()]).await?.pop();
        if stored.is_some_and(|stored| stored.document.commands.len() >= limits.open_max) {
            return Ok(Answer::Refused(limits.too_many().into()));
        }
        let order = Order {
            command_type: command_type.into(),
            input: input.and_then(|input| serde_json::from_str(input).ok()),
            secret: Vec::new(),
            connection: None,
            by: principal.id.clone(),
            lifetime: limits.lifetime(),
        };
        let (command, event) = order.make((self.sources.clock)());
        let Ok(item) = to_raw_value(&event) else {
            return Ok(Answer::Unavailable);
        };
        let submission = Submission {
            tenant: self.name.into(),
            device: Some(device.into()),
            items: vec![item],
            traceparent: None,
        };
        // The question may have waited long, and the right to it may be gone by now.
        let now = (self.sources.clock)();
        let still_may = self
            .sources
            .access
            .recheck(principal, now)
            .is_ok_and(|principal| principal.may_command(self.name, device));
        if !still_may {
            return Ok(Answer::Refused(COMMAND_DENIED.into()));
        }
        let sender = Principal::system(&principal.id);
        let outcome = events.submit(&sender, submission).await.pop();
        Ok(match outcome {
            Some(Ok(_)) => Answer::Commanded(command.command_id),
            Some(Err(rejection)) => match rejection.reason {
                Reason::Invalid | Reason::TooLarge | Reason::Refused => {
                    Answer::Refused(rejection.error.into())
                }
                Reason::Forbidden | Reason::RateLimited | Reason::Retry => Answer::Unavailable,
            },
            None => Answer::Unavailable,
        })
    }

    /// Looks through the documents only as long as there is an open alert to find.
    async fn alerts(&self, limit: usize) -> Result<Vec<StandingAlert>, StoreError> {
        if let Scope::Devices(devices) = self.scope {
            let devices: Vec<Box<str>> = devices.iter().cloned().collect();
            let found = standing(&self.documents(&devices).await?).collect();
            return Ok(newest(found, limit));
        }
        let mut scan = AlertScan::new(limit);
        while !scan.step(self.sources, self.name).await? {}
        Ok(scan.take())
    }
}

/// The newest, first, at most so many.
pub(super) fn newest(mut found: Vec<StandingAlert>, limit: usize) -> Vec<StandingAlert> {
    found.sort_by_key(|found| std::cmp::Reverse(found.alert.created_at));
    found.truncate(limit);
    found
}

/// A document has those that are acknowledged, too.
pub(super) fn standing(documents: &[Stored]) -> impl Iterator<Item = StandingAlert> {
    documents.iter().flat_map(|stored| {
        let (device, alerts) = (&stored.document.id, stored.document.alerts.iter());
        let open = alerts.filter(|alert| alert.status == AlertStatus::Open);
        open.map(|alert| StandingAlert {
            device: device.clone(),
            alert: alert.clone(),
        })
    })
}

/// Whether a device as it stands passes one of the filters.
fn passes(filters: &Filters, document: &Document) -> bool {
    let document = Filterable::new(document);
    let document = Memo::new(&document);
    filters.iter().any(|filter| filter.matches(&document, &document))
}

fn id_of(page: &str) -> Result<Box<str>, StoreError> {
    let bytes = URL_SAFE_NO_PAD.decode(page).ok();
    let id = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    id.map(Into::into).ok_or(StoreError::BadPage)
}

fn sum(counts: impl Iterator<Item = Counts>) -> Counts {
    counts.fold(Counts::default(), |mut total, counts| {
        total.add(&counts);
        total
    })
}
