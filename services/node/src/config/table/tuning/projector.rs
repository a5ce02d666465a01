//! From events to state. The defaults are those of the part; a test holds the two together.

use super::super::Setting;
use super::{count, size, switch, time};

pub(super) const SETTINGS: &[Setting] = &[
    count!(
        "projector-batch-records-max",
        "1000",
        "Events folded in one batch",
        projector.batch_records_max
    ),
    size!(
        "projector-batch-bytes-max",
        "4MiB",
        "About so many bytes of events and of the documents made from them go through one batch; the number of its records follows what they weighed lately",
        projector.batch_bytes_max
    ),
    time!(
        "projector-poll",
        "50ms",
        "How long one look at the end of the partition waits for events; timers are looked at as often",
        projector.poll
    ),
    size!(
        "projector-cached-document-bytes-max",
        "16MiB",
        "Memory for documents between batches, by their measured content",
        projector.cached_document_bytes_max
    ),
    count!(
        "projector-page-size",
        "500",
        "Documents read at once while timers and counts are rebuilt, and while rows are compared",
        projector.page_size
    ),
    time!(
        "projector-history-recovery-max",
        "1d",
        "Recovery writes the history of events again that were received within this; older rows would live anew for the store's whole time to live",
        projector.history_recovery_max
    ),
    time!(
        "projector-recovery-patience",
        "15s",
        "How long recovery waits for state records that the committed position promises, before it folds their events again. More than the log's transaction timeout,",
        projector.recovery_patience
    ),
    switch!(
        "no-heartbeat",
        "true",
        "A device that falls silent (is STALE) has an alert NO_HEARTBEAT until it is heard again",
        projector.no_heartbeat
    ),
    count!(
        "no-heartbeat-severity",
        "4",
        "Severity of NO_HEARTBEAT alerts",
        projector.no_heartbeat_severity
    ),
    time!(
        "projector-unobserved-max",
        "5s",
        "A stretch of time longer than this in which the partition was not followed proves no silence: verdicts wait for stale_after after it. Also how old the newest event may be for the partition to count as followed",
        projector.unobserved_max
    ),
    time!(
        "projector-reaction-pending-max",
        "1m",
        "A reaction that was appended and not read back is appended again after this, under its id",
        projector.reaction_pending_max
    ),
    count!(
        "projector-reactions-max",
        "1000",
        "Timers that fire in one round",
        projector.reactions_max
    ),
    time!(
        "projector-append-deadline",
        "10s",
        "How long one append of reactions may take before it is tried again",
        projector.append_deadline
    ),
    count!(
        "projector-rejected-per-batch-max",
        "100",
        "Rejected records written for one batch; more are only counted",
        projector.rejected_per_batch_max
    ),
    time!(
        "projector-retry-min",
        "100ms",
        "First wait before something that failed is tried again; doubles up to retry_max",
        projector.retry_min
    ),
    time!(
        "projector-retry-max",
        "5s",
        "Longest wait between two attempts",
        projector.retry_max
    ),
    time!(
        "projector-lag-every",
        "1s",
        "How often the lag behind the log's end is measured while the partition is behind",
        projector.lag_every
    ),
    time!(
        "projector-drain-max",
        "10s",
        "How long a shutdown waits for batches in flight",
        projector.drain_max
    ),
];
