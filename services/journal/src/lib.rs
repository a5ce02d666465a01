//! The log: topics, partitions, offsets, placement, cursors, and the ports through which every
//! other part reads and writes it.
//!
//! Two engines stand behind the ports: Kafka (`kafka/`, the only place that names rdkafka) and the
//! embedded engine (a crate of its own). No caller can tell which. This crate's own types do no I/O
//! and read no clock.

#[cfg(feature = "contract")]
pub mod contract;
pub mod cursor;
pub mod kafka;
pub mod layout;
pub mod placement;
pub mod ports;
pub mod topic;
pub mod traces;

use std::sync::Arc;

pub use cursor::{Cursor, CursorWriter};
pub use layout::Epoch;
pub use placement::Placement;
pub use ports::{
    Admin, AppendError, Appender, Batch, Block, Bounds, Claim, ClaimEvent, CommitError, Groups, Headers,
    Membership, NewRecord, Position, ReadError, Reader, Record, Tail, TailError, Tails,
};
pub use schemas::Micros;
pub use topic::Topic;
pub use traces::Traces;

/// Number of a partition within its topic, from 0.
pub type Partition = u32;

/// Position of a record within its partition. Grows; may have holes.
pub type Offset = u64;

/// Reads the wall clock: microseconds since the Unix epoch. Made in `node`, simulated in tests.
pub type Clock = Arc<dyn Fn() -> Micros + Send + Sync>;

/// One opened log: its ports and the layout that they were opened with.
#[derive(Clone)]
pub struct Journal {
    /// Appends records.
    pub appender: Arc<dyn Appender>,
    /// Follows partitions as they grow.
    pub tails: Arc<dyn Tails>,
    /// Reads ranges, ends and the time index.
    pub reader: Arc<dyn Reader>,
    /// Shares partitions between processes, and commits exactly once.
    pub groups: Arc<dyn Groups>,
    /// The layout record that `migrate` wrote.
    pub layout: schemas::control::Layout,
    /// The epoch that cursors carry: the layout's, hashed with the identity of the cluster.
    pub epoch: Epoch,
}
