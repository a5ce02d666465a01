//! The contract of the ports as tests: what every engine must do, written once.
//!
//! An engine's own tests make a [`Harness`] over a fresh, empty log and let
//! [`contract_tests!`](crate::contract_tests) turn the suite into one `#[tokio::test]` each. The
//! suite asks only for what both engines can do; what one of them cannot be made to do quickly is an
//! `Option` of the harness.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Admin, Journal, Offset, Partition, Topic};

/// Partitions of events and state in the log under test.
pub const PARTITIONS: u32 = 4;

/// One fresh log under test: its layout is written, with [`PARTITIONS`] partitions, and its topics
/// are empty but for that layout record.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Ports as another process would have them on the same log. An engine of one process answers
    /// with a further handle on itself. Members of groups that join through two handles are two.
    async fn handle(&self) -> Journal;

    /// The log as a process finds it that starts after all others were killed at this moment.
    /// The test uses no earlier handle after that, but may not have dropped them.
    async fn restarted(&self) -> Journal;

    /// The administrative port.
    async fn admin(&self) -> Arc<dyn Admin>;

    /// Lets retention remove the records before `before` and no other, and returns when they are
    /// gone. The records before it have a record time of at most [`LONG_AGO_MS`], those from it on
    /// one of about [`now_ms`](Self::now_ms).
    async fn trim(&self, topic: Topic, partition: Partition, before: Offset);

    /// The wall clock of the log, milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// Compaction, where it can be forced.
    fn compaction(&self) -> Option<&dyn Compaction>;

    /// How long the suite waits for something that must happen before it calls the test failed.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// Forces compaction of `wakeline.state`.
#[async_trait]
pub trait Compaction: Send + Sync {
    /// A record younger than this (by record time) is never compacted away.
    fn lag(&self) -> Duration;

    /// A tombstone stays at least this long after compaction first could have removed it.
    fn tombstone_retention(&self) -> Duration;

    /// Moves the clock of the log forward.
    async fn advance(&self, by: Duration);

    /// Compacts one partition of state now, as far as the lag allows.
    async fn compact(&self, partition: Partition);
}

/// A record time that any retention has passed: in 2001.
pub const LONG_AGO_MS: i64 = 1_000_000_000_000;
