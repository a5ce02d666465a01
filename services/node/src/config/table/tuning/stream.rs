//! Opening of streams. The defaults are those of the part; a test holds the two together.

use super::super::Setting;
use super::{count, size, time};

pub(super) const SETTINGS: &[Setting] = &[
    count!(
        "stream-devices-max",
        "10000",
        "Devices that one stream may name",
        open.devices_max
    ),
    count!(
        "stream-metrics-max",
        "1000",
        "Metrics that one stream may name",
        open.metrics_max
    ),
    size!(
        "stream-metric-bytes-max",
        "1KiB",
        "Length of a metric's name, bytes",
        open.metric_bytes_max
    ),
    time!(
        "stream-ahead-poll",
        "250ms",
        "A cursor that is ahead of the log is looked at again after this",
        open.ahead_poll
    ),
    count!(
        "stream-time-lookups-max",
        "64",
        "Questions to the time index at once; more wait",
        open.time_lookups_max
    ),
];
