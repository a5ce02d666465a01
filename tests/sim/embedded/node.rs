//! The process that has the directory open.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use embedded::{Engine, Settings};
use journal::{Claim, ClaimEvent, Clock, Journal, Membership, Offset, Partition, Record, Topic};
use schemas::control::Layout;
use state::Store;

use super::machine::PATIENCE;
use super::model::Place;
use super::steps::PARTITIONS;
use crate::fleet::START;

const GROUP: &str = "simulated";

/// The process.
pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) journal: Journal,
    pub(super) store: Store,
    pub(super) cluster: String,
    pub(super) member: Option<Box<dyn Membership>>,
    pub(super) claims: BTreeMap<Partition, Box<dyn Claim>>,
    pub(super) stale: BTreeMap<Partition, Box<dyn Claim>>,
}

impl Node {
    pub(super) async fn open(
        dir: &Path,
        settings: &Settings,
        time: &Arc<AtomicI64>,
        is_new: bool,
    ) -> Result<Self, String> {
        let time = Arc::clone(time);
        let clock: Clock = Arc::new(move || time.load(Ordering::SeqCst));
        let engine = Engine::open(dir, settings.clone(), clock).map_err(|error| error.to_string())?;
        let admin = engine.admin();
        if is_new {
            admin
                .create(PARTITIONS, 1)
                .await
                .map_err(|error| error.to_string())?;
            let layout = Layout {
                generation: 1,
                created_at: START,
                epoch: 7,
                partitions: PARTITIONS,
                default_spread: PARTITIONS,
                fold_version: state::fold::FOLD_VERSION,
                document_bytes_max: 65_536,
                registration_required: false,
            };
            admin
                .write_layout(&layout)
                .await
                .map_err(|error| error.to_string())?;
        }
        let layout = admin
            .layout()
            .await
            .map_err(|error| error.to_string())?
            .ok_or("the layout is gone")?;
        let cluster = admin.cluster_id().await.map_err(|error| error.to_string())?;
        Ok(Self {
            journal: engine.journal(layout),
            store: engine.store(),
            engine,
            cluster,
            member: None,
            claims: BTreeMap::new(),
            stale: BTreeMap::new(),
        })
    }

    pub(super) async fn claim(&mut self) -> Result<(), String> {
        let groups = &self.journal.groups;
        let mut member = groups
            .join(GROUP, Topic::Events)
            .await
            .map_err(|error| error.to_string())?;
        for _ in 0..PARTITIONS {
            let event = tokio::time::timeout(PATIENCE, member.next()).await;
            match event.map_err(|_| "no partition was given in time")? {
                ClaimEvent::Claimed(claim) => drop(self.claims.insert(claim.partition(), claim)),
                ClaimEvent::Closed { reason } => return Err(format!("the group is closed: {reason:?}")),
            }
        }
        self.member = Some(member);
        Ok(())
    }

    pub(super) async fn reclaim(&mut self) -> Result<(), String> {
        self.member = None;
        self.stale = std::mem::take(&mut self.claims);
        self.claim().await
    }

    pub(super) async fn close(&mut self) -> Result<(), String> {
        self.member = None;
        self.claims.clear();
        self.stale.clear();
        self.engine.close().await.map_err(|error| error.to_string())
    }

    pub(super) async fn read_all(
        &self,
        (topic, partition): Place,
    ) -> Result<(Vec<Record>, Offset, Offset), String> {
        let reader = &self.journal.reader;
        let bounds = reader
            .bounds(topic, &[partition])
            .await
            .remove(0)
            .map_err(|error| error.to_string())?;
        let (mut records, mut from) = (Vec::new(), bounds.start);
        while from < bounds.end {
            let block = reader
                .read(topic, partition, from, 10_000)
                .await
                .map_err(|error| error.to_string())?;
            if block.next <= from {
                return Err(format!("{topic:?} {partition}: a read from {from} stands still"));
            }
            from = block.next;
            records.extend(block.records);
        }
        if !records.is_sorted_by(|before, after| before.offset < after.offset) {
            return Err(format!("{topic:?} {partition}: offsets do not grow"));
        }
        Ok((records, bounds.start, bounds.end))
    }

    pub(super) async fn times_hold(
        &self,
        (topic, partition): Place,
        records: &[Record],
        end: Offset,
        time_ms: i64,
    ) -> Result<(), String> {
        let answer = self
            .journal
            .reader
            .offset_at(topic, &[partition], time_ms)
            .await
            .remove(0);
        let found = answer.map_err(|error| error.to_string())?;
        let due = records
            .iter()
            .find(|record| record.timestamp_ms >= time_ms)
            .map_or(end, |record| record.offset);
        // Between two records that are there, any offset reads the same.
        let reads_same = found <= due && !records.iter().any(|record| (found..due).contains(&record.offset));
        if !reads_same {
            return Err(format!(
                "{topic:?} {partition}: {time_ms} ms is at {found}, should be {due}"
            ));
        }
        Ok(())
    }
}
