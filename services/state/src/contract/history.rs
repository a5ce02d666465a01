//! History.

use schemas::Kind;

use super::Harness;
use super::fixtures::{HOUR, body, offsets, query, read_all, row};
use crate::{HistoryQuery, HistoryRow, Store, StoreError};

const NONE: [u64; 0] = [];

async fn append(store: &Store, rows: Vec<HistoryRow>) {
    store.history.append(rows).await.expect("rows are kept");
}

/// Newest first by receipt, then by offset; rows come back as they were given.
pub async fn history_is_newest_first(harness: &dyn Harness) {
    let store = harness.handle().await;
    let now = harness.now();
    let mut late = row("acme", "bus", Kind::Telemetry, now - 2 * HOUR, 1);
    late.late = true;
    let rows = vec![
        row("acme", "bus", Kind::Telemetry, now - 100, 4),
        late.clone(),
        row("acme", "bus", Kind::Log, now - HOUR, 2),
        row("acme", "bus", Kind::Telemetry, now - 100, 3),
        row("acme", "bus", Kind::Log, now - 50, 5),
    ];
    append(&store, rows).await;
    let found = read_all(
        &harness.handle().await,
        query(harness, "acme", Some("bus"), &Kind::ALL),
    )
    .await;
    assert_eq!(offsets(&found), [5, 4, 3, 2, 1]);
    assert_eq!(found.last(), Some(&late));
}

/// Pages meet without a gap or a repeat, also where many rows have one time.
pub async fn history_pages_hold_each_row_once(harness: &dyn Harness) {
    let store = harness.handle().await;
    let now = harness.now();
    let at = |offset: u64| now - 4 * HOUR + (offset / 5).cast_signed() * (HOUR / 4);
    let kind = |offset: u64| {
        if offset.is_multiple_of(3) {
            Kind::Log
        } else {
            Kind::Telemetry
        }
    };
    append(
        &store,
        (0..70)
            .map(|offset| row("acme", "bus", kind(offset), at(offset), offset))
            .collect(),
    )
    .await;
    let newest_first: Vec<u64> = (0..70).rev().collect();
    for limit in [1, 4, 69, 70, 200] {
        let query = HistoryQuery {
            limit,
            ..query(harness, "acme", Some("bus"), &[Kind::Telemetry, Kind::Log])
        };
        assert_eq!(
            offsets(&read_all(&store, query).await),
            newest_first,
            "by {limit}"
        );
    }
}

/// `from` is included and `to` is not.
pub async fn history_keeps_to_its_bounds(harness: &dyn Harness) {
    let store = harness.handle().await;
    let start = harness.now() - 3 * HOUR;
    let at = |offset: u64| start + offset.cast_signed() * (HOUR / 2);
    append(
        &store,
        (0..6)
            .map(|offset| row("acme", "bus", Kind::Log, at(offset), offset))
            .collect(),
    )
    .await;
    let within = |from, to| HistoryQuery {
        from,
        to,
        ..query(harness, "acme", Some("bus"), &[Kind::Log])
    };
    assert_eq!(offsets(&read_all(&store, within(at(1), at(4))).await), [3, 2, 1]);
    assert_eq!(offsets(&read_all(&store, within(at(2), at(2))).await), NONE);
    assert_eq!(offsets(&read_all(&store, within(at(2), at(2) + 1)).await), [2]);
    assert_eq!(offsets(&read_all(&store, within(at(4), at(1))).await), NONE);
    assert_eq!(
        offsets(&read_all(&store, within(0, i64::MAX)).await),
        [5, 4, 3, 2, 1, 0]
    );
}

/// Nothing of another device, kind or tenant.
pub async fn history_keeps_to_kinds_devices_and_tenants(harness: &dyn Harness) {
    let store = harness.handle().await;
    let at = harness.now() - 1_000;
    let rows = vec![
        row("acme", "bus", Kind::Log, at, 1),
        row("acme", "bus", Kind::Lock, at, 2),
        row("acme", "bus-2", Kind::Log, at, 3),
        row("acme-2", "bus", Kind::Log, at, 4),
        row("acme", "bu", Kind::Log, at, 5),
        row("acme", "bus/2", Kind::Log, at, 6),
    ];
    append(&store, rows).await;
    let found = |tenant: &'static str, device: &'static str, kinds: &'static [Kind]| {
        let (store, query) = (store.clone(), query(harness, tenant, Some(device), kinds));
        async move { offsets(&read_all(&store, query).await) }
    };
    assert_eq!(found("acme", "bus", &[Kind::Log]).await, [1]);
    assert_eq!(found("acme", "bus", &[Kind::Log, Kind::Lock]).await, [2, 1]);
    assert_eq!(found("acme-2", "bus", &Kind::ALL).await, [4]);
    assert_eq!(found("acme", "bus/2", &Kind::ALL).await, [6]);
    assert_eq!(found("acme", "bus", &[]).await, NONE);
}

/// A tenant's own history has the kinds that people ask for across devices, and only those.
pub async fn history_of_a_tenant_has_locks_alerts_and_commands(harness: &dyn Harness) {
    let store = harness.handle().await;
    let at = harness.now() - HOUR;
    let rows = vec![
        row("acme", "a", Kind::Lock, at, 1),
        row("acme", "b", Kind::Lock, at + 10, 2),
        row("acme", "a", Kind::Alert, at + 20, 3),
        row("acme", "a", Kind::Log, at + 30, 4),
        row("beta", "a", Kind::Lock, at + 40, 5),
    ];
    append(&store, rows).await;
    assert_eq!(
        offsets(&read_all(&store, query(harness, "acme", None, &[Kind::Lock])).await),
        [2, 1]
    );
    assert_eq!(
        offsets(&read_all(&store, query(harness, "acme", None, &Kind::ALL)).await),
        [3, 2, 1]
    );
}

/// A batch that is folded again after a crash leaves no second row.
pub async fn the_same_row_of_history_twice_is_one_row(harness: &dyn Harness) {
    let store = harness.handle().await;
    let rows = vec![row("acme", "bus", Kind::Lock, harness.now(), 1)];
    append(&store, rows.clone()).await;
    append(&harness.handle().await, rows.clone()).await;
    assert_eq!(
        read_all(&store, query(harness, "acme", Some("bus"), &[Kind::Lock])).await,
        rows
    );
    assert_eq!(
        read_all(&store, query(harness, "acme", None, &[Kind::Lock])).await,
        rows
    );
}

/// A page that is none of ours is told.
pub async fn a_foreign_history_page_is_refused(harness: &dyn Harness) {
    let store = harness.handle().await;
    for page in ["", "nonsense", "1/2", "x/1/2"] {
        let query = HistoryQuery {
            page: Some(page.into()),
            ..query(harness, "acme", Some("bus"), &[Kind::Log])
        };
        let answer = store.history.read(&query).await;
        assert_eq!(answer.map(|page| page.rows), Err(StoreError::BadPage), "{page:?}");
    }
}

/// Rows go when their time is over, and rows that come too late never show.
pub async fn history_expires(harness: &dyn Harness) {
    let Some(expiring) = harness.expiring().await else {
        return;
    };
    let (store, ttl) = (expiring.store(), expiring.ttl());
    let ttl_us = i64::try_from(ttl.as_micros()).expect("a ttl of a test is short");
    let now = harness.now();
    let query = HistoryQuery {
        from: now - 3 * ttl_us,
        to: now + ttl_us,
        ..query(harness, "acme", Some("expiring"), &[Kind::Lock])
    };
    assert_eq!(body(Kind::Lock).kind(), Kind::Lock);
    append(
        &store,
        vec![row("acme", "expiring", Kind::Lock, now - 2 * ttl_us, 1)],
    )
    .await;
    append(&store, vec![row("acme", "expiring", Kind::Lock, now, 2)]).await;
    assert_eq!(offsets(&read_all(&store, query.clone()).await), [2]);
    expiring.pass(ttl).await;
    let deadline = tokio::time::Instant::now() + harness.patience();
    while !read_all(&store, query.clone()).await.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "the row is still there");
        expiring.pass(std::time::Duration::from_millis(100)).await;
    }
}
