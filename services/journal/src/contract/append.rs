//! Appending.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::future::join_all;

use super::kit::{BLOCK, DEADLINE, append, bounds, numbered, read_all, text, texts};
use super::{Harness, PARTITIONS};
use crate::{Headers, NewRecord, Topic};

/// No records, no outcomes, no change.
pub async fn an_empty_call_appends_nothing(harness: &dyn Harness) {
    let journal = harness.handle().await;
    assert!(journal.appender.append(Vec::new(), DEADLINE).await.is_empty());
    assert_eq!(bounds(&journal, Topic::Events, 0).await.end, 0);
}

/// Durable and visible once acknowledged.
pub async fn acknowledged_records_are_read_through_every_handle_and_after_a_restart(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let other = harness.handle().await;
    let records = numbered(Topic::Events, 1, "acme/bus", 0..100, harness.now_ms());
    let positions = append(&journal, records).await;
    for journal in [&journal, &other] {
        assert_eq!(read_all(journal, Topic::Events, 1, 0, BLOCK).await.len(), 100);
    }
    let restarted = harness.restarted().await;
    let records = read_all(&restarted, Topic::Events, 1, 0, BLOCK).await;
    for (position, record) in positions.iter().zip(&records) {
        assert_eq!((position.partition, position.offset), (1, record.offset));
    }
    assert_eq!(records.len(), 100);
}

/// Visible only once durable: whatever a tail had delivered when the process was killed stays.
pub async fn what_a_reader_saw_is_there_after_a_restart(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let mut tail = journal.tails.open(Topic::Events, 0, 0).await;
    let stop = Arc::new(AtomicBool::new(false));
    let appending = {
        let (journal, stop, now) = (journal.clone(), Arc::clone(&stop), harness.now_ms());
        async move {
            let mut from = 0;
            while !stop.load(Ordering::Acquire) {
                append(
                    &journal,
                    numbered(Topic::Events, 0, "acme/bus", from..from + 10, now),
                )
                .await;
                from += 10;
            }
        }
    };
    let seeing = async {
        let mut seen = Vec::new();
        while seen.len() < 500 {
            if let Ok(batch) = tail.next().await {
                seen.extend(batch.records);
            }
        }
        // Killed here, while appends are under way.
        let restarted = harness.restarted().await;
        stop.store(true, Ordering::Release);
        (seen, restarted)
    };
    let both = futures::future::join(appending, seeing);
    let ((), (seen, restarted)) = tokio::time::timeout(harness.patience(), both)
        .await
        .expect("500 records in time");
    let kept = read_all(&restarted, Topic::Events, 0, 0, BLOCK).await;
    assert!(kept.len() >= seen.len());
    assert_eq!(kept[..seen.len()], seen[..]);
}

/// 10,000 records in one call.
pub async fn a_large_call_keeps_the_order_and_answers_where_each_record_lies(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let records: Vec<NewRecord> = (0..10_000_usize)
        .flat_map(|number| {
            let device = number % 97;
            let partition = (device as u32) % PARTITIONS;
            numbered(
                Topic::Events,
                partition,
                &format!("acme/{device}"),
                number..number + 1,
                harness.now_ms(),
            )
        })
        .collect();
    let positions = append(&journal, records.clone()).await;
    for partition in 0..PARTITIONS {
        let sent: Vec<_> = records
            .iter()
            .zip(&positions)
            .filter(|(record, _)| record.partition == partition)
            .collect();
        let read = read_all(&journal, Topic::Events, partition, 0, BLOCK).await;
        assert_eq!(read.len(), sent.len());
        for ((new, position), record) in sent.into_iter().zip(&read) {
            assert_eq!((position.partition, position.offset), (partition, record.offset));
            assert_eq!((&new.key, &new.value), (&record.key, &record.value));
        }
    }
}

/// 64 callers at once.
pub async fn concurrent_calls_all_succeed_and_keep_the_order_of_each(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let calls = (0..64_usize).map(|caller| {
        let (journal, now) = (journal.clone(), harness.now_ms());
        async move {
            let key = format!("acme/{caller}");
            for turn in 0..5 {
                append(
                    &journal,
                    numbered(Topic::Events, 2, &key, turn * 10..turn * 10 + 10, now),
                )
                .await;
            }
        }
    });
    join_all(calls).await;
    let records = read_all(&journal, Topic::Events, 2, 0, BLOCK).await;
    assert_eq!(records.len(), 64 * 50);
    for caller in 0..64 {
        let key = format!("acme/{caller}");
        let of_caller = records.iter().filter(|record| *record.key == *key).map(text);
        let expected: Vec<String> = (0..50).map(|number| format!("{key}-{number}")).collect();
        assert!(
            of_caller.eq(expected.iter()),
            "the records of {key} in their order"
        );
    }
}

/// While others append, through two handles, and over a restart.
pub async fn the_end_of_a_partition_never_goes_back(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let other = harness.handle().await;
    let appending = async {
        for turn in 0..50 {
            let records = numbered(
                Topic::Events,
                0,
                "acme/bus",
                turn * 20..turn * 20 + 20,
                harness.now_ms(),
            );
            let positions = append(&journal, records).await;
            let last = positions.last().map_or(0, |position| position.offset);
            assert!(
                bounds(&other, Topic::Events, 0).await.end > last,
                "what is acknowledged is before the end"
            );
        }
    };
    let watching = async {
        let mut ends = Vec::new();
        while ends.last().is_none_or(|end| *end < 1_000) {
            ends.push(bounds(&journal, Topic::Events, 0).await.end);
            ends.push(bounds(&other, Topic::Events, 0).await.end);
        }
        ends
    };
    let both = futures::future::join(appending, watching);
    let ((), ends) = tokio::time::timeout(harness.patience(), both)
        .await
        .expect("1,000 records in time");
    assert!(ends.is_sorted(), "{ends:?}");
    let restarted = harness.restarted().await;
    assert!(bounds(&restarted, Topic::Events, 0).await.end >= 1_000);
}

/// What a record consists of.
pub async fn headers_keys_times_and_tombstones_come_back_as_they_were(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let full = Headers {
        kind: "presence".into(),
        generation: 4_000_000_000,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        source_offset: Some(9_007_199_254_740_993),
    };
    let plain = Headers {
        kind: "deleted".into(),
        generation: 1,
        ..Headers::default()
    };
    let new = |key: &str, value: Option<&'static [u8]>, headers: &Headers, back_ms: i64| NewRecord {
        topic: Topic::State,
        partition: 3,
        key: key.into(),
        value: value.map(Bytes::from_static),
        timestamp_ms: harness.now_ms() - back_ms,
        headers: headers.clone(),
    };
    let sent = vec![
        new("acme/Straße/7", Some(b"\0\x01\xff binary"), &full, 5_000),
        new("acme/gone", None, &full, 60_000),
        new("acme/gone", None, &plain, 0),
    ];
    append(&journal, sent.clone()).await;
    let read = read_all(&journal, Topic::State, 3, 0, BLOCK).await;
    assert_eq!(read.len(), sent.len(), "{:?}", texts(&read));
    for (new, record) in sent.iter().zip(&read) {
        assert_eq!(
            (&new.key, &new.value, new.timestamp_ms),
            (&record.key, &record.value, record.timestamp_ms)
        );
        assert_eq!(new.headers, record.headers);
    }
}
