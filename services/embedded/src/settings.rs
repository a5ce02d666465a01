//! The limits of the embedded engine, each with its default.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Limits and periods of one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Appends that wait for the writer; one more is refused as full. 8,192.
    pub writer_queue_appends_max: usize,
    /// Bytes of records that wait for the writer; an append that would pass it is refused as full.
    /// 64 MiB.
    pub writer_queue_bytes_max: usize,
    /// The writer takes waiting appends into one synced batch until it has so many bytes. 4 MiB.
    pub batch_bytes: usize,
    /// A record whose key, headers and value together are longer is refused. 1 MiB.
    pub record_bytes_max: usize,
    /// A record whose time is further ahead of the clock is refused, because it would be the answer
    /// to every search by time until then. 1 h.
    pub timestamp_ahead_max: Duration,
    /// The newest records of each partition, kept in memory for tails. 1 MiB.
    pub ring_bytes: usize,
    /// A tail hands over at most so many bytes at once. 1 MiB.
    pub tail_batch_bytes_max: usize,
    /// A tail hands over at most so many records at once. 1,024.
    pub tail_batch_records_max: usize,
    /// Reads of the store that run at once; more wait. 16.
    pub blocking_reads_max: usize,
    /// fjall's block cache. 64 MiB.
    pub cache_bytes: u64,
    /// fjall's write buffer for the log; the other tables have a quarter of it each. 32 MiB.
    pub memtable_bytes: u64,
    /// fjall's write-ahead files together, held to at least 64 MiB. 256 MiB.
    pub journal_bytes_max: u64,
    /// Records of events and of rejected input are kept so long. 7 days.
    pub retention: Duration,
    /// A state record younger than this is never compacted away: at least the retention. 7 days.
    pub state_compaction_lag: Duration,
    /// A control record younger than this is never compacted away. 0.
    pub control_compaction_lag: Duration,
    /// Tombstones stay so long after they could have been compacted. 7 days.
    pub tombstone_retention: Duration,
    /// Rows of history are kept so long; zero keeps them for ever. 24 h.
    pub history_ttl: Duration,
    /// A deleted document's row is remembered so long, so that a late write of an older event loses.
    /// 7 days.
    pub deletion_memory: Duration,
    /// Period of maintenance. 1 s.
    pub maintenance_interval: Duration,
    /// Maintenance removes at most so many rows in one batch, so that no append waits for long. 512.
    pub maintenance_step_rows: usize,
    /// One round of maintenance makes at most so many steps through history. 64.
    pub maintenance_steps_max: usize,
    /// Owners of partitions that are taken away have so long to give them up. 5 s.
    pub revoke_grace: Duration,
    /// How long [`close`](crate::Engine::close) waits for reads that are under way. 10 s.
    pub close_wait: Duration,
    /// Whether a directory that looks copied gets a new cluster id. To be turned off only on file
    /// systems that renumber files at every mount. On.
    pub detect_copies: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            writer_queue_appends_max: 8 * KIB,
            writer_queue_bytes_max: 64 * MIB,
            batch_bytes: 4 * MIB,
            record_bytes_max: MIB,
            timestamp_ahead_max: Duration::from_secs(60 * 60),
            ring_bytes: MIB,
            tail_batch_bytes_max: MIB,
            tail_batch_records_max: KIB,
            blocking_reads_max: 16,
            cache_bytes: 64 * MIB as u64,
            memtable_bytes: 32 * MIB as u64,
            journal_bytes_max: 256 * MIB as u64,
            retention: 7 * DAY,
            state_compaction_lag: 7 * DAY,
            control_compaction_lag: Duration::ZERO,
            tombstone_retention: 7 * DAY,
            history_ttl: DAY,
            deletion_memory: 7 * DAY,
            maintenance_interval: Duration::from_secs(1),
            maintenance_step_rows: 512,
            maintenance_steps_max: 64,
            revoke_grace: Duration::from_secs(5),
            close_wait: Duration::from_secs(10),
            detect_copies: true,
        }
    }
}

/// A duration in whole milliseconds, as record times have them.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
