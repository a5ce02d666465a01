//! Appending, reading and following.

use std::time::Duration;

use embedded::Settings;
use journal::{AppendError, Bounds, ReadError, TailError, Topic};

use crate::support::{Fixture, PATIENCE, append, read_all, record_at};

#[tokio::test]
async fn what_was_appended_is_read_back_whole() {
    let fixture = Fixture::new(Settings::default()).await;
    let journal = fixture.journal().await;
    let mut record = fixture.record(Topic::Events, 1, "acme/bus", "body");
    record.headers.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    record.headers.source_offset = Some(99);
    append(&journal, vec![record.clone()]).await;
    fixture.reopen().await;
    let [read] = &read_all(&fixture.journal().await, Topic::Events, 1).await[..] else {
        panic!("one")
    };
    assert_eq!((read.offset, read.timestamp_ms), (0, record.timestamp_ms));
    assert_eq!(
        (&read.key, &read.value, &read.headers),
        (&record.key, &record.value, &record.headers)
    );
}

#[tokio::test]
async fn many_appends_at_once_get_every_offset_once() {
    let fixture = Fixture::new(Settings::default()).await;
    let journal = fixture.journal().await;
    let appends = (0..200).map(|number| {
        let record = fixture.record(Topic::Events, 0, &format!("acme/{}", number % 7), "x");
        append(&journal, vec![record.clone(), record])
    });
    let mut offsets: Vec<_> = futures::future::join_all(appends).await.concat();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..400).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_refused_record_refuses_the_later_ones_of_its_key_only() {
    let settings = Settings {
        record_bytes_max: 100,
        ..Settings::default()
    };
    let fixture = Fixture::new(settings).await;
    let journal = fixture.journal().await;
    let records = vec![
        fixture.record(Topic::Events, 0, "acme/a", &"x".repeat(200)),
        fixture.record(Topic::Events, 0, "acme/a", "small"),
        fixture.record(Topic::Events, 0, "acme/b", "small"),
    ];
    let outcomes = journal.appender.append(records, PATIENCE).await;
    assert!(
        matches!(outcomes[0], Err(AppendError::Refused { .. })),
        "{outcomes:?}"
    );
    assert!(
        matches!(outcomes[1], Err(AppendError::Refused { .. })),
        "{outcomes:?}"
    );
    assert!(outcomes[2].is_ok(), "{outcomes:?}");
    assert_eq!(read_all(&journal, Topic::Events, 0).await.len(), 1);
}

#[tokio::test]
async fn a_record_from_the_far_future_is_refused() {
    let fixture = Fixture::new(Settings::default()).await;
    let journal = fixture.journal().await;
    let ahead = fixture.time.now() / 1_000 + 2 * 60 * 60 * 1_000;
    let record = record_at(Topic::Events, 0, "acme/a", Some("x"), ahead);
    let outcomes = journal.appender.append(vec![record], PATIENCE).await;
    assert!(
        matches!(outcomes[0], Err(AppendError::Refused { .. })),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_partition_that_does_not_exist_refuses_records() {
    let fixture = Fixture::new(Settings::default()).await;
    let journal = fixture.journal().await;
    let record = fixture.record(Topic::Events, 99, "acme/a", "x");
    let outcomes = journal.appender.append(vec![record], PATIENCE).await;
    assert!(
        matches!(outcomes[0], Err(AppendError::Refused { .. })),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let settings = Settings {
        writer_queue_appends_max: 0,
        ..Settings::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let time = crate::support::Time::new();
    let engine = embedded::Engine::open(dir.path(), settings, time.clock()).unwrap();
    engine.admin().create(1, 1).await.unwrap();
    let journal = engine.journal(crate::support::layout(1));
    let record = record_at(Topic::Events, 0, "acme/a", Some("x"), time.now() / 1_000);
    let outcomes = journal.appender.append(vec![record], PATIENCE).await;
    assert_eq!(outcomes, [Err(AppendError::Full)]);
}

#[tokio::test]
async fn a_tail_reads_from_the_store_what_memory_has_dropped() {
    let settings = Settings {
        ring_bytes: 1_000,
        ..Settings::default()
    };
    let fixture = Fixture::new(settings).await;
    let journal = fixture.journal().await;
    let records = (0..100).map(|n| fixture.record(Topic::Events, 0, "acme/a", &format!("{n:050}")));
    append(&journal, records.collect()).await;
    let mut tail = journal.tails.open(Topic::Events, 0, 0).await;
    let mut next = 0;
    while next < 100 {
        let batch = tail.next().await.unwrap();
        for record in &batch.records {
            assert_eq!(record.offset, next);
            assert_eq!(record.value.as_deref(), Some(format!("{next:050}").as_bytes()));
            next += 1;
        }
        assert_eq!(batch.next, next);
    }
}

#[tokio::test]
async fn a_tail_beyond_the_end_is_out_of_range() {
    let fixture = Fixture::new(Settings::default()).await;
    let journal = fixture.journal().await;
    let mut tail = journal.tails.open(Topic::Events, 0, 5).await;
    assert_eq!(
        tail.next().await.unwrap_err(),
        TailError::OutOfRange { start: 0, end: 0 }
    );
    let read = journal.reader.read(Topic::Events, 0, 5, 100).await;
    assert_eq!(read.unwrap_err(), ReadError::OutOfRange { start: 0, end: 0 });
}

#[tokio::test]
async fn a_read_at_the_end_is_empty() {
    let fixture = Fixture::new(Settings::default()).await;
    let journal = fixture.journal().await;
    append(&journal, vec![fixture.record(Topic::Events, 0, "acme/a", "x")]).await;
    let block = journal.reader.read(Topic::Events, 0, 1, 100).await.unwrap();
    assert_eq!((block.records.len(), block.next), (0, 1));
}

#[tokio::test]
async fn a_time_is_found_among_many_records_whose_times_go_back_and_forth() {
    let fixture = Fixture::new(Settings::default()).await;
    let journal = fixture.journal().await;
    let begin = fixture.time.now() / 1_000 - 1_000_000;
    let times: Vec<i64> = (0..3_000).map(|n| begin + n * 10 - (n % 7) * 100).collect();
    let records = times
        .iter()
        .map(|at| record_at(Topic::Events, 2, "acme/a", Some("x"), *at));
    append(&journal, records.collect()).await;
    fixture.reopen().await;
    let journal = fixture.journal().await;
    let more = times.last().unwrap() + 500;
    append(
        &journal,
        vec![record_at(Topic::Events, 2, "acme/a", Some("x"), more)],
    )
    .await;
    for sought in (begin - 1_000..begin + 31_000).step_by(613) {
        let expected = times
            .iter()
            .position(|at| *at >= sought)
            .unwrap_or(3_000 + usize::from(more < sought));
        let found = journal
            .reader
            .offset_at(Topic::Events, &[2], sought)
            .await
            .remove(0)
            .unwrap();
        assert_eq!(found, expected as u64, "for {}", sought - begin);
    }
}

#[tokio::test]
async fn a_closed_engine_ends_its_tails_and_refuses_appends() {
    let fixture = Fixture::new(Settings::default()).await;
    let journal = fixture.journal().await;
    let mut tail = journal.tails.open(Topic::Events, 0, 0).await;
    let engine = fixture.engine();
    let (ended, closed) = tokio::join!(tail.next(), engine.close());
    closed.unwrap();
    assert_eq!(ended.unwrap_err(), TailError::Closed);
    let outcomes = journal
        .appender
        .append(vec![fixture.record(Topic::Events, 0, "acme/a", "x")], PATIENCE)
        .await;
    assert!(
        matches!(outcomes[0], Err(AppendError::Unavailable { .. })),
        "{outcomes:?}"
    );
    engine.close().await.unwrap();
}

#[tokio::test]
async fn what_was_queued_when_the_engine_closes_is_durable() {
    let fixture = Fixture::new(Settings::default()).await;
    let journal = fixture.journal().await;
    let record = fixture.record(Topic::Events, 0, "acme/a", "x");
    let mut appending = Box::pin(journal.appender.append(vec![record], PATIENCE));
    // Polled once, it is queued.
    let polled = tokio::time::timeout(Duration::ZERO, &mut appending).await;
    fixture.reopen().await;
    let outcomes = match polled {
        Ok(outcomes) => outcomes,
        Err(_) => appending.await,
    };
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    let bounds = fixture
        .journal()
        .await
        .reader
        .bounds(Topic::Events, &[0])
        .await
        .remove(0);
    assert_eq!(bounds, Ok(Bounds { start: 0, end: 1 }));
}
