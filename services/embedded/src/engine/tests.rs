//! What only shows from inside: a disk that fails, and a writer that hangs.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use journal::{AppendError, Bounds, Headers, Journal, NewRecord, Position, Topic};
use schemas::control::Layout;

use super::Engine;
use crate::Settings;

const PATIENCE: Duration = Duration::from_secs(20);

async fn open(dir: &std::path::Path) -> (Engine, Journal) {
    let engine = Engine::open(dir, Settings::default(), Arc::new(|| 0)).unwrap();
    engine.admin().create(1, 1).await.unwrap();
    let layout = Layout {
        generation: 1,
        created_at: 0,
        epoch: 1,
        partitions: 1,
        default_spread: 1,
        fold_version: 1,
        document_bytes_max: 1,
        registration_required: false,
    };
    let journal = engine.journal(layout);
    (engine, journal)
}

fn record(key: &str) -> NewRecord {
    NewRecord {
        topic: Topic::Events,
        partition: 0,
        key: key.into(),
        value: None,
        timestamp_ms: 0,
        headers: Headers::default(),
    }
}

async fn append(journal: &Journal, key: &str, deadline: Duration) -> Result<Position, AppendError> {
    journal
        .appender
        .append(vec![record(key)], deadline)
        .await
        .remove(0)
}

async fn bounds(journal: &Journal) -> Bounds {
    journal
        .reader
        .bounds(Topic::Events, &[0])
        .await
        .remove(0)
        .unwrap()
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_or_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, journal) = open(dir.path()).await;
    append(&journal, "before", PATIENCE).await.unwrap();
    engine.inner.shared.fail_next.store(true, Ordering::Release);
    assert_eq!(
        append(&journal, "during", PATIENCE).await,
        Err(AppendError::Unknown)
    );
    // The disk works again, and still nobody knows what it has.
    engine.inner.shared.fail_next.store(false, Ordering::Release);
    let after = append(&journal, "after", PATIENCE).await;
    assert!(matches!(after, Err(AppendError::Unavailable { .. })), "{after:?}");
    assert!(
        engine
            .failure()
            .is_some_and(|failure| failure.contains("read-only"))
    );
    assert_eq!(bounds(&journal).await, Bounds { start: 0, end: 1 });
    engine.close().await.unwrap();
    let (_engine, journal) = open(dir.path()).await;
    assert_eq!(append(&journal, "again", PATIENCE).await.unwrap().offset, 1);
}

#[tokio::test]
async fn an_append_is_withdrawn_while_it_waits_and_unknown_once_it_was_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, journal) = open(dir.path()).await;
    let partition = engine.inner.partition(Topic::Events, 0).unwrap();
    let ((locked, is_locked), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
    let hung = std::thread::spawn(move || {
        let _appending = partition.appending.lock();
        locked.send(()).unwrap();
        released.recv()
    });
    is_locked.recv().unwrap();
    let short = Duration::from_millis(50);
    assert_eq!(append(&journal, "taken", short).await, Err(AppendError::Unknown));
    let waiting = append(&journal, "waiting", short).await;
    assert!(
        matches!(waiting, Err(AppendError::Unavailable { .. })),
        "{waiting:?}"
    );
    release.send(()).unwrap();
    hung.join().unwrap().unwrap();
    // The one that was taken is in the log, the one that was withdrawn is not.
    assert_eq!(append(&journal, "next", PATIENCE).await.unwrap().offset, 1);
    let block = journal.reader.read(Topic::Events, 0, 0, 1_000).await.unwrap();
    let keys: Vec<&str> = block.records.iter().map(|record| &*record.key).collect();
    assert_eq!(keys, ["taken", "next"]);
}
