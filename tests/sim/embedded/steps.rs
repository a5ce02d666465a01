//! What can happen.

use journal::{Partition, Topic};
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::fleet::pick;

pub(super) const PARTITIONS: u32 = 2;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Appends at the same time, each of some records.
    Append(Vec<Vec<New>>),
    /// The owner of a partition commits records made of the next so many of its source.
    Commit {
        partition: Partition,
        sources: usize,
        tombstones: bool,
    },
    /// An owner of before tries.
    CommitStale { partition: Partition },
    /// The partitions get new owners.
    Reclaim,
    /// Documents of so many devices are written; some writes come late and must lose.
    Write { devices: Vec<(u8, bool)> },
    /// Progress is recorded.
    Applied { partition: Partition, late: bool },
    /// Time passes.
    Wait { seconds: i64 },
    /// Retention and compaction do their work.
    Maintain,
    /// The process ends as it should, and starts again.
    Reopen,
    /// The process is killed while appends, and perhaps a transaction, are under way; the end of what was not
    /// synced is torn at so many thousandths, if at all.
    Kill {
        under_way: Vec<Vec<New>>,
        commit: Option<Partition>,
        torn: Option<usize>,
    },
}

/// A record to append.
#[derive(Debug, Clone, Copy)]
pub(crate) struct New {
    pub(super) topic: Topic,
    pub(super) partition: Partition,
    pub(super) key: u8,
    pub(super) bytes: usize,
    /// Its time is so many seconds before now.
    pub(super) ago: i64,
}

impl Step {
    pub(super) fn any(random: &mut StdRng) -> Self {
        let partition = random.random_range(0..PARTITIONS);
        match random.random_range(0..100) {
            0..=37 => Self::Append(appends(random)),
            38..=53 => {
                let sources = random.random_range(0..12);
                Self::Commit {
                    partition,
                    sources,
                    tombstones: random.random_bool(0.3),
                }
            }
            54..=57 => Self::CommitStale { partition },
            58..=60 => Self::Reclaim,
            61..=69 => {
                let count = random.random_range(1..5);
                let device = |random: &mut StdRng| (random.random_range(0..5), random.random_bool(0.3));
                Self::Write {
                    devices: (0..count).map(|_| device(random)).collect(),
                }
            }
            70..=74 => Self::Applied {
                partition,
                late: random.random_bool(0.3),
            },
            75..=80 => Self::Wait {
                seconds: pick(random, &[1, 60, 1_000, 5_000]),
            },
            81..=88 => Self::Maintain,
            89..=91 => Self::Reopen,
            _ => Self::Kill {
                under_way: appends(random),
                commit: random.random_bool(0.5).then_some(partition),
                torn: random.random_bool(0.6).then(|| random.random_range(0..=1_000)),
            },
        }
    }
}

fn appends(random: &mut StdRng) -> Vec<Vec<New>> {
    let appends = random.random_range(1..5);
    let records = |random: &mut StdRng| {
        let count = random.random_range(1..6);
        (0..count).map(|_| new(random)).collect()
    };
    (0..appends).map(|_| records(random)).collect()
}

fn new(random: &mut StdRng) -> New {
    let topic = pick(
        random,
        &[Topic::Events, Topic::Events, Topic::Events, Topic::Rejected],
    );
    New {
        topic,
        partition: random.random_range(0..PARTITIONS),
        key: random.random_range(0..6),
        bytes: pick(random, &[0, 10, 200, 9_000]),
        ago: pick(random, &[0, 0, 0, 5, 400]),
    }
}
