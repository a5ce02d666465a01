//! Looks for alerts that stand.

use std::collections::BTreeSet;

use access::Scope;
use access::http::Problem;
use schemas::event::AlertStatus;
use schemas::{Body, Kind, Micros};
use state::{Counts, DeviceKey, HistoryQuery, Stored};

use super::place::Place;
use super::{Caller, Native, Standing};
use crate::native::answer::store_problem;

impl Native {
    /// At most `limit` alerts from `from` on, and where there may be more.
    pub(super) async fn standing(
        &self,
        caller: &Caller,
        wanted: &[AlertStatus],
        from: Place,
        limit: usize,
    ) -> Result<(Vec<Standing>, Option<Place>), Problem> {
        if let Scope::Devices(devices) = &caller.principal.devices {
            let found = self.standing_of(caller, devices, wanted).await?;
            return Ok(cut(found, &from, limit, None));
        }
        let placement = self.placement(&caller.tenant);
        let (mut at, mut looked_at) = (from, 0);
        let mut found = Vec::new();
        while let Some(partition) = placement.partitions().get(at.slot).copied() {
            if !self.has_any(caller, partition, wanted).await? {
                at = next_slot(&at);
                continue;
            }
            let documents = &self.store.documents;
            let most = self.settings.page_items_max;
            let page = documents
                .page(&caller.tenant, &[partition], at.inner.as_deref(), most)
                .await
                .map_err(|error| store_problem(&error))?;
            looked_at += page.documents.len();
            let next = match page.next {
                Some(inner) => Place {
                    slot: at.slot,
                    skip: 0,
                    inner: Some(inner),
                },
                None => next_slot(&at),
            };
            let is_last = next.slot >= placement.partitions().len();
            let of_page: Vec<Standing> = of_documents(&page.documents, wanted).collect();
            let wants = limit - found.len();
            let (part, more) = cut(of_page, &at, wants, Some(next.clone()).filter(|_| !is_last));
            found.extend(part);
            if found.len() >= limit || looked_at >= self.settings.alert_documents_max {
                return Ok((found, more));
            }
            at = next;
        }
        Ok((found, None))
    }

    /// The alert of that id which the caller may see, if it stands: of the device that is named, or of
    /// whichever device has it.
    pub(super) async fn find_alert(
        &self,
        caller: &Caller,
        alert_id: &str,
        device: Option<&str>,
    ) -> Result<Option<Standing>, Problem> {
        let is_it = |standing: &Standing| *standing.alert.alert_id == *alert_id;
        let wanted = [AlertStatus::Open, AlertStatus::Acknowledged];
        let named = match device {
            Some(device) => Some(BTreeSet::from([device.into()])),
            None => match &caller.principal.devices {
                Scope::Devices(devices) => Some(BTreeSet::clone(devices)),
                Scope::All => self.device_in_history(caller, alert_id).await?,
            },
        };
        if let Some(mut devices) = named {
            devices.retain(|device| caller.principal.covers(&caller.tenant, device));
            let found = self.standing_of(caller, &devices, &wanted).await?;
            return Ok(found.into_iter().find(is_it));
        }
        // One that was opened longer ago than history goes back.
        let mut from = Some(Place::default());
        while let Some(place) = from {
            let (found, next) = self.standing(caller, &wanted, place, usize::MAX).await?;
            if let Some(found) = found.into_iter().find(is_it) {
                return Ok(Some(found));
            }
            from = next;
        }
        Ok(None)
    }

    /// The device of which history last told a step of the alert.
    async fn device_in_history(
        &self,
        caller: &Caller,
        alert_id: &str,
    ) -> Result<Option<BTreeSet<Box<str>>>, Problem> {
        let mut query = HistoryQuery {
            tenant: caller.tenant.clone(),
            device: None,
            kinds: vec![Kind::Alert],
            from: 0,
            to: Micros::MAX,
            page: None,
            limit: self.settings.page_items_max,
        };
        let mut rows = 0;
        loop {
            let found = self.store.history.read(&query).await;
            let found = found.map_err(|error| store_problem(&error))?;
            rows += found.rows.len();
            let of_it = found
                .rows
                .iter()
                .find(|row| matches!(&row.event.body, Body::Alert(alert) if *alert.alert_id == *alert_id));
            if let Some(row) = of_it {
                return Ok(Some(BTreeSet::from([row.event.device.clone()])));
            }
            query.page = found.next;
            if query.page.is_none() || rows >= self.settings.history_rows_max {
                return Ok(None);
            }
        }
    }

    /// The alerts that stand of these devices, whose documents are held a few at a time.
    async fn standing_of(
        &self,
        caller: &Caller,
        devices: &BTreeSet<Box<str>>,
        wanted: &[AlertStatus],
    ) -> Result<Vec<Standing>, Problem> {
        let placement = self.placement(&caller.tenant);
        let key = |device: &str| DeviceKey {
            tenant: caller.tenant.clone(),
            device: device.into(),
        };
        let keys: Vec<_> = devices
            .iter()
            .map(|device| (placement.of(device), key(device)))
            .collect();
        let mut found = Vec::new();
        for keys in keys.chunks(self.settings.page_items.max(1)) {
            let stored = self.store.documents.get(keys).await;
            let stored = stored.map_err(|error| store_problem(&error))?;
            let stored: Vec<Stored> = stored.into_iter().flatten().collect();
            found.extend(of_documents(&stored, wanted));
        }
        Ok(found)
    }

    async fn has_any(
        &self,
        caller: &Caller,
        partition: journal::Partition,
        wanted: &[AlertStatus],
    ) -> Result<bool, Problem> {
        let applied = self.store.progress.applied(partition).await;
        let applied = applied.map_err(|error| store_problem(&error))?;
        let counts = applied.and_then(|applied| applied.counts.get(&caller.tenant).copied());
        let counts = counts.unwrap_or_default();
        Ok(wanted.iter().any(|status| count(&counts, *status) > 0))
    }
}

const fn count(counts: &Counts, status: AlertStatus) -> u64 {
    match status {
        AlertStatus::Open => counts.alerts_open,
        AlertStatus::Acknowledged => counts.alerts_acknowledged,
        AlertStatus::Closed => 0,
    }
}

const fn next_slot(at: &Place) -> Place {
    Place {
        slot: at.slot + 1,
        skip: 0,
        inner: None,
    }
}

fn of_documents<'a>(stored: &'a [Stored], wanted: &'a [AlertStatus]) -> impl Iterator<Item = Standing> + 'a {
    stored.iter().flat_map(move |stored| {
        let alerts = stored.document.alerts.iter();
        alerts
            .filter(move |alert| wanted.contains(&alert.status))
            .map(move |alert| Standing {
                device: stored.document.id.clone(),
                alert: alert.clone(),
            })
    })
}

/// The alerts of one page of documents that were not given yet, at most `limit`, and where to go on:
/// within the page, or at `next`.
fn cut(
    found: Vec<Standing>,
    at: &Place,
    limit: usize,
    next: Option<Place>,
) -> (Vec<Standing>, Option<Place>) {
    let total = found.len();
    let end = at.skip.saturating_add(limit);
    let part = found.into_iter().skip(at.skip).take(limit).collect();
    let within = Place {
        skip: end,
        ..at.clone()
    };
    (part, if end < total { Some(within) } else { next })
}
