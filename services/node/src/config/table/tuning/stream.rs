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
    count!(
        "realtime-lock-rows-max",
        "200000",
        "Rows of the history that are looked through for one page of lock events of the realtime dialect; one that needs more is refused",
        open.lock_rows_max
    ),
    count!(
        "controller-command-rows-max",
        "20000",
        "Rows of the history that are looked through for the commands that were there before a stream of the controller dialect begins",
        open.command_rows_max
    ),
    time!(
        "watch-answer-within",
        "5s",
        "A command of the watch dialect waits so long for the device's answer",
        open.watch.answer_within
    ),
    size!(
        "watch-command-bytes-max",
        "64KiB",
        "A command of the watch dialect, bytes",
        open.watch.command_bytes_max
    ),
    count!(
        "watch-backfill-rows-max",
        "20000",
        "Rows of the history that are looked through for older logs when a stream of the watch dialect begins",
        open.watch.backfill_rows_max
    ),
    count!(
        "watch-logs-rows-max",
        "200000",
        "Rows of the history that are looked through for one page of older logs of the watch dialect; one that needs more is refused",
        open.watch.logs_rows_max
    ),
    count!(
        "telemetry-streams-max",
        "10",
        "Streams of the telemetry dialect that one tenant may have in this process",
        open.telemetry.streams_max
    ),
    size!(
        "telemetry-message-bytes-max",
        "64KiB",
        "One message to the telemetry dialect's ingest, bytes",
        open.telemetry.message_bytes_max
    ),
    size!(
        "telemetry-batch-bytes-max",
        "8MiB",
        "A batch to the telemetry dialect's ingest, bytes",
        open.telemetry.batch_bytes_max
    ),
    count!(
        "telemetry-batch-messages-max",
        "100",
        "Messages in a batch to the telemetry dialect's ingest",
        open.telemetry.batch_messages_max
    ),
    count!(
        "telemetry-metrics-max",
        "50",
        "Metrics in one message to the telemetry dialect's ingest",
        open.telemetry.metrics_max
    ),
    size!(
        "telemetry-metric-bytes-max",
        "128",
        "Length of a metric's name in a message to the telemetry dialect's ingest, bytes",
        open.telemetry.metric_bytes_max
    ),
    count!(
        "filter-devices-max",
        "10000",
        "Devices in one answer of the filter dialect; the rest comes with its `next`",
        open.filter.devices_max
    ),
    size!(
        "filter-answer-bytes-max",
        "16MiB",
        "One answer of the filter dialect, bytes; one page of documents may pass it",
        open.filter.answer_bytes_max
    ),
    count!(
        "filter-looks-max",
        "2000000",
        "Documents that are looked at for one answer of the filter dialect; the rest comes with its `next`",
        open.filter.looks_max
    ),
    size!(
        "filter-held-bytes-max",
        "128MiB",
        "Bytes of answers of the filter dialect that are under way at once; beyond that requests are answered 503",
        open.filter.held_bytes_max
    ),
    size!(
        "filter-held-tenant-bytes-max",
        "48MiB",
        "Those to one tenant",
        open.filter.held_tenant_bytes_max
    ),
    time!(
        "desk-body-within",
        "30s",
        "How long the body of a request to a dialect may take to arrive",
        desk.body_within
    ),
    size!(
        "desk-held-bytes-max",
        "64MiB",
        "Bytes of bodies of requests to dialects that are held at once; beyond that they are answered 503",
        desk.held_bytes_max
    ),
    size!(
        "desk-held-tenant-bytes-max",
        "24MiB",
        "Those of one tenant",
        desk.held_tenant_bytes_max
    ),
    size!(
        "desk-held-nameless-bytes-max",
        "32MiB",
        "Those that nobody answers for yet, because the credential stands in the body",
        desk.held_nameless_bytes_max
    ),
    size!(
        "desk-held-address-bytes-max",
        "8MiB",
        "Those of one address that nobody answers for yet; of IPv6, of one /64",
        desk.held_address_bytes_max
    ),
    size!(
        "desk-inline-bytes-max",
        "64KiB",
        "Bodies of requests to dialects that are longer are taken apart on a thread of their own",
        desk.inline_bytes_max
    ),
];
