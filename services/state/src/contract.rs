//! The contract of the ports as tests: what every store must do, written once.
//!
//! An engine's own tests make a [`Harness`] over a fresh, empty store and let
//! [`state_contract_tests!`](crate::state_contract_tests) turn the suite into one `#[tokio::test]` each.
//! The suite asks only for what both engines can do; what one of them cannot be made to do quickly is an
//! `Option` of the harness.

mod documents;
mod fixtures;
mod history;
mod indexes;
mod pages;
mod progress;

use std::time::Duration;

use async_trait::async_trait;
use journal::Micros;

use crate::Store;

pub use documents::*;
pub use history::*;
pub use indexes::*;
pub use pages::*;
pub use progress::*;

/// Partitions of the layout that the store under test is opened with.
pub const PARTITIONS: u32 = 4;

/// One fresh store under test, opened with a layout of [`PARTITIONS`] partitions, its history kept for
/// at least six hours.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Ports as another process would have them on the same store. An engine of one process answers
    /// with a further handle on itself.
    async fn handle(&self) -> Store;

    /// The store as a process finds it that starts after all others were killed at this moment. The
    /// test uses no earlier handle after that, but may not have dropped them.
    async fn restarted(&self) -> Store;

    /// A store over the same tables under a newer layout, where the engine can have one: nothing of
    /// the old layout is seen in it.
    async fn of_next_layout(&self) -> Option<Store>;

    /// The wall clock of the store.
    fn now(&self) -> Micros;

    /// History that expires quickly, where that can be arranged.
    async fn expiring(&self) -> Option<Box<dyn Expiring>>;

    /// How long the suite waits for something that must happen before it calls the test failed.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// A store whose history expires within the patience of a test.
#[async_trait]
pub trait Expiring: Send + Sync {
    /// The store; its own, or the one of the harness.
    fn store(&self) -> Store;

    /// Rows of history are kept so long.
    fn ttl(&self) -> Duration;

    /// Lets so much time pass: by moving the clock of the store, or by waiting.
    async fn pass(&self, time: Duration);
}

/// Declares one test for each rule of the contract. The argument is an expression that awaits to
/// `Option<impl Harness>`, made anew for each test; `None` skips the test.
#[macro_export]
macro_rules! state_contract_tests {
    ($harness:expr) => {
        $crate::state_contract_tests!(@each $harness;
            what_was_written_is_read_in_the_order_asked
            a_write_of_a_lower_source_loses
            a_write_of_a_lower_source_loses_even_after_a_delete
            a_delete_of_a_lower_source_loses
            a_device_can_be_made_again
            a_document_of_64_kib_is_kept
            concurrent_writes_leave_the_highest_source
            documents_survive_a_restart
            a_newer_layout_sees_nothing_of_the_old_one
            pages_hold_each_device_once_in_a_stable_order
            pages_are_complete_while_writes_go_on
            a_page_of_some_partitions_holds_only_theirs
            pages_of_a_partition_hold_exactly_its_devices
            pages_of_a_tenant_hold_no_other_tenant
            a_foreign_page_key_is_refused
            a_prefix_of_ids_is_found_while_a_device_has_it
            tenants_of_a_device_follow_writes_and_deletes
            devices_at_a_location_follow_moves_and_deletes
            devices_at_a_location_are_found_by_tenant
            progress_that_was_never_set_is_none
            progress_is_read_as_it_was_set
            progress_never_goes_back
            rules_applied_never_goes_back
            a_tenant_without_devices_leaves_the_counts
            counts_are_right_whichever_process_sets_them
            history_is_newest_first
            history_pages_hold_each_row_once
            history_keeps_to_its_bounds
            history_keeps_to_kinds_devices_and_tenants
            history_of_a_tenant_has_locks_alerts_and_commands
            the_same_row_of_history_twice_is_one_row
            a_foreign_history_page_is_refused
            history_expires
        );
    };
    (@each $harness:expr; $($test:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            if let Some(harness) = $harness.await {
                $crate::contract::$test(&harness).await;
            }
        }
    )+};
}
