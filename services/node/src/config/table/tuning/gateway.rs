//! The delivery engine. The defaults are those of the part; a test holds the two together.

use super::super::Setting;
use super::{count, size, time};

pub(super) const SETTINGS: &[Setting] = &[
    count!(
        "gateway-workers",
        "0",
        "Worker threads; 0 = one per core",
        gateway.workers
    ),
    count!(
        "gateway-streams-max",
        "100000",
        "Streams of the whole process",
        gateway.streams_max
    ),
    count!(
        "gateway-streams-per-tenant-max",
        "10000",
        "Streams of one tenant, in this process. Streams of all tenants count as a tenant of their own",
        gateway.streams_per_tenant_max
    ),
    size!(
        "gateway-ring-bytes-max",
        "256MiB",
        "Records kept in memory for streams that are nearly live, all partitions together, bytes",
        gateway.ring_bytes_max
    ),
    count!(
        "gateway-turn-records-max",
        "1024",
        "Records that a worker takes before it writes",
        gateway.turn_records_max
    ),
    size!(
        "gateway-turn-bytes-max",
        "256KiB",
        "Frame bytes that a worker queues for one connection before it writes",
        gateway.turn_bytes_max
    ),
    count!(
        "gateway-slice-records-max",
        "1024",
        "Records that one connection which is behind looks at before it is another's turn",
        gateway.slice_records_max
    ),
    size!(
        "gateway-slice-bytes-max",
        "64KiB",
        "Frame bytes written for streams that are behind before live ones come again",
        gateway.slice_bytes_max
    ),
    count!(
        "gateway-worker-queue-max",
        "4096",
        "Commands that may wait for a worker",
        gateway.worker_queue_max
    ),
    time!(
        "gateway-tail-grace",
        "30s",
        "How long a partition is followed after the last stream that needed it",
        gateway.tail_grace
    ),
    time!(
        "gateway-tail-retry",
        "500ms",
        "How long to wait before a partition that cannot be opened is tried again",
        gateway.tail_retry
    ),
    time!(
        "gateway-ends-timeout",
        "2s",
        "How long a fresh answer about the log's ends may take",
        gateway.ends_timeout
    ),
    count!(
        "gateway-ends-queue-max",
        "4096",
        "Questions about the log's ends that may wait",
        gateway.ends_queue_max
    ),
    size!(
        "gateway-block-bytes",
        "1MiB",
        "Values in one block of the log that is read for streams behind the rings, bytes",
        gateway.block_bytes
    ),
    count!(
        "gateway-block-align",
        "512",
        "Blocks start at a multiple of this many offsets, so that streams share them",
        gateway.block_align
    ),
    size!(
        "gateway-block-cache-bytes-max",
        "256MiB",
        "Blocks kept in memory, bytes",
        gateway.block_cache_bytes_max
    ),
    count!(
        "gateway-block-reads-max",
        "8",
        "Blocks read at the same time",
        gateway.block_reads_max
    ),
    count!(
        "gateway-block-answers-max",
        "64",
        "Blocks that are being read, or were and wait for the turns of those who asked",
        gateway.block_answers_max
    ),
    count!(
        "gateway-block-queue-max",
        "4096",
        "Requests for blocks that may wait",
        gateway.block_queue_max
    ),
    size!(
        "gateway-catch-up-bytes-per-s",
        "64MiB",
        "Bytes of blocks a second that one tenant's streams may have read, in this process",
        gateway.catch_up_bytes_per_s
    ),
    count!(
        "gateway-page-reads-max",
        "16",
        "Pages of snapshots, and what else streams ask of the state, read at the same time",
        gateway.page_reads_max
    ),
    count!(
        "gateway-page-reads-per-tenant-max",
        "8",
        "Of them, those of one tenant",
        gateway.page_reads_per_tenant_max
    ),
    count!(
        "gateway-page-queue-max",
        "4096",
        "Requests for pages that may wait",
        gateway.page_queue_max
    ),
    count!(
        "gateway-page-documents",
        "64",
        "Documents in one page of a snapshot",
        gateway.page_documents
    ),
    count!(
        "gateway-snapshot-changed-max",
        "4096",
        "Devices of one snapshot that are remembered because they changed after the pin",
        gateway.snapshot_changed_max
    ),
    count!(
        "gateway-latest-devices-max",
        "1024",
        "Pending devices of one conflated stream",
        gateway.latest_devices_max
    ),
    size!(
        "gateway-latest-bytes-max",
        "1MiB",
        "Pending values of one conflated stream, bytes",
        gateway.latest_bytes_max
    ),
    time!(
        "gateway-keep-alive",
        "15s",
        "A keep-alive comes after this long without a frame",
        gateway.keep_alive
    ),
    time!(
        "gateway-keep-alive-jitter",
        "1500ms",
        "Up to this much is added to each wait for a keep-alive or ping, at random",
        gateway.keep_alive_jitter
    ),
    time!(
        "gateway-ping",
        "25s",
        "A WebSocket ping comes this often",
        gateway.ping
    ),
    count!(
        "gateway-pings-unanswered-max",
        "2",
        "Pings that may stay unanswered; at the next one the stream ends",
        gateway.pings_unanswered_max
    ),
    size!(
        "gateway-client-message-bytes-max",
        "64KiB",
        "A frame or message from a client, bytes",
        gateway.client_message_bytes_max
    ),
    count!(
        "gateway-client-work-per-s",
        "200000",
        "What the messages of one client may be to do in a second, in the long run: a device that it chooses or lets go is 1, a message 16, and 16 bytes are 1; a client that sends more is read so much later",
        gateway.client_work_per_s
    ),
    count!(
        "gateway-client-work-burst",
        "4096",
        "The same at once",
        gateway.client_work_burst
    ),
    count!(
        "gateway-replies-max",
        "64",
        "Answers to a client that wait because it does not read; beyond, its frames are not read either",
        gateway.replies_max
    ),
    time!(
        "gateway-stalled-max",
        "10m",
        "A client that takes no byte for this long is given up",
        gateway.stalled_max
    ),
    time!(
        "gateway-choice-window",
        "10s",
        "A choice of devices or filters that comes this soon after the opening of a stream with a cursor holds from the \
         cursor on",
        gateway.choice_window
    ),
    time!(
        "gateway-choice-pause",
        "50ms",
        "After such a choice the stream waits this long for others before it reads",
        gateway.choice_pause
    ),
    time!(
        "gateway-applied-within",
        "2s",
        "How long a stream that begins with a device's state waits until the state has followed the log; after that it begins where the state stands",
        gateway.applied_within
    ),
    time!(
        "gateway-applied-poll",
        "20ms",
        "How often one partition's progress is asked for meanwhile",
        gateway.applied_poll
    ),
    count!(
        "gateway-selection-devices-max",
        "10000",
        "Devices in one selection",
        gateway.selection_devices_max
    ),
    count!(
        "gateway-selection-filters-max",
        "64",
        "Filters in one selection",
        gateway.selection_filters_max
    ),
    count!(
        "gateway-filters-per-tenant-max",
        "1000",
        "Filters of one tenant's streams, in this process, that every change must be judged by because they name no \
         device and demand no text; one that several streams have counts once",
        gateway.filters_per_tenant_max
    ),
    time!(
        "gateway-ahead-max",
        "5s",
        "How long a position may stay ahead of the log's end before it counts as of another history",
        gateway.ahead_max
    ),
    time!(
        "gateway-reset-slack",
        "1m",
        "How far before the cursor's time a stream continues after a reset by time",
        gateway.reset_slack
    ),
    count!(
        "gateway-channel-frames-max",
        "16",
        "Writes that wait between a worker and hyper, for streams over TLS or HTTP/2",
        gateway.channel_frames_max
    ),
    size!(
        "gateway-channel-bytes-max",
        "128KiB",
        "Bytes that wait there; one frame may pass it",
        gateway.channel_bytes_max
    ),
];
