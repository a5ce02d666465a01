//! Tails.

use std::time::Duration;

use futures::future::join_all;

use super::kit::{BLOCK, append, bounds, commit, follow, numbered, read_all, sole_member, texts};
use super::{Harness, LONG_AGO_MS, PARTITIONS};
use crate::{TailError, Topic};

/// From the end on.
pub async fn a_tail_delivers_what_comes_after_it_was_opened(harness: &dyn Harness) {
    let journal = harness.handle().await;
    append(
        &journal,
        numbered(Topic::Events, 0, "acme/bus", 0..10, harness.now_ms()),
    )
    .await;
    let mut tail = journal.tails.open(Topic::Events, 0, 10).await;
    append(
        &journal,
        numbered(Topic::Events, 0, "acme/bus", 10..13, harness.now_ms()),
    )
    .await;
    let (records, next) = follow(harness, &mut *tail, 13).await;
    assert_eq!(texts(&records), ["acme/bus-10", "acme/bus-11", "acme/bus-12"]);
    assert_eq!(next, 13);
}

/// The hand-over from what is written to what is being written.
pub async fn a_tail_opened_while_records_come_has_no_gap_and_no_double(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let reader = harness.handle().await;
    let appending = async {
        for turn in 0..60 {
            let records = numbered(
                Topic::Events,
                1,
                "acme/bus",
                turn * 25..turn * 25 + 25,
                harness.now_ms(),
            );
            append(&journal, records).await;
        }
    };
    let following = async {
        let mut all = Vec::new();
        for start in [0, 300, 700, 1_100] {
            while bounds(&reader, Topic::Events, 1).await.end < start {
                tokio::task::yield_now().await;
            }
            let mut tail = reader.tails.open(Topic::Events, 1, start).await;
            let (records, _) = follow(harness, &mut *tail, start + 400).await;
            all.push((start, records));
        }
        all
    };
    let ((), all) = futures::future::join(appending, following).await;
    for (start, records) in all {
        let offsets = records.iter().map(|record| record.offset);
        assert!(
            offsets.eq(start..start + records.len() as u64),
            "each offset from {start} on, once"
        );
    }
}

/// `next` is cancel-safe.
pub async fn a_call_that_was_given_up_loses_no_record(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let mut tail = journal.tails.open(Topic::Events, 0, 0).await;
    let appending = async {
        for turn in 0..100 {
            append(
                &journal,
                numbered(Topic::Events, 0, "acme/bus", turn..turn + 1, harness.now_ms()),
            )
            .await;
        }
    };
    let giving_up = async {
        let mut offsets = Vec::new();
        while offsets.len() < 100 {
            if let Ok(Ok(batch)) = tokio::time::timeout(Duration::from_micros(300), tail.next()).await {
                offsets.extend(batch.records.into_iter().map(|record| record.offset));
            }
        }
        offsets
    };
    let both = futures::future::join(appending, giving_up);
    let ((), offsets) = tokio::time::timeout(harness.patience(), both)
        .await
        .expect("100 records in time");
    assert!(offsets.into_iter().eq(0..100));
}

/// Forward and back, on one partition.
pub async fn a_tail_that_is_opened_again_goes_on_where_it_is_told(harness: &dyn Harness) {
    let journal = harness.handle().await;
    append(
        &journal,
        numbered(Topic::Events, 0, "acme/bus", 0..100, harness.now_ms()),
    )
    .await;
    for from in [0, 50, 20, 99] {
        let mut tail = journal.tails.open(Topic::Events, 0, from).await;
        let (records, _) = follow(harness, &mut *tail, 100).await;
        assert!(
            records.iter().map(|record| record.offset).eq(from..100),
            "from {from}"
        );
    }
}

/// Four tails while all four partitions grow.
pub async fn tails_of_several_partitions_do_not_mix(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let work = (0..PARTITIONS).map(|partition| {
        let journal = journal.clone();
        async move {
            let mut tail = journal.tails.open(Topic::Events, partition, 0).await;
            let key = format!("acme/{partition}");
            for turn in 0..10 {
                let numbers = turn * 10..turn * 10 + 10;
                append(
                    &journal,
                    numbered(Topic::Events, partition, &key, numbers, harness.now_ms()),
                )
                .await;
            }
            let (records, _) = follow(harness, &mut *tail, 100).await;
            let expected: Vec<String> = (0..100).map(|number| format!("{key}-{number}")).collect();
            assert_eq!(texts(&records), expected);
        }
    });
    join_all(work).await;
}

/// Each of those who follow `wakeline.control` reads all of it.
pub async fn several_tails_follow_the_control_topic(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let from = bounds(&journal, Topic::Control, 0).await.end;
    let mut first = journal.tails.open(Topic::Control, 0, from).await;
    let mut second = journal.tails.open(Topic::Control, 0, from).await;
    let key = "token/a";
    append(&journal, numbered(Topic::Control, 0, key, 0..3, harness.now_ms())).await;
    for tail in [&mut first, &mut second] {
        let (records, _) = follow(harness, &mut **tail, from + 3).await;
        assert_eq!(texts(&records), ["token/a-0", "token/a-1", "token/a-2"]);
    }
    // One that goes leaves the other its place.
    drop(first);
    append(&journal, numbered(Topic::Control, 0, key, 3..4, harness.now_ms())).await;
    let (records, _) = follow(harness, &mut *second, from + 4).await;
    assert_eq!(texts(&records), ["token/a-3"]);
}

/// The position reaches the end of a partition whose last entry is no record.
pub async fn a_tail_passes_what_follows_a_transaction(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let mut member = sole_member(harness, &journal, "fold").await;
    let mut tail = journal.tails.open(Topic::State, 0, 0).await;
    let mut seen = Vec::new();
    for turn in 0..3 {
        let claim = member.claims.get_mut(&0).expect("owned");
        let records = numbered(
            Topic::State,
            0,
            "acme/bus",
            turn * 4..turn * 4 + 4,
            harness.now_ms(),
        );
        commit(harness, &journal, &mut **claim, records, turn as u64).await;
        let end = bounds(&journal, Topic::State, 0).await.end;
        let (records, next) = follow(harness, &mut *tail, end).await;
        assert_eq!(next, end);
        seen.extend(records);
    }
    assert_eq!(seen, read_all(&journal, Topic::State, 0, 0, BLOCK).await);
    assert_eq!(seen.len(), 12);
}

/// Retention passed the position; and a position that was never written.
pub async fn a_tail_of_a_trimmed_position_says_so(harness: &dyn Harness) {
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
    for from in [10, 1_000] {
        let mut tail = journal.tails.open(Topic::Events, 0, from).await;
        let told = async {
            loop {
                match tail.next().await {
                    Err(TailError::Unavailable { .. }) => {}
                    other => return other.map(|batch| batch.next),
                }
            }
        };
        let told = tokio::time::timeout(harness.patience(), told)
            .await
            .expect("told in time");
        assert_eq!(
            told,
            Err(TailError::OutOfRange { start: 50, end: 80 }),
            "from {from}"
        );
    }
    let mut tail = journal.tails.open(Topic::Events, 0, 50).await;
    assert_eq!(follow(harness, &mut *tail, 80).await.0.len(), 30);
}
