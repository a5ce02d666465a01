//! Limits and times of the native API, each with its default.

use std::time::Duration;

/// Settings of the native API's requests.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeSettings {
    /// Items of a page, where the request does not say.
    pub page_items: usize,
    /// Items of a page at most.
    pub page_items_max: usize,
    /// How long `min_cursor` waits, where the request does not say, and at most.
    pub wait_max: Duration,
    /// How often one partition's progress is asked for while somebody waits for it.
    pub applied_poll: Duration,
}

impl Default for NativeSettings {
    fn default() -> Self {
        Self {
            page_items: 100,
            page_items_max: 1_000,
            wait_max: Duration::from_secs(5),
            applied_poll: Duration::from_millis(20),
        }
    }
}
