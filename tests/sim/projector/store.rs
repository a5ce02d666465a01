//! Tables in memory that behave as a CQL server does: each row is on its own, the newer timestamp wins
//! whenever it comes, and what a dead process had sent may still arrive.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use journal::{Offset, Partition};
use parking_lot::Mutex;
use schemas::Document;
use state::{
    Applied, DeviceKey, Documents, History, HistoryPage, HistoryQuery, HistoryRow, Page, Progress, Store,
    StoreError, Stored, Write,
};
use tokio::time::Instant;

use super::faults::{Effect, Fate, Process};
use super::log::Log;

/// The tables that all processes share.
pub(super) struct Tables {
    log: Arc<Log>,
    rows: Mutex<Rows>,
}

#[derive(Default)]
pub(super) struct Rows {
    /// `None` is a deleted row, which keeps its timestamp.
    pub(super) documents: BTreeMap<(Partition, DeviceKey), (Option<Bytes>, Offset)>,
    pub(super) applied: BTreeMap<Partition, Applied>,
    pub(super) rules: BTreeMap<Partition, Offset>,
    /// Late or not, and the event.
    pub(super) history: BTreeMap<(Partition, Offset), (bool, Bytes)>,
    on_the_way: Vec<(Instant, Sent)>,
}

/// What was sent to the tables.
enum Sent {
    Documents(Vec<Write>),
    History(Vec<HistoryRow>),
    Applied(Partition, Applied),
    Rules(Partition, Offset),
}

impl Rows {
    fn take(&mut self, sent: Sent) {
        match sent {
            Sent::Documents(writes) => {
                for write in writes {
                    let value = write.document.as_ref().map(|document| document.encode());
                    let row = self
                        .documents
                        .entry((write.partition, write.key))
                        .or_insert((None, 0));
                    if row.1 <= write.source {
                        *row = (value, write.source);
                    }
                }
            }
            Sent::History(rows) => {
                for row in rows {
                    self.history
                        .insert((row.partition, row.offset), (row.late, row.event.encode()));
                }
            }
            Sent::Applied(partition, applied) => {
                let known = self.applied.entry(partition).or_default();
                if known.source <= applied.source {
                    *known = applied;
                }
            }
            Sent::Rules(partition, next) => {
                let known = self.rules.entry(partition).or_default();
                *known = next.max(*known);
            }
        }
    }

    /// A page of the documents that `lies` picks, by name.
    fn page(
        &self,
        lies: impl Fn(&Partition, &DeviceKey) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let name = |key: &DeviceKey| format!("{}/{}", key.tenant, key.device);
        let mut found: Vec<_> = self
            .documents
            .iter()
            .filter(|((number, key), _)| lies(number, key) && after.is_none_or(|after| *name(key) > *after))
            .filter_map(|((_, key), (value, source))| Some((name(key), value.as_ref()?, *source)))
            .collect();
        found.sort();
        let next = found.get(limit).and(found.get(limit.saturating_sub(1)));
        let next = next.map(|(name, _, _)| name.as_str().into());
        let page = found
            .iter()
            .take(limit)
            .map(|(_, value, source)| stored(value, *source));
        Ok(Page {
            documents: page.collect::<Result<_, _>>()?,
            next,
        })
    }
}

impl Tables {
    pub(super) fn new(log: &Arc<Log>) -> Arc<Self> {
        Arc::new(Self {
            log: Arc::clone(log),
            rows: Mutex::default(),
        })
    }

    /// What is there now, with all that has arrived.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Rows) -> T) -> T {
        let mut rows = self.rows.lock();
        let now = Instant::now();
        let (arrived, waiting) = rows.on_the_way.drain(..).partition(|(at, _)| *at <= now);
        rows.on_the_way = waiting;
        let mut arrived: Vec<(Instant, Sent)> = arrived;
        arrived.sort_by_key(|(at, _)| *at);
        for (_, sent) in arrived {
            rows.take(sent);
        }
        look(&mut rows)
    }

    /// Nothing is on its way any more.
    pub(super) fn settle(&self) {
        let mut rows = self.rows.lock();
        for (_, sent) in std::mem::take(&mut rows.on_the_way) {
            rows.take(sent);
        }
    }

    /// The ports as `process` sees them.
    pub(super) fn store(self: &Arc<Self>, process: &Arc<Process>) -> Store {
        let port = Arc::new(Port {
            tables: Arc::clone(self),
            process: Arc::clone(process),
        });
        Store {
            documents: Arc::clone(&port) as Arc<dyn Documents>,
            progress: Arc::clone(&port) as Arc<dyn Progress>,
            history: port,
        }
    }
}

struct Port {
    tables: Arc<Tables>,
    process: Arc<Process>,
}

impl Port {
    async fn read<T>(&self, look: impl FnOnce(&Rows) -> T) -> Result<T, StoreError> {
        let fate = self.process.begin(Effect::Read).await;
        self.process.end(fate).await;
        answer(fate)?;
        Ok(self.tables.with(|rows| look(rows)))
    }

    async fn send(
        &self,
        effect: Effect,
        what: &str,
        send: impl FnOnce(Fate) -> Sent,
    ) -> Result<(), StoreError> {
        let fate = self.process.begin(effect).await;
        let sent = send(fate);
        self.tables
            .log
            .note(&format!("process {} {what}, {fate:?}", self.process.name));
        self.tables.with(|rows| match fate.late {
            Some(late) => rows.on_the_way.push((Instant::now() + late, sent)),
            None => rows.take(sent),
        });
        self.process.end(fate).await;
        answer(fate)
    }

    /// What arrives of `things`.
    fn share<T>(&self, fate: Fate, mut things: Vec<T>) -> Vec<T> {
        if fate.late.is_none() {
            let count = self.process.share(fate.done, things.len());
            // Not always the first: they are written at the same time.
            if count % 2 == 1 {
                things.reverse();
            }
            things.truncate(count);
        }
        things
    }
}

fn answer(fate: Fate) -> Result<(), StoreError> {
    if fate.fails {
        return Err(StoreError::Unavailable {
            reason: "as planned".to_owned(),
        });
    }
    Ok(())
}

fn stored(value: &Bytes, source: Offset) -> Result<Stored, StoreError> {
    let document = Document::decode(value).map_err(|error| StoreError::Corrupt {
        reason: error.to_string(),
    })?;
    Ok(Stored {
        document: Arc::new(document),
        source,
    })
}

#[async_trait]
impl Documents for Port {
    async fn get(&self, keys: &[(Partition, DeviceKey)]) -> Result<Vec<Option<Stored>>, StoreError> {
        let look = |rows: &Rows| {
            let of = |key: &(Partition, DeviceKey)| match rows.documents.get(key) {
                Some((Some(value), source)) => stored(value, *source).map(Some),
                Some((None, _)) | None => Ok(None),
            };
            keys.iter().map(of).collect()
        };
        self.read(look).await?
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let what = format!("writes {} documents", writes.len());
        self.send(Effect::Write, &what, |fate| {
            Sent::Documents(self.share(fate, writes))
        })
        .await
    }

    async fn page(
        &self,
        tenant: &str,
        partitions: &[Partition],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let lies =
            |partition: &Partition, key: &DeviceKey| partitions.contains(partition) && *key.tenant == *tenant;
        self.read(|rows| rows.page(lies, after, limit)).await?
    }

    async fn page_of_partition(
        &self,
        partition: Partition,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let lies = |number: &Partition, _: &DeviceKey| *number == partition;
        self.read(|rows| rows.page(lies, after, limit)).await?
    }

    async fn tenants_of(&self, _: &str) -> Result<Vec<Box<str>>, StoreError> {
        Ok(Vec::new())
    }

    async fn devices_at(&self, _: Option<&str>, _: &str, _: usize) -> Result<Vec<DeviceKey>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Progress for Port {
    async fn applied(&self, partition: Partition) -> Result<Option<Applied>, StoreError> {
        self.read(|rows| rows.applied.get(&partition).cloned()).await
    }

    async fn set_applied(&self, partition: Partition, applied: &Applied) -> Result<(), StoreError> {
        let what = format!(
            "records {} and {} of partition {partition}",
            applied.source, applied.state
        );
        let applied = applied.clone();
        self.send(Effect::Applied, &what, |fate| match fate.done {
            super::faults::Done::Nothing if fate.late.is_none() => Sent::History(Vec::new()),
            super::faults::Done::Nothing | super::faults::Done::Part | super::faults::Done::All => {
                Sent::Applied(partition, applied)
            }
        })
        .await
    }

    async fn rules_applied(&self, partition: Partition) -> Result<Offset, StoreError> {
        self.read(|rows| rows.rules.get(&partition).copied().unwrap_or(0))
            .await
    }

    async fn set_rules_applied(&self, partition: Partition, next: Offset) -> Result<(), StoreError> {
        let what = format!("rules up to {next} of partition {partition}");
        self.send(Effect::Applied, &what, |fate| match fate.done {
            super::faults::Done::Nothing if fate.late.is_none() => Sent::History(Vec::new()),
            super::faults::Done::Nothing | super::faults::Done::Part | super::faults::Done::All => {
                Sent::Rules(partition, next)
            }
        })
        .await
    }
}

#[async_trait]
impl History for Port {
    async fn append(&self, rows: Vec<HistoryRow>) -> Result<(), StoreError> {
        let what = format!("keeps {} rows", rows.len());
        self.send(Effect::History, &what, |fate| {
            Sent::History(self.share(fate, rows))
        })
        .await
    }

    async fn read(&self, _: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        Ok(HistoryPage::default())
    }
}
