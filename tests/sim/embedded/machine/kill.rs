//! The end of a process at any moment, and what must be there afterwards.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use journal::{NewRecord, Offset, Partition, Position, Topic};
use rand::RngExt as _;
use tokio::task::JoinSet;

use super::{Machine, PATIENCE, directory};
use crate::embedded::files::{copy_files, tear, used_bytes, wal_of};
use crate::embedded::model::{Known, Place};
use crate::embedded::node::Node;
use crate::embedded::steps::{New, PARTITIONS};

const TOPICS: [Topic; 3] = [Topic::Events, Topic::State, Topic::Rejected];

/// What was under way when the process was killed: whole or not at all.
pub(super) struct UnderWay {
    records: Vec<NewRecord>,
    /// Of a transaction: its partition, and what it commits.
    commits: Option<(Partition, Offset)>,
}

/// Calls under way: which, and what it was told.
type Calls = JoinSet<(usize, Option<Vec<Position>>)>;

impl Machine {
    pub(super) async fn kill(
        &mut self,
        appends: &[Vec<New>],
        commit: Option<Partition>,
        torn: Option<usize>,
    ) -> Result<String, String> {
        let copy = directory()?;
        // What was acknowledged until here is on the disk; what comes now may be there in part.
        let synced = match wal_of(self.dir.path())? {
            Some(wal) => used_bytes(&wal)?,
            None => 0,
        };
        let note = |from: &Path| copy_files(from, copy.path(), |name| name == "durable");
        if torn.is_some() {
            note(self.dir.path())?;
        }
        let (mut calls, mut under_way) = self.send(appends, commit);
        let mut acknowledged = BTreeMap::new();
        for _ in 0..self.random.random_range(0..40) {
            tokio::task::yield_now().await;
            while let Some(Ok((number, Some(positions)))) = calls.try_join_next() {
                acknowledged.insert(number, positions);
            }
        }
        if torn.is_none() {
            // Before the write-ahead file, so that it never promises more than that holds.
            note(self.dir.path())?;
        }
        copy_files(self.dir.path(), copy.path(), |name| name != "durable")?;
        if let (Some(torn), Some(wal)) = (torn, wal_of(copy.path())?) {
            tear(&wal, synced, torn)?;
            // In the world of the torn file nobody had been answered yet.
            acknowledged.clear();
        }
        drop(calls);
        self.node.close().await?;
        let cluster = self.node.cluster.clone();
        self.dir = copy;
        self.node = Node::open(self.dir.path(), &self.settings, &self.time, false).await?;
        if self.node.cluster == cluster {
            return Err("a copied directory passes for the original".to_owned());
        }
        self.node.claim().await?;
        for (number, positions) in acknowledged {
            if let Some(done) = under_way.get_mut(number) {
                self.model.acknowledge(&done.records, &positions)?;
                done.records.clear();
                if let Some((partition, next)) = done.commits.take() {
                    self.committed.insert(partition, next);
                }
            }
        }
        self.compare(under_way).await?;
        self.same_commits()?;
        Ok("opened".to_owned())
    }

    /// Begins calls without waiting for what they are told.
    fn send(&mut self, appends: &[Vec<New>], commit: Option<Partition>) -> (Calls, Vec<UnderWay>) {
        let (mut calls, mut under_way) = (Calls::new(), Vec::new());
        for append in appends {
            let (records, appender) = (self.batch(append), Arc::clone(&self.node.journal.appender));
            let (number, sent) = (under_way.len(), records.clone());
            calls.spawn(async move {
                let answers = appender.append(sent, PATIENCE).await;
                (number, answers.into_iter().collect::<Result<_, _>>().ok())
            });
            let commits = None;
            under_way.push(UnderWay { records, commits });
        }
        if let Some(partition) = commit
            && let Some(mut claim) = self.node.claims.remove(&partition)
        {
            let (records, next) = self.transaction(partition, 5, false);
            let (number, sent) = (under_way.len(), records.clone());
            calls.spawn(async move { (number, claim.commit(sent, next).await.ok()) });
            let commits = Some((partition, next));
            under_way.push(UnderWay { records, commits });
        }
        (calls, under_way)
    }

    /// Compares everything with the model. What is there beyond it must be of what was `under_way`.
    pub(super) async fn compare(&mut self, under_way: Vec<UnderWay>) -> Result<(), String> {
        let mut extra: BTreeMap<Place, Vec<Known>> = BTreeMap::new();
        for topic in TOPICS {
            for place in (0..PARTITIONS).map(|number| (topic, number)) {
                let (found, start, end) = self.node.read_all(place).await?;
                extra.insert(place, self.model.compare(place, &found, start, end)?);
                let time_ms = self.now() / 1_000 - 300_000;
                self.node.times_hold(place, &found, end, time_ms).await?;
            }
        }
        for done in under_way {
            let mut found = 0;
            for new in &done.records {
                let place = extra.entry((new.topic, new.partition)).or_default();
                let before = place.len();
                place.retain(|known| *known != Known::from(new));
                found += before - place.len();
            }
            if found != 0 && found != done.records.len() {
                return Err(format!(
                    "{found} records of an append of {} are there",
                    done.records.len()
                ));
            }
            if let Some((partition, next)) = done.commits {
                self.is_whole(partition, next, found, done.records.is_empty())?;
            }
        }
        if let Some((place, known)) = extra.iter().find(|(_, known)| !known.is_empty()) {
            return Err(format!("{place:?} holds what nobody sent: {known:?}"));
        }
        self.tables_hold().await
    }

    /// The position of a transaction is there exactly if its records are; one without records may be either.
    fn is_whole(
        &mut self,
        partition: Partition,
        next: Offset,
        found: usize,
        is_empty: bool,
    ) -> Result<(), String> {
        let committed = self
            .node
            .claims
            .get(&partition)
            .and_then(|claim| claim.committed());
        let before = self.committed.get(&partition).copied();
        let may_be = (is_empty || found > 0) && committed == Some(next);
        let may_not_be = found == 0 && committed == before;
        if !may_be && !may_not_be {
            return Err(format!(
                "half a transaction: {found} records, committed to {committed:?}"
            ));
        }
        if let Some(committed) = committed {
            self.committed.insert(partition, committed);
        }
        Ok(())
    }
}
