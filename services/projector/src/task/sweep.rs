//! New alert rules meet the devices that are there already: one page of documents between two batches.
//!
//! It begins once everything is folded that the log held when the partition was claimed: what an owner
//! before had appended is then in the documents, and no alert is opened beside one that was about to come
//! back. How far it came is not kept: begun anew it gives the same events, which fold once.

use std::sync::Arc;

use journal::{Offset, Topic};
use state::PageKey;

use super::patience::Backoff;
use super::{Ended, Task};
use crate::recovery::bounds;
use crate::rulebook::follow::Known;

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
        let mut known = self.shared.rules.subscribe();
        // Rules that an owner before knew are known here before anything is judged.
        let is_level = |known: &Known| known.as_ref().is_some_and(|book| book.next() >= applied);
        tokio::select! {
            biased;
            // The sender lives as long as what the tasks share.
            known = known.wait_for(is_level) => drop(known),
            () = self.claim.revoked() => return Err(Ended::Released),
            () = self.cancel.cancelled() => return Err(Ended::Released),
        }
        self.take_rules();
        let mut backoff = Backoff::new(&self.shared.settings);
        loop {
            match bounds(&*self.shared.journal.reader, Topic::Events, self.number).await {
                Ok(bounds) => {
                    self.goes_on();
                    self.sweeps.from = bounds.end;
                    return Ok(());
                }
                Err(error) => self.wait_out("bounds", &error, &mut backoff).await?,
            }
        }
    }

    /// Takes over what the process knows of the alert rules.
    pub(super) fn take_rules(&mut self) {
        let known = self.shared.rules.borrow();
        if let Some(book) = known.as_ref()
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
        let sweep = match self.sweeps.current.take() {
            Some(sweep) => sweep,
            None if self.partition.rulebook().changed() > self.sweeps.applied => Sweep {
                until: self.partition.rulebook().next(),
                after: None,
            },
            None => return Ok(()),
        };
        let (documents, number, limit) = (
            Arc::clone(&self.shared.store.documents),
            self.number,
            self.shared.settings.page_size,
        );
        let from = sweep.after.clone();
        let page = self
            .insist_on_store("rules", move || {
                let (documents, from) = (Arc::clone(&documents), from.clone());
                async move { documents.page_of_partition(number, from.as_deref(), limit).await }
            })
            .await?;
        let (since, now) = (self.sweeps.applied, (self.shared.clock)());
        let mut reactions = Vec::new();
        for stored in page.documents {
            reactions.extend(self.partition.hold_against_rules(stored, since, now));
        }
        self.append_reactions(reactions).await?;
        if page.next.is_some() {
            self.sweeps.current = Some(Sweep {
                after: page.next,
                ..sweep
            });
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
}
