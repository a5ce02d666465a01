//! Membership and claims.

use std::collections::BTreeSet;
use std::time::Duration;

use super::kit::{Member, append, numbered, settle, sole_member, texts};
use super::{Harness, PARTITIONS};
use crate::{Partition, TailError, Topic};

/// Each once.
pub async fn a_single_member_owns_every_partition(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let member = sole_member(harness, &journal, "fold").await;
    assert!(member.partitions().into_iter().eq(0..PARTITIONS));
}

fn shared(members: &[&mut Member]) -> bool {
    let all: Vec<Partition> = members.iter().flat_map(|member| member.partitions()).collect();
    let distinct: BTreeSet<Partition> = all.iter().copied().collect();
    let each = members
        .iter()
        .all(|member| member.claims.len() == PARTITIONS as usize / members.len());
    each && distinct.len() == all.len() && all.len() == PARTITIONS as usize
}

/// Half each, none twice.
pub async fn two_members_share_the_partitions(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let other = harness.handle().await;
    let mut first = sole_member(harness, &journal, "fold").await;
    let mut second = Member::join(&other, "fold").await;
    settle(
        harness,
        &mut [&mut first, &mut second],
        "two members share",
        shared,
    )
    .await;
}

/// The one that stays has all again.
pub async fn partitions_move_when_a_member_leaves(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let other = harness.handle().await;
    let mut first = Member::join(&journal, "fold").await;
    let mut second = Member::join(&other, "fold").await;
    settle(
        harness,
        &mut [&mut first, &mut second],
        "two members share",
        shared,
    )
    .await;
    drop(first);
    settle(harness, &mut [&mut second], "the other takes over", |members| {
        members[0].claims.len() == PARTITIONS as usize
    })
    .await;
}

/// Two groups own the same partitions.
pub async fn groups_do_not_know_of_each_other(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let fold = sole_member(harness, &journal, "fold").await;
    let other = sole_member(harness, &journal, "other").await;
    assert_eq!(fold.partitions(), other.partitions());
}

/// What drives a projector: records, then the end, then records again.
pub async fn a_claim_reads_from_its_start_and_says_when_it_reached_the_end(harness: &dyn Harness) {
    const WAIT: Duration = Duration::from_millis(200);
    let journal = harness.handle().await;
    append(
        &journal,
        numbered(Topic::Events, 3, "acme/bus", 0..30, harness.now_ms()),
    )
    .await;
    let mut member = sole_member(harness, &journal, "fold").await;
    let claim = member.claims.get_mut(&3).expect("owned");
    claim.start(10).await.expect("started");
    let mut position = 10;
    for (until, more) in [(30, None), (35, Some(30..35))] {
        if let Some(numbers) = more {
            append(
                &journal,
                numbered(Topic::Events, 3, "acme/bus", numbers, harness.now_ms()),
            )
            .await;
        }
        let mut records = Vec::new();
        let from = position;
        let reading = async {
            loop {
                match claim.next(7, WAIT).await {
                    Ok(batch) if batch.records.is_empty() && batch.next == position => break,
                    Ok(batch) => {
                        assert!(batch.records.len() <= 7);
                        position = batch.next;
                        records.extend(batch.records);
                    }
                    Err(TailError::Unavailable { .. }) => {}
                    Err(error) => panic!("the claim ended: {error}"),
                }
            }
        };
        tokio::time::timeout(harness.patience(), reading)
            .await
            .expect("the end in time");
        let expected: Vec<String> = (from..until).map(|number| format!("acme/bus-{number}")).collect();
        assert_eq!(texts(&records), expected);
        assert_eq!(position, until, "the end was told at the end");
    }
}

/// An owner that cannot go on gives its claim up, and the partition is owned again.
pub async fn a_claim_that_was_dropped_is_made_again(harness: &dyn Harness) {
    let journal = harness.handle().await;
    let mut member = sole_member(harness, &journal, "fold").await;
    drop(member.claims.remove(&1));
    settle(
        harness,
        &mut [&mut member],
        "the partition is claimed again",
        |members| members[0].claims.contains_key(&1),
    )
    .await;
}
