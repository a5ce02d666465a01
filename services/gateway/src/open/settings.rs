//! Limits and times of opening a stream, each with its default.

use std::time::Duration;

use crate::dialect::{filter, telemetry, watch};

/// Settings of opening streams, beside those of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenSettings {
    /// Devices that one stream may name.
    pub devices_max: usize,
    /// Metrics that one stream may name.
    pub metrics_max: usize,
    /// Length of a metric's name, bytes.
    pub metric_bytes_max: usize,
    /// What a filter may be.
    pub filters: query::Limits,
    /// `every=` lies between these.
    pub every: (Duration, Duration),
    /// State records younger than this are all there: `min.compaction.lag.ms` of `wakeline.state`.
    pub compaction_lag: Duration,
    /// A cursor that is ahead of the log is looked at again after this.
    pub ahead_poll: Duration,
    /// Limits of the telemetry dialect.
    pub telemetry: telemetry::requests::Settings,
    /// Limits of the watch dialect.
    pub watch: watch::requests::Settings,
    /// Limits of the filter dialect.
    pub filter: filter::requests::Settings,
    /// Rows of the history that are looked through for the commands that were there before a stream of the
    /// controller dialect begins.
    pub command_rows_max: usize,
    /// Rows of the history that are looked through for one page of lock events of the realtime dialect.
    pub lock_rows_max: usize,
    /// Questions to the time index at once; more wait.
    pub time_lookups_max: usize,
}

impl Default for OpenSettings {
    fn default() -> Self {
        Self {
            devices_max: 10_000,
            metrics_max: 1_000,
            metric_bytes_max: 1_024,
            filters: query::Limits::default(),
            every: (Duration::from_millis(10), Duration::from_secs(3_600)),
            compaction_lag: Duration::from_secs(7 * 24 * 3_600),
            ahead_poll: Duration::from_millis(250),
            telemetry: telemetry::requests::Settings::default(),
            watch: watch::requests::Settings::default(),
            filter: filter::requests::Settings::default(),
            command_rows_max: 20_000,
            lock_rows_max: 200_000,
            time_lookups_max: 64,
        }
    }
}
