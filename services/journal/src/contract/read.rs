//! Ranges, bounds, and the time index.

use super::kit::{BLOCK, append, bounds, numbered, offset_at, read_all, record, texts};
use super::{Harness, LONG_AGO_MS};
use crate::{ReadError, Topic};

/// Bounds, a range and a time of a partition that never had a record.
pub async fn an_empty_partition_reads_as_empty(harness: &dyn Harness) {
    let journal = harness.handle().await;
    for topic in [Topic::Events, Topic::State] {
        let found = bounds(&journal, topic, 3).await;
        assert_eq!((found.start, found.end), (0, 0));
        let block = journal.reader.read(topic, 3, 0, BLOCK).await.expect("a block");
        assert_eq!((block.records.len(), block.next), (0, 0));
        assert_eq!(offset_at(&journal, topic, 3, harness.now_ms()).await, 0);
    }
}

/// Even a limit of one byte gives a record at a time.
pub async fn reading_in_the_smallest_blocks_gives_each_record_once(harness: &dyn Harness) {
    let journal = harness.handle().await;
    append(
        &journal,
        numbered(Topic::Events, 0, "acme/bus", 0..20, harness.now_ms()),
    )
    .await;
    let records = read_all(&journal, Topic::Events, 0, 0, 1).await;
    let expected: Vec<String> = (0..20).map(|number| format!("acme/bus-{number}")).collect();
    assert_eq!(texts(&records), expected);
    let from_middle = read_all(&journal, Topic::Events, 0, 13, BLOCK).await;
    assert_eq!(texts(&from_middle), expected[13..]);
}

/// Neither the whole log nor a single record.
pub async fn a_block_is_about_as_long_as_asked(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let value = "x".repeat(1_000);
    let records = (0..200)
        .map(|_| record(Topic::Events, 0, "acme/bus", &value, harness.now_ms()))
        .collect();
    append(&journal, records).await;
    let block = journal
        .reader
        .read(Topic::Events, 0, 0, 50_000)
        .await
        .expect("a block");
    assert!(
        (40..=51).contains(&block.records.len()),
        "{} records of 1,000 bytes",
        block.records.len()
    );
    assert_eq!(
        block.next,
        block.records.last().map_or(0, |record| record.offset + 1)
    );
}

/// Several partitions in one question.
pub async fn bounds_are_answered_in_the_order_asked(harness: &dyn Harness) {
    let journal = harness.handle().await;
    for (partition, count) in [(0, 3), (1, 5), (2, 7)] {
        append(
            &journal,
            numbered(Topic::Events, partition, "acme/bus", 0..count, harness.now_ms()),
        )
        .await;
    }
    let answers = journal.reader.bounds(Topic::Events, &[2, 0, 3, 1]).await;
    let ends: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.expect("bounds").end)
        .collect();
    assert_eq!(ends, [7, 3, 0, 5]);
    let times = journal
        .reader
        .offset_at(Topic::Events, &[2, 0, 3, 1], harness.now_ms() + 60_000)
        .await;
    let offsets: Vec<_> = times
        .into_iter()
        .map(|answer| answer.expect("an offset"))
        .collect();
    assert_eq!(offsets, [7, 3, 0, 5]);
}

/// After retention removed the beginning.
pub async fn a_position_before_the_log_is_out_of_range(harness: &dyn Harness) {
    let journal = harness.handle().await;
    append(
        &journal,
        numbered(Topic::Events, 0, "acme/old", 0..50, LONG_AGO_MS),
    )
    .await;
    append(
        &journal,
        numbered(Topic::Events, 0, "acme/new", 0..30, harness.now_ms()),
    )
    .await;
    harness.trim(Topic::Events, 0, 50).await;
    let found = bounds(&journal, Topic::Events, 0).await;
    assert_eq!((found.start, found.end), (50, 80));
    let error = journal
        .reader
        .read(Topic::Events, 0, 49, BLOCK)
        .await
        .expect_err("out of range");
    assert_eq!(error, ReadError::OutOfRange { start: 50, end: 80 });
    assert_eq!(read_all(&journal, Topic::Events, 0, 50, BLOCK).await.len(), 30);
    assert_eq!(offset_at(&journal, Topic::Events, 0, LONG_AGO_MS).await, 50);
}

/// A cursor of a longer log.
pub async fn a_position_past_the_end_is_out_of_range(harness: &dyn Harness) {
    let journal = harness.handle().await;
    append(
        &journal,
        numbered(Topic::Events, 0, "acme/bus", 0..5, harness.now_ms()),
    )
    .await;
    let error = journal
        .reader
        .read(Topic::Events, 0, 6, BLOCK)
        .await
        .expect_err("out of range");
    assert_eq!(error, ReadError::OutOfRange { start: 0, end: 5 });
    let block = journal
        .reader
        .read(Topic::Events, 0, 5, BLOCK)
        .await
        .expect("the end itself is in range");
    assert_eq!((block.records.len(), block.next), (0, 5));
}

/// Times that grow.
pub async fn the_time_index_finds_the_first_record_at_or_after_a_time(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let base = harness.now_ms() - 3_600_000;
    for number in 0..40 {
        let time = base + number * 1_000;
        append(&journal, vec![record(Topic::Events, 0, "acme/bus", "x", time)]).await;
    }
    for (time, offset) in [
        (0, 0),
        (base, 0),
        (base + 1, 1),
        (base + 20_000, 20),
        (base + 38_001, 39),
        (base + 39_001, 40),
    ] {
        assert_eq!(
            offset_at(&journal, Topic::Events, 0, time).await,
            offset,
            "at {}",
            time - base
        );
    }
}

/// The first record that is late enough, whatever stands before or after it.
pub async fn record_times_need_not_be_monotonic(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let base = harness.now_ms() - 3_600_000;
    for time in [100, 300, 200, 50, 400, 350] {
        append(
            &journal,
            vec![record(Topic::Events, 0, "acme/bus", "x", base + time)],
        )
        .await;
    }
    for (time, offset) in [
        (50, 0),
        (100, 0),
        (101, 1),
        (200, 1),
        (300, 1),
        (301, 4),
        (400, 4),
        (401, 6),
    ] {
        assert_eq!(
            offset_at(&journal, Topic::Events, 0, base + time).await,
            offset,
            "at {time}"
        );
    }
    let times: Vec<i64> = read_all(&journal, Topic::Events, 0, 0, BLOCK)
        .await
        .iter()
        .map(|record| record.timestamp_ms - base)
        .collect();
    assert_eq!(times, [100, 300, 200, 50, 400, 350]);
}
