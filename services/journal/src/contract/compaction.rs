//! Compaction of `wakeline.state`, where it can be forced.

use std::time::Duration;

use super::kit::{BLOCK, append, bounds, numbered, read_all, texts};
use super::{Compaction, Harness};
use crate::{Journal, NewRecord, Topic};

const MINUTE: Duration = Duration::from_secs(60);

fn tombstone(key: &str, time_ms: i64) -> Vec<NewRecord> {
    let mut records = numbered(Topic::State, 0, key, 0..1, time_ms);
    for record in &mut records {
        record.value = None;
    }
    records
}

async fn state(journal: &Journal) -> Vec<crate::Record> {
    read_all(journal, Topic::State, 0, 0, BLOCK).await
}

/// So that everything written before is older than the lag, and something younger follows it.
async fn pass_the_lag(harness: &dyn Harness, compaction: &dyn Compaction, journal: &Journal) {
    compaction.advance(compaction.lag() + MINUTE).await;
    append(
        journal,
        numbered(Topic::State, 0, "acme/last", 0..1, harness.now_ms()),
    )
    .await;
}

/// Offsets stay; the holes are passed by readers.
pub async fn compaction_keeps_the_newest_record_of_a_key(harness: &dyn Harness) {
    let Some(compaction) = harness.compaction() else {
        return;
    };
    let journal = harness.handle().await;
    append(
        &journal,
        numbered(Topic::State, 0, "acme/a", 0..10, harness.now_ms()),
    )
    .await;
    append(
        &journal,
        numbered(Topic::State, 0, "acme/b", 0..10, harness.now_ms()),
    )
    .await;
    pass_the_lag(harness, compaction, &journal).await;
    let before = bounds(&journal, Topic::State, 0).await;
    compaction.compact(0).await;
    let records = state(&journal).await;
    assert_eq!(texts(&records), ["acme/a-9", "acme/b-9", "acme/last-0"]);
    assert_eq!(
        records.iter().map(|record| record.offset).collect::<Vec<_>>(),
        [9, 19, 20]
    );
    assert_eq!(bounds(&journal, Topic::State, 0).await.end, before.end);
    assert_eq!(state(&harness.restarted().await).await, records);
}

/// A stream of devices can resume from any cursor within the lag.
pub async fn compaction_spares_what_is_younger_than_the_lag(harness: &dyn Harness) {
    let Some(compaction) = harness.compaction() else {
        return;
    };
    let journal = harness.handle().await;
    append(
        &journal,
        numbered(Topic::State, 0, "acme/a", 0..5, harness.now_ms()),
    )
    .await;
    compaction.advance(compaction.lag().saturating_sub(MINUTE)).await;
    append(
        &journal,
        numbered(Topic::State, 0, "acme/a", 5..8, harness.now_ms()),
    )
    .await;
    compaction.compact(0).await;
    assert_eq!(state(&journal).await.len(), 8, "nothing is older than the lag");
    compaction.advance(MINUTE * 2).await;
    compaction.compact(0).await;
    let records = state(&journal).await;
    let kept = texts(&records);
    assert!(kept.ends_with(&["acme/a-5", "acme/a-6", "acme/a-7"]), "{kept:?}");
    assert!(
        kept.len() < 8,
        "what is older than the lag and replaced goes: {kept:?}"
    );
}

/// Whoever resumes within the retention learns that a device is gone.
pub async fn compaction_keeps_a_tombstone_for_its_retention(harness: &dyn Harness) {
    let Some(compaction) = harness.compaction() else {
        return;
    };
    let journal = harness.handle().await;
    append(
        &journal,
        numbered(Topic::State, 0, "acme/a", 0..3, harness.now_ms()),
    )
    .await;
    append(&journal, tombstone("acme/a", harness.now_ms())).await;
    pass_the_lag(harness, compaction, &journal).await;
    compaction.compact(0).await;
    let records = state(&journal).await;
    assert_eq!(records.len(), 2, "{:?}", texts(&records));
    assert_eq!(
        (&*records[0].key, records[0].value.is_none()),
        ("acme/a", true),
        "the tombstone stays"
    );
    compaction
        .advance(compaction.tombstone_retention() + compaction.lag() + MINUTE)
        .await;
    append(
        &journal,
        numbered(Topic::State, 0, "acme/later", 0..1, harness.now_ms()),
    )
    .await;
    compaction.compact(0).await;
    let records = state(&journal).await;
    assert!(
        records.iter().all(|record| *record.key != *"acme/a"),
        "the tombstone goes: {:?}",
        texts(&records)
    );
}
