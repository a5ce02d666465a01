//! What a log can do. Both engines implement these traits; one contract suite holds both to them.
//!
//! Guarantees every engine gives:
//! - a record is visible to readers only once it is durable;
//! - within a partition, records come in offset order, and an offset never changes its record;
//! - the end of a partition never goes back;
//! - offsets may have holes (transaction markers, compaction) and record times need not be monotonic;
//! - readers of a transactional topic see committed records only.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Offset, Partition, Topic};

/// Headers of a record. Every record has them, tombstones too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// `kind`: the event's kind, or the kind of a control record.
    pub kind: Box<str>,
    /// `generation` of the layout, decimal ASCII on the wire.
    pub generation: u32,
    /// `traceparent` of W3C Trace Context, where the request was traced.
    pub traceparent: Option<Box<str>>,
    /// `source-offset`, on state only: offset of the source event in the same partition of events.
    pub source_offset: Option<Offset>,
}

/// A record to append.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Where to.
    pub topic: Topic,
    /// By [`Placement`](crate::Placement).
    pub partition: Partition,
    /// The documented key of the topic.
    pub key: Box<str>,
    /// The value in the Confluent wire format; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Record time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Headers.
    pub headers: Headers,
}

/// A record as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its offset.
    pub offset: Offset,
    /// Record time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Box<str>,
    /// Its value; `None` is a tombstone. Owned: never a borrow of a fetch buffer.
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: Headers,
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
}

/// Why one record was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The queue of the producer is full. The record was not appended.
    #[error("the queue of the log's producer is full")]
    Full,
    /// The log did not answer in time. The record may or may not have been appended.
    #[error("the log did not confirm the record in time; it may have been appended")]
    Unknown,
    /// The log refuses this record and always will. It was not appended.
    #[error("the log refuses the record: {reason}")]
    Refused {
        /// What the engine said.
        reason: String,
    },
    /// The log does not take records at present. The record was not appended.
    #[error("the log is unavailable: {reason}")]
    Unavailable {
        /// What the engine said.
        reason: String,
    },
}

/// Appends records, each on its own; durable when acknowledged.
#[async_trait]
pub trait Appender: Send + Sync {
    /// Appends `records` in order and answers for each, in the same order, once all outcomes are
    /// known or `deadline` has passed. Records of one key are appended in the order given, or a
    /// suffix of them is not appended at all: there is never a hole followed by a success.
    async fn append(&self, records: Vec<NewRecord>, deadline: Duration)
    -> Vec<Result<Position, AppendError>>;
}

/// Some records of one partition in offset order, and where to read on.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The records; may be empty when only `next` moved.
    pub records: Vec<Record>,
    /// The offset to read next: past the last record and past any hole that is known to follow it.
    pub next: Offset,
}

/// Why a tail has no batch. A tail stays usable after every error but `OutOfRange` and `Closed`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TailError {
    /// The position is not in the log any more (or not yet).
    #[error("the position is outside the log, which has {start} to {end}")]
    OutOfRange {
        /// First offset kept.
        start: Offset,
        /// Offset after the last.
        end: Offset,
    },
    /// The partition cannot be read at present. The next call waits and tries again.
    #[error("the partition is unavailable: {reason}")]
    Unavailable {
        /// What the engine said.
        reason: String,
    },
    /// The log is being shut down.
    #[error("the log is closed")]
    Closed,
}

/// Follows one partition. Dropping it releases the partition.
#[async_trait]
pub trait Tail: Send {
    /// The next records: waits until there is at least one, the position moved over a hole, or
    /// something went wrong. Cancel-safe.
    async fn next(&mut self) -> Result<Batch, TailError>;
}

/// Opens tails. In Kafka all tails of a process share one assigned consumer, which gives a partition to one tail at a
/// time; but for `wakeline.control`, of which there may be several.
#[async_trait]
pub trait Tails: Send + Sync {
    /// Follows `partition` from `from` on. Returns at once; trouble is told by [`Tail::next`].
    async fn open(&self, topic: Topic, partition: Partition, from: Offset) -> Box<dyn Tail>;
}

/// A contiguous range of one partition, read at once.
pub type Block = Batch;

/// First offset kept and offset after the last one readable, as the partition's leader says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// First offset kept.
    pub start: Offset,
    /// Offset after the last readable record (or marker).
    pub end: Offset,
}

/// Why a range could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The range does not begin inside the log.
    #[error("the position is outside the log, which has {start} to {end}")]
    OutOfRange {
        /// First offset kept.
        start: Offset,
        /// Offset after the last.
        end: Offset,
    },
    /// The partition cannot be read at present.
    #[error("the partition is unavailable: {reason}")]
    Unavailable {
        /// What the engine said.
        reason: String,
    },
}

/// Reads ranges, ends and the time index. Every answer is fresh.
#[async_trait]
pub trait Reader: Send + Sync {
    /// Reads from `from` until about `bytes_max` of values are read (at least one record where
    /// there is one) or the end is reached. At the end the block is empty and `next` is the end:
    /// repeated reads always reach [`Bounds::end`].
    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Block, ReadError>;

    /// Bounds of each partition asked for, in the same order.
    async fn bounds(&self, topic: Topic, partitions: &[Partition]) -> Vec<Result<Bounds, ReadError>>;

    /// For each partition, in the same order: the first offset whose record time is at or after
    /// `time_ms`; the end if there is none. In a transactional topic it may be earlier, never later,
    /// since in Kafka the marks of transactions have times of their own.
    async fn offset_at(
        &self,
        topic: Topic,
        partitions: &[Partition],
        time_ms: i64,
    ) -> Vec<Result<Offset, ReadError>>;
}

/// Why a transaction was not committed. Nothing of it is visible, ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Another process owns the partition now. Drop the claim.
    #[error("another process owns the partition now")]
    Fenced,
    /// It can be tried again with the same records, on the same claim.
    #[error("the transaction was aborted: {reason}")]
    Aborted {
        /// What the engine said.
        reason: String,
    },
    /// Whether it was committed is not known. Drop the claim; the next owner finds out.
    #[error("the outcome of the transaction is unknown: {reason}")]
    Unknown {
        /// What the engine said.
        reason: String,
    },
}

/// Sole ownership of one source partition within a group. Dropping it gives it up.
#[async_trait]
pub trait Claim: Send {
    /// The partition owned.
    fn partition(&self) -> Partition;

    /// Source offset that the group committed last, when the claim was made; `None` for never.
    fn committed(&self) -> Option<Offset>;

    /// Sets the position from which [`next`](Self::next) reads; to be called once, before it.
    async fn start(&mut self, from: Offset) -> Result<(), TailError>;

    /// The next source records, at most `records_max`. Waits up to `wait`; an empty batch whose
    /// `next` is the position means that the end was reached. Cancel-safe.
    async fn next(&mut self, records_max: usize, wait: Duration) -> Result<Batch, TailError>;

    /// Appends `records` and commits `next` as the group's source position, both or neither.
    /// Answers with the position of each record. Readers see them very soon after, not always at
    /// once: Kafka writes the mark that makes them readable behind the answer.
    async fn commit(&mut self, records: Vec<NewRecord>, next: Offset) -> Result<Vec<Position>, CommitError>;

    /// Resolves when ownership is being taken away; the owner has a few seconds to finish and drop
    /// the claim. Cancel-safe.
    async fn revoked(&mut self);
}

/// What happened to a membership.
pub enum ClaimEvent {
    /// A partition is owned from now on.
    Claimed(Box<dyn Claim>),
    /// The membership is over (shutdown or an error that needs a restart of it).
    Closed {
        /// What the engine said; `None` after a shutdown.
        reason: Option<String>,
    },
}

/// A process's membership in a group. Dropping it leaves the group.
#[async_trait]
pub trait Membership: Send {
    /// The next partition to own. Cancel-safe.
    async fn next(&mut self) -> ClaimEvent;
}

/// Shares the partitions of a topic between the processes of a group, each owned by one.
#[async_trait]
pub trait Groups: Send + Sync {
    /// Joins `group` on `topic`.
    async fn join(&self, group: &str, topic: Topic) -> Result<Box<dyn Membership>, ReadError>;
}

/// What exists, as an operator must know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Which topic.
    pub topic: Topic,
    /// Its partitions.
    pub partitions: u32,
    /// Replicas of each; `None` where the engine has no replicas.
    pub replicas: Option<u32>,
    /// `min.insync.replicas`; `None` where the engine has no replicas.
    pub min_insync: Option<u32>,
    /// `unclean.leader.election.enable`.
    pub unclean_election: bool,
}

/// Why an administrative call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct AdminError {
    /// What was tried, where, and what the engine said.
    pub reason: String,
}

/// Creates and describes topics.
#[async_trait]
pub trait Admin: Send + Sync {
    /// Identity of the cluster; a copy of it has another one.
    async fn cluster_id(&self) -> Result<String, AdminError>;

    /// The topics that exist.
    async fn describe(&self) -> Result<Vec<TopicDescription>, AdminError>;

    /// Creates the topics that are missing, with `partitions` for events and state. Never changes
    /// the partitions of an existing one.
    async fn create(&self, partitions: u32, replication: u32) -> Result<(), AdminError>;

    /// The layout record in `wakeline.control`, if there is one. Other ports need it to exist.
    async fn layout(&self) -> Result<Option<schemas::control::Layout>, AdminError>;

    /// Appends a layout record.
    async fn write_layout(&self, layout: &schemas::control::Layout) -> Result<(), AdminError>;
}
