//! Whether the log is the one that the state came from.

use std::time::Duration;

use futures::future::try_join_all;
use journal::Journal;
use state::Store;

use super::OpenError;

/// How long ends below what was applied are asked for again before a start is refused.
const ENDS_PATIENCE: Duration = Duration::from_secs(5);
/// Between two such questions.
const ENDS_RETRY: Duration = Duration::from_millis(500);

/// Refuses a log that ends below what was folded from it: it is not the log that the state came from.
pub(super) async fn check_ends(journal: &Journal, store: &Store) -> Result<(), OpenError> {
    let asked = tokio::time::Instant::now();
    loop {
        match below_applied(journal, store).await? {
            None => return Ok(()),
            // A leader that is none any more may have answered: what was said is asked again, since the
            // operator's way out of a true answer folds everything anew.
            Some(_) if asked.elapsed() < ENDS_PATIENCE => tokio::time::sleep(ENDS_RETRY).await,
            Some(problem) => return Err(OpenError::Layout(problem)),
        }
    }
}

/// The first partition that ends below what was folded from it, told for people.
async fn below_applied(journal: &Journal, store: &Store) -> Result<Option<String>, OpenError> {
    let partitions: Vec<_> = (0..journal.layout.partitions).collect();
    // Before the ends: projectors go on all the while.
    let applied = partitions
        .iter()
        .map(|partition| store.progress.applied(*partition));
    let applied = try_join_all(applied)
        .await
        .map_err(|error| OpenError::Server(error.to_string()))?;
    let bounds = journal.reader.bounds(journal::Topic::Events, &partitions).await;
    for ((partition, applied), bounds) in partitions.into_iter().zip(applied).zip(bounds) {
        // A partition that does not answer now is not judged: its streams are told `degraded`.
        if let (Some(applied), Ok(bounds)) = (applied, bounds)
            && bounds.end < applied.source
        {
            return Ok(Some(format!(
                "partition {partition} of wakeline.events ends at offset {}, but state was folded from it up to {}: {}",
                bounds.end,
                applied.source,
                crate::migrate::RECREATED,
            )));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;
    use journal::{Block, Bounds, Offset, Partition, ReadError, Reader, Topic};
    use prometheus::Registry;
    use state::{Applied, Progress, StoreError};

    use super::*;
    use crate::config::Config;

    /// A log that others write to and fold all the while: each look finds it further.
    struct Busy(AtomicU64);

    #[async_trait]
    impl Progress for Busy {
        async fn applied(&self, _partition: Partition) -> Result<Option<Applied>, StoreError> {
            Ok(Some(Applied {
                source: self.0.fetch_add(1, Ordering::Relaxed),
                ..Applied::default()
            }))
        }

        async fn set_applied(&self, _partition: Partition, _applied: &Applied) -> Result<(), StoreError> {
            Ok(())
        }

        async fn rules_applied(&self, _partition: Partition) -> Result<Offset, StoreError> {
            Ok(0)
        }

        async fn set_rules_applied(&self, _partition: Partition, _next: Offset) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[async_trait]
    impl Reader for Busy {
        async fn read(&self, _: Topic, _: Partition, _: Offset, _: usize) -> Result<Block, ReadError> {
            Ok(Block::default())
        }

        async fn bounds(&self, _topic: Topic, partitions: &[Partition]) -> Vec<Result<Bounds, ReadError>> {
            let end = self.0.load(Ordering::Relaxed);
            partitions.iter().map(|_| Ok(Bounds { start: 0, end })).collect()
        }

        async fn offset_at(&self, _: Topic, _: &[Partition], _: i64) -> Vec<Result<Offset, ReadError>> {
            Vec::new()
        }
    }

    async fn opened() -> (tempfile::TempDir, super::super::Opened) {
        let dir = tempfile::tempdir().expect("a directory");
        let config = Config {
            data: Some(dir.path().to_owned()),
            ..Config::default()
        };
        let opened = super::super::open(&config, &crate::system_clock(), &Registry::new()).await;
        (dir, opened.expect("an engine"))
    }

    #[tokio::test]
    async fn events_that_are_folded_while_a_node_starts_are_no_other_log() {
        let (_dir, opened) = opened().await;
        let busy = Arc::new(Busy(AtomicU64::new(1)));
        let (mut journal, mut store) = (opened.journal, opened.store);
        journal.reader = Arc::clone(&busy) as _;
        store.progress = busy;
        let problem = below_applied(&journal, &store).await.expect("an answer");
        assert_eq!(problem, None);
    }

    #[tokio::test]
    async fn a_log_that_ends_below_what_was_folded_is_named() {
        let (_dir, opened) = opened().await;
        let mut store = opened.store;
        store.progress = Arc::new(Busy(AtomicU64::new(1)));
        let problem = below_applied(&opened.journal, &store).await.expect("an answer");
        assert!(problem.is_some_and(|problem| problem.contains("ends at offset 0, but state was folded")));
    }
}
