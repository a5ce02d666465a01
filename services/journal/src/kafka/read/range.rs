//! One range of one partition, read by a consumer that is assigned for it and released after it.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message as _, Offset as RawOffset, TopicPartitionList};

use super::unavailable;
use crate::kafka::client::{self, Context};
use crate::kafka::record;
use crate::{Block, Bounds, Offset, Partition, ReadError};

/// What to read.
pub(super) struct Range {
    pub(super) topic: String,
    pub(super) partition: Partition,
    pub(super) from: Offset,
    pub(super) bytes_max: usize,
    pub(super) timeout: Duration,
}

/// Where a consumer stands that was left in the middle of a log.
pub(super) struct Standing {
    topic: String,
    partition: Partition,
    next: Offset,
    /// As they were when it was assigned.
    bounds: Bounds,
}

/// A block, and the bounds if more follows it.
type Collected = Result<(Block, Option<Bounds>), ReadError>;

impl Range {
    /// Whether the range begins where a consumer stands.
    pub(super) fn goes_on(&self, standing: &Standing) -> bool {
        standing.next == self.from && standing.partition == self.partition && standing.topic == self.topic
    }

    /// Reads it; tells where the consumer stands then, if it was left in the middle.
    pub(super) fn read(
        self,
        consumer: &BaseConsumer<Context>,
        standing: Option<Standing>,
    ) -> (Result<Block, ReadError>, Option<Standing>) {
        let until = Instant::now() + self.timeout;
        let read = match standing.filter(|standing| self.goes_on(standing)) {
            Some(standing) => self.collect(consumer, standing.bounds, until),
            None => self.begin(consumer, until),
        };
        match read {
            Ok((block, Some(bounds))) => {
                let standing = Standing {
                    next: block.next,
                    topic: self.topic,
                    partition: self.partition,
                    bounds,
                };
                (Ok(block), Some(standing))
            }
            Ok((block, None)) => (Self::release(consumer).map(|()| block), None),
            Err(error) => {
                // The error that came first says more.
                drop(Self::release(consumer));
                (Err(error), None)
            }
        }
    }

    /// Stops fetching ahead; what was fetched is dropped.
    pub(super) fn release(consumer: &BaseConsumer<Context>) -> Result<(), ReadError> {
        consumer
            .unassign()
            .map_err(|error| unavailable(client::reason(&error, consumer.context())))
    }

    /// Assigns the consumer. The end is asked for before, so that markers up to it can be passed over when
    /// the consumer reports that nothing is left.
    fn begin(&self, consumer: &BaseConsumer<Context>, until: Instant) -> Collected {
        let bounds = self.bounds(consumer)?;
        if self.from < bounds.start || self.from > bounds.end {
            return Err(ReadError::OutOfRange {
                start: bounds.start,
                end: bounds.end,
            });
        }
        if self.from == bounds.end {
            let block = Block {
                records: Vec::new(),
                next: bounds.end,
            };
            return Ok((block, None));
        }
        let failed = |error: KafkaError| unavailable(client::reason(&error, consumer.context()));
        let mut list = TopicPartitionList::with_capacity(1);
        let at = RawOffset::Offset(record::raw(self.from));
        list.add_partition_offset(&self.topic, record::raw_partition(self.partition), at)
            .map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        self.collect(consumer, bounds, until)
    }

    /// Polls until the range is full, or the end that the log had is reached.
    fn collect(&self, consumer: &BaseConsumer<Context>, bounds: Bounds, until: Instant) -> Collected {
        let mut block = Block {
            records: Vec::new(),
            next: self.from,
        };
        let mut bytes = 0;
        while bytes < self.bytes_max.max(1) && block.next < bounds.end {
            let left = until.saturating_duration_since(Instant::now());
            match consumer.poll(left) {
                Some(Ok(message)) if record::offset(message.offset()) >= block.next => {
                    // What was appended since belongs to the next block: a block that is not cut
                    // by its size ends where the log ended, and so between transactions.
                    if record::offset(message.offset()) >= bounds.end {
                        block.next = bounds.end;
                        continue;
                    }
                    let record = record::decode(&message);
                    bytes += record::size(&record);
                    block.next = record.offset + 1;
                    block.records.push(record);
                }
                Some(Err(KafkaError::PartitionEOF(partition)))
                    if partition == record::raw_partition(self.partition) =>
                {
                    block.next = bounds.end;
                }
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => {
                    let now = self.bounds(consumer)?;
                    if self.from < now.start || self.from > now.end {
                        return Err(ReadError::OutOfRange {
                            start: now.start,
                            end: now.end,
                        });
                    }
                    return Err(unavailable(client::reason(&error, consumer.context())));
                }
                // A connection that broke is made again within the time that is left.
                Some(_) => {}
                None if left.is_zero() && block.records.is_empty() => {
                    let last = consumer.context().last_error();
                    return Err(unavailable(
                        last.unwrap_or_else(|| "the broker did not answer in time".into()),
                    ));
                }
                None if left.is_zero() => break,
                None => {}
            }
        }
        let is_cut = block.next < bounds.end && !block.records.is_empty();
        Ok((block, is_cut.then_some(bounds)))
    }

    fn bounds(&self, consumer: &BaseConsumer<Context>) -> Result<Bounds, ReadError> {
        let (start, end) = consumer
            .fetch_watermarks(&self.topic, record::raw_partition(self.partition), self.timeout)
            .map_err(|error| unavailable(client::reason(&error, consumer.context())))?;
        Ok(Bounds {
            start: record::offset(start),
            end: record::offset(end),
        })
    }
}
