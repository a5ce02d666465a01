//! Counts of devices by status and of alerts: kept up to date from the documents before and after, or
//! counted from nothing.

use std::collections::BTreeMap;

use schemas::Document;
use schemas::event::{AlertStatus, Status};

use crate::Counts;

/// Counts by tenant.
pub type CountsByTenant = BTreeMap<Box<str>, Counts>;

impl Counts {
    /// What one document adds.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        let alerts = |status| {
            document
                .alerts
                .iter()
                .filter(|alert| alert.status == status)
                .count() as u64
        };
        let has = |status| u64::from(document.status == Some(status));
        Self {
            devices: 1,
            online: has(Status::Online),
            stale: has(Status::Stale),
            offline: has(Status::Offline),
            alerts_open: alerts(AlertStatus::Open),
            alerts_acknowledged: alerts(AlertStatus::Acknowledged),
        }
    }

    /// Whether there is nothing to count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, u64::saturating_add);
    }

    /// Takes `other` away.
    pub fn subtract(&mut self, other: &Self) {
        self.zip(other, u64::saturating_sub);
    }

    fn zip(&mut self, other: &Self, with: fn(u64, u64) -> u64) {
        *self = Self {
            devices: with(self.devices, other.devices),
            online: with(self.online, other.online),
            stale: with(self.stale, other.stale),
            offline: with(self.offline, other.offline),
            alerts_open: with(self.alerts_open, other.alerts_open),
            alerts_acknowledged: with(self.alerts_acknowledged, other.alerts_acknowledged),
        };
    }
}

/// Keeps `counts` true when a device of `tenant` goes from `before` to `after`. A tenant without
/// devices has no entry.
pub fn update(
    counts: &mut CountsByTenant,
    tenant: &str,
    before: Option<&Document>,
    after: Option<&Document>,
) {
    let (before, after) = (
        before.map(Counts::of).unwrap_or_default(),
        after.map(Counts::of).unwrap_or_default(),
    );
    if before == after {
        return;
    }
    let mut tenant_counts = counts.get(tenant).copied().unwrap_or_default();
    tenant_counts.add(&after);
    tenant_counts.subtract(&before);
    if tenant_counts.is_empty() {
        counts.remove(tenant);
    } else {
        counts.insert(tenant.into(), tenant_counts);
    }
}

/// Counts all of `documents`.
pub fn count<'a>(documents: impl IntoIterator<Item = &'a Document>) -> CountsByTenant {
    let mut counts = CountsByTenant::new();
    for document in documents {
        update(&mut counts, &document.tenant, None, Some(document));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(status: Option<Status>) -> Document {
        Document {
            tenant: "acme".into(),
            id: "bus".into(),
            status,
            ..Document::default()
        }
    }

    #[test]
    fn a_device_that_changes_its_status_moves_between_the_counts() {
        let (online, offline) = (document(Some(Status::Online)), document(Some(Status::Offline)));
        let mut counts = count([&online, &document(None)]);
        update(&mut counts, "acme", Some(&online), Some(&offline));
        assert_eq!(
            counts["acme"],
            Counts {
                devices: 2,
                offline: 1,
                ..Counts::default()
            }
        );
        assert_eq!(counts, count([&offline, &document(None)]));
    }

    #[test]
    fn the_last_device_of_a_tenant_takes_its_entry_with_it() {
        let online = document(Some(Status::Online));
        let mut counts = count([&online]);
        update(&mut counts, "acme", Some(&online), None);
        assert!(counts.is_empty());
    }
}
