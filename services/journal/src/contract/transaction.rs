//! Transactions and fencing.

use super::Harness;
use super::kit::{BLOCK, Member, append, bounds, commit, numbered, read_all, settle, sole_member, texts};
use crate::{CommitError, Topic};

/// Readers in the middle of commits see multiples of a transaction.
pub async fn a_transaction_is_seen_whole_or_not_at_all(harness: &dyn Harness) {
    const SIZE: usize = 50;
    let journal = harness.handle().await;
    let reader = harness.handle().await;
    let mut member = sole_member(harness, &journal, "fold").await;
    let claim = member.claims.get_mut(&1).expect("owned");
    let committing = async {
        for turn in 0..20 {
            let numbers = turn * SIZE..(turn + 1) * SIZE;
            let records = numbered(Topic::State, 1, "acme/bus", numbers, harness.now_ms());
            commit(harness, &journal, &mut **claim, records, turn as u64).await;
        }
    };
    let reading = async {
        let mut seen = 0;
        while seen < 20 * SIZE {
            let end = bounds(&reader, Topic::State, 1).await.end;
            let block = reader
                .reader
                .read(Topic::State, 1, 0, BLOCK)
                .await
                .expect("a block");
            assert!(block.next >= end, "a block reaches the end there was");
            seen = block.records.len();
            assert_eq!(seen % SIZE, 0, "a part of a transaction was seen");
        }
    };
    let both = futures::future::join(committing, reading);
    let in_time = tokio::time::timeout(harness.patience(), both).await;
    in_time.expect("20 transactions in time");
}

/// In the order of the records, over partitions.
pub async fn a_transaction_answers_where_its_records_lie(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let mut member = sole_member(harness, &journal, "fold").await;
    let claim = member.claims.get_mut(&0).expect("owned");
    for turn in 0..3_usize {
        let mut records = numbered(
            Topic::State,
            2,
            "acme/a",
            turn * 2..turn * 2 + 2,
            harness.now_ms(),
        );
        records.extend(numbered(
            Topic::State,
            3,
            "acme/b",
            turn..turn + 1,
            harness.now_ms(),
        ));
        let positions = commit(harness, &journal, &mut **claim, records.clone(), 0).await;
        assert_eq!(positions.len(), records.len());
        for (position, new) in positions.iter().zip(&records) {
            assert_eq!(position.partition, new.partition);
            let block = journal
                .reader
                .read(Topic::State, position.partition, position.offset, 1)
                .await;
            let found = block.expect("a block").records;
            assert_eq!(found[0].offset, position.offset);
            assert_eq!(found[0].value, new.value);
        }
    }
}

/// A block that ends at a marker says where to read on.
pub async fn readers_pass_what_a_transaction_leaves_at_the_end(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let mut member = sole_member(harness, &journal, "fold").await;
    let claim = member.claims.get_mut(&0).expect("owned");
    for turn in 0..5_usize {
        let records = numbered(Topic::State, 0, "acme/bus", turn..turn + 1, harness.now_ms());
        commit(harness, &journal, &mut **claim, records, turn as u64).await;
        let end = bounds(&journal, Topic::State, 0).await.end;
        for bytes_max in [1, BLOCK] {
            assert_eq!(
                read_all(&journal, Topic::State, 0, 0, bytes_max).await.len(),
                turn + 1
            );
        }
        let block = journal
            .reader
            .read(Topic::State, 0, end, BLOCK)
            .await
            .expect("a block");
        assert_eq!((block.records.len(), block.next), (0, end));
    }
}

/// A group's position is part of the log.
pub async fn the_committed_position_survives_a_restart(harness: &dyn Harness) {
    let journal = harness.handle().await;
    append(
        &journal,
        numbered(Topic::Events, 2, "acme/bus", 0..10, harness.now_ms()),
    )
    .await;
    let mut member = sole_member(harness, &journal, "fold").await;
    let claim = member.claims.get_mut(&2).expect("owned");
    assert_eq!(claim.committed(), None);
    commit(
        harness,
        &journal,
        &mut **claim,
        numbered(Topic::State, 2, "acme/bus", 0..1, harness.now_ms()),
        7,
    )
    .await;
    drop(member);
    drop(journal);
    let restarted = harness.restarted().await;
    let member = sole_member(harness, &restarted, "fold").await;
    let committed: Vec<_> = member.claims.values().map(|claim| claim.committed()).collect();
    assert_eq!(committed, [None, None, Some(7), None]);
    let other = sole_member(harness, &restarted, "other").await;
    assert!(
        other.claims.values().all(|claim| claim.committed().is_none()),
        "groups have their own positions"
    );
}

/// Events that changed nothing must not be folded again.
pub async fn a_transaction_without_records_moves_the_position(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let mut member = sole_member(harness, &journal, "fold").await;
    let claim = member.claims.get_mut(&0).expect("owned");
    assert!(
        commit(harness, &journal, &mut **claim, Vec::new(), 42)
            .await
            .is_empty()
    );
    drop(member);
    let member = sole_member(harness, &journal, "fold").await;
    assert_eq!(member.claims[&0].committed(), Some(42));
}

/// An owner that does not let go when its partition is taken away. The rebalance waits for it for a
/// time, then goes on without it; nothing that it commits from then on is ever seen.
pub async fn a_fenced_owner_commits_nothing(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let other = harness.handle().await;
    let mut first = sole_member(harness, &journal, "fold").await;
    first.stubborn = true;
    let mut second = Member::join(&other, "fold").await;
    settle(
        harness,
        &mut [&mut first, &mut second],
        "a partition moves",
        |members| {
            members[1]
                .claims
                .keys()
                .any(|partition| members[0].zombies.contains_key(partition))
        },
    )
    .await;
    let mut partitions = second.partitions().into_iter();
    let moved = partitions
        .find(|partition| first.zombies.contains_key(partition))
        .expect("it moved");
    let zombie = first.zombies.get_mut(&moved).expect("kept");
    let late = numbered(Topic::State, moved, "zombie", 0..3, harness.now_ms());
    assert_eq!(zombie.commit(late.clone(), 1_000).await, Err(CommitError::Fenced));
    let owner = second.claims.get_mut(&moved).expect("owned");
    let good = numbered(Topic::State, moved, "owner", 0..2, harness.now_ms());
    commit(harness, &journal, &mut **owner, good, 5).await;
    assert_eq!(zombie.commit(late, 1_000).await, Err(CommitError::Fenced));
    let records = read_all(&journal, Topic::State, moved, 0, BLOCK).await;
    assert_eq!(texts(&records), ["owner-0", "owner-1"]);
}
