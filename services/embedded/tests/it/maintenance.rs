//! Retention and compaction, with the clock in the test's hand.

use std::time::Duration;

use embedded::Settings;
use journal::{Bounds, Journal, Partition, ReadError, TailError, Topic};

use crate::support::{Fixture, append, read_all, record_at};

const HOUR: Duration = Duration::from_secs(3_600);

fn hours() -> Settings {
    Settings {
        retention: 10 * HOUR,
        state_compaction_lag: HOUR,
        tombstone_retention: 2 * HOUR,
        // Small steps, so that every test crosses several.
        maintenance_step_rows: 3,
        ..Settings::default()
    }
}

async fn bounds(journal: &Journal, topic: Topic, partition: Partition) -> Bounds {
    journal
        .reader
        .bounds(topic, &[partition])
        .await
        .remove(0)
        .unwrap()
}

/// Offset, key and value of all records of partition 0 of state.
async fn state_of(journal: &Journal) -> Vec<(u64, String, Option<String>)> {
    let records = read_all(journal, Topic::State, 0).await;
    let text = |value: bytes::Bytes| String::from_utf8(value.to_vec()).unwrap();
    records
        .into_iter()
        .map(|record| (record.offset, record.key.into(), record.value.map(text)))
        .collect()
}

#[tokio::test]
async fn retention_removes_what_is_too_old_and_says_so_to_readers() {
    let fixture = Fixture::new(hours()).await;
    let journal = fixture.journal().await;
    let old = (0..10).map(|n| fixture.record(Topic::Events, 0, "acme/a", &n.to_string()));
    append(&journal, old.collect()).await;
    fixture.time.advance(9 * HOUR);
    append(
        &journal,
        vec![fixture.record(Topic::Events, 0, "acme/a", "young")],
    )
    .await;
    assert_eq!(fixture.maintain().await.trimmed, 0);
    fixture.time.advance(2 * HOUR);
    let mut tail = journal.tails.open(Topic::Events, 0, 4).await;
    assert_eq!(fixture.maintain().await.trimmed, 10);
    let out = (10, 11);
    assert_eq!(
        bounds(&journal, Topic::Events, 0).await,
        Bounds {
            start: out.0,
            end: out.1
        }
    );
    let read = journal.reader.read(Topic::Events, 0, 4, 100).await;
    assert_eq!(
        read.unwrap_err(),
        ReadError::OutOfRange {
            start: out.0,
            end: out.1
        }
    );
    assert_eq!(
        tail.next().await.unwrap_err(),
        TailError::OutOfRange {
            start: out.0,
            end: out.1
        }
    );
    assert_eq!(read_all(&journal, Topic::Events, 0).await.len(), 1);
}

#[tokio::test]
async fn the_end_stays_where_it_was_when_everything_is_gone() {
    let fixture = Fixture::new(hours()).await;
    let journal = fixture.journal().await;
    let records = (0..1_000).map(|_| fixture.record(Topic::Events, 0, "acme/a", "x"));
    append(&journal, records.collect()).await;
    fixture.time.advance(11 * HOUR);
    fixture.maintain().await;
    fixture.reopen().await;
    let journal = fixture.journal().await;
    assert_eq!(
        bounds(&journal, Topic::Events, 0).await,
        Bounds {
            start: 1_000,
            end: 1_000
        }
    );
    let next = append(&journal, vec![fixture.record(Topic::Events, 0, "acme/a", "x")]).await;
    assert_eq!(next, [1_000]);
    let now = fixture.time.now() / 1_000;
    let found = journal.reader.offset_at(Topic::Events, &[0], now).await;
    assert_eq!(found, [Ok(1_000)]);
}

#[tokio::test]
async fn compaction_keeps_the_newest_of_each_key_and_what_is_within_the_lag() {
    let fixture = Fixture::new(hours()).await;
    let journal = fixture.journal().await;
    for n in 0..6 {
        append(
            &journal,
            vec![fixture.record(Topic::State, 0, ["a", "b"][n % 2], &n.to_string())],
        )
        .await;
    }
    fixture.time.advance(2 * HOUR);
    append(&journal, vec![fixture.record(Topic::State, 0, "a", "young")]).await;
    assert_eq!(fixture.maintain().await.compacted, 4);
    let kept = |offset, key: &str, value: &str| (offset, key.to_owned(), Some(value.to_owned()));
    let expected = [kept(4, "a", "4"), kept(5, "b", "5"), kept(6, "a", "young")];
    assert_eq!(state_of(&journal).await, expected);
    assert_eq!(
        bounds(&journal, Topic::State, 0).await,
        Bounds { start: 0, end: 7 }
    );
    // Once its successor is past the lag, what was kept before goes, after a restart, too.
    fixture.reopen().await;
    fixture.time.advance(2 * HOUR);
    assert_eq!(fixture.maintain().await.compacted, 1);
    assert_eq!(state_of(&fixture.journal().await).await, expected[1..]);
}

#[tokio::test]
async fn a_tombstone_stays_for_its_retention_and_then_goes() {
    let fixture = Fixture::new(hours()).await;
    let journal = fixture.journal().await;
    let now = fixture.time.now() / 1_000;
    append(&journal, vec![record_at(Topic::State, 0, "a", Some("x"), now)]).await;
    append(&journal, vec![record_at(Topic::State, 0, "a", None, now)]).await;
    fixture.time.advance(2 * HOUR);
    assert_eq!(fixture.maintain().await.compacted, 1);
    assert_eq!(state_of(&journal).await, [(1, "a".to_owned(), None)]);
    fixture.time.advance(2 * HOUR);
    assert_eq!(fixture.maintain().await.compacted, 1);
    assert_eq!(state_of(&journal).await, []);
    fixture.reopen().await;
    assert_eq!(bounds(&fixture.journal().await, Topic::State, 0).await.end, 2);
}

#[tokio::test]
async fn a_key_that_came_back_after_its_tombstone_stays() {
    let fixture = Fixture::new(hours()).await;
    let journal = fixture.journal().await;
    let now = fixture.time.now() / 1_000;
    for value in [Some("x"), None, Some("again")] {
        append(&journal, vec![record_at(Topic::State, 0, "a", value, now)]).await;
    }
    fixture.time.advance(20 * HOUR);
    fixture.maintain().await;
    assert_eq!(
        state_of(&journal).await,
        [(2, "a".to_owned(), Some("again".to_owned()))]
    );
}

#[tokio::test]
async fn the_layout_record_survives_compaction() {
    let fixture = Fixture::new(Settings {
        tombstone_retention: Duration::ZERO,
        ..hours()
    })
    .await;
    for generation in 2..9 {
        crate::support::create(&fixture.engine(), generation).await;
    }
    fixture.time.advance(HOUR);
    assert_eq!(fixture.maintain().await.compacted, 7);
    fixture.reopen().await;
    assert_eq!(fixture.journal().await.layout.generation, 8);
}

#[tokio::test]
async fn appends_go_on_while_a_long_partition_is_trimmed() {
    let fixture = Fixture::new(hours()).await;
    let journal = fixture.journal().await;
    let records = (0..5_000).map(|_| fixture.record(Topic::Events, 0, "acme/a", "x"));
    append(&journal, records.collect()).await;
    fixture.time.advance(11 * HOUR);
    let appends = async {
        for _ in 0..20 {
            append(
                &journal,
                vec![fixture.record(Topic::Events, 0, "acme/a", "young")],
            )
            .await;
        }
    };
    let (done, ()) = tokio::join!(fixture.maintain(), appends);
    assert_eq!(done.trimmed, 5_000);
    assert_eq!(read_all(&journal, Topic::Events, 0).await.len(), 20);
}
