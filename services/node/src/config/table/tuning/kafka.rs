//! The Kafka engine. The defaults are those of the part; a test holds the two together.

use super::super::Setting;
use super::{count, size, time};

pub(super) const SETTINGS: &[Setting] = &[
    time!(
        "kafka-connect-timeout",
        "20s",
        "For connect",
        kafka_settings.connect_timeout
    ),
    time!(
        "kafka-request-timeout",
        "5s",
        "For one question to the cluster: ends, time index, metadata, one block",
        kafka_settings.request_timeout
    ),
    time!(
        "kafka-socket-timeout",
        "10s",
        "For an answer on a connection, before it is taken for dead",
        kafka_settings.socket_timeout
    ),
    count!(
        "kafka-append-queue-records-max",
        "500000",
        "Records waiting in the producer; beyond it, AppendError::Full",
        kafka_settings.append_queue_records_max
    ),
    count!(
        "kafka-append-queue-kbytes-max",
        "131072",
        "KiB waiting in the producer; beyond it, AppendError::Full",
        kafka_settings.append_queue_kbytes_max
    ),
    count!(
        "kafka-append-linger-ms",
        "3",
        "How long a record waits for others to share its batch",
        kafka_settings.append_linger_ms
    ),
    time!(
        "kafka-append-stall",
        "10s",
        "A partition that acknowledged nothing for so long takes no more records until it does",
        kafka_settings.append_stall
    ),
    size!(
        "kafka-record-bytes-max",
        "1000000",
        "Longest record, with key and headers, before compression",
        kafka_settings.record_bytes_max
    ),
    count!(
        "kafka-tail-buffer-kbytes",
        "1024",
        "KiB fetched ahead for each tail",
        kafka_settings.tail_buffer_kbytes
    ),
    count!(
        "kafka-tail-batch-records-max",
        "1000",
        "Most records in one batch of a tail",
        kafka_settings.tail_batch_records_max
    ),
    count!(
        "kafka-fetch-wait-ms",
        "50",
        "How long a broker may wait for records before it answers a fetch",
        kafka_settings.fetch_wait_ms
    ),
    count!(
        "kafka-readers",
        "4",
        "Ranges read at once, per isolation level: each has a consumer of its own",
        kafka_settings.readers
    ),
    count!(
        "kafka-queries",
        "16",
        "Questions (ends, time index) asked at once",
        kafka_settings.queries
    ),
    count!(
        "kafka-reader-buffer-kbytes",
        "2048",
        "KiB fetched ahead for each reader",
        kafka_settings.reader_buffer_kbytes
    ),
    count!(
        "kafka-reader-fetch-kbytes",
        "256",
        "Largest fetch of a reader from one partition, KiB as the broker keeps them (compressed)",
        kafka_settings.reader_fetch_kbytes
    ),
    time!(
        "kafka-session-timeout",
        "6s",
        "A group member that was silent for so long loses its partitions",
        kafka_settings.session_timeout
    ),
    time!(
        "kafka-heartbeat",
        "2s",
        "How often a member says that it lives",
        kafka_settings.heartbeat
    ),
    time!(
        "kafka-revocation",
        "4s",
        "How long a rebalance waits until revoked claims are dropped",
        kafka_settings.revocation
    ),
    time!(
        "kafka-transaction-timeout",
        "10s",
        "An open transaction older than this is aborted by the cluster; also the deadline of a commit",
        kafka_settings.transaction_timeout
    ),
    time!(
        "kafka-reclaim-delay",
        "250ms",
        "Pause before a partition whose claim was dropped (not revoked) is claimed anew",
        kafka_settings.reclaim_delay
    ),
];
