//! One claim: a hold on a partition, a transactional producer, and a tail of the source.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::consumer::{Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::{Offset as RawOffset, TopicPartitionList};

use super::membership::Member;
use super::ownership::Hold;
use super::transaction::Transactions;
use crate::kafka::client;
use crate::kafka::feed::FeedTail;
use crate::kafka::record;
use crate::{Batch, Claim, CommitError, NewRecord, Offset, Partition, Position, TailError};

/// Sole ownership of a partition.
pub(super) struct KafkaClaim {
    inner: Arc<Inner>,
    committed: Option<Offset>,
    tail: Option<FeedTail>,
}

/// Shared with the commit under way, so that the partition stays held until that is over.
struct Inner {
    member: Arc<Member>,
    transactions: Transactions,
    hold: Hold,
}

impl KafkaClaim {
    /// Fences the owner before, ends what it left open, and asks what was committed. Blocks.
    pub(super) fn make(member: Arc<Member>, hold: Hold) -> Result<Self, String> {
        let place = &member.place;
        let partition = hold.partition();
        let id = format!(
            "{}wakeline-{}-{}-{}-{partition}",
            place.settings.namespace,
            // The group's name has the namespace already.
            member
                .group
                .strip_prefix(&place.settings.namespace)
                .unwrap_or(&member.group),
            place.generation,
            member.topic.name(),
        );
        let transactions = Transactions::start(&place.settings, &id)?;
        // After the fence, so that no older commit can still come.
        let committed = Self::ask_committed(&member, partition)?;
        if hold.revoked().is_cancelled() {
            return Err("taken away before it was ready".to_owned());
        }
        Ok(Self {
            inner: Arc::new(Inner {
                member,
                transactions,
                hold,
            }),
            committed,
            tail: None,
        })
    }

    fn ask_committed(member: &Member, partition: Partition) -> Result<Option<Offset>, String> {
        let text = |error: KafkaError| error.to_string();
        let consumer = member.consumer().ok_or("the membership is over")?;
        let topic = member.place.settings.topic_name(member.topic);
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&topic, record::raw_partition(partition));
        let answered = consumer
            .committed_offsets(list, member.place.settings.request_timeout)
            .map_err(text)?;
        let element = answered
            .find_partition(&topic, record::raw_partition(partition))
            .ok_or("no answer")?;
        element.error().map_err(text)?;
        Ok(match element.offset() {
            RawOffset::Offset(offset) => Some(record::offset(offset)),
            RawOffset::Beginning
            | RawOffset::End
            | RawOffset::Stored
            | RawOffset::Invalid
            | RawOffset::OffsetTail(_) => None,
        })
    }
}

/// The partition is given up when the producer is closed.
impl Drop for KafkaClaim {
    fn drop(&mut self) {
        client::drop_elsewhere(&self.inner);
    }
}

impl Inner {
    fn commit(&self, records: &[NewRecord], next: Offset) -> Result<Vec<Position>, CommitError> {
        let aborted = |reason: String| CommitError::Aborted { reason };
        let metadata = self.metadata().ok_or(CommitError::Fenced)?;
        let topic = self.member.place.settings.topic_name(self.member.topic);
        let mut offsets = TopicPartitionList::with_capacity(1);
        let at = RawOffset::Offset(record::raw(next));
        offsets
            .add_partition_offset(&topic, record::raw_partition(self.hold.partition()), at)
            .map_err(|error| aborted(error.to_string()))?;
        let started = Instant::now();
        let positions = self.transactions.commit(records, &offsets, &metadata)?;
        self.member
            .place
            .metrics
            .transaction
            .observe(started.elapsed().as_secs_f64());
        Ok(positions)
    }

    fn metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.member.consumer()?.group_metadata()
    }
}

#[async_trait]
impl Claim for KafkaClaim {
    fn partition(&self) -> Partition {
        self.inner.hold.partition()
    }

    fn committed(&self) -> Option<Offset> {
        self.committed
    }

    async fn start(&mut self, from: Offset) -> Result<(), TailError> {
        let member = &self.inner.member;
        let place = &member.place;
        let partition = self.inner.hold.partition();
        self.tail = Some(FeedTail::open(
            &member.feed,
            &place.settings,
            &place.reader,
            member.topic,
            partition,
            from,
        ));
        Ok(())
    }

    async fn next(&mut self, records_max: usize, wait: Duration) -> Result<Batch, TailError> {
        match &mut self.tail {
            // While the log is away it has nothing to say, and the partition may be taken meanwhile.
            Some(tail) => tokio::select! {
                batch = tail.batch(records_max.max(1), Some(wait)) => batch,
                () = self.inner.hold.revoked().cancelled() => Err(TailError::Unavailable {
                    reason: "the group takes the partition away".to_owned(),
                }),
            },
            None => Err(TailError::Unavailable {
                reason: "the claim was not started".to_owned(),
            }),
        }
    }

    async fn commit(&mut self, records: Vec<NewRecord>, next: Offset) -> Result<Vec<Position>, CommitError> {
        let inner = Arc::clone(&self.inner);
        let settings = &inner.member.place.settings;
        // The transaction, and its end without effect, each within the timeout.
        let longest = settings.transaction_timeout * 2 + settings.request_timeout;
        ended(longest, move || inner.commit(&records, next)).await
    }

    async fn revoked(&mut self) {
        self.inner.hold.revoked().cancelled().await;
    }
}

/// Waits for what blocks until a transaction has ended. librdkafka keeps no deadline while it waits for the
/// group's coordinator to come back, and may wait for ever: whoever waits longer than `longest` leaves that to
/// its thread. The next owner fences the producer.
async fn ended<T: Send + 'static>(
    longest: Duration,
    commit: impl FnOnce() -> Result<T, CommitError> + Send + 'static,
) -> Result<T, CommitError> {
    let unknown = |reason: String| Err(CommitError::Unknown { reason });
    match tokio::time::timeout(longest, tokio::task::spawn_blocking(commit)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => unknown(error.to_string()),
        Err(_) => unknown(format!("librdkafka did not end it within {longest:?}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_commit_that_never_ends_is_left_to_its_thread() {
        let (end, wait) = mpsc::channel::<()>();
        let stuck = move || {
            wait.recv().map_err(|error| CommitError::Unknown {
                reason: error.to_string(),
            })
        };
        let outcome = ended(Duration::from_millis(10), stuck).await;
        assert!(
            matches!(&outcome, Err(CommitError::Unknown { reason }) if reason.contains("did not end")),
            "{outcome:?}"
        );
        drop(end);
    }

    #[tokio::test]
    async fn a_commit_that_ends_says_how() {
        assert_eq!(ended(Duration::from_secs(5), || Ok(7)).await, Ok(7));
    }
}
