//! History: one list for each device, kind and hour (and for each tenant, kind and hour), newest first.

use std::sync::Arc;
use std::time::Duration;

use ::scylla::DeserializeRow;
use ::scylla::statement::prepared::PreparedStatement;
use async_trait::async_trait;
use futures::FutureExt as _;
use journal::{Clock, Micros, Offset, Partition};
use schemas::{Event, Kind};

use super::link::{Link, corrupt, together};
use super::{Cql, Scope};
use crate::{History, HistoryPage, HistoryQuery, HistoryRow, StoreError};

const HOUR: Micros = 3_600_000_000;
/// Events may be received by a node whose clock is so far ahead of ours.
const CLOCK_SKEW: Micros = HOUR;
/// The longest TTL that CQL takes: 20 years.
const TTL_SECONDS_MAX: i64 = 630_720_000;
/// The kinds that are kept across the devices of a tenant too.
const OF_TENANTS: [Kind; 3] = [Kind::Lock, Kind::Alert, Kind::Command];

pub(super) struct CqlHistory {
    link: Arc<Link>,
    scope: Scope,
    clock: Clock,
    ttl: Option<Micros>,
    hours_per_page_max: u32,
    in_flight: usize,
    fan_out: usize,
    put: PreparedStatement,
    put_of_tenant: PreparedStatement,
    read: PreparedStatement,
    read_of_tenant: PreparedStatement,
}

/// Where a row stands in the order of history. A page key is the position that the next page lies before.
type Position = (Micros, Partition, Offset);

#[derive(DeserializeRow)]
#[scylla(crate = "::scylla")]
struct Row {
    received_at: i64,
    partition: i32,
    offset: i64,
    late: bool,
    event: Vec<u8>,
}

impl CqlHistory {
    pub(super) async fn new(cql: &Cql, scope: Scope) -> Result<Self, StoreError> {
        const COLUMNS: &str = "received_at, partition, offset, late, event";
        const BEFORE: &str = "AND (received_at, partition, offset) < (?, ?, ?) LIMIT ?";
        let link = Arc::clone(&cql.link);
        let (put, put_of_tenant) = (
            format!(
                "INSERT INTO history (generation, tenant, device, kind, hour, {COLUMNS}) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?"
            ),
            format!(
                "INSERT INTO tenant_history (generation, tenant, kind, hour, {COLUMNS}) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?"
            ),
        );
        let (read, read_of_tenant) = (
            format!(
                "SELECT {COLUMNS} FROM history \
                 WHERE generation = ? AND tenant = ? AND device = ? AND kind = ? AND hour = ? {BEFORE}"
            ),
            format!(
                "SELECT {COLUMNS} FROM tenant_history \
                 WHERE generation = ? AND tenant = ? AND kind = ? AND hour = ? {BEFORE}"
            ),
        );
        Ok(Self {
            put: link.prepare(&put).await?,
            put_of_tenant: link.prepare(&put_of_tenant).await?,
            read: link.prepare(&read).await?,
            read_of_tenant: link.prepare(&read_of_tenant).await?,
            link,
            scope,
            clock: Arc::clone(&cql.clock),
            ttl: micros(cql.settings.history_ttl),
            hours_per_page_max: cql.settings.history_hours_per_page_max.max(1),
            in_flight: cql.settings.requests_in_flight_max,
            fan_out: cql.settings.page_fan_out_max,
        })
    }

    /// Seconds that a row of that time still has to live; zero is for ever, `None` is over.
    fn ttl_seconds(&self, received_at: Micros) -> Option<i32> {
        let Some(ttl) = self.ttl else { return Some(0) };
        let left = ttl.saturating_sub((self.clock)().saturating_sub(received_at));
        if left <= 0 {
            return None;
        }
        let seconds = (left / 1_000_000 + i64::from(left % 1_000_000 > 0)).min(TTL_SECONDS_MAX);
        Some(i32::try_from(seconds).unwrap_or(i32::MAX))
    }

    async fn put(&self, row: &HistoryRow) -> Result<(), StoreError> {
        let event = &*row.event;
        let Some(ttl) = self.ttl_seconds(event.received_at) else {
            return Ok(());
        };
        let (kind, hour, bytes) = (event.body.kind(), hour(event.received_at), event.encode());
        let (generation, at, bytes) = (self.scope.generation, event.received_at, &bytes[..]);
        let (partition, offset) = (row.partition.cast_signed(), row.offset.cast_signed());
        let (tenant, device, late) = (&*event.tenant, &*event.device, row.late);
        let values = (
            generation,
            tenant,
            device,
            kind.name(),
            hour,
            at,
            partition,
            offset,
            late,
            bytes,
            ttl,
        );
        self.link.execute(&self.put, &values).await?;
        if OF_TENANTS.contains(&kind) {
            let values = (
                generation,
                tenant,
                kind.name(),
                hour,
                at,
                partition,
                offset,
                late,
                bytes,
                ttl,
            );
            self.link.execute(&self.put_of_tenant, &values).await?;
        }
        Ok(())
    }

    /// At most `limit` rows of one kind and hour before `before`, newest first.
    async fn list(
        &self,
        query: &HistoryQuery,
        kind: Kind,
        hour: i32,
        (at, partition, offset): Position,
        limit: i32,
    ) -> Result<Vec<Row>, StoreError> {
        let (generation, tenant, kind) = (self.scope.generation, &*query.tenant, kind.name());
        let (partition, offset) = (partition.cast_signed(), offset.cast_signed());
        match query.device.as_deref() {
            Some(device) => {
                let values = (
                    generation, tenant, device, kind, hour, at, partition, offset, limit,
                );
                self.link.rows(&self.read, &values).await
            }
            None => {
                let values = (generation, tenant, kind, hour, at, partition, offset, limit);
                self.link.rows(&self.read_of_tenant, &values).await
            }
        }
    }

    /// The oldest time that a row can have, and the time that all rows are before.
    fn bounds(&self, query: &HistoryQuery) -> (Micros, Micros) {
        let now = (self.clock)();
        // No event is much older than its layout; without a TTL that is what ends the walk.
        let kept = self.ttl.map_or(i64::MIN, |ttl| now.saturating_sub(ttl));
        let oldest = kept.max(
            self.scope
                .created_at
                .saturating_sub(CLOCK_SKEW)
                .min(now - 24 * HOUR),
        );
        (
            query.from.max(oldest),
            query.to.min(now.saturating_add(CLOCK_SKEW)),
        )
    }

    fn kinds(query: &HistoryQuery) -> Vec<Kind> {
        let mut kinds = query.kinds.clone();
        kinds.retain(|kind| query.device.is_some() || OF_TENANTS.contains(kind));
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

#[async_trait]
impl History for CqlHistory {
    async fn append(&self, rows: Vec<HistoryRow>) -> Result<(), StoreError> {
        together(
            self.in_flight,
            rows.iter().map(|row| self.put(row).boxed()).collect(),
        )
        .await?;
        Ok(())
    }

    async fn read(&self, query: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        let (oldest, newest) = self.bounds(query);
        let mut before: Position = (newest, 0, 0);
        if let Some(page) = &query.page {
            before = before.min(parse_page(page).ok_or(StoreError::BadPage)?);
        }
        let (kinds, limit) = (Self::kinds(query), query.limit.max(1));
        let mut page = HistoryPage::default();
        let mut hour_now = hour(before.0);
        let oldest_hour = hour(oldest);
        let stop = hour_now.saturating_sub(i32::try_from(self.hours_per_page_max).unwrap_or(i32::MAX));
        let mut width = 1;
        while page.rows.len() <= limit && hour_now >= oldest_hour && hour_now > stop && !kinds.is_empty() {
            let last = oldest_hour.max(stop + 1).max(hour_now.saturating_sub(width - 1));
            let wanted = i32::try_from(limit + 1 - page.rows.len()).unwrap_or(i32::MAX);
            let lists = (last..=hour_now).flat_map(|hour| kinds.iter().map(move |kind| (*kind, hour)));
            let reads = lists.map(|(kind, hour)| self.list(query, kind, hour, before, wanted).boxed());
            let found = together(self.fan_out, reads.collect()).await?;
            let mut found: Vec<Row> = found
                .into_iter()
                .flatten()
                .filter(|row| row.received_at >= oldest)
                .collect();
            found.sort_unstable_by_key(|row| std::cmp::Reverse((row.received_at, row.partition, row.offset)));
            for row in found {
                page.rows.push(row.into_history()?);
            }
            hour_now = last - 1;
            width = (width * 2).min(i32::try_from(self.fan_out).unwrap_or(i32::MAX));
        }
        if page.rows.len() > limit {
            page.rows.truncate(limit);
            page.next = page
                .rows
                .last()
                .map(|row| page_key((row.event.received_at, row.partition, row.offset)));
        } else if hour_now >= oldest_hour && !kinds.is_empty() {
            page.next = Some(page_key(((i64::from(hour_now) + 1) * HOUR, 0, 0)));
        }
        Ok(page)
    }
}

impl Row {
    fn into_history(self) -> Result<HistoryRow, StoreError> {
        Ok(HistoryRow {
            partition: self.partition.cast_unsigned(),
            offset: self.offset.cast_unsigned(),
            late: self.late,
            event: Arc::new(Event::decode(&self.event).map_err(corrupt)?),
        })
    }
}

fn hour(at: Micros) -> i32 {
    i32::try_from(at.div_euclid(HOUR)).unwrap_or(if at < 0 { 0 } else { i32::MAX })
}

fn page_key((at, partition, offset): Position) -> Box<str> {
    format!("{at}/{partition}/{offset}").into()
}

fn parse_page(page: &str) -> Option<Position> {
    let mut parts = page.split('/');
    let position = (
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    parts.next().is_none().then_some(position)
}

/// `None` for zero: rows are kept for ever.
fn micros(ttl: Duration) -> Option<Micros> {
    (!ttl.is_zero()).then(|| i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX))
}
