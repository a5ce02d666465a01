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

impl Range {
    /// Reads it. The end is asked for before, so that markers up to it can be passed over when the
    /// consumer reports that nothing is left.
    pub(super) fn read(&self, consumer: &BaseConsumer<Context>) -> Result<Block, ReadError> {
        let until = Instant::now() + self.timeout;
        let bounds = self.bounds(consumer)?;
        if self.from < bounds.start || self.from > bounds.end {
            return Err(ReadError::OutOfRange {
                start: bounds.start,
                end: bounds.end,
            });
        }
        if self.from == bounds.end {
            return Ok(Block {
                records: Vec::new(),
                next: bounds.end,
            });
        }
        let failed = |error: KafkaError| unavailable(client::reason(&error, consumer.context()));
        let mut list = TopicPartitionList::with_capacity(1);
        let at = RawOffset::Offset(record::raw(self.from));
        list.add_partition_offset(&self.topic, record::raw_partition(self.partition), at)
            .map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        let block = self.collect(consumer, bounds, until);
        // Stops fetching ahead; what was fetched is dropped.
        consumer.unassign().map_err(failed)?;
        block
    }

    fn collect(
        &self,
        consumer: &BaseConsumer<Context>,
        bounds: Bounds,
        until: Instant,
    ) -> Result<Block, ReadError> {
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
        Ok(block)
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
