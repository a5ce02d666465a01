//! What one stream wants, and from where.

mod share;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use access::{Principal, Scope};
use journal::{Offset, Partition, Placement, Topic};
use schemas::Kind;
use schemas::control::Layout;

use crate::dialect::Dialect;
use crate::engine::Place;
use crate::filters::Filters;

/// Which of the two topics a stream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// Every event, from `wakeline.events`.
    Events,
    /// Devices as they change, from `wakeline.state`.
    Devices,
}

impl View {
    /// The topic that it reads.
    #[must_use]
    pub const fn topic(self) -> Topic {
        match self {
            Self::Events => Topic::Events,
            Self::Devices => Topic::State,
        }
    }
}

/// How frames travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `text/event-stream`.
    Sse,
    /// WebSocket, after the upgrade.
    WebSocket,
}

/// How the blocks of an event stream lie in the body of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// As they are: behind hyper, which frames them itself, and over HTTP/1.0.
    Plain,
    /// Each is a chunk (RFC 9112, 7.1): a client can tell a stream that was cut from one that ended, and
    /// has a block as soon as it is there, where it would otherwise wait until its buffer is full.
    Chunked,
}

/// What all frames of a stream travel in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Carriage {
    /// SSE or WebSocket.
    pub transport: Transport,
    /// Over SSE.
    pub framing: Framing,
    /// Whether data frames carry their cursor over WebSocket.
    pub cursors: bool,
}

/// What becomes of a stream whose client is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Everything, from the log, at the client's pace.
    Every,
    /// The newest of each device (of each device and kind on view `events`).
    Latest,
}

/// Tenants that a stream covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TenantScope {
    /// This one.
    One(Box<str>),
    /// These; an empty set is no tenant.
    Some(Arc<BTreeSet<Box<str>>>),
    /// Every tenant: a `system` principal that named none.
    All,
}

impl TenantScope {
    /// The tenant, where it is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::One(tenant) => Some(tenant),
            Self::Some(_) | Self::All => None,
        }
    }

    /// Whether `tenant` is covered.
    #[must_use]
    pub fn contains(&self, tenant: &str) -> bool {
        match self {
            Self::One(one) => **one == *tenant,
            Self::Some(tenants) => tenants.contains(tenant),
            Self::All => true,
        }
    }
}

/// Devices that a stream covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DeviceSet {
    /// Every device.
    All,
    /// These; an empty set is no device.
    Set(Arc<BTreeSet<Box<str>>>),
}

impl DeviceSet {
    /// Whether `device` is in it.
    #[must_use]
    pub fn contains(&self, device: &str) -> bool {
        match self {
            Self::All => true,
            Self::Set(devices) => devices.contains(device),
        }
    }

    /// How many devices it names; `None` for all of them.
    #[must_use]
    pub fn len(&self) -> Option<usize> {
        match self {
            Self::All => None,
            Self::Set(devices) => Some(devices.len()),
        }
    }

    /// Whether no device is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The devices of it that `scope` covers.
    #[must_use]
    pub fn within(&self, scope: &Scope) -> Self {
        match (self, scope) {
            (devices, Scope::All) => devices.clone(),
            (Self::All, Scope::Devices(granted)) => Self::Set(Arc::clone(granted)),
            (Self::Set(devices), Scope::Devices(granted)) => {
                Self::Set(Arc::new(devices.intersection(granted).cloned().collect()))
            }
        }
    }
}

/// A set of event kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KindSet(u16);

impl KindSet {
    /// Every kind, also those that only a newer version knows.
    pub const ALL: Self = Self(u16::MAX);
    /// None.
    pub const NONE: Self = Self(0);

    /// Those of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// With `kind` added.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u16)
    }

    /// Whether `kind` is in it; `None` is a kind that this version does not know.
    #[must_use]
    pub const fn contains(self, kind: Option<Kind>) -> bool {
        match kind {
            Some(kind) => self.0 & (1 << kind as u16) != 0,
            None => self.0 == u16::MAX,
        }
    }
}

impl FromIterator<Kind> for KindSet {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, Self::with)
    }
}

/// Records that go to the stream's [`Conversation`](crate::dialect::Conversation) and not to its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Told {
    /// Of these kinds, of the selection's devices.
    pub kinds: KindSet,
    /// Of these kinds, of every device in scope.
    pub of_all: KindSet,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            kinds: KindSet::NONE,
            of_all: KindSet::NONE,
        }
    }
}

/// What becomes of a record in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Nothing: it is not wanted.
    None,
    /// It is shown.
    Show,
    /// The conversation is told.
    Tell,
}

/// What is known of the spread of tenants.
pub(crate) type Spreads<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// What a stream wants to see. A client may replace it while the stream runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Of which tenants.
    pub tenant: TenantScope,
    /// Of which devices, as asked for; what the principal's scope leaves of them is worked out by the
    /// engine, again whenever the scope changes.
    pub devices: DeviceSet,
    /// Which kinds.
    pub kinds: KindSet,
    /// On view `events`: telemetry is reduced to these dotted paths (and what lies below them), and
    /// left out if none is there.
    pub metrics: Option<Arc<BTreeSet<Box<str>>>>,
    /// On view `devices`: only what passes them. `None`: everything.
    pub filters: Option<Filters>,
    /// What is told to the conversation. A kind that is told is not shown.
    pub told: Told,
}

impl Selection {
    /// What becomes of a record of `device`, of a tenant that is covered; `devices` is what the scope
    /// leaves of the selection's.
    pub(crate) fn use_of(&self, kind: Option<Kind>, device: &str, devices: &DeviceSet, scope: &Scope) -> Use {
        if self.told.of_all.contains(kind) {
            return if scope.contains(device) {
                Use::Tell
            } else {
                Use::None
            };
        }
        let told = self.told.kinds.contains(kind);
        if !(told || self.kinds.contains(kind)) || !devices.contains(device) {
            Use::None
        } else if told {
            Use::Tell
        } else {
            Use::Show
        }
    }

    /// The partitions that it could touch with other devices.
    pub(crate) fn touchable(&self, scope: &Scope, layout: &Layout, spread: Spreads<'_>) -> Vec<Partition> {
        let all = Self {
            devices: DeviceSet::All,
            ..self.clone()
        };
        all.touched(scope, layout, spread)
    }

    /// The partitions that it can touch, ordered, for a principal of that scope. `spread` knows the spread of a
    /// tenant; `None`: as the layout says.
    pub(crate) fn touched(&self, scope: &Scope, layout: &Layout, spread: Spreads<'_>) -> Vec<Partition> {
        let of = |tenant: &str| self.touched_of(tenant, scope, layout, spread(tenant));
        let mut partitions: Vec<Partition> = match &self.tenant {
            TenantScope::One(tenant) => of(tenant),
            TenantScope::Some(tenants) => tenants.iter().flat_map(|tenant| of(tenant)).collect(),
            TenantScope::All => return (0..layout.partitions).collect(),
        };
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    fn touched_of(
        &self,
        tenant: &str,
        scope: &Scope,
        layout: &Layout,
        spread: Option<u32>,
    ) -> Vec<Partition> {
        let spread = spread.unwrap_or(layout.default_spread);
        let placement = Placement::new(tenant, spread, layout.partitions);
        let asked = if self.told.of_all == KindSet::NONE {
            &self.devices
        } else {
            &DeviceSet::All
        };
        match asked.within(scope) {
            DeviceSet::All => placement.partitions().to_vec(),
            DeviceSet::Set(devices) => devices.iter().map(|device| placement.of(device)).collect(),
        }
    }
}

/// Why a stream does not go on where its cursor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetReason {
    /// Retention removed what came next.
    Trimmed,
    /// Compaction may have removed what came next.
    Compacted,
    /// The cursor belongs to another log.
    Epoch,
    /// The cursor is ahead of the log.
    Ahead,
    /// The cursor cannot be read.
    Invalid,
}

impl ResetReason {
    /// The word in frames.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Compacted => "compacted",
            Self::Epoch => "epoch",
            Self::Ahead => "ahead",
            Self::Invalid => "invalid",
        }
    }
}

/// Tells a client that its stream has a gap, or may repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// Why.
    pub reason: ResetReason,
    /// Record time that was asked for, by partition, milliseconds since the Unix epoch.
    pub requested: Vec<(Partition, i64)>,
    /// Record time of the first record there is, by partition, where there is one.
    pub available: Vec<(Partition, i64)>,
    /// Whether events may come again.
    pub duplicates: bool,
}

/// A snapshot to give before changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotStart {
    /// From its beginning. The engine pins the positions from which changes follow.
    New,
    /// In its middle, after this paging key (the cursor's `snapshot`); `Start::positions` are the
    /// positions that were pinned.
    Resumed(Box<str>),
}

/// Where partitions were followed to at one moment, in the order of a subscription's partitions; `None`
/// for one that was not followed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveEnds(pub(crate) Vec<Option<Place>>);

/// From where a stream runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Next offset of each of the subscription's partitions. A partition that is missing, or `None`,
    /// starts at the live end.
    pub positions: Vec<(Partition, Option<Offset>)>,
    /// Where the live end is; without it, where the engine stands when it adopts the stream, at or before
    /// the end of the log at that moment.
    pub live_ends: Option<LiveEnds>,
    /// `time_ms` of the cursor that the positions come from; the present without one. The stream's
    /// cursors carry it until records with later times have passed in every partition.
    pub time_ms: i64,
    /// The log's end when the connection opened, for `caught_up`. A partition that is missing counts as
    /// reached.
    pub ends: Vec<(Partition, Offset)>,
    /// To be told before anything else.
    pub reset: Option<Reset>,
    /// A snapshot first; view `devices` only.
    pub snapshot: Option<SnapshotStart>,
    /// Changes whose source offset is below this are skipped: an `events` cursor on a `devices` stream.
    pub source_floor: Vec<(Partition, Offset)>,
    /// Partitions that start by time because the cursor lacked them: said in `caught_up`.
    pub from_time: Vec<Partition>,
}

impl Start {
    /// The live end of every partition.
    #[must_use]
    pub const fn live(time_ms: i64) -> Self {
        Self {
            positions: Vec::new(),
            live_ends: None,
            time_ms,
            ends: Vec::new(),
            reset: None,
            snapshot: None,
            source_floor: Vec::new(),
            from_time: Vec::new(),
        }
    }
}

/// One stream, as it was asked for and resolved.
#[derive(Clone)]
pub struct Subscription {
    /// Events or devices.
    pub view: View,
    /// SSE or WebSocket.
    pub transport: Transport,
    /// Over SSE: how its blocks lie in the answer.
    pub framing: Framing,
    /// How frames are spelled.
    pub dialect: Arc<dyn Dialect>,
    /// What it wants to see.
    pub selection: Selection,
    /// What becomes of it when its client is slow.
    pub delivery: Delivery,
    /// With [`Delivery::Latest`]: not more often than this.
    pub every: Option<Duration>,
    /// The partitions that it touches, ordered.
    pub partitions: Vec<Partition>,
    /// From where.
    pub start: Start,
    /// Who reads.
    pub principal: Arc<Principal>,
    /// Whether it is bound to the one device that it names: it closes when the scope loses that device.
    pub bound: bool,
    /// Whether data frames carry their cursor over WebSocket.
    pub cursors: bool,
    /// Whether its client chooses devices while it runs: it follows every partition of its scope then.
    pub chooses: bool,
}

impl Subscription {
    /// Whether its principal, as it stands now, still covers the tenants of the stream, and still reads
    /// where it did. A device's own stream of commands never read.
    #[must_use]
    pub fn admits(&self, principal: &Principal) -> bool {
        let reads = principal.reads() || !self.principal.reads();
        let covers = match &self.selection.tenant {
            TenantScope::One(tenant) => principal.covers_tenant(tenant),
            TenantScope::Some(tenants) => tenants.iter().all(|tenant| principal.covers_tenant(tenant)),
            TenantScope::All => principal.is_superuser(),
        };
        reads && covers
    }

    /// What its frames travel in.
    #[must_use]
    pub fn carriage(&self) -> Carriage {
        Carriage {
            transport: self.transport,
            framing: self.framing,
            cursors: self.cursors,
        }
    }

    /// What it touches with this selection and scope; the tenant's spread as in [`Selection::touched`].
    pub(crate) fn touched(
        &self,
        selection: &Selection,
        scope: &Scope,
        layout: &Layout,
        spread: Spreads<'_>,
    ) -> Vec<Partition> {
        if self.chooses {
            selection.touchable(scope, layout, spread)
        } else {
            selection.touched(scope, layout, spread)
        }
    }
}
