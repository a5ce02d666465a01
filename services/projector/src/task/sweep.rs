//! New alert rules meet the devices that are there already: one page of documents between two batches, of
//! those tenants alone whose rules came or went.
//!
//! It begins once everything is folded that the log held when the partition was claimed: what an owner
//! before had appended is then in the documents, and no alert is opened beside one that was about to come
//! back. How far it came is not kept: begun anew it gives the same events, which fold once.

use std::sync::Arc;

use journal::{Offset, Partition, Topic};
use state::PageKey;

use super::patience::Backoff;
use super::{Ended, Task};
use crate::recovery::bounds;
use crate::rulebook::follow::{Followed, Known, PARTITION as CONTROL};

/// The rules of the partition's process, and how far the partition was held against them.
pub(super) struct Sweeps {
    /// Next offset of `wakeline.control` whose rules the documents were not held against.
    applied: Offset,
    /// Where the partition must be before that may be.
    from: Offset,
    current: Option<Sweep>,
}

struct Sweep {
    /// It is about rules put before this.
    until: Offset,
    /// The tenants that are left; the last one's devices are looked at.
    tenants: Vec<Box<str>>,
    after: Option<PageKey>,
}

impl Sweeps {
    /// None is due before the task knows its partition.
    pub(super) const fn new() -> Self {
        Self {
            applied: Offset::MAX,
            from: Offset::MAX,
            current: None,
        }
    }
}

impl Task {
    /// Waits until the process knows the alert rules, and finds what they are still to be held against.
    pub(super) async fn learn_rules(&mut self) -> Result<(), Ended> {
        let (progress, number) = (Arc::clone(&self.shared.store.progress), self.number);
        let applied = self
            .insist_on_store("rules", move || {
                let progress = Arc::clone(&progress);
                async move { progress.rules_applied(number).await }
            })
            .await?;
        self.sweeps.applied = applied;
        // Rules that an owner before may have judged by are known here before anything is judged.
        let end = self.end_of(Topic::Control, CONTROL).await?;
        self.wait_for_rules(end).await?;
        self.take_rules();
        self.sweeps.from = self.end_of(Topic::Events, self.number).await?;
        Ok(())
    }

    /// Waits until the process has read `wakeline.control` up to `end`.
    async fn wait_for_rules(&mut self, end: Offset) -> Result<(), Ended> {
        let mut known = self.shared.rules.subscribe();
        let is_level = |known: &Known| known.as_ref().is_some_and(|known| known.next >= end);
        let mut backoff = Backoff::new(&self.shared.settings);
        loop {
            // It is a matter of milliseconds; what takes longer is told.
            let patience = self.shared.settings.retry_max;
            // The sender lives as long as what the tasks share.
            let level = async { drop(known.wait_for(is_level).await) };
            let is_known = tokio::select! {
                biased;
                () = level => true,
                () = self.claim.revoked() => return Err(Ended::Released),
                () = self.cancel.cancelled() => return Err(Ended::Released),
                () = tokio::time::sleep(patience) => false,
            };
            if is_known {
                self.goes_on();
                return Ok(());
            }
            let reason = format!("the alert rules put before offset {end} are not known yet");
            self.wait_out("rules", &reason, &mut backoff).await?;
        }
    }

    async fn end_of(&mut self, topic: Topic, partition: Partition) -> Result<Offset, Ended> {
        let mut backoff = Backoff::new(&self.shared.settings);
        loop {
            match bounds(&*self.shared.journal.reader, topic, partition).await {
                Ok(bounds) => {
                    self.goes_on();
                    return Ok(bounds.end);
                }
                Err(error) => self.wait_out("bounds", &error, &mut backoff).await?,
            }
        }
    }

    /// Takes over what the process knows of the alert rules.
    pub(super) fn take_rules(&mut self) {
        let known = self.shared.rules.borrow();
        if let Some(Followed { book, .. }) = known.as_ref()
            && !Arc::ptr_eq(book, self.partition.rulebook())
        {
            self.partition.set_rules(Arc::clone(book));
        }
    }

    /// One page, if rules came or went that the documents were not held against.
    pub(super) async fn sweep(&mut self) -> Result<(), Ended> {
        if self.source < self.sweeps.from {
            return Ok(());
        }
        let book = self.partition.rulebook();
        let mut sweep = match self.sweeps.current.take() {
            Some(sweep) => sweep,
            None if book.changed() > self.sweeps.applied => Sweep {
                // Not what the process has read: how far that is differs from process to process.
                until: book.changed(),
                tenants: book.changed_since(self.sweeps.applied),
                after: None,
            },
            None => return Ok(()),
        };
        if let Some(tenant) = sweep.tenants.last().cloned() {
            sweep.after = self.sweep_page(tenant, sweep.after.take()).await?;
            if sweep.after.is_none() {
                sweep.tenants.pop();
            }
        }
        if !sweep.tenants.is_empty() {
            self.sweeps.current = Some(sweep);
            return Ok(());
        }
        self.sweeps.applied = sweep.until;
        let (progress, number) = (Arc::clone(&self.shared.store.progress), self.number);
        self.insist_on_store("rules", move || {
            let progress = Arc::clone(&progress);
            async move { progress.set_rules_applied(number, sweep.until).await }
        })
        .await
    }

    /// Holds a page of `tenant`'s devices against its rules; answers with where the next begins.
    async fn sweep_page(
        &mut self,
        tenant: Box<str>,
        from: Option<PageKey>,
    ) -> Result<Option<PageKey>, Ended> {
        let (documents, number, limit) = (
            Arc::clone(&self.shared.store.documents),
            self.number,
            self.shared.settings.page_size,
        );
        let page = self
            .insist_on_store("rules", move || {
                let (documents, tenant, from) = (Arc::clone(&documents), tenant.clone(), from.clone());
                async move { documents.page(&tenant, &[number], from.as_deref(), limit).await }
            })
            .await?;
        let (since, now) = (self.sweeps.applied, (self.shared.clock)());
        let mut reactions = Vec::new();
        for stored in page.documents {
            reactions.extend(self.partition.hold_against_rules(stored, since, now));
        }
        self.append_reactions(reactions).await?;
        Ok(page.next)
    }
}
