//! The alerts of a whole tenant, found page by page: a search of a large tenant goes on in turns with
//! what others ask.

use journal::Placement;
use state::StoreError;

use super::Sources;
use super::asked::{newest, standing};
use crate::dialect::conversation::StandingAlert;

/// A search, as far as it is.
pub(super) struct AlertScan {
    limit: usize,
    found: Vec<StandingAlert>,
    /// Which of the tenant's partitions is looked through.
    slot: usize,
    /// Alerts that it has, and that were found in it; not known before it is begun.
    of_slot: Option<(u64, u64)>,
    after: Option<Box<str>>,
}

impl AlertScan {
    /// For at most so many alerts.
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            limit,
            found: Vec::new(),
            slot: 0,
            of_slot: None,
            after: None,
        }
    }

    /// Looks through a page of the next partition that has any. Whether that was the last.
    pub(super) async fn step(&mut self, sources: &Sources, tenant: &str) -> Result<bool, StoreError> {
        let layout = &sources.journal.layout;
        let spread = sources.access.spread(tenant).unwrap_or(layout.default_spread);
        let placement = Placement::new(tenant, spread, layout.partitions);
        while let Some(partition) = placement.partitions().get(self.slot).copied() {
            let (total, found) = match self.of_slot {
                Some(of_slot) => of_slot,
                None => {
                    let applied = sources.store.progress.applied(partition).await?;
                    let counts = applied.and_then(|applied| applied.counts.get(tenant).copied());
                    let counts = counts.unwrap_or_default();
                    (counts.alerts_open, 0)
                }
            };
            if found >= total {
                self.next_slot();
                continue;
            }
            let documents = &sources.store.documents;
            let after = self.after.as_deref();
            let page = documents
                .page(tenant, &[partition], after, sources.page_documents)
                .await?;
            let before = self.found.len();
            self.found.extend(standing(&page.documents));
            let found = found + (self.found.len() - before) as u64;
            match page.next {
                Some(next) => {
                    self.after = Some(next);
                    self.of_slot = Some((total, found));
                }
                None => self.next_slot(),
            }
            return Ok(self.slot >= placement.partitions().len());
        }
        Ok(true)
    }

    /// What was found, the newest first.
    pub(super) fn take(&mut self) -> Vec<StandingAlert> {
        newest(std::mem::take(&mut self.found), self.limit)
    }

    fn next_slot(&mut self) {
        self.slot += 1;
        self.of_slot = None;
        self.after = None;
    }
}
