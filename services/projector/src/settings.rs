//! Every limit of the projector, by name, with its default.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use journal::Traces;
use schemas::Kind;

/// Settings of the projector. All hold per partition, except the name of the group.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The group whose members share the partitions.
    pub group: Box<str>,
    /// Events folded in one batch.
    pub batch_records_max: usize,
    /// About so many bytes of events and of the documents made from them go through one batch; the
    /// number of its records follows what they weighed lately.
    pub batch_bytes_max: usize,
    /// How long one look at the end of the partition waits for events; timers are looked at as often.
    pub poll: Duration,
    /// Memory for documents between batches, by their measured content.
    pub cached_document_bytes_max: u64,
    /// Documents read at once while timers and counts are rebuilt, and while rows are compared.
    pub page_size: usize,
    /// Recovery writes the history of events again that were received within this; older rows would
    /// live anew for the store's whole time to live.
    pub history_recovery_max: Duration,
    /// How long recovery waits for state records that the committed position promises, before it
    /// folds their events again. More than the log's transaction timeout, 10 s.
    pub recovery_patience: Duration,
    /// Kinds whose events are kept as history. Telemetry is off: it is the bulk of all writes.
    pub history_kinds: Vec<Kind>,
    /// A device that was silent for so long is STALE.
    pub stale_after: Duration,
    /// A device that was silent for so long is OFFLINE.
    pub offline_after: Duration,
    /// Whether a device that falls silent has an alert `NO_HEARTBEAT` until it is heard again.
    pub no_heartbeat: bool,
    /// Its severity.
    pub no_heartbeat_severity: u8,
    /// A stretch of time longer than this in which the partition was not followed proves no silence:
    /// verdicts wait for `stale_after` after it. Also how old the newest event may be for the
    /// partition to count as followed.
    pub unobserved_max: Duration,
    /// A reaction that was appended and not read back is appended again after this, under its id.
    pub reaction_pending_max: Duration,
    /// Timers that fire in one round.
    pub reactions_max: usize,
    /// How long one append of reactions may take before it is tried again.
    pub append_deadline: Duration,
    /// Rejected records written for one batch; more are only counted.
    pub rejected_per_batch_max: usize,
    /// First wait before something that failed is tried again; doubles up to `retry_max`.
    pub retry_min: Duration,
    /// Longest wait between two attempts.
    pub retry_max: Duration,
    /// How often the lag behind the log's end is measured while the partition is behind.
    pub lag_every: Duration,
    /// How long a shutdown waits for batches in flight.
    pub drain_max: Duration,
    /// Continues the traces of events until they are in the tables. Off.
    pub traces: Traces,
    /// Called at the points where a crash must lose nothing. For tests.
    pub fault: Option<FaultHook>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            group: "wakeline-projector".into(),
            batch_records_max: 1_000,
            batch_bytes_max: 4 << 20,
            poll: Duration::from_millis(50),
            cached_document_bytes_max: 16 << 20,
            page_size: 500,
            history_recovery_max: Duration::from_secs(86_400),
            recovery_patience: Duration::from_secs(15),
            history_kinds: Kind::ALL
                .into_iter()
                .filter(|kind| *kind != Kind::Telemetry)
                .collect(),
            stale_after: Duration::from_secs(30),
            offline_after: Duration::from_secs(600),
            no_heartbeat: true,
            no_heartbeat_severity: 4,
            unobserved_max: Duration::from_secs(5),
            reaction_pending_max: Duration::from_secs(60),
            reactions_max: 1_000,
            append_deadline: Duration::from_secs(10),
            rejected_per_batch_max: 100,
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(5),
            lag_every: Duration::from_secs(1),
            drain_max: Duration::from_secs(10),
            traces: Traces::default(),
            fault: None,
        }
    }
}

/// A point between two effects of a batch, where a process may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// Reactions are appended, the transaction that folds their cause is not committed.
    BetweenReactorAppendAndCommit,
    /// The transaction is committed, nothing of it is in the tables.
    AfterTransaction,
    /// History is written, documents are not.
    BeforeRows,
    /// Documents are written, `applied` is not.
    BetweenRowsAndApplied,
}

impl Point {
    /// Every point, in the order in which a batch passes them.
    pub const ALL: [Self; 4] = [
        Self::BetweenReactorAppendAndCommit,
        Self::AfterTransaction,
        Self::BeforeRows,
        Self::BetweenRowsAndApplied,
    ];
}

/// What a test does at a [`Point`]: nothing, a panic, the end of the process.
#[derive(Clone)]
pub struct FaultHook(Arc<dyn Fn(Point) + Send + Sync>);

impl FaultHook {
    /// Calls `hook` at every point that is passed.
    pub fn new(hook: impl Fn(Point) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn call(&self, point: Point) {
        (self.0)(point);
    }
}

impl fmt::Debug for FaultHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultHook")
    }
}

/// A duration as microseconds, saturating.
pub(crate) fn micros(duration: Duration) -> schemas::Micros {
    schemas::Micros::try_from(duration.as_micros()).unwrap_or(schemas::Micros::MAX)
}
