//! Limits and times of the gateway, each with its default.

use std::time::Duration;

use journal::Traces;

use crate::commands::CommandLimits;

/// Settings of the delivery engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Worker threads; 0 = one per core.
    pub workers: usize,
    /// Streams of the whole process.
    pub streams_max: usize,
    /// Streams of one tenant, in this process. Streams of all tenants count as a tenant of their own.
    pub streams_per_tenant_max: usize,
    /// Records kept in memory for streams that are nearly live, all partitions together, bytes.
    pub ring_bytes_max: usize,
    /// Records that a worker takes before it writes.
    pub turn_records_max: usize,
    /// Frame bytes that a worker queues for one connection before it writes.
    pub turn_bytes_max: usize,
    /// Records that one connection which is behind looks at before it is another's turn.
    pub slice_records_max: usize,
    /// Frame bytes written for streams that are behind before live ones are looked at again; about one slice.
    pub slice_bytes_max: usize,
    /// Commands that may wait for a worker.
    pub worker_queue_max: usize,
    /// How long a partition is followed after the last stream that needed it.
    pub tail_grace: Duration,
    /// How long to wait before a partition that cannot be opened is tried again.
    pub tail_retry: Duration,
    /// How long a fresh answer about the log's ends may take.
    pub ends_timeout: Duration,
    /// Questions about the log's ends that may wait.
    pub ends_queue_max: usize,
    /// Values in one block of the log that is read for streams behind the rings, bytes.
    pub block_bytes: usize,
    /// Blocks start at a multiple of this many offsets, so that streams share them.
    pub block_align: u64,
    /// Blocks kept in memory, bytes.
    pub block_cache_bytes_max: usize,
    /// Blocks read at the same time.
    pub block_reads_max: usize,
    /// Blocks that were read and wait for the turns of those who asked, with those being read.
    pub block_answers_max: usize,
    /// Requests for blocks that may wait.
    pub block_queue_max: usize,
    /// Bytes of blocks a second that one tenant's streams may have read, in this process.
    pub catch_up_bytes_per_s: u64,
    /// What commands may be that clients of dialects send.
    pub commands: CommandLimits,
    /// Pages of snapshots, and what else streams ask of the state, read at the same time.
    pub page_reads_max: usize,
    /// Of them, those of one tenant.
    pub page_reads_per_tenant_max: usize,
    /// Requests for pages that may wait.
    pub page_queue_max: usize,
    /// Documents in one page of a snapshot.
    pub page_documents: usize,
    /// Devices of one snapshot that are remembered because they changed after the pin.
    pub snapshot_changed_max: usize,
    /// Pending devices of one conflated stream.
    pub latest_devices_max: usize,
    /// Pending values of one conflated stream, bytes.
    pub latest_bytes_max: usize,
    /// A keep-alive comes after this long without a frame.
    pub keep_alive: Duration,
    /// Up to this much is added to each wait for a keep-alive or ping, at random.
    pub keep_alive_jitter: Duration,
    /// A WebSocket ping comes this often.
    pub ping: Duration,
    /// Pings that may stay unanswered; at the next one the stream ends.
    pub pings_unanswered_max: u8,
    /// A frame or message from a client, bytes.
    pub client_message_bytes_max: usize,
    /// What the messages of one client may be to do in a second, in the long run: a device that it chooses or
    /// lets go is 1, a message 16, and 16 bytes are 1. A client that sends more is read so much later.
    pub client_work_per_s: u64,
    /// The same at once.
    pub client_work_burst: u64,
    /// Answers to a client that wait because it does not read; beyond, its frames are not read either.
    pub replies_max: usize,
    /// A client that takes no byte for this long is given up.
    pub stalled_max: Duration,
    /// A choice of devices or filters that comes this soon after the opening of a stream with a cursor holds
    /// from the cursor on.
    pub choice_window: Duration,
    /// After such a choice the stream waits this long for others before it reads.
    pub choice_pause: Duration,
    /// Devices in one selection.
    pub selection_devices_max: usize,
    /// Filters in one selection.
    pub selection_filters_max: usize,
    /// Filters of one tenant's streams, in this process, that every change must be judged by because they
    /// name no device and demand no text; one that several streams have counts once.
    pub filters_per_tenant_max: usize,
    /// How long a stream that begins with the state of a device waits until the state has followed the
    /// log; after that it begins where the state stands.
    pub applied_within: Duration,
    /// How often one partition's progress is asked for meanwhile.
    pub applied_poll: Duration,
    /// `retry:` of SSE lies between these.
    pub retry: (Duration, Duration),
    /// `retry:` of SSE, and `Retry-After`, when a stream is refused, lies between these.
    pub retry_refused: (Duration, Duration),
    /// How long a position may stay ahead of the log's end before it counts as of another history.
    pub ahead_max: Duration,
    /// How far before the cursor's time a stream continues after a reset by time.
    pub reset_slack: Duration,
    /// Writes that wait between a worker and hyper, for streams over TLS or HTTP/2.
    pub channel_frames_max: usize,
    /// Bytes that wait there; one frame may pass it.
    pub channel_bytes_max: usize,
    /// Continues the traces of records until the workers have them. Off.
    pub traces: Traces,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 0,
            streams_max: 100_000,
            streams_per_tenant_max: 10_000,
            ring_bytes_max: 256 << 20,
            turn_records_max: 1_024,
            turn_bytes_max: 256 << 10,
            slice_records_max: 1_024,
            slice_bytes_max: 64 << 10,
            worker_queue_max: 4_096,
            tail_grace: Duration::from_secs(30),
            tail_retry: Duration::from_millis(500),
            ends_timeout: Duration::from_secs(2),
            ends_queue_max: 4_096,
            block_bytes: 1 << 20,
            block_align: 512,
            block_cache_bytes_max: 256 << 20,
            block_reads_max: 8,
            block_answers_max: 64,
            block_queue_max: 4_096,
            catch_up_bytes_per_s: 64 << 20,
            commands: CommandLimits::default(),
            page_reads_max: 16,
            page_reads_per_tenant_max: 8,
            page_queue_max: 4_096,
            page_documents: 64,
            snapshot_changed_max: 4_096,
            latest_devices_max: 1_024,
            latest_bytes_max: 1 << 20,
            keep_alive: Duration::from_secs(15),
            keep_alive_jitter: Duration::from_millis(1_500),
            ping: Duration::from_secs(25),
            pings_unanswered_max: 2,
            client_message_bytes_max: 64 << 10,
            client_work_per_s: 200_000,
            client_work_burst: 4_096,
            replies_max: 64,
            stalled_max: Duration::from_secs(600),
            choice_window: Duration::from_secs(10),
            choice_pause: Duration::from_millis(50),
            selection_devices_max: 10_000,
            selection_filters_max: 64,
            filters_per_tenant_max: 1_000,
            applied_within: Duration::from_secs(2),
            applied_poll: Duration::from_millis(20),
            retry: (Duration::from_secs(3), Duration::from_secs(8)),
            retry_refused: (Duration::from_secs(5), Duration::from_secs(30)),
            ahead_max: Duration::from_secs(5),
            reset_slack: Duration::from_secs(60),
            channel_frames_max: 16,
            channel_bytes_max: 128 << 10,
            traces: Traces::default(),
        }
    }
}
