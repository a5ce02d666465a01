//! Sharing partitions, and committing exactly once.

use std::time::Duration;

use embedded::Settings;
use journal::{Claim, ClaimEvent, CommitError, Membership, Topic};

use crate::support::{Fixture, PARTITIONS, PATIENCE, append, read_all};

async fn claim(membership: &mut dyn Membership) -> Box<dyn Claim> {
    match tokio::time::timeout(PATIENCE, membership.next()).await.unwrap() {
        ClaimEvent::Claimed(claim) => claim,
        ClaimEvent::Closed { reason } => panic!("closed: {reason:?}"),
    }
}

#[tokio::test]
async fn an_owner_that_does_not_let_go_is_fenced() {
    let settings = Settings {
        revoke_grace: Duration::from_millis(50),
        ..Settings::default()
    };
    let fixture = Fixture::new(settings).await;
    let journal = fixture.journal().await;
    let mut first = journal.groups.join("projector", Topic::Events).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..PARTITIONS {
        held.push(claim(&mut *first).await);
    }
    let mut second = journal.groups.join("projector", Topic::Events).await.unwrap();
    let taken = claim(&mut *second).await;
    let late = held
        .iter_mut()
        .find(|claim| claim.partition() == taken.partition())
        .unwrap();
    tokio::time::timeout(PATIENCE, late.revoked()).await.unwrap();
    let record = fixture.record(Topic::State, taken.partition(), "acme/a", "late");
    assert_eq!(late.commit(vec![record], 1).await, Err(CommitError::Fenced));
    assert!(
        read_all(&journal, Topic::State, taken.partition())
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_commit_is_found_by_the_next_owner_and_after_a_restart() {
    let fixture = Fixture::new(Settings::default()).await;
    let journal = fixture.journal().await;
    append(&journal, vec![fixture.record(Topic::Events, 0, "acme/a", "x")]).await;
    let mut member = journal.groups.join("projector", Topic::Events).await.unwrap();
    let mut owned = claim(&mut *member).await;
    while owned.partition() != 0 {
        // Given up, it comes again later; the others come first.
        let next = claim(&mut *member).await;
        owned = next;
    }
    assert_eq!(owned.committed(), None);
    let record = fixture.record(Topic::State, 0, "acme/a", "folded");
    owned.commit(vec![record], 1).await.unwrap();
    drop((owned, member));
    fixture.reopen().await;
    let journal = fixture.journal().await;
    let mut member = journal.groups.join("projector", Topic::Events).await.unwrap();
    let mut committed = Vec::new();
    let mut held = Vec::new();
    for _ in 0..PARTITIONS {
        let owned = claim(&mut *member).await;
        committed.push((owned.partition(), owned.committed()));
        held.push(owned);
    }
    committed.sort_unstable();
    assert_eq!(committed, [(0, Some(1)), (1, None), (2, None), (3, None)]);
    assert_eq!(read_all(&journal, Topic::State, 0).await.len(), 1);
}

#[tokio::test]
async fn a_claim_at_the_end_answers_empty_after_its_wait() {
    let fixture = Fixture::new(Settings::default()).await;
    let journal = fixture.journal().await;
    let mut member = journal.groups.join("projector", Topic::Events).await.unwrap();
    let mut owned = claim(&mut *member).await;
    append(
        &journal,
        vec![fixture.record(Topic::Events, owned.partition(), "acme/a", "x")],
    )
    .await;
    owned.start(0).await.unwrap();
    let batch = owned.next(10, Duration::ZERO).await.unwrap();
    assert_eq!((batch.records.len(), batch.next), (1, 1));
    let batch = owned.next(10, Duration::from_millis(5)).await.unwrap();
    assert_eq!((batch.records.len(), batch.next), (0, 1));
}
