//! The contract of the ports as tests: what every engine must do, written once.
//!
//! An engine's own tests make a [`Harness`] over a fresh, empty log and let
//! [`contract_tests!`](crate::contract_tests) turn the suite into one `#[tokio::test]` each. The
//! suite asks only for what both engines can do; what one of them cannot be made to do quickly is an
//! `Option` of the harness.

mod append;
mod compaction;
mod group;
mod kit;
mod read;
mod tail;
mod topics;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Admin, Journal, Offset, Partition, Topic};

pub use self::append::*;
pub use self::compaction::*;
pub use self::group::*;
pub use self::read::*;
pub use self::tail::*;
pub use self::topics::*;
pub use self::transaction::*;

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

/// Makes one `#[tokio::test]` of each test of the suite. The argument is an expression that gives a
/// future of `Option<impl Harness>`, a fresh one each time; `None` skips the test, and is to be said
/// aloud where it is made.
#[macro_export]
macro_rules! contract_tests {
    ($harness:expr) => {
        $crate::contract_tests! { @each $harness;
            an_empty_call_appends_nothing
            acknowledged_records_are_read_through_every_handle_and_after_a_restart
            what_a_reader_saw_is_there_after_a_restart
            a_large_call_keeps_the_order_and_answers_where_each_record_lies
            concurrent_calls_all_succeed_and_keep_the_order_of_each
            the_end_of_a_partition_never_goes_back
            headers_keys_times_and_tombstones_come_back_as_they_were
            an_empty_partition_reads_as_empty
            reading_in_the_smallest_blocks_gives_each_record_once
            a_block_is_about_as_long_as_asked
            bounds_are_answered_in_the_order_asked
            a_position_before_the_log_is_out_of_range
            a_position_past_the_end_is_out_of_range
            the_time_index_finds_the_first_record_at_or_after_a_time
            record_times_need_not_be_monotonic
            a_tail_delivers_what_comes_after_it_was_opened
            a_tail_opened_while_records_come_has_no_gap_and_no_double
            a_call_that_was_given_up_loses_no_record
            a_tail_that_is_opened_again_goes_on_where_it_is_told
            tails_of_several_partitions_do_not_mix
            several_tails_follow_the_control_topic
            a_tail_passes_what_follows_a_transaction
            a_tail_of_a_trimmed_position_says_so
            a_transaction_is_seen_whole_or_not_at_all
            a_transaction_answers_where_its_records_lie
            readers_pass_what_a_transaction_leaves_at_the_end
            the_committed_position_survives_a_restart
            a_transaction_without_records_moves_the_position
            a_fenced_owner_commits_nothing
            a_single_member_owns_every_partition
            two_members_share_the_partitions
            partitions_move_when_a_member_leaves
            groups_do_not_know_of_each_other
            a_claim_reads_from_its_start_and_says_when_it_reached_the_end
            a_claim_that_was_dropped_is_made_again
            the_topics_are_described_as_they_were_made
            the_layout_is_read_back_as_it_was_written
            compaction_keeps_the_newest_record_of_a_key
            compaction_spares_what_is_younger_than_the_lag
            compaction_keeps_a_tombstone_for_its_retention
        }
    };
    (@each $harness:expr; $($name:ident)+) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            if let Some(harness) = $harness.await {
                $crate::contract::$name(&harness).await;
            }
        }
    )+};
}
