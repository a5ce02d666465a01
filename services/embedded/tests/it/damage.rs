//! Write-ahead files that were torn or garbled: everything acknowledged is there, or the directory
//! is refused. Nothing is lost in silence.

use std::path::{Path, PathBuf};

use embedded::{Engine, OpenError, Settings};
use journal::Topic;

use crate::support::{Fixture, Time, append, journal, read_all};

const RECORDS: usize = 40;

/// A directory with [`RECORDS`] acknowledged records, as a killed process leaves it, and its newest
/// write-ahead file with the bytes that are in use.
async fn written() -> (Fixture, PathBuf, Vec<u8>) {
    let fixture = Fixture::new(Settings::default()).await;
    let journal = fixture.journal().await;
    for number in 0..RECORDS {
        let value = format!("{number}-{}", "x".repeat(50 * number));
        append(&journal, vec![fixture.record(Topic::Events, 0, "acme/a", &value)]).await;
    }
    fixture.engine().close().await.unwrap();
    let path = fixture.dir.path().join("0.jnl");
    let bytes = std::fs::read(&path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let bytes = bytes[..used].to_vec();
    (fixture, path, bytes)
}

fn open(dir: &Path) -> Result<Engine, OpenError> {
    Engine::open(dir, Settings::default(), Time::new().clock())
}

async fn assert_whole_or_refused(dir: &Path, what: &str) -> bool {
    match open(dir) {
        Ok(engine) => {
            let records = read_all(&journal(&engine).await, Topic::Events, 0).await;
            assert_eq!(records.len(), RECORDS, "records were lost in silence: {what}");
            engine.close().await.unwrap();
            true
        }
        Err(OpenError::Damaged { .. }) => false,
        Err(other) => panic!("{what}: {other}"),
    }
}

/// Writes `bytes` into a copy of the directory and opens that.
async fn with_journal(fixture: &Fixture, bytes: &[u8], what: &str) -> bool {
    let copy = tempfile::tempdir().unwrap();
    copy_all(fixture.dir.path(), copy.path());
    std::fs::write(copy.path().join("0.jnl"), bytes).unwrap();
    assert_whole_or_refused(copy.path(), what).await
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else if entry.file_name() != "0.jnl" {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_write_ahead_file_cut_short_is_refused() {
    let (fixture, _, bytes) = written().await;
    for cut in (bytes.len() / 3..bytes.len()).step_by(bytes.len() / 11) {
        assert!(!with_journal(&fixture, &bytes[..cut], &format!("cut at {cut}")).await);
    }
}

#[tokio::test]
async fn a_garbled_write_ahead_file_is_refused() {
    let (fixture, _, bytes) = written().await;
    for at in (0..bytes.len() - 1).step_by(bytes.len() / 23) {
        let mut garbled = bytes.clone();
        garbled[at] ^= 0x5a;
        assert!(!with_journal(&fixture, &garbled, &format!("garbled at {at}")).await);
    }
}

#[tokio::test]
async fn a_torn_batch_that_was_never_synced_is_dropped() {
    let (fixture, _, bytes) = written().await;
    // A further batch that reached the disk in part: its beginning and its end, not its middle.
    let mut torn = bytes.clone();
    let begin = bytes.len() - 800;
    let mut batch = bytes[begin..].to_vec();
    batch[..13].copy_from_slice(&[1, 2, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0]);
    batch[100..700].fill(0);
    torn.extend_from_slice(&batch);
    assert!(with_journal(&fixture, &torn, "torn").await);
}

#[tokio::test]
async fn room_that_was_not_used_is_no_damage() {
    let (fixture, path, bytes) = written().await;
    let mut roomy = bytes.clone();
    roomy.resize(bytes.len() + 100_000, 0);
    std::fs::write(path, roomy).unwrap();
    assert!(assert_whole_or_refused(fixture.dir.path(), "room").await);
}
