//! One event of a device: the value of a `wakeline.events` record.

use crate::Micros;
use crate::fields::{Fields, Scalar};

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// UUIDv7 unless the sender gave one.
    pub id: Box<str>,
    /// Owner of the device: `[A-Za-z0-9._-]{1,64}`.
    pub tenant: Box<str>,
    /// 1–200 bytes of UTF-8 without control characters or commas.
    pub device: Box<str>,
    /// The device's clock; receipt where the device gave none or one too far ahead.
    pub occurred_at: Micros,
    /// When ingest took it.
    pub received_at: Micros,
    /// What the device claimed as its time, where that was too far ahead to be believed.
    pub claimed_at: Option<Micros>,
    /// The sender's own sequence number.
    pub seq: Option<i64>,
    /// What happened.
    pub body: Body,
}

/// What happened, by kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Reported values.
    Telemetry(Telemetry),
    /// Connection or liveness.
    Presence(Presence),
    /// The lock moved.
    Lock(Lock),
    /// A log line.
    Log(Log),
    /// State of one entity.
    Entity(Entity),
    /// Where the device, or a location that it names, is.
    Location(Location),
    /// A step of a command; self-contained at every step.
    Command(Command),
    /// A step of an alert.
    Alert(Alert),
    /// The document's head.
    Device(Device),
    /// The device is gone.
    Deleted,
}

/// The kind of an event; also the `kind` header of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of `Body`")]
pub enum Kind {
    Telemetry,
    Presence,
    Lock,
    Log,
    Entity,
    Location,
    Command,
    Alert,
    Device,
    Deleted,
}

impl Kind {
    /// Every kind, in the order of the table in ARCHITECTURE.md.
    pub const ALL: [Self; 10] = [
        Self::Telemetry,
        Self::Presence,
        Self::Lock,
        Self::Log,
        Self::Entity,
        Self::Location,
        Self::Command,
        Self::Alert,
        Self::Device,
        Self::Deleted,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Telemetry => "telemetry",
            Self::Presence => "presence",
            Self::Lock => "lock",
            Self::Log => "log",
            Self::Entity => "entity",
            Self::Location => "location",
            Self::Command => "command",
            Self::Alert => "alert",
            Self::Device => "device",
            Self::Deleted => "deleted",
        }
    }

    /// The kind of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Body {
    /// The kind of this body.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Telemetry(_) => Kind::Telemetry,
            Self::Presence(_) => Kind::Presence,
            Self::Lock(_) => Kind::Lock,
            Self::Log(_) => Kind::Log,
            Self::Entity(_) => Kind::Entity,
            Self::Location(_) => Kind::Location,
            Self::Command(_) => Kind::Command,
            Self::Alert(_) => Kind::Alert,
            Self::Device(_) => Kind::Device,
            Self::Deleted => Kind::Deleted,
        }
    }
}

/// Declares an enum of words that stand as strings in Avro and JSON.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each variant is its word")]
        pub enum $name { $($variant),+ }

        impl $name {
            /// Every word, for messages.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word on the wire.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value of that word, if there is one.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Liveness of a device.
    Status { Online = "ONLINE", Stale = "STALE", Offline = "OFFLINE" }
}
words! {
    /// Why presence changed.
    PresenceReason {
        Connect = "connect", Disconnect = "disconnect", Will = "will",
        Silence = "silence", Replaced = "replaced", Report = "report",
    }
}
words! {
    /// What moved a lock.
    LockSource { Rfid = "rfid", Keypad = "keypad", Key = "key", Remote = "remote" }
}
words! {
    /// Severity of a log line.
    Level { Log = "log", Info = "info", Warn = "warn", Error = "error", Debug = "debug" }
}
words! {
    /// Progress of a command.
    CommandStatus {
        Queued = "queued", Delivered = "delivered", InProgress = "in-progress",
        Success = "success", Failed = "failed", Expired = "expired",
    }
}
words! {
    /// Progress of an alert; only moves forward.
    AlertStatus { Open = "OPEN", Acknowledged = "ACKNOWLEDGED", Closed = "CLOSED" }
}

/// Reported values; without fields it only proves life.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Telemetry {
    /// Only what the update contained.
    pub fields: Fields,
}

/// Connection or liveness.
#[derive(Debug, Clone, PartialEq)]
pub struct Presence {
    /// Whether a connection is open, where the event says.
    pub connected: Option<bool>,
    /// The status from now on, where the event says.
    pub status: Option<Status>,
    /// The status before.
    pub previous: Option<Status>,
    /// Why.
    pub reason: PresenceReason,
    /// The connection that this is about: a disconnect of another session does nothing.
    pub session: Option<Box<str>>,
}

/// The lock moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    /// Locked from now on.
    pub locked: bool,
    /// What moved it.
    pub source: LockSource,
    /// Code of the card or keypad.
    pub code: Option<Box<str>>,
    /// JSON text of an object.
    pub metadata: Option<Box<str>>,
}

/// A log line.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Severity.
    pub level: Level,
    /// At most 10,000 characters; what was cut is said at its end.
    pub message: Box<str>,
}

/// State of one entity of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// Name of the entity, unique in the device.
    pub entity_id: Box<str>,
    /// Any scalar, or JSON text.
    pub value: Scalar,
    /// Who says so; `user` by default.
    pub source: Box<str>,
}

/// A position: GeoJSON Point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Degrees east, −180 to 180.
    pub longitude: f64,
    /// Degrees north, −90 to 90.
    pub latitude: f64,
    /// Metres above the ellipsoid, where given.
    pub altitude: Option<f64>,
}

/// Members of a location that an event sets; absent ones keep what they were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Location {
    /// Its id (`location_id` in JSON; `id` is the event's).
    pub id: Option<Box<str>>,
    /// Its name.
    pub name: Option<Box<str>>,
    /// Its postal address.
    pub address: Option<Box<str>>,
    /// `outdoor`, `indoor`, …
    pub location_type: Option<Box<str>>,
    /// Whether it moves.
    pub is_mobile: Option<bool>,
    /// Where it is.
    pub geometry: Option<Point>,
}

/// A command as it stands after this step.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Its id.
    pub command_id: Box<str>,
    /// Its type, such as `reboot`.
    pub command_type: Box<str>,
    /// JSON text of the input as given; secrets are encrypted.
    pub input: Option<Box<str>>,
    /// The connection that it runs over.
    pub connection: Option<Box<str>>,
    /// Progress.
    pub status: CommandStatus,
    /// Output so far.
    pub output: Option<Box<str>>,
    /// When it was made.
    pub created: Micros,
    /// Who made it.
    pub by: Option<Box<str>>,
    /// When it expires.
    pub expires_at: Option<Micros>,
}

/// An alert as it stands after this step.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its id.
    pub alert_id: Box<str>,
    /// Its type, such as `NO_HEARTBEAT`.
    pub alert_type: Box<str>,
    /// Higher is graver.
    pub severity: i64,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// For people.
    pub summary: Box<str>,
    /// Progress.
    pub status: AlertStatus,
    /// The site that it concerns.
    pub site_id: Option<Box<str>>,
}

/// Members of the document's head that an event sets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Device {
    /// Display name.
    pub name: Option<Box<str>>,
    /// Kind of device.
    pub device_type: Option<Box<str>>,
    /// Site.
    pub site_id: Option<Box<str>>,
    /// Labels; replaces all.
    pub tags: Option<Vec<Box<str>>>,
    /// JSON text of an object; replaces all.
    pub attributes: Option<Box<str>>,
}
