//! Ranges, ends and the time index, each answered by the partition's leader.
//!
//! Ranges are read by a pool of consumers of their own, so that catching up never disturbs a tail.
//! Ends and times are questions that any client can ask at any time, so one per isolation level does.

mod pool;
mod range;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::join_all;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::util::Timeout;
use rdkafka::{Offset as RawOffset, TopicPartitionList};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::client::{self, ConnectError, Context};
use super::metrics::Metrics;
use super::record;
use super::settings::Settings;
use crate::{Block, Bounds, Offset, Partition, ReadError, Reader, Topic};
use pool::Pool;

/// The reading port.
pub(super) struct KafkaReader {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    committed: Isolation,
    uncommitted: Isolation,
}

/// What one isolation level needs.
struct Isolation {
    ranges: Arc<Pool>,
    _tidy: JoinSet<()>,
    questions: Arc<Questions>,
}

/// One client for ends and times.
struct Questions {
    consumer: BaseConsumer<Context>,
    permits: Arc<Semaphore>,
    timeout: Duration,
}

/// Between two questions to a leader that is not the leader any more.
const STALE_LEADER_RETRY: Duration = Duration::from_millis(50);

/// Least time for asking who leads.
const LEADERS_MIN: Duration = Duration::from_millis(500);

/// One answer per partition asked for; the outer error is of the whole question.
type Answers = Result<Vec<Result<Offset, ReadError>>, ReadError>;

impl KafkaReader {
    pub(super) fn new(settings: Arc<Settings>, metrics: Arc<Metrics>) -> Result<Self, ConnectError> {
        let committed = Isolation::new(&settings, true)?;
        let uncommitted = Isolation::new(&settings, false)?;
        Ok(Self {
            settings,
            metrics,
            committed,
            uncommitted,
        })
    }

    fn isolation(&self, topic: Topic) -> &Isolation {
        if topic.is_transactional() {
            &self.committed
        } else {
            &self.uncommitted
        }
    }

    /// Asks for all partitions at once; when that fails, for each alone, so that a partition without
    /// a leader does not hide the others.
    async fn ask(
        &self,
        topic: Topic,
        partitions: &[Partition],
        at: RawOffset,
    ) -> Vec<Result<Offset, ReadError>> {
        let questions = &self.isolation(topic).questions;
        let name = self.settings.topic_name(topic);
        match Questions::ask(questions, &name, partitions, at).await {
            Ok(answers) => answers,
            Err(error) if partitions.len() < 2 => vec![Err(error); partitions.len()],
            Err(_) => {
                let each = partitions.iter().map(|partition| async {
                    let answers = Questions::ask(questions, &name, &[*partition], at).await?;
                    answers
                        .into_iter()
                        .next()
                        .unwrap_or_else(|| Err(unavailable("no answer")))
                });
                join_all(each).await
            }
        }
    }
}

#[async_trait]
impl Reader for KafkaReader {
    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Block, ReadError> {
        let range = range::Range {
            topic: self.settings.topic_name(topic),
            partition,
            from,
            bytes_max,
            timeout: self.settings.request_timeout,
        };
        let timer = self.metrics.read.start_timer();
        let block = Pool::read(&self.isolation(topic).ranges, range).await?;
        timer.observe_duration();
        Ok(block)
    }

    async fn bounds(&self, topic: Topic, partitions: &[Partition]) -> Vec<Result<Bounds, ReadError>> {
        // The start first: what retention removes in between must not make it pass the end.
        let starts = self.ask(topic, partitions, RawOffset::Beginning).await;
        let ends = self.ask(topic, partitions, RawOffset::End).await;
        starts
            .into_iter()
            .zip(ends)
            .map(|(start, end)| {
                Ok(Bounds {
                    start: start?,
                    end: end?,
                })
            })
            .collect()
    }

    async fn offset_at(
        &self,
        topic: Topic,
        partitions: &[Partition],
        time_ms: i64,
    ) -> Vec<Result<Offset, ReadError>> {
        // The ends first: a record appended in between must not be passed over.
        let ends = self.ask(topic, partitions, RawOffset::End).await;
        let found = self
            .ask(topic, partitions, RawOffset::Offset(time_ms.max(0)))
            .await;
        let answers = partitions
            .iter()
            .zip(ends)
            .zip(found)
            .map(|((partition, end), found)| async move {
                let (end, found) = (end?, found?);
                if found == Offset::MAX && end > 0 {
                    return self.first_if_late(topic, *partition, time_ms, end).await;
                }
                Ok(found.min(end))
            });
        join_all(answers).await
    }
}

impl KafkaReader {
    /// The start of the log if its first record is late enough, else `end`. A broker looks into one
    /// segment only, and finds nothing when that one was trimmed but is not deleted yet.
    async fn first_if_late(
        &self,
        topic: Topic,
        partition: Partition,
        time_ms: i64,
        end: Offset,
    ) -> Result<Offset, ReadError> {
        let start = self.bounds(topic, &[partition]).await.into_iter().next();
        let Some(Bounds { start, .. }) = start.transpose()? else {
            return Ok(end);
        };
        let block = self.read(topic, partition, start, 1).await?;
        match block.records.first() {
            Some(record) if record.timestamp_ms >= time_ms => Ok(record.offset.min(end)),
            _ => Ok(end),
        }
    }
}

impl Isolation {
    fn new(settings: &Settings, committed: bool) -> Result<Self, ConnectError> {
        let mut config = settings.consumer(committed, settings.reader_buffer_kbytes);
        config.set(
            "fetch.message.max.bytes",
            (settings.reader_fetch_kbytes.saturating_mul(1024)).to_string(),
        );
        let (ranges, tidy) = Pool::new(config.clone(), settings.readers);
        let questions = Questions {
            consumer: client::create(&config, Context::default())?,
            permits: Arc::new(Semaphore::new(settings.queries.max(1))),
            timeout: settings.request_timeout,
        };
        Ok(Self {
            ranges,
            _tidy: tidy,
            questions: Arc::new(questions),
        })
    }
}

impl Drop for Isolation {
    fn drop(&mut self) {
        client::drop_elsewhere(&self.ranges);
        client::drop_elsewhere(&self.questions);
    }
}

impl Questions {
    /// One ListOffsets for all `partitions`: `at` is a time, or the beginning or the end. A time that
    /// no record reaches answers `Offset::MAX`.
    async fn ask(questions: &Arc<Self>, topic: &str, partitions: &[Partition], at: RawOffset) -> Answers {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let permit = Arc::clone(&questions.permits)
            .acquire_owned()
            .await
            .map_err(unavailable)?;
        let questions = Arc::clone(questions);
        let (topic, partitions) = (topic.to_owned(), partitions.to_vec());
        tokio::task::spawn_blocking(move || {
            let answers = questions.ask_blocking(&topic, &partitions, at);
            drop(permit);
            answers
        })
        .await
        .map_err(unavailable)?
    }

    fn ask_blocking(&self, topic: &str, partitions: &[Partition], at: RawOffset) -> Answers {
        let deadline = Instant::now() + self.timeout;
        // A leader that is gone uses up its time: half of it leaves some for the next leader.
        let mut patience = self.timeout / 2;
        loop {
            let (answers, trouble) = self.ask_once(topic, partitions, at, patience);
            let left = deadline.saturating_duration_since(Instant::now());
            match trouble {
                // librdkafka asks for the new leader by itself, and needs a moment.
                Some(Trouble::StaleLeader) if !left.is_zero() => std::thread::sleep(STALE_LEADER_RETRY),
                // Here it does not: to it a broker that is away is the leader still, for minutes.
                Some(Trouble::NoAnswer) => {
                    if self.find_leaders(topic, left.max(LEADERS_MIN)).is_err() || left.is_zero() {
                        return answers;
                    }
                    // An error may come at once, from the new leader too.
                    std::thread::sleep(STALE_LEADER_RETRY);
                }
                Some(Trouble::StaleLeader) | None => return answers,
            }
            patience = deadline
                .saturating_duration_since(Instant::now())
                .max(LEADERS_MIN);
        }
    }

    /// Has librdkafka ask any broker who leads the partitions of `topic` now.
    fn find_leaders(&self, topic: &str, timeout: Duration) -> KafkaResult<()> {
        self.consumer.fetch_metadata(Some(topic), timeout).map(drop)
    }

    /// The answers, and what was wrong with the worst of them.
    fn ask_once(
        &self,
        topic: &str,
        partitions: &[Partition],
        at: RawOffset,
        timeout: Duration,
    ) -> (Answers, Option<Trouble>) {
        let mut trouble = None;
        let mut failed = |error: KafkaError| {
            let is_stale = error.rdkafka_error_code().is_some_and(is_stale_leader);
            trouble = trouble.max(Some(if is_stale {
                Trouble::StaleLeader
            } else {
                Trouble::NoAnswer
            }));
            unavailable(client::reason(&error, self.consumer.context()))
        };
        let list = match list(topic, partitions, at) {
            Ok(list) => list,
            Err(error) => return (Err(failed(error)), None),
        };
        let answered = self.consumer.offsets_for_times(list, timeout);
        // Serves what librdkafka wants to log; nothing is ever assigned to this consumer.
        let _none = self.consumer.poll(Timeout::After(Duration::ZERO));
        let answers = answered.map_err(&mut failed).map(|answered| {
            let answer = |partition: &Partition| {
                let element = answered
                    .find_partition(topic, record::raw_partition(*partition))
                    .ok_or_else(|| unavailable("no answer"))?;
                element.error().map_err(&mut failed)?;
                Ok(offset_or_max(element.offset()))
            };
            partitions.iter().map(answer).collect()
        });
        (answers, trouble)
    }
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// A broker says that it is not the leader.
    StaleLeader,
    /// Whoever is taken for the leader does not answer.
    NoAnswer,
}

/// Whether a broker answered that leadership has moved since the client last looked.
const fn is_stale_leader(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::UnknownLeaderEpoch
            | RDKafkaErrorCode::NotLeaderForPartition
    )
}

/// "End" is how librdkafka says that no record is as late as that.
fn offset_or_max(offset: RawOffset) -> Offset {
    match offset {
        RawOffset::Offset(offset) => record::offset(offset),
        RawOffset::Beginning
        | RawOffset::End
        | RawOffset::Stored
        | RawOffset::Invalid
        | RawOffset::OffsetTail(_) => Offset::MAX,
    }
}

fn list(topic: &str, partitions: &[Partition], at: RawOffset) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition_offset(topic, record::raw_partition(*partition), at)?;
    }
    Ok(list)
}

fn unavailable(reason: impl std::fmt::Display) -> ReadError {
    ReadError::Unavailable {
        reason: reason.to_string(),
    }
}
