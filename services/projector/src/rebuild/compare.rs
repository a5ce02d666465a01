//! Whether the tables are what the log says.
//!
//! The documents are made again in memory, a slice of a partition at a time, as they were at the position that
//! `applied` tells, and compared row by row. What the projector does meanwhile is passed over: rows that it moved
//! on, and rows that it deleted. So the answer holds beside a projector that works, and is whole when it stands
//! still.

use std::sync::Arc;

use journal::{Journal, Offset, Partition, Topic};
use rustc_hash::FxHashMap;
use schemas::Micros;
use state::{DeviceKey, PageKey, Store, Stored, Write};

use super::difference::{Difference, Kind, paths};
use super::{OnProgress, Options, RebuildError, begin, finish, key_of, rules};
use crate::recovery::{BLOCK_BYTES, Ports, RecoveryError, Scope, ScratchRow, Target, bounds};
use crate::source::device_key;

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Devices compared.
    pub devices: u64,
    /// Devices that are not what they should be.
    pub different: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// How events are folded again.
#[derive(Clone, Copy)]
pub struct Refold<'a> {
    /// Events received at or after this are folded again; before it, state records say what happened.
    pub since: Micros,
    /// Where documents that differ are written. At the layout that serves, a document of the same
    /// position is not replaced: give a store that was opened with a newer one.
    pub write_to: Option<&'a Store>,
}

/// Compares the tables of `store` with `wakeline.state`, and times with the events that are kept.
///
/// # Errors
/// The first partition that could not be read.
pub async fn compare(
    journal: &Journal,
    store: &Store,
    options: &Options,
    on_progress: OnProgress<'_>,
) -> Result<Comparison, RebuildError> {
    every_slice(journal, store, options, None, on_progress).await
}

/// Folds events again and reports where that differs from the tables of `store`: after a change of the
/// fold, what the change would do.
///
/// # Errors
/// The first partition that could not be read or written.
pub async fn refold(
    journal: &Journal,
    store: &Store,
    options: &Options,
    refold: Refold<'_>,
    on_progress: OnProgress<'_>,
) -> Result<Comparison, RebuildError> {
    every_slice(journal, store, options, Some(refold), on_progress).await
}

async fn every_slice(
    journal: &Journal,
    store: &Store,
    options: &Options,
    refold: Option<Refold<'_>>,
    on_progress: OnProgress<'_>,
) -> Result<Comparison, RebuildError> {
    let mut comparison = Comparison::default();
    let slices = options.slices.max(1);
    for partition in 0..journal.layout.partitions {
        for number in 0..slices {
            let slice = Slice {
                journal,
                store,
                options,
                partition,
                slice: (number, slices),
            };
            slice
                .compare(refold, on_progress, &mut comparison)
                .await
                .map_err(|error| RebuildError { partition, error })?;
        }
    }
    Ok(comparison)
}

type Scratch = FxHashMap<Arc<DeviceKey>, ScratchRow>;

struct Slice<'a> {
    journal: &'a Journal,
    store: &'a Store,
    options: &'a Options,
    partition: Partition,
    slice: (u32, u32),
}

impl Slice<'_> {
    async fn compare(
        &self,
        refold: Option<Refold<'_>>,
        on_progress: OnProgress<'_>,
        comparison: &mut Comparison,
    ) -> Result<(), RecoveryError> {
        let refold_from = match refold {
            Some(refold) => Some(self.offset_at(refold.since).await?),
            None => None,
        };
        let applied = self.store.progress.applied(self.partition).await?;
        let until = applied.as_ref().map(|applied| applied.source);
        let scope = Scope {
            history_from: Micros::MAX,
            refold_from,
            until,
            slice: Some(self.slice),
        };
        let mut scratch = Scratch::default();
        let mut ports = Ports {
            reader: &*self.journal.reader,
            documents: Target::Memory(&mut scratch),
            history: None,
        };
        let rules = rules(self.journal, self.partition);
        let recovery = begin(&ports, &rules, scope, until, self.options).await?;
        let recovery = finish(recovery, &mut ports, self.partition, self.options, on_progress).await?;
        let source = recovery.source();
        let mut writes = self.rows(&mut scratch, &scope, source, comparison).await?;
        scratch.retain(|_, row| row.document.is_some());
        if !scratch.is_empty() {
            let from = applied.map_or(0, |applied| applied.state);
            self.forget_moved_on(&mut scratch, from, source).await?;
        }
        for (key, row) in scratch {
            if let Some(document) = row.document {
                self.note(comparison, DeviceKey::clone(&key), Kind::Missing);
                comparison.devices += 1;
                writes.push(Write {
                    key: DeviceKey::clone(&key),
                    partition: self.partition,
                    document: Some(document),
                    source: row.source,
                });
            }
        }
        if let Some(target) = refold.and_then(|refold| refold.write_to) {
            target.documents.write(writes).await?;
        }
        Ok(())
    }

    /// Takes out of `scratch` what was changed by events from `source` on: that a row of it is gone may be what
    /// these events did. Whoever deletes a row has committed its state record first.
    async fn forget_moved_on(
        &self,
        scratch: &mut Scratch,
        from: Offset,
        source: Offset,
    ) -> Result<(), RecoveryError> {
        let (reader, partition) = (&*self.journal.reader, self.partition);
        let mut at = bounds(reader, Topic::State, partition).await?.start.max(from);
        loop {
            let read = reader.read(Topic::State, partition, at, BLOCK_BYTES).await;
            let block = read.map_err(|error| RecoveryError::Log {
                topic: Topic::State,
                error,
            })?;
            if block.records.is_empty() {
                return Ok(());
            }
            at = block.next;
            for record in &block.records {
                let later = record.headers.source_offset.is_some_and(|of| of >= source);
                if let (true, Some(key)) = (later, device_key(&record.key)) {
                    scratch.remove(&key);
                }
            }
        }
    }

    /// Compares every row; what is left in `scratch` has none. Answers with what would put them right.
    async fn rows(
        &self,
        scratch: &mut Scratch,
        scope: &Scope,
        source: Offset,
        comparison: &mut Comparison,
    ) -> Result<Vec<Write>, RecoveryError> {
        let mut writes = Vec::new();
        let mut after: Option<PageKey> = None;
        loop {
            let documents = &self.store.documents;
            let page = documents
                .page_of_partition(self.partition, after.as_deref(), self.options.page_size)
                .await?;
            for stored in &page.documents {
                let key = key_of(stored);
                if scope.covers(&key) {
                    comparison.devices += 1;
                    let expected = scratch.remove(&key);
                    if stored.source < source {
                        writes.extend(self.row(key, stored, expected, comparison));
                    }
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(writes);
            }
        }
    }

    fn row(
        &self,
        key: DeviceKey,
        stored: &Stored,
        expected: Option<ScratchRow>,
        comparison: &mut Comparison,
    ) -> Option<Write> {
        let (document, source) = expected.map_or((None, stored.source), |row| (row.document, row.source));
        let kind = match &document {
            None => Kind::Extra,
            Some(expected) => {
                let paths = paths(expected, &stored.document);
                if paths.is_empty() {
                    return None;
                }
                Kind::Differs { paths }
            }
        };
        self.note(comparison, key.clone(), kind);
        Some(Write {
            key,
            partition: self.partition,
            document,
            source,
        })
    }

    fn note(&self, comparison: &mut Comparison, key: DeviceKey, kind: Kind) {
        comparison.different += 1;
        if comparison.differences.len() < self.options.differences_max {
            comparison.differences.push(Difference { key, kind });
        }
    }

    async fn offset_at(&self, since: Micros) -> Result<Offset, RecoveryError> {
        let reader = &self.journal.reader;
        let answers = reader
            .offset_at(Topic::Events, &[self.partition], since.div_euclid(1_000))
            .await;
        match answers.into_iter().next() {
            Some(Ok(offset)) => Ok(offset),
            Some(Err(error)) => Err(RecoveryError::Log {
                topic: Topic::Events,
                error,
            }),
            None => Ok(0),
        }
    }
}
