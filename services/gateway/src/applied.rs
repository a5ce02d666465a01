//! Waits until the projector has applied an offset: one question to the store at a time for each
//! partition, however many clients wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use journal::{Offset, Partition};
use parking_lot::Mutex;
use state::{Progress, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;

/// Progress as far as this process has seen it.
pub(crate) struct AppliedWatch {
    progress: Arc<dyn Progress>,
    poll: Duration,
    partitions: Mutex<HashMap<Partition, Arc<Seen>>>,
}

/// What was seen of one partition. Whoever holds `asking` asks for all who wait.
struct Seen {
    source: watch::Sender<Offset>,
    asking: tokio::sync::Mutex<Option<Instant>>,
}

impl AppliedWatch {
    pub(crate) fn new(progress: Arc<dyn Progress>, poll: Duration) -> Self {
        Self {
            progress,
            poll,
            partitions: Mutex::default(),
        }
    }

    /// Returns once everything below `source` is applied. To be limited in time by the caller.
    pub(crate) async fn reached(&self, partition: Partition, source: Offset) -> Result<(), StoreError> {
        let seen = self.seen(partition);
        let mut updates = seen.source.subscribe();
        loop {
            if *updates.borrow_and_update() >= source {
                return Ok(());
            }
            tokio::select! {
                biased;
                _ = updates.changed() => {}
                mut asked_at = seen.asking.lock() => {
                    if let Some(at) = *asked_at {
                        tokio::time::sleep_until(at + self.poll).await;
                    }
                    *asked_at = Some(Instant::now());
                    let applied = self.progress.applied(partition).await?;
                    let reached = applied.map_or(0, |applied| applied.source);
                    seen.source.send_if_modified(|known| {
                        let newer = reached > *known;
                        *known = reached.max(*known);
                        newer
                    });
                }
            }
        }
    }

    fn seen(&self, partition: Partition) -> Arc<Seen> {
        let mut partitions = self.partitions.lock();
        let seen = partitions.entry(partition).or_insert_with(|| {
            Arc::new(Seen {
                source: watch::Sender::new(0),
                asking: tokio::sync::Mutex::new(None),
            })
        });
        Arc::clone(seen)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;
    use state::Applied;

    use super::*;

    /// Each question finds one more event applied.
    struct Counting(AtomicU64);

    #[async_trait]
    impl Progress for Counting {
        async fn applied(&self, _: Partition) -> Result<Option<Applied>, StoreError> {
            let source = self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Some(Applied {
                source,
                ..Applied::default()
            }))
        }

        async fn set_applied(&self, _: Partition, _: &Applied) -> Result<(), StoreError> {
            Ok(())
        }

        async fn rules_applied(&self, _: Partition) -> Result<Offset, StoreError> {
            Ok(0)
        }

        async fn set_rules_applied(&self, _: Partition, _: Offset) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_wait_ask_once() {
        let progress = Arc::new(Counting(AtomicU64::new(0)));
        let watch = AppliedWatch::new(Arc::clone(&progress) as _, Duration::from_millis(20));
        let waiting = (0..100).map(|_| watch.reached(3, 10));
        futures::future::try_join_all(waiting).await.unwrap();
        assert_eq!(progress.0.load(Ordering::SeqCst), 11);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_the_others_waiting_well() {
        let progress = Arc::new(Counting(AtomicU64::new(0)));
        let watch = AppliedWatch::new(progress, Duration::from_millis(20));
        let impatient = tokio::time::timeout(Duration::from_millis(50), watch.reached(3, 10));
        let (gave_up, reached) = tokio::join!(impatient, watch.reached(3, 10));
        assert!(gave_up.is_err());
        reached.unwrap();
    }
}
