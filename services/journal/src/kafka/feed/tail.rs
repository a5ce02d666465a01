//! One partition followed on a feed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::Message as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::util::Timeout;
use tokio::time::Instant;

use super::{Command, Feed, Shared, Slot};
use crate::kafka::client;
use crate::kafka::read::KafkaReader;
use crate::kafka::record;
use crate::kafka::settings::Settings;
use crate::{Batch, Offset, Partition, ReadError, Reader as _, Record, Tail, TailError, Topic};

/// A batch is at most about this long.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// The tail of a partition, and the reading half of a claim.
pub(in crate::kafka) struct FeedTail {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    reader: Arc<KafkaReader>,
    topic: Topic,
    position: Offset,
    records_max: usize,
    /// Something arrived in this assignment: what the statistics say is about it.
    arrived: bool,
    /// The newest thing that arrived was the notice of the end.
    at_end: bool,
    /// The leader was away: librdkafka gives the notice of an end only once, so it has to be asked.
    end_forgotten: bool,
    told_down: bool,
    told_taken: bool,
    /// An error to look into before going on; kept here so that a dropped call loses nothing.
    trouble: Option<Trouble>,
    /// The feed that is there for this tail alone, and ends with it.
    its_own: Option<Arc<Feed>>,
}

enum Trouble {
    /// The broker does not have the position.
    Position,
    Other(String),
}

impl FeedTail {
    pub(in crate::kafka) fn open(
        feed: &Feed,
        settings: &Settings,
        reader: &Arc<KafkaReader>,
        topic: Topic,
        partition: Partition,
        from: Offset,
    ) -> Self {
        let slot = Arc::new(Slot::new(settings.topic_name(topic), partition, from));
        feed.shared.send(Command::Open(Arc::clone(&slot)));
        Self {
            shared: Arc::clone(&feed.shared),
            slot,
            reader: Arc::clone(reader),
            topic,
            position: from,
            records_max: settings.tail_batch_records_max.max(1),
            arrived: false,
            at_end: false,
            end_forgotten: false,
            told_down: false,
            told_taken: false,
            trouble: None,
            its_own: None,
        }
    }

    /// Keeps `feed`, which no other tail has.
    pub(super) fn with_its_own(mut self, feed: Arc<Feed>) -> Self {
        self.its_own = Some(feed);
        self
    }

    /// The next batch of at most `records_max`. With `wait`: an empty batch at the position once the
    /// end is known to be reached and the time is over. Without: waits for records or a hole.
    pub(in crate::kafka) async fn batch(
        &mut self,
        records_max: usize,
        wait: Option<Duration>,
    ) -> Result<Batch, TailError> {
        let until = wait.map(|wait| Instant::now() + wait);
        loop {
            self.look_into().await?;
            if self.slot.closed.load(Ordering::Acquire) {
                return Err(TailError::Closed);
            }
            // Read before the queue: all that lies before this end is in the queue by then.
            let end = self.slot.end.load(Ordering::Acquire);
            let records = self.drain(records_max);
            if !records.is_empty() {
                return Ok(Batch {
                    records,
                    next: self.position,
                });
            }
            if self.trouble.is_some() {
                continue;
            }
            if self.arrived && record::offset(end) > self.position {
                self.position = record::offset(end);
                return Ok(Batch {
                    records: Vec::new(),
                    next: self.position,
                });
            }
            self.tell_state()?;
            if until.is_some() {
                self.recall_end().await?;
            }
            match until {
                Some(until) if self.at_end => {
                    if tokio::time::timeout_at(until, self.slot.notify.notified())
                        .await
                        .is_err()
                    {
                        return Ok(Batch {
                            records: Vec::new(),
                            next: self.position,
                        });
                    }
                }
                _ => self.slot.notify.notified().await,
            }
        }
    }

    /// Takes what is in the queue, without waiting.
    fn drain(&mut self, records_max: usize) -> Vec<Record> {
        let slot = Arc::clone(&self.slot);
        let queue = slot.queue.lock();
        let Some(queue) = queue.as_ref() else {
            return Vec::new();
        };
        let mut records: Vec<Record> = Vec::new();
        let mut bytes = 0;
        while records.len() < records_max && bytes < BATCH_BYTES_MAX {
            match queue.poll(Timeout::After(Duration::ZERO)) {
                None => break,
                Some(Ok(message)) => {
                    (self.arrived, self.at_end) = (true, false);
                    if record::offset(message.offset()) < self.position {
                        continue;
                    }
                    let record = record::decode(&message);
                    bytes += record::size(&record);
                    self.position = record.offset + 1;
                    records.push(record);
                }
                Some(Err(error)) if client::is_end(&error) => (self.arrived, self.at_end) = (true, true),
                Some(Err(error)) => {
                    self.at_end = false;
                    self.trouble = Some(trouble(&error));
                    break;
                }
            }
        }
        records
    }

    /// Looks into trouble that was met, and tells it.
    async fn look_into(&mut self) -> Result<(), TailError> {
        match &self.trouble {
            None => Ok(()),
            Some(Trouble::Other(reason)) => {
                let reason = reason.clone();
                self.trouble = None;
                Err(TailError::Unavailable { reason })
            }
            Some(Trouble::Position) => {
                let bounds = self.reader.bounds(self.topic, &[self.slot.partition]).await;
                let Some(bounds) = bounds.into_iter().next() else {
                    return Err(TailError::Closed);
                };
                match bounds {
                    // Kept as trouble: fetching has stopped, so the next call has to ask again.
                    Err(ReadError::Unavailable { reason }) => Err(TailError::Unavailable { reason }),
                    Err(ReadError::OutOfRange { start, end }) => Err(TailError::OutOfRange { start, end }),
                    Ok(bounds) if self.position < bounds.start || self.position > bounds.end => {
                        Err(TailError::OutOfRange {
                            start: bounds.start,
                            end: bounds.end,
                        })
                    }
                    Ok(_) => {
                        self.reopen();
                        Err(TailError::Unavailable {
                            reason: "the partition is opened again".to_owned(),
                        })
                    }
                }
            }
        }
    }

    /// Asks for the end once the leader is back: nothing else would tell of an end where nothing new is.
    async fn recall_end(&mut self) -> Result<(), TailError> {
        if !self.end_forgotten || self.slot.down.load(Ordering::Acquire) {
            return Ok(());
        }
        let bounds = self.reader.bounds(self.topic, &[self.slot.partition]).await;
        match bounds.into_iter().next() {
            Some(Ok(bounds)) => {
                self.at_end = self.position >= bounds.end;
                self.end_forgotten = false;
                Ok(())
            }
            Some(Err(ReadError::OutOfRange { start, end })) => Err(TailError::OutOfRange { start, end }),
            Some(Err(ReadError::Unavailable { reason })) => Err(TailError::Unavailable { reason }),
            None => Err(TailError::Closed),
        }
    }

    /// Starts over at the position, with a new assignment.
    fn reopen(&mut self) {
        self.shared.send(Command::Close(Arc::clone(&self.slot)));
        self.slot = Arc::new(Slot::new(
            self.slot.topic.clone(),
            self.slot.partition,
            self.position,
        ));
        self.shared.send(Command::Open(Arc::clone(&self.slot)));
        (self.arrived, self.at_end, self.trouble) = (false, false, None);
    }

    /// Tells, once each time, that the partition cannot be read at present.
    fn tell_state(&mut self) -> Result<(), TailError> {
        let taken = self.slot.taken.load(Ordering::Acquire);
        if taken && !std::mem::replace(&mut self.told_taken, taken) {
            let reason = "another tail of this process follows the partition".to_owned();
            return Err(TailError::Unavailable { reason });
        }
        self.told_taken = taken;
        let down = self.slot.down.load(Ordering::Acquire);
        if down {
            (self.at_end, self.end_forgotten) = (false, true);
        }
        if down && !std::mem::replace(&mut self.told_down, down) {
            let reason = "the leader of the partition cannot be reached".to_owned();
            return Err(TailError::Unavailable { reason });
        }
        self.told_down = down;
        Ok(())
    }
}

#[async_trait]
impl Tail for FeedTail {
    async fn next(&mut self) -> Result<Batch, TailError> {
        self.batch(self.records_max, None).await
    }
}

impl Drop for FeedTail {
    fn drop(&mut self) {
        self.shared.send(Command::Close(Arc::clone(&self.slot)));
        drop(self.its_own.take());
    }
}

fn trouble(error: &KafkaError) -> Trouble {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => Trouble::Position,
        _ => Trouble::Other(error.to_string()),
    }
}
