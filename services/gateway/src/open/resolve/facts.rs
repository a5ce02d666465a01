//! What the rows of the table ask about the log.

use journal::{Bounds, Cursor, Offset, Partition};

use super::{Case, Pending, Positions, Question, Resolved, reset, unavailable};
use crate::subscription::{Reset, ResetReason, Start, View};

impl Case<'_> {
    pub(super) fn start(&self, positions: Positions, time_ms: i64) -> Resolved<Start> {
        let partitions = self.asked.partitions.iter().zip(self.bounds()?);
        let ends = partitions.filter_map(|(partition, bounds)| Some((*partition, (*bounds)?.end)));
        let positions = positions
            .into_iter()
            .map(|(partition, offset)| (partition, Some(offset)));
        Ok(Start {
            positions: positions.collect(),
            ends: ends.collect(),
            ..Start::live(time_ms)
        })
    }

    pub(super) fn known<'c>(&'c self, cursor: &'c Cursor) -> impl Iterator<Item = (Partition, Offset)> + 'c {
        let partitions = self.asked.partitions.iter();
        partitions.filter_map(|partition| Some((*partition, cursor.position(*partition)?)))
    }

    pub(super) fn missing(&self, cursor: &Cursor) -> Vec<Partition> {
        let partitions = self.asked.partitions.iter().copied();
        partitions
            .filter(|partition| cursor.position(*partition).is_none())
            .collect()
    }

    pub(super) fn is_ahead(&self, cursor: &Cursor, bounds: &[Option<Bounds>]) -> bool {
        let mut partitions = self.asked.partitions.iter().zip(bounds);
        partitions.any(
            |(partition, bounds)| match (cursor.position(*partition), bounds) {
                (Some(position), Some(bounds)) => position > bounds.end,
                (None, _) | (_, None) => false,
            },
        )
    }

    /// Partitions whose next record is gone, and what is there first.
    pub(super) fn trimmed(&self, cursor: &Cursor, bounds: &[Option<Bounds>]) -> Vec<(Partition, Offset)> {
        let partitions = self.asked.partitions.iter().zip(bounds);
        let trimmed = partitions.filter_map(|(partition, bounds)| {
            let start = (*bounds)?.start;
            (cursor.position(*partition)? < start).then_some((*partition, start))
        });
        trimmed.collect()
    }

    pub(super) fn trimmed_reset(
        &self,
        cursor: &Cursor,
        trimmed: &[(Partition, Offset)],
    ) -> Resolved<Option<Reset>> {
        if trimmed.is_empty() {
            return Ok(None);
        }
        let partitions = || trimmed.iter().map(|(partition, _)| *partition);
        let Some(first_times) = &self.facts.first_times else {
            return Err(Pending::Needs(Question::FirstTimes(partitions().collect())));
        };
        let available = partitions().filter_map(|partition| Some((partition, *first_times.get(&partition)?)));
        Ok(Some(Reset {
            requested: partitions()
                .map(|partition| (partition, cursor.time_ms))
                .collect(),
            available: available.collect(),
            ..reset(ResetReason::Trimmed)
        }))
    }

    /// Whether compaction may have taken records at or after `positions`: it leaves those alone that
    /// are younger than its lag, so it matters only where older ones follow.
    pub(super) fn may_be_compacted(&self, time_ms: i64, positions: &[(Partition, Offset)]) -> Resolved<bool> {
        let young_ms = self.asked.now_ms.saturating_sub(self.asked.compaction_lag_ms);
        if self.asked.view == View::Events || time_ms >= young_ms {
            return Ok(false);
        }
        let young = self.lookup(young_ms)?;
        let mut partitions = self.asked.partitions.iter().zip(young);
        Ok(partitions.any(|(partition, young)| {
            let position = positions.iter().find(|(known, _)| known == partition);
            position.is_some_and(|(_, position)| young.is_none_or(|young| *position < young))
        }))
    }

    pub(super) fn compacted(&self, time_ms: i64) -> Reset {
        let partitions = self.asked.partitions.iter();
        Reset {
            requested: partitions.map(|partition| (*partition, time_ms)).collect(),
            ..reset(ResetReason::Compacted)
        }
    }

    pub(super) fn positions_at(&self, time_ms: i64) -> Resolved<Vec<(Partition, Offset)>> {
        let partitions = self.asked.partitions.iter().zip(self.lookup(time_ms)?);
        let positions = partitions.map(|(partition, offset)| match offset {
            Some(offset) => Ok((*partition, *offset)),
            None => Err(unavailable(*partition)),
        });
        positions.collect()
    }

    pub(super) fn lookup(&self, time_ms: i64) -> Resolved<&Vec<Option<Offset>>> {
        let known = self.facts.offsets_at.get(&time_ms);
        known.ok_or(Pending::Needs(Question::OffsetsAt(time_ms)))
    }

    pub(super) fn bounds(&self) -> Resolved<&Vec<Option<Bounds>>> {
        self.facts.bounds.as_ref().ok_or(Pending::Needs(Question::Bounds))
    }

    pub(super) fn source_bounds(&self) -> Resolved<&Vec<Option<Bounds>>> {
        self.facts
            .source_bounds
            .as_ref()
            .ok_or(Pending::Needs(Question::SourceBounds))
    }

    pub(super) fn each(
        &self,
        bounds: &[Option<Bounds>],
        offset: impl Fn(Option<Bounds>) -> Offset,
    ) -> Vec<(Partition, Offset)> {
        let partitions = self.asked.partitions.iter().zip(bounds);
        partitions
            .map(|(partition, bounds)| (*partition, offset(*bounds)))
            .collect()
    }
}
