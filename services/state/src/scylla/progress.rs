//! Progress of the projectors: one cell a partition, so positions and counts are of one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::scylla::statement::prepared::PreparedStatement;
use async_trait::async_trait;
use journal::{Offset, Partition};

use super::link::Link;
use super::{Cql, Scope};
use crate::{Applied, Counts, Progress, StoreError};

pub(super) struct CqlProgress {
    link: Arc<Link>,
    scope: Scope,
    read: PreparedStatement,
    write: PreparedStatement,
    read_rules: PreparedStatement,
    write_rules: PreparedStatement,
}

/// The members of [`Counts`] in the order of the column's comment.
type CountsCell = (i64, i64, i64, i64, i64, i64);

impl CqlProgress {
    pub(super) async fn new(cql: &Cql, scope: Scope) -> Result<Self, StoreError> {
        let link = Arc::clone(&cql.link);
        Ok(Self {
            read: link.prepare("SELECT progress FROM applied WHERE generation = ? AND partition = ?").await?,
            write: link
                .prepare("INSERT INTO applied (generation, partition, progress) VALUES (?, ?, ?) USING TIMESTAMP ?")
                .await?,
            read_rules: link
                .prepare("SELECT next FROM rules_applied WHERE generation = ? AND partition = ?")
                .await?,
            write_rules: link
                .prepare("INSERT INTO rules_applied (generation, partition, next) VALUES (?, ?, ?) USING TIMESTAMP ?")
                .await?,
            link,
            scope,
        })
    }
}

#[async_trait]
impl Progress for CqlProgress {
    async fn applied(&self, partition: Partition) -> Result<Option<Applied>, StoreError> {
        type Cell = (i64, i64, Option<BTreeMap<String, CountsCell>>);
        let values = (self.scope.generation, partition.cast_signed());
        let rows: Vec<(Cell,)> = self.link.rows(&self.read, &values).await?;
        Ok(rows.into_iter().next().map(|((source, state, counts),)| Applied {
            source: source.cast_unsigned(),
            state: state.cast_unsigned(),
            counts: counts
                .unwrap_or_default()
                .into_iter()
                .map(|(tenant, cell)| (tenant.into(), read(cell)))
                .collect(),
        }))
    }

    async fn set_applied(&self, partition: Partition, applied: &Applied) -> Result<(), StoreError> {
        let counts: BTreeMap<&str, CountsCell> = applied
            .counts
            .iter()
            .map(|(tenant, counts)| (&**tenant, cell(counts)))
            .collect();
        let progress = (applied.source.cast_signed(), applied.state.cast_signed(), counts);
        let timestamp = self.scope.timestamp(applied.source);
        let values = (
            self.scope.generation,
            partition.cast_signed(),
            progress,
            timestamp,
        );
        self.link.execute(&self.write, &values).await
    }

    async fn rules_applied(&self, partition: Partition) -> Result<Offset, StoreError> {
        let values = (self.scope.layout_generation(), partition.cast_signed());
        let rows: Vec<(i64,)> = self.link.rows(&self.read_rules, &values).await?;
        Ok(rows.first().map_or(0, |(next,)| next.cast_unsigned()))
    }

    async fn set_rules_applied(&self, partition: Partition, next: Offset) -> Result<(), StoreError> {
        let values = (
            self.scope.layout_generation(),
            partition.cast_signed(),
            next.cast_signed(),
            self.scope.timestamp(next),
        );
        self.link.execute(&self.write_rules, &values).await
    }
}

fn cell(counts: &Counts) -> CountsCell {
    let Counts {
        devices,
        online,
        stale,
        offline,
        alerts_open,
        alerts_acknowledged,
    } = *counts;
    (
        devices.cast_signed(),
        online.cast_signed(),
        stale.cast_signed(),
        offline.cast_signed(),
        alerts_open.cast_signed(),
        alerts_acknowledged.cast_signed(),
    )
}

fn read((devices, online, stale, offline, alerts_open, alerts_acknowledged): CountsCell) -> Counts {
    Counts {
        devices: devices.cast_unsigned(),
        online: online.cast_unsigned(),
        stale: stale.cast_unsigned(),
        offline: offline.cast_unsigned(),
        alerts_open: alerts_open.cast_unsigned(),
        alerts_acknowledged: alerts_acknowledged.cast_unsigned(),
    }
}
