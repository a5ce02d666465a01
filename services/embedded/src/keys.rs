//! The keys of every table: one place, so that no two can collide and order is plain to see.
//!
//! Numbers are big endian, so that the order of bytes is the order of numbers.
//!
//! | table | key | value |
//! |---|---|---|
//! | `log` | topic code, partition u32, offset u64 | a record (`record.rs`) |
//! | `times` | topic code, partition u32, newest time so far i64 (sign flipped), offset u64 | nothing |
//! | `kept` | topic code, partition u32, record key | u64 offset of the newest record that compaction has passed |
//! | `meta` | `f` | u32 version of this layout of tables |
//! | | `i` | the identity of the directory (`identity.rs`) |
//! | | `c` | u64 number of the last commit |
//! | | `t`, topic code | u32 partitions |
//! | | `s` / `e`, topic code, partition u32 | u64 first offset kept / least next offset |
//! | | `p` / `b`, topic code, partition u32 | u64 offset that compaction / removal of tombstones has reached |
//! | | `g`, topic code, partition u32, group | u64 epoch of the claim, then u64 committed offset or nothing |
//! | `state` | `d`, generation u32, partition u32, tenant, NUL, device | a document row (`store/row.rs`) |
//! | | `i`, generation u32, device, NUL, tenant | nothing |
//! | | `l`, generation u32, location, NUL, tenant, NUL, device | nothing |
//! | | `x`, deleted_at i64 (sign flipped), key of the document's row | nothing |
//! | | `a`, generation u32, partition u32 | progress (`store/progress.rs`) |
//! | `history` | `d`, tenant, NUL, device, NUL, kind code, !received_at u64, partition u32, !offset u64 | late u8, event |
//! | | `t`, tenant, NUL, kind code, !received_at u64, partition u32, !offset u64 | late u8, event |

use journal::{Offset, Partition, Topic};

/// What `meta` holds once.
pub(crate) mod meta {
    /// Version of the layout of the tables.
    pub(crate) const FORMAT: &[u8] = b"f";
    /// Identity of the directory.
    pub(crate) const IDENTITY: &[u8] = b"i";
    /// Number of the last commit.
    pub(crate) const COMMIT: &[u8] = b"c";
    /// Partitions of a topic.
    pub(crate) const TOPIC: u8 = b't';
    /// First offset kept.
    pub(crate) const START: u8 = b's';
    /// Least next offset.
    pub(crate) const END: u8 = b'e';
    /// Offset that compaction has reached.
    pub(crate) const COMPACTED: u8 = b'p';
    /// Offset that the removal of tombstones has reached.
    pub(crate) const BURIED: u8 = b'b';
    /// Progress of a group.
    pub(crate) const GROUP: u8 = b'g';
}

/// Length of topic code and partition at the front of a key.
pub(crate) const PARTITION_BYTES: usize = 5;

/// What all keys of one partition of one topic begin with.
pub(crate) fn partition(topic: Topic, partition: Partition) -> [u8; PARTITION_BYTES] {
    let [a, b, c, d] = partition.to_be_bytes();
    [topic.code(), a, b, c, d]
}

/// The key of a record.
pub(crate) fn record(topic: Topic, number: Partition, offset: Offset) -> [u8; 13] {
    let mut key = [0; 13];
    key[..PARTITION_BYTES].copy_from_slice(&partition(topic, number));
    key[PARTITION_BYTES..].copy_from_slice(&offset.to_be_bytes());
    key
}

/// The offset at the end of a key of `log` or `times`.
pub(crate) fn offset_of(key: &[u8]) -> Option<Offset> {
    key.last_chunk::<8>().map(|bytes| Offset::from_be_bytes(*bytes))
}

/// The key of an entry of the time index; the least of that time when `offset` is 0.
pub(crate) fn time(topic: Topic, number: Partition, time_ms: i64, offset: Offset) -> [u8; 21] {
    let mut key = [0; 21];
    key[..PARTITION_BYTES].copy_from_slice(&partition(topic, number));
    key[PARTITION_BYTES..13].copy_from_slice(&ordered(time_ms).to_be_bytes());
    key[13..].copy_from_slice(&offset.to_be_bytes());
    key
}

/// The time in a key of the time index.
pub(crate) fn time_of(key: &[u8]) -> Option<i64> {
    let bytes: [u8; 8] = key.get(PARTITION_BYTES..13)?.try_into().ok()?;
    Some((u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed())
}

/// The key of the record of `key` that compaction keeps.
pub(crate) fn kept(topic: Topic, number: Partition, key: &str) -> Vec<u8> {
    let mut bytes = partition(topic, number).to_vec();
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// A key of `meta` that belongs to a partition.
pub(crate) fn meta_of(kind: u8, topic: Topic, number: Partition) -> [u8; 6] {
    let [a, b, c, d, e] = partition(topic, number);
    [kind, a, b, c, d, e]
}

/// The key of a group's progress.
pub(crate) fn group(topic: Topic, number: Partition, group: &str) -> Vec<u8> {
    let mut bytes = meta_of(meta::GROUP, topic, number).to_vec();
    bytes.extend_from_slice(group.as_bytes());
    bytes
}

/// Maps signed to unsigned numbers, keeping their order.
pub(crate) const fn ordered(value: i64) -> u64 {
    value.cast_unsigned() ^ (1 << 63)
}

/// Reads a big-endian number at the front of `bytes`.
pub(crate) fn u64_at(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Reads a big-endian number at the front of `bytes`.
pub(crate) fn u32_at(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The least key that is greater than every key beginning with `prefix`, which must not be all 0xFF.
pub(crate) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            break;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_order_of_time_keys_is_the_order_of_times(a: (i64, u64), b: (i64, u64)) {
            let key = |(at, offset): (i64, u64)| time(Topic::Events, 3, at, offset);
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
            prop_assert_eq!(time_of(&key(a)), Some(a.0));
            prop_assert_eq!(offset_of(&key(a)), Some(a.1));
        }

        #[test]
        fn the_order_of_record_keys_is_the_order_of_offsets(a: (u32, u64), b: (u32, u64)) {
            let key = |(number, offset)| record(Topic::State, number, offset);
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
        }
    }

    #[test]
    fn after_a_prefix_come_no_keys_of_it() {
        assert_eq!(after_prefix(&[1, 2]), [1, 3]);
        assert_eq!(after_prefix(&[1, 0xff]), [2]);
    }
}
