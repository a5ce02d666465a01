//! Limits and times of the native API, each with its default.

use std::time::Duration;

use crate::commands::CommandLimits;

/// Settings of the native API's requests.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeSettings {
    /// Items of a page, where the request does not say.
    pub page_items: usize,
    /// Items of a page at most.
    pub page_items_max: usize,
    /// Documents that one request for a list looks at at most; a page whose filter few match may be empty,
    /// and say where the next begins.
    pub list_documents_max: usize,
    /// Bytes of documents in one answer; those that are read together with the one that passes it are its
    /// last, and the next page goes on behind them.
    pub list_bytes_max: usize,
    /// Bytes of all lists that are under way at once; beyond that they are answered 503.
    pub list_held_bytes_max: usize,
    /// Those to one tenant, so that it leaves room to others.
    pub list_held_tenant_bytes_max: usize,
    /// What a filter may be.
    pub filters: query::Limits,
    /// How long `min_cursor` waits, where the request does not say, and at most.
    pub wait_max: Duration,
    /// How often one partition's progress is asked for while somebody waits for it.
    pub applied_poll: Duration,
    /// How long the answer to a command, or to a step of an alert, waits until it can be read back.
    pub settle_max: Duration,
    /// Length of a body.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive.
    pub body_within: Duration,
    /// What commands may be.
    pub commands: CommandLimits,
    /// Rows of history that are read to answer one request about commands or alerts.
    pub history_rows_max: usize,
    /// Documents that are looked at for alerts in one request.
    pub alert_documents_max: usize,
}

impl Default for NativeSettings {
    fn default() -> Self {
        Self {
            page_items: 100,
            page_items_max: 1_000,
            list_documents_max: 10_000,
            list_bytes_max: 8 << 20,
            list_held_bytes_max: 128 << 20,
            list_held_tenant_bytes_max: 48 << 20,
            filters: query::Limits::default(),
            wait_max: Duration::from_secs(5),
            applied_poll: Duration::from_millis(20),
            settle_max: Duration::from_secs(1),
            body_bytes_max: 256 << 10,
            body_within: Duration::from_secs(10),
            commands: CommandLimits::default(),
            history_rows_max: 10_000,
            alert_documents_max: 100_000,
        }
    }
}
