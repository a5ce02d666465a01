//! Opening directories of every kind.

use std::path::Path;

use embedded::{Engine, OpenError, Settings};
use journal::Topic;

use crate::support::{Fixture, Time, append, journal, open, read_all, record_at};

fn reopen(dir: &Path) -> Result<Engine, OpenError> {
    Engine::open(dir, Settings::default(), Time::new().clock())
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_directory_in_use_names_its_holder() {
    let fixture = Fixture::new(Settings::default()).await;
    match reopen(fixture.dir.path()) {
        Err(OpenError::InUse { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened twice"),
    }
}

#[tokio::test]
async fn closing_frees_the_directory_although_ports_live_on() {
    let fixture = Fixture::new(Settings::default()).await;
    let (journal, store) = (fixture.journal().await, fixture.engine().store());
    let _tail = journal.tails.open(Topic::Events, 0, 0).await;
    fixture.engine().close().await.unwrap();
    assert!(reopen(fixture.dir.path()).is_ok());
    assert!(store.documents.tenants_of("bus").await.is_err());
}

#[tokio::test]
async fn dropping_every_handle_frees_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    drop(open(dir.path()));
}

#[test]
fn a_file_in_the_place_of_the_directory_is_not_writable() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let opened = reopen(file.path());
    assert!(
        matches!(opened, Err(OpenError::NotWritable { .. })),
        "{:?}",
        opened.err()
    );
}

#[test]
fn a_newer_database_is_refused_as_such() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    std::fs::write(dir.path().join("version"), b"FJL\x09").unwrap();
    let opened = reopen(dir.path());
    assert!(
        matches!(opened, Err(OpenError::Newer { .. })),
        "{:?}",
        opened.err()
    );
}

#[test]
fn what_a_process_left_that_died_while_creating_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lock"), b"").unwrap();
    std::fs::write(dir.path().join("0.jnl"), vec![0; 4_096]).unwrap();
    std::fs::create_dir(dir.path().join("keyspaces")).unwrap();
    std::fs::write(dir.path().join("version"), b"").unwrap();
    assert!(reopen(dir.path()).is_ok());
}

#[tokio::test]
async fn a_lost_version_file_is_damage_not_an_empty_directory() {
    let fixture = Fixture::new(Settings::default()).await;
    fixture.engine().close().await.unwrap();
    std::fs::remove_file(fixture.dir.path().join("version")).unwrap();
    let opened = reopen(fixture.dir.path());
    assert!(
        matches!(opened, Err(OpenError::Damaged { .. })),
        "{:?}",
        opened.err()
    );
}

#[tokio::test]
async fn a_restart_keeps_the_epoch() {
    let fixture = Fixture::new(Settings::default()).await;
    let before = fixture.journal().await.epoch;
    fixture.reopen().await;
    assert_eq!(fixture.journal().await.epoch, before);
}

#[tokio::test]
async fn a_copied_directory_has_another_epoch_and_keeps_it() {
    let fixture = Fixture::new(Settings::default()).await;
    let original = fixture.journal().await.epoch;
    fixture.engine().close().await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_dir(fixture.dir.path(), copy.path());
    let engine = open(copy.path());
    let copied = journal(&engine).await.epoch;
    assert_ne!(copied, original);
    engine.close().await.unwrap();
    assert_eq!(journal(&open(copy.path())).await.epoch, copied);
    assert_eq!(journal(&open(fixture.dir.path())).await.epoch, original);
}

#[tokio::test]
async fn a_directory_restored_in_place_has_another_epoch() {
    let fixture = Fixture::new(Settings::default()).await;
    let original = fixture.journal().await.epoch;
    fixture.engine().close().await.unwrap();
    let backup = tempfile::tempdir().unwrap();
    copy_dir(fixture.dir.path(), backup.path());
    std::fs::remove_dir_all(fixture.dir.path()).unwrap();
    copy_dir(backup.path(), fixture.dir.path());
    assert_ne!(journal(&open(fixture.dir.path())).await.epoch, original);
}

#[tokio::test]
async fn missing_commits_are_told_and_can_be_accepted_under_a_new_epoch() {
    let fixture = Fixture::new(Settings::default()).await;
    let journal_of_original = fixture.journal().await;
    let record = || record_at(Topic::Events, 0, "acme/a", Some("x"), 0);
    append(&journal_of_original, vec![record()]).await;
    fixture.engine().close().await.unwrap();
    let older = tempfile::tempdir().unwrap();
    copy_dir(fixture.dir.path(), older.path());
    let engine = reopen(fixture.dir.path()).unwrap();
    append(&journal(&engine).await, vec![record()]).await;
    engine.close().await.unwrap();
    // The tables of before with the number of now: what a disk that lost writes leaves.
    std::fs::copy(fixture.dir.path().join("durable"), older.path().join("durable")).unwrap();
    match reopen(older.path()) {
        Err(OpenError::Damaged { reason, .. }) => assert!(reason.contains("last 1 commits"), "{reason}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened as if nothing were missing"),
    }
    std::fs::remove_file(older.path().join("durable")).unwrap();
    let accepted = journal(&open(older.path())).await;
    assert_ne!(accepted.epoch, journal_of_original.epoch);
    assert_eq!(read_all(&accepted, Topic::Events, 0).await.len(), 1);
}
