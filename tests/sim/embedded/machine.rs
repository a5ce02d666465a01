//! A machine with one directory, a process that has it open, and the model of what must be in it.

mod kill;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use embedded::Settings;
use futures::future::join_all;
use journal::{CommitError, Headers, Micros, NewRecord, Offset, Partition, Topic};
use rand::rngs::StdRng;
use tempfile::TempDir;

use super::model::{COMPACTION_LAG_S, Model, RETENTION_S, TOMBSTONES_S};
use super::node::Node;
use super::steps::{New, Step};
use crate::fleet::{START, pick};
use crate::runner::Trace;
use tables::Tables;

/// How long anything may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Machine {
    random: StdRng,
    settings: Settings,
    time: Arc<AtomicI64>,
    dir: TempDir,
    node: Node,
    model: Model,
    tables: Tables,
    /// Next source offset of each partition, as committed.
    committed: BTreeMap<Partition, Offset>,
    records: u64,
    trace: Trace,
}

impl Machine {
    pub(super) async fn new(mut random: StdRng) -> Result<Self, String> {
        let settings = Settings {
            ring_bytes: pick(&mut random, &[1, 4_000, 1 << 20]),
            batch_bytes: pick(&mut random, &[1, 1 << 22]),
            retention: seconds(RETENTION_S),
            state_compaction_lag: seconds(COMPACTION_LAG_S),
            tombstone_retention: seconds(TOMBSTONES_S),
            deletion_memory: seconds(RETENTION_S),
            maintenance_step_rows: pick(&mut random, &[1, 5, 512]),
            revoke_grace: Duration::ZERO,
            ..Settings::default()
        };
        let (dir, time) = (directory()?, Arc::new(AtomicI64::new(START)));
        let node = Node::open(dir.path(), &settings, &time, true).await?;
        let committed = BTreeMap::new();
        let mut machine = Self {
            random,
            settings,
            time,
            dir,
            node,
            model: Model::default(),
            tables: Tables::default(),
            committed,
            records: 0,
            trace: Trace::new(),
        };
        machine.node.claim().await?;
        Ok(machine)
    }

    pub(super) async fn take(&mut self, step: &Step) -> Result<(), String> {
        let outcome = match step {
            Step::Append(appends) => self.append(appends).await?,
            Step::Commit {
                partition,
                sources,
                tombstones,
            } => self.commit(*partition, *sources, *tombstones).await?,
            Step::CommitStale { partition } => self.commit_stale(*partition).await?,
            Step::Reclaim => {
                self.node.reclaim().await?;
                self.same_commits()?
            }
            Step::Write { devices } => self.write(devices).await?,
            Step::Applied { partition, late } => self.record_applied(*partition, *late).await?,
            Step::Wait { seconds } => {
                self.time.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
                String::new()
            }
            Step::Maintain => self.maintain().await?,
            Step::Reopen => self.reopen().await?,
            Step::Kill {
                under_way,
                commit,
                torn,
            } => self.kill(under_way, *commit, *torn).await?,
        };
        // What threads race for is left out, so that a seed has one trace.
        self.trace.push(format!("{step:?}: {outcome}"));
        Ok(())
    }

    pub(super) async fn end(mut self) -> Result<Trace, String> {
        self.node.close().await?;
        Ok(self.trace)
    }

    fn now(&self) -> Micros {
        self.time.load(Ordering::SeqCst)
    }

    fn record(&mut self, new: New) -> NewRecord {
        self.records += 1;
        let mut value = format!("{}-", self.records).into_bytes();
        value.resize(value.len() + new.bytes, b'x');
        NewRecord {
            topic: new.topic,
            partition: new.partition,
            key: format!("acme/{}", new.key).into(),
            value: Some(Bytes::from(value)),
            timestamp_ms: self.now() / 1_000 - new.ago * 1_000,
            headers: Headers {
                kind: "telemetry".into(),
                generation: 1,
                ..Headers::default()
            },
        }
    }

    fn batch(&mut self, append: &[New]) -> Vec<NewRecord> {
        append.iter().map(|new| self.record(*new)).collect()
    }

    async fn append(&mut self, appends: &[Vec<New>]) -> Result<String, String> {
        let batches: Vec<_> = appends.iter().map(|append| self.batch(append)).collect();
        let appender = &self.node.journal.appender;
        let answers = join_all(
            batches
                .iter()
                .map(|batch| appender.append(batch.clone(), PATIENCE)),
        )
        .await;
        for (batch, answers) in batches.iter().zip(answers) {
            let positions = answers.into_iter().collect::<Result<Vec<_>, _>>();
            let positions = positions.map_err(|error| format!("an append failed: {error}"))?;
            self.model.acknowledge(batch, &positions)?;
        }
        Ok("acknowledged".to_owned())
    }

    /// State records made of the next sources of `partition`, and the position after them.
    fn transaction(
        &mut self,
        partition: Partition,
        sources: usize,
        tombstones: bool,
    ) -> (Vec<NewRecord>, Offset) {
        let from = self.committed.get(&partition).copied().unwrap_or(0);
        let next = self
            .model
            .end((Topic::Events, partition))
            .min(from + sources as Offset);
        let mut records = Vec::new();
        for source in from..next {
            let new = New {
                topic: Topic::State,
                partition,
                key: (source % 4) as u8,
                bytes: 100,
                ago: 0,
            };
            let mut record = self.record(new);
            record.headers.source_offset = Some(source);
            if tombstones {
                record.value = None;
            }
            records.push(record);
        }
        (records, next)
    }

    async fn commit(
        &mut self,
        partition: Partition,
        sources: usize,
        tombstones: bool,
    ) -> Result<String, String> {
        let (records, next) = self.transaction(partition, sources, tombstones);
        let claim = self
            .node
            .claims
            .get_mut(&partition)
            .ok_or("nobody owns the partition")?;
        let positions = claim
            .commit(records.clone(), next)
            .await
            .map_err(|error| format!("a commit failed: {error}"))?;
        self.model.acknowledge(&records, &positions)?;
        self.committed.insert(partition, next);
        Ok("committed".to_owned())
    }

    async fn commit_stale(&mut self, partition: Partition) -> Result<String, String> {
        let (records, next) = self.transaction(partition, 3, false);
        let Some(claim) = self.node.stale.get_mut(&partition) else {
            return Ok(String::new());
        };
        match claim.commit(records, next + 1).await {
            Err(CommitError::Fenced) => Ok("fenced".to_owned()),
            other => Err(format!(
                "who owned partition {partition} before commits: {other:?}"
            )),
        }
    }

    fn same_commits(&self) -> Result<String, String> {
        for (partition, claim) in &self.node.claims {
            let due = self.committed.get(partition).copied();
            if claim.committed() != due {
                return Err(format!(
                    "partition {partition} is committed to {:?}, not {due:?}",
                    claim.committed()
                ));
            }
        }
        Ok("claimed".to_owned())
    }

    async fn maintain(&mut self) -> Result<String, String> {
        let (engine, now) = (self.node.engine.clone(), self.now());
        self.model.maintained_us = Some(now);
        let work = tokio::task::spawn_blocking(move || engine.maintain(now).map(drop));
        work.await
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
        self.compare(Vec::new()).await?;
        Ok("maintained".to_owned())
    }

    async fn reopen(&mut self) -> Result<String, String> {
        let cluster = self.node.cluster.clone();
        self.node.close().await?;
        self.node = Node::open(self.dir.path(), &self.settings, &self.time, false).await?;
        if self.node.cluster != cluster {
            return Err(format!("{cluster} came back as {}", self.node.cluster));
        }
        self.node.claim().await?;
        self.same_commits()?;
        self.compare(Vec::new()).await?;
        Ok("opened".to_owned())
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

fn directory() -> Result<TempDir, String> {
    tempfile::tempdir().map_err(|error| error.to_string())
}
