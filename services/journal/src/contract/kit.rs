//! What the tests of the suite share.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use futures::future::select_all;

use super::Harness;
use crate::{
    Bounds, Claim, ClaimEvent, CommitError, Headers, Journal, Membership, NewRecord, Offset, Partition,
    Position, Record, Tail, TailError, Topic,
};

/// Deadline of one call of `append`.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// More than any log of a test has.
pub(super) const BLOCK: usize = 16 * 1024 * 1024;

pub(super) fn record(topic: Topic, partition: Partition, key: &str, value: &str, time_ms: i64) -> NewRecord {
    NewRecord {
        topic,
        partition,
        key: key.into(),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        timestamp_ms: time_ms,
        headers: Headers {
            kind: "telemetry".into(),
            generation: 1,
            ..Headers::default()
        },
    }
}

/// `count` records of one key with the values `<key>-<number>`.
pub(super) fn numbered(
    topic: Topic,
    partition: Partition,
    key: &str,
    numbers: std::ops::Range<usize>,
    time_ms: i64,
) -> Vec<NewRecord> {
    numbers
        .map(|number| record(topic, partition, key, &format!("{key}-{number}"), time_ms))
        .collect()
}

pub(super) fn text(record: &Record) -> &str {
    let value = record.value.as_deref().unwrap_or_default();
    std::str::from_utf8(value).expect("the suite writes text")
}

pub(super) fn texts(records: &[Record]) -> Vec<&str> {
    records.iter().map(text).collect()
}

/// Appends, and expects all to succeed.
pub(super) async fn append(journal: &Journal, records: Vec<NewRecord>) -> Vec<Position> {
    let count = records.len();
    let outcomes = journal.appender.append(records, DEADLINE).await;
    assert_eq!(outcomes.len(), count, "one outcome for each record");
    outcomes
        .into_iter()
        .map(|outcome| outcome.expect("appended"))
        .collect()
}

pub(super) async fn bounds(journal: &Journal, topic: Topic, partition: Partition) -> Bounds {
    let mut answers = journal.reader.bounds(topic, &[partition]).await;
    assert_eq!(answers.len(), 1, "one answer for each partition");
    answers.remove(0).expect("bounds")
}

pub(super) async fn offset_at(journal: &Journal, topic: Topic, partition: Partition, time_ms: i64) -> Offset {
    let mut answers = journal.reader.offset_at(topic, &[partition], time_ms).await;
    assert_eq!(answers.len(), 1, "one answer for each partition");
    answers.remove(0).expect("an offset")
}

/// Everything of a partition from `from` to the end that it has now, block by block.
pub(super) async fn read_all(
    journal: &Journal,
    topic: Topic,
    partition: Partition,
    from: Offset,
    bytes_max: usize,
) -> Vec<Record> {
    let end = bounds(journal, topic, partition).await.end;
    let mut records = Vec::new();
    let mut next = from;
    while next < end {
        let block = journal
            .reader
            .read(topic, partition, next, bytes_max)
            .await
            .expect("a block");
        assert!(
            block.next > next,
            "a block before the end goes on: {} after {next}, end {end}",
            block.next
        );
        for record in &block.records {
            assert!(
                record.offset >= next && record.offset < block.next,
                "a record lies in its block"
            );
        }
        next = block.next;
        records.extend(block.records);
    }
    assert!(
        records.is_sorted_by(|a, b| a.offset < b.offset),
        "records come in offset order"
    );
    records
}

/// Reads a tail until its position is at least `until`.
pub(super) async fn follow(
    harness: &dyn Harness,
    tail: &mut dyn Tail,
    until: Offset,
) -> (Vec<Record>, Offset) {
    let mut records: Vec<Record> = Vec::new();
    let mut next = 0;
    let all = async {
        while next < until {
            match tail.next().await {
                Ok(batch) => {
                    next = batch.next;
                    records.extend(batch.records);
                }
                // The next call waits and tries again.
                Err(TailError::Unavailable { .. }) => {}
                Err(error) => panic!("the tail ended: {error}"),
            }
        }
    };
    let in_time = tokio::time::timeout(harness.patience(), all).await.is_ok();
    assert!(in_time, "the tail came to {next} only, not to {until}");
    assert!(
        records.is_sorted_by(|a, b| a.offset < b.offset),
        "records come in offset order, each once"
    );
    (records, next)
}

/// A member of a group that takes what it is given and drops what is revoked, unless told to keep it.
pub(super) struct Member {
    pub(super) membership: Box<dyn Membership>,
    pub(super) claims: BTreeMap<Partition, Box<dyn Claim>>,
    /// Revoked claims are not dropped but go to `zombies`.
    pub(super) stubborn: bool,
    pub(super) zombies: BTreeMap<Partition, Box<dyn Claim>>,
}

impl Member {
    pub(super) async fn join(journal: &Journal, group: &str) -> Self {
        let membership = journal.groups.join(group, Topic::Events).await.expect("joined");
        Self {
            membership,
            claims: BTreeMap::new(),
            stubborn: false,
            zombies: BTreeMap::new(),
        }
    }

    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.claims.keys().copied().collect()
    }

    /// One event: a claim comes or goes. Cancel-safe.
    async fn step(&mut self) {
        let revoked = async {
            if self.claims.is_empty() {
                return pending().await;
            }
            let waits = self.claims.iter_mut().map(|(partition, claim)| {
                Box::pin(async move {
                    claim.revoked().await;
                    *partition
                })
            });
            select_all(waits).await.0
        };
        let (claimed, gone) = tokio::select! {
            event = self.membership.next() => (Some(event), None),
            partition = revoked => (None, Some(partition)),
        };
        match claimed {
            Some(ClaimEvent::Claimed(claim)) => {
                let earlier = self.claims.insert(claim.partition(), claim);
                assert!(earlier.is_none(), "a partition is claimed once at a time");
            }
            Some(ClaimEvent::Closed { reason }) => panic!("the membership ended: {reason:?}"),
            None => {}
        }
        if let Some(partition) = gone
            && let Some(claim) = self.claims.remove(&partition)
            && self.stubborn
        {
            self.zombies.insert(partition, claim);
        }
    }
}

/// Lets the members take and give claims until `done`.
pub(super) async fn settle(
    harness: &dyn Harness,
    members: &mut [&mut Member],
    what: &str,
    done: impl Fn(&[&mut Member]) -> bool,
) {
    let all = async {
        while !done(members) {
            select_all(members.iter_mut().map(|member| Box::pin(member.step()))).await;
        }
    };
    let in_time = tokio::time::timeout(harness.patience(), all).await.is_ok();
    let have: Vec<Vec<Partition>> = members.iter().map(|member| member.partitions()).collect();
    assert!(in_time, "{what}: the members have {have:?}");
}

/// Commits, and waits until readers see it; what was aborted is tried again, as its error says it
/// can be.
pub(super) async fn commit(
    harness: &dyn Harness,
    journal: &Journal,
    claim: &mut dyn Claim,
    records: Vec<NewRecord>,
    next: Offset,
) -> Vec<Position> {
    let topics: Vec<Topic> = records.iter().map(|record| record.topic).collect();
    let all = async {
        let positions = loop {
            match claim.commit(records.clone(), next).await {
                Ok(positions) => break positions,
                Err(CommitError::Aborted { .. }) => {}
                Err(error) => panic!("not committed: {error}"),
            }
        };
        for (position, topic) in positions.iter().zip(topics) {
            while bounds(journal, topic, position.partition).await.end <= position.offset {
                tokio::task::yield_now().await;
            }
        }
        positions
    };
    tokio::time::timeout(harness.patience(), all)
        .await
        .expect("committed in time")
}

/// One member that owns every partition.
pub(super) async fn sole_member(harness: &dyn Harness, journal: &Journal, group: &str) -> Member {
    let mut member = Member::join(journal, group).await;
    settle(
        harness,
        &mut [&mut member],
        "a sole member owns everything",
        |members| {
            members
                .iter()
                .all(|member| member.claims.len() == super::PARTITIONS as usize)
        },
    )
    .await;
    member
}
