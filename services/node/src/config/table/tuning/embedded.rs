//! The embedded engine. The defaults are those of the part; a test holds the two together.

use super::super::Setting;
use super::{count, size, switch, time};

pub(super) const SETTINGS: &[Setting] = &[
    count!(
        "embedded-writer-queue-appends-max",
        "8192",
        "Appends that wait for the writer; one more is refused as full",
        embedded.writer_queue_appends_max
    ),
    size!(
        "embedded-writer-queue-bytes-max",
        "64MiB",
        "Bytes of records that wait for the writer; an append that would pass it is refused as full",
        embedded.writer_queue_bytes_max
    ),
    size!(
        "embedded-batch-bytes",
        "4MiB",
        "The writer takes waiting appends into one synced batch until it has so many bytes",
        embedded.batch_bytes
    ),
    size!(
        "embedded-record-bytes-max",
        "1MiB",
        "A record whose key, headers and value together are longer is refused",
        embedded.record_bytes_max
    ),
    time!(
        "embedded-timestamp-ahead-max",
        "1h",
        "A record whose time is further ahead of the clock is refused, because it would be the answer to every search by time until then",
        embedded.timestamp_ahead_max
    ),
    size!(
        "embedded-ring-bytes",
        "1MiB",
        "The newest records of each partition, kept in memory for tails",
        embedded.ring_bytes
    ),
    size!(
        "embedded-tail-batch-bytes-max",
        "1MiB",
        "A tail hands over at most so many bytes at once",
        embedded.tail_batch_bytes_max
    ),
    count!(
        "embedded-tail-batch-records-max",
        "1024",
        "A tail hands over at most so many records at once",
        embedded.tail_batch_records_max
    ),
    count!(
        "embedded-blocking-reads-max",
        "16",
        "Reads of the store that run at once; more wait",
        embedded.blocking_reads_max
    ),
    size!(
        "embedded-cache-bytes",
        "64MiB",
        "fjall's block cache",
        embedded.cache_bytes
    ),
    size!(
        "embedded-memtable-bytes",
        "32MiB",
        "fjall's write buffer for the log; the other tables have a quarter of it each",
        embedded.memtable_bytes
    ),
    size!(
        "embedded-journal-bytes-max",
        "256MiB",
        "fjall's write-ahead files together, held to at least 64 MiB",
        embedded.journal_bytes_max
    ),
    time!(
        "embedded-control-compaction-lag",
        "0",
        "A control record younger than this is never compacted away",
        embedded.control_compaction_lag
    ),
    time!(
        "embedded-maintenance-interval",
        "1s",
        "Period of maintenance",
        embedded.maintenance_interval
    ),
    count!(
        "embedded-maintenance-step-rows",
        "512",
        "Maintenance removes at most so many rows in one batch, so that no append waits for long",
        embedded.maintenance_step_rows
    ),
    count!(
        "embedded-maintenance-steps-max",
        "64",
        "One round of maintenance makes at most so many steps through history",
        embedded.maintenance_steps_max
    ),
    time!(
        "embedded-revoke-grace",
        "5s",
        "Owners of partitions that are taken away have so long to give them up",
        embedded.revoke_grace
    ),
    time!(
        "embedded-close-wait",
        "10s",
        "How long close waits for reads that are under way",
        embedded.close_wait
    ),
    switch!(
        "embedded-detect-copies",
        "true",
        "Whether a directory that looks copied gets a new cluster id. To be turned off only on file systems that renumber files at every mount",
        embedded.detect_copies
    ),
];
