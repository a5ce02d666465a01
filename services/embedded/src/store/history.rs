//! History: events by device, and of some kinds by tenant, newest first.

use std::cmp::Ordering;
use std::sync::Arc;

use async_trait::async_trait;
use journal::{Micros, Offset, Partition};
use schemas::{Event, Kind};
use state::{History, HistoryPage, HistoryQuery, HistoryRow, StoreError};

use super::page::{self, List};
use super::{EmbeddedStore, Failure, corrupt, told};
use crate::Settings;
use crate::database::Tables;
use crate::keys;

/// Lists by device begin with this.
const BY_DEVICE: u8 = b'd';
/// Lists by tenant begin with this.
const BY_TENANT: u8 = b't';
/// Time, partition and offset at the end of a key.
const PLACE_BYTES: usize = 20;

/// Where a row stands among all rows: newest first, then by partition, then the highest offset first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    received_at: Micros,
    partition: Partition,
    offset: Offset,
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        self.encode().cmp(&other.encode())
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Place {
    fn encode(self) -> [u8; PLACE_BYTES] {
        let mut bytes = [0; PLACE_BYTES];
        bytes[..8].copy_from_slice(&newest_first(self.received_at).to_be_bytes());
        bytes[8..12].copy_from_slice(&self.partition.to_be_bytes());
        bytes[12..].copy_from_slice(&(!self.offset).to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<PLACE_BYTES>()?;
        Some(Self {
            received_at: (!keys::u64_at(bytes)? ^ (1 << 63)).cast_signed(),
            partition: keys::u32_at(&bytes[8..])?,
            offset: !keys::u64_at(&bytes[12..])?,
        })
    }
}

const fn newest_first(at: Micros) -> u64 {
    !keys::ordered(at)
}

/// Kinds of which a whole tenant's history is kept.
const fn is_listed_by_tenant(kind: Kind) -> bool {
    matches!(kind, Kind::Lock | Kind::Alert | Kind::Command)
}

/// Number of a kind in keys; never reassigned.
const fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Telemetry => 1,
        Kind::Presence => 2,
        Kind::Lock => 3,
        Kind::Log => 4,
        Kind::Entity => 5,
        Kind::Location => 6,
        Kind::Command => 7,
        Kind::Alert => 8,
        Kind::Device => 9,
        Kind::Deleted => 10,
    }
}

fn device_list(tenant: &str, device: &str, kind: Kind) -> Vec<u8> {
    let mut list = vec![BY_DEVICE];
    list.extend_from_slice(tenant.as_bytes());
    list.push(0);
    list.extend_from_slice(device.as_bytes());
    list.extend_from_slice(&[0, kind_code(kind)]);
    list
}

fn tenant_list(tenant: &str, kind: Kind) -> Vec<u8> {
    let mut list = vec![BY_TENANT];
    list.extend_from_slice(tenant.as_bytes());
    list.extend_from_slice(&[0, kind_code(kind)]);
    list
}

/// The list that a key belongs to.
pub(crate) fn list_of(key: &[u8]) -> &[u8] {
    key.get(..key.len().saturating_sub(PLACE_BYTES))
        .unwrap_or_default()
}

/// The first key of a list whose row was received before `at`.
pub(crate) fn key_before(list: &[u8], at: Micros) -> Vec<u8> {
    let first = Place {
        received_at: at.saturating_sub(1),
        partition: 0,
        offset: Offset::MAX,
    };
    [list, &first.encode()].concat()
}

/// Rows received before this are over; `None` if they are kept for ever.
pub(crate) fn oldest(settings: &Settings, now: Micros) -> Option<Micros> {
    if settings.history_ttl.is_zero() {
        return None;
    }
    let ttl = i64::try_from(settings.history_ttl.as_micros()).unwrap_or(i64::MAX);
    Some(now.saturating_sub(ttl))
}

#[async_trait]
impl History for EmbeddedStore {
    async fn append(&self, rows: Vec<HistoryRow>) -> Result<(), StoreError> {
        let work = move |tables: &Tables| {
            let mut batch = tables.database.batch();
            for row in &rows {
                let event = &row.event;
                let kind = event.body.kind();
                let place = Place {
                    received_at: event.received_at,
                    partition: row.partition,
                    offset: row.offset,
                };
                let place = place.encode();
                let value = [&[u8::from(row.late)][..], &event.encode()].concat();
                if is_listed_by_tenant(kind) {
                    let key = [&tenant_list(&event.tenant, kind)[..], &place].concat();
                    batch.insert(&tables.history, key, value.clone());
                }
                let key = [&device_list(&event.tenant, &event.device, kind)[..], &place].concat();
                batch.insert(&tables.history, key, value);
            }
            Ok(batch.commit()?)
        };
        told(self.inner.blocking(work).await)
    }

    async fn read(&self, query: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        let after = match &query.page {
            None => None,
            Some(text) => {
                let position = page::decode(List::History, text)?;
                Some(Place::decode(&position).ok_or(StoreError::BadPage)?)
            }
        };
        let from = match oldest(&self.inner.settings, (self.inner.clock)()) {
            Some(oldest) => query.from.max(oldest),
            None => query.from,
        };
        let mut kinds = query.kinds.clone();
        kinds.sort_unstable();
        kinds.dedup();
        let lists = kinds.into_iter().filter_map(|kind| match &query.device {
            Some(device) => Some(device_list(&query.tenant, device, kind)),
            None => is_listed_by_tenant(kind).then(|| tenant_list(&query.tenant, kind)),
        });
        let ranges: Vec<_> = lists.map(|list| range(&list, from, query.to, after)).collect();
        let limit = query.limit.max(1);
        told(
            self.inner
                .blocking(move |tables| read_page(tables, ranges, limit))
                .await,
        )
    }
}

/// The keys of `list` that are in the period and after the page before.
fn range(list: &[u8], from: Micros, to: Micros, after: Option<Place>) -> (Vec<u8>, Vec<u8>) {
    let newest = key_before(list, to);
    let begin = match after {
        // The key right after that of the last row, whichever list that was in.
        Some(place) => newest.max([list, &place.encode(), &[0]].concat()),
        None => newest,
    };
    let end = key_before(list, from);
    (begin.min(end.clone()), end)
}

/// Merges the lists, newest first.
fn read_page(tables: &Tables, ranges: Vec<(Vec<u8>, Vec<u8>)>, limit: usize) -> Result<HistoryPage, Failure> {
    let mut lists = Vec::with_capacity(ranges.len());
    for (begin, end) in ranges {
        let mut rows = tables.history.range(begin..end);
        if let Some(head) = next_row(&mut rows)? {
            lists.push((head, rows));
        }
    }
    let mut page = HistoryPage::default();
    let mut last = None;
    loop {
        let newest = lists.iter().enumerate().min_by_key(|(_, ((place, _), _))| *place);
        let Some((index, _)) = newest else { return Ok(page) };
        if page.rows.len() == limit {
            page.next = last.map(|place: Place| page::encode(List::History, &place.encode()));
            return Ok(page);
        }
        let (head, rows) = &mut lists[index];
        let row = match next_row(rows)? {
            Some(next) => std::mem::replace(head, next),
            None => lists.swap_remove(index).0,
        };
        let (place, value) = row;
        page.rows.push(decode(place, &value)?);
        last = Some(place);
    }
}

fn next_row(rows: &mut fjall::Iter) -> Result<Option<(Place, fjall::Slice)>, Failure> {
    let Some(guard) = rows.next() else { return Ok(None) };
    let (key, value) = guard.into_inner()?;
    let place = key.get(list_of(&key).len()..).and_then(Place::decode);
    let place = place.ok_or_else(|| corrupt("a row of history", &"its key is cut off"))?;
    Ok(Some((place, value)))
}

fn decode(place: Place, value: &[u8]) -> Result<HistoryRow, StoreError> {
    let (late, event) = value
        .split_first()
        .ok_or_else(|| corrupt("a row of history", &"empty"))?;
    let event = Event::decode(event).map_err(|why| corrupt("a row of history", &why))?;
    Ok(HistoryRow {
        partition: place.partition,
        offset: place.offset,
        late: *late != 0,
        event: Arc::new(event),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_stand_newest_first(a: (i64, u32, u64), b: (i64, u32, u64)) {
            let place = |(received_at, partition, offset)| Place { received_at, partition, offset };
            let order = b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(b.2.cmp(&a.2));
            prop_assert_eq!(place(a).cmp(&place(b)), order);
            prop_assert_eq!(Place::decode(&place(a).encode()), Some(place(a)));
        }
    }
}
