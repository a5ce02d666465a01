//! The table of cursors: from what a client came back with, and what the log holds, to where its
//! stream runs. Pure: it says which fact it needs next, and is called again with it.

mod facts;

use std::collections::BTreeMap;

use journal::{Bounds, Cursor, Epoch, Offset, Partition, Topic};

use super::parameters::From;
use crate::subscription::{Reset, ResetReason, SnapshotStart, Start, View};

/// What is to be resolved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) view: View,
    pub(crate) from: &'a From,
    /// Whether a snapshot was asked for.
    pub(crate) snapshot: bool,
    /// What the stream touches, ordered.
    pub(crate) partitions: &'a [Partition],
    pub(crate) epoch: Epoch,
    pub(crate) now_ms: i64,
    /// How far before its time a stream continues that continues by time.
    pub(crate) slack_ms: i64,
    /// State records younger than this are all there.
    pub(crate) compaction_lag_ms: i64,
}

/// What is known of the log. Lists go with [`Asked::partitions`]; `None` stands for a partition that
/// does not answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// Bounds in the view's topic.
    pub(crate) bounds: Option<Vec<Option<Bounds>>>,
    /// Bounds in `wakeline.events`, for its cursors on view `devices`.
    pub(crate) source_bounds: Option<Vec<Option<Bounds>>>,
    /// First offsets at or after a time, in the view's topic.
    pub(crate) offsets_at: BTreeMap<i64, Vec<Option<Offset>>>,
    /// Record time of the first record kept, where there is one.
    pub(crate) first_times: Option<BTreeMap<Partition, i64>>,
    /// The log stayed behind the cursor for as long as one waits.
    pub(crate) ahead_for_good: bool,
}

/// A fact that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// [`Facts::bounds`].
    Bounds,
    /// [`Facts::source_bounds`].
    SourceBounds,
    /// Both again, a little later, until [`Facts::ahead_for_good`].
    Again,
    /// [`Facts::offsets_at`].
    OffsetsAt(i64),
    /// [`Facts::first_times`] of these partitions.
    FirstTimes(Vec<Partition>),
}

/// Why a stream has no start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoStart {
    /// A cursor of the other view.
    #[error(
        "the cursor is of view={}, and this stream is of view={}: a stream of events cannot continue from \
         one of devices; leave the cursor out, or ask for view=devices", name(*.cursor), name(*.stream)
    )]
    OtherView { cursor: Topic, stream: Topic },
    /// A cursor that no stream ever gave.
    #[error("the cursor is of {}, which has no streams", .topic.name())]
    NoView { topic: Topic },
    /// The time index of a partition is needed and cannot be asked.
    #[error("a partition does not answer from which position on the stream should run; try again")]
    Unavailable { partition: Partition },
}

fn name(topic: Topic) -> &'static str {
    if topic == Topic::State {
        "devices"
    } else {
        "events"
    }
}

/// Why there is no answer yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pending {
    Needs(Question),
    Never(NoStart),
}

type Resolved<T> = Result<T, Pending>;

/// Next offset by partition.
type Positions = Vec<(Partition, Offset)>;

impl std::convert::From<NoStart> for Pending {
    fn from(reason: NoStart) -> Self {
        Self::Never(reason)
    }
}

/// Where the stream runs, or what must be known first.
pub(crate) fn resolve(asked: &Asked<'_>, facts: &Facts) -> Resolved<Start> {
    let case = Case { asked, facts };
    match asked.from {
        From::Live => case.live(None),
        From::Unreadable => case.live(Some(reset(ResetReason::Invalid))),
        From::Earliest => case.earliest(),
        From::Time(time_ms) => case.by_time(*time_ms, None),
        From::Cursor(cursor) => case.cursor(cursor),
        From::Position(partition, offset) => case.start(vec![(*partition, *offset)], asked.now_ms),
    }
}

const fn reset(reason: ResetReason) -> Reset {
    Reset {
        reason,
        requested: Vec::new(),
        available: Vec::new(),
        duplicates: false,
    }
}

struct Case<'a> {
    asked: &'a Asked<'a>,
    facts: &'a Facts,
}

impl Case<'_> {
    fn live(&self, reset: Option<Reset>) -> Resolved<Start> {
        if self.asked.snapshot {
            return self.new_snapshot(reset);
        }
        Ok(Start {
            reset,
            ..Start::live(self.asked.now_ms)
        })
    }

    fn earliest(&self) -> Resolved<Start> {
        let bounds = self.bounds()?;
        // A partition that does not answer starts at 0: if that is gone once it does, the engine says
        // so in band.
        let positions = self.each(bounds, |bounds| bounds.map_or(0, |bounds| bounds.start));
        self.start(positions, 0)
    }

    /// From `time_ms` on, by the time index.
    fn by_time(&self, time_ms: i64, reset: Option<Reset>) -> Resolved<Start> {
        let positions = self.positions_at(time_ms)?;
        if self.may_be_compacted(time_ms, &positions)? {
            return self.new_snapshot(Some(reset.unwrap_or_else(|| self.compacted(time_ms))));
        }
        let mut start = self.start(positions, time_ms)?;
        start.reset = reset;
        Ok(start)
    }

    /// A snapshot from its beginning, then what follows.
    fn new_snapshot(&self, reset: Option<Reset>) -> Resolved<Start> {
        let mut start = self.start(Vec::new(), self.asked.now_ms)?;
        start.snapshot = Some(SnapshotStart::New);
        start.reset = reset;
        Ok(start)
    }

    fn cursor(&self, cursor: &Cursor) -> Resolved<Start> {
        let topic = self.asked.view.topic();
        match cursor.topic {
            Topic::Control | Topic::Rejected => return Err(NoStart::NoView { topic: cursor.topic }.into()),
            Topic::State if topic == Topic::Events => {
                let stream = topic;
                return Err(NoStart::OtherView {
                    cursor: cursor.topic,
                    stream,
                }
                .into());
            }
            Topic::State | Topic::Events => {}
        }
        if cursor.epoch != self.asked.epoch {
            return self.elsewhere(cursor, ResetReason::Epoch);
        }
        let bounds = if cursor.topic == topic {
            self.bounds()?
        } else {
            self.source_bounds()?
        };
        if self.is_ahead(cursor, bounds) {
            if !self.facts.ahead_for_good {
                return Err(Pending::Needs(Question::Again));
            }
            return self.elsewhere(cursor, ResetReason::Ahead);
        }
        match self.asked.view {
            View::Events => self.events(cursor, bounds),
            View::Devices if cursor.topic == Topic::Events => self.devices_from_events(cursor),
            View::Devices => self.devices(cursor, bounds),
        }
    }

    /// The cursor's offsets mean nothing here: on by its time, with room to spare.
    fn elsewhere(&self, cursor: &Cursor, reason: ResetReason) -> Resolved<Start> {
        let requested = self
            .asked
            .partitions
            .iter()
            .map(|partition| (*partition, cursor.time_ms));
        let reset = Reset {
            requested: requested.collect(),
            duplicates: true,
            ..reset(reason)
        };
        // Half of a snapshot is no state to go on from.
        if cursor.snapshot.is_some() && self.asked.view == View::Devices {
            return self.new_snapshot(Some(reset));
        }
        self.by_time(cursor.time_ms.saturating_sub(self.asked.slack_ms), Some(reset))
    }

    fn events(&self, cursor: &Cursor, bounds: &[Option<Bounds>]) -> Resolved<Start> {
        let trimmed = self.trimmed(cursor, bounds);
        let (mut positions, from_time) = self.continued(cursor)?;
        let reset = self.trimmed_reset(cursor, &trimmed)?;
        for (partition, position) in &mut positions {
            if let Some((_, start)) = trimmed.iter().find(|(trimmed, _)| trimmed == partition) {
                *position = *start;
            }
        }
        let mut start = self.start(positions, cursor.time_ms)?;
        start.reset = reset;
        start.from_time = from_time;
        Ok(start)
    }

    fn devices(&self, cursor: &Cursor, bounds: &[Option<Bounds>]) -> Resolved<Start> {
        let reset = self.trimmed_reset(cursor, &self.trimmed(cursor, bounds))?;
        if reset.is_some() {
            return self.new_snapshot(reset);
        }
        let known: Vec<(Partition, Offset)> = self.known(cursor).collect();
        if self.may_be_compacted(cursor.time_ms, &known)? {
            return self.new_snapshot(Some(self.compacted(cursor.time_ms)));
        }
        if let Some(key) = &cursor.snapshot {
            // The rest of the snapshot would lack the devices of a partition that came into scope.
            if known.len() < self.asked.partitions.len() {
                return self.new_snapshot(None);
            }
            let mut start = self.start(known, cursor.time_ms)?;
            start.snapshot = Some(SnapshotStart::Resumed(key.clone()));
            return Ok(start);
        }
        let (positions, from_time) = self.continued(cursor)?;
        let mut start = self.start(positions, cursor.time_ms)?;
        start.from_time = from_time;
        Ok(start)
    }

    /// State has no offsets of events: starts by time, before the cursor's, and the floor takes away
    /// what lies before the cursor.
    fn devices_from_events(&self, cursor: &Cursor) -> Resolved<Start> {
        let time_ms = cursor.time_ms.saturating_sub(self.asked.slack_ms);
        let mut positions = self.positions_at(time_ms)?;
        if self.may_be_compacted(time_ms, &positions)? {
            return self.new_snapshot(Some(self.compacted(cursor.time_ms)));
        }
        let from_time = self.missing(cursor);
        if !from_time.is_empty() {
            let exact = self.positions_at(cursor.time_ms)?;
            for (position, exact) in positions.iter_mut().zip(exact) {
                if from_time.contains(&exact.0) {
                    *position = exact;
                }
            }
        }
        let mut start = self.start(positions, time_ms)?;
        start.source_floor = self.known(cursor).collect();
        start.from_time = from_time;
        Ok(start)
    }

    /// The cursor's positions, and by its time those of the partitions that it lacks.
    fn continued(&self, cursor: &Cursor) -> Resolved<(Positions, Vec<Partition>)> {
        let missing = self.missing(cursor);
        let mut positions: Vec<_> = self.known(cursor).collect();
        if !missing.is_empty() {
            let by_time = self.lookup(cursor.time_ms)?;
            for (partition, offset) in self.asked.partitions.iter().zip(by_time) {
                if missing.contains(partition) {
                    positions.push((*partition, offset.ok_or_else(|| unavailable(*partition))?));
                }
            }
            positions.sort_unstable();
        }
        Ok((positions, missing))
    }
}

fn unavailable(partition: Partition) -> Pending {
    NoStart::Unavailable { partition }.into()
}

#[cfg(test)]
mod tests;
