//! Places in a device document, resolved once per filter.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::types::Type;

/// A place in a device document: a member of its head, and the names below it. Cheap to clone.
#[derive(Clone)]
pub struct Field {
    place: Arc<Place>,
    /// Of its head and key; equal places have equal ones.
    hash: u32,
}

struct Place {
    head: Head,
    names: Box<[Box<str>]>,
    key: Box<str>,
}

/// A member of a device document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Head {
    /// `id`
    Id,
    /// `tenant`
    Tenant,
    /// `name`
    Name,
    /// `type`
    Type,
    /// `site_id`
    SiteId,
    /// `tags`
    Tags,
    /// `attributes`
    Attributes,
    /// `status`
    Status,
    /// `connected`
    Connected,
    /// `connected_since`
    ConnectedSince,
    /// `created_at`
    CreatedAt,
    /// `updated_at`, which filters also call `update_time`
    UpdatedAt,
    /// `last_seen_at`
    LastSeenAt,
    /// `location`
    Location,
    /// `lock`
    Lock,
    /// `entities`
    Entities,
    /// `commands`
    Commands,
    /// `alerts`
    Alerts,
    /// `fields`: what the device reports
    Fields,
    /// `version`
    Version,
}

/// What filters call `updated_at` too.
const UPDATE_TIME: &str = "update_time";

impl Head {
    /// Every member, in the order of the document.
    pub const ALL: [Self; 20] = [
        Self::Id,
        Self::Tenant,
        Self::Name,
        Self::Type,
        Self::SiteId,
        Self::Tags,
        Self::Attributes,
        Self::Status,
        Self::Connected,
        Self::ConnectedSince,
        Self::CreatedAt,
        Self::UpdatedAt,
        Self::LastSeenAt,
        Self::Location,
        Self::Lock,
        Self::Entities,
        Self::Commands,
        Self::Alerts,
        Self::Fields,
        Self::Version,
    ];

    /// Its name in a document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Tenant => "tenant",
            Self::Name => "name",
            Self::Type => "type",
            Self::SiteId => "site_id",
            Self::Tags => "tags",
            Self::Attributes => "attributes",
            Self::Status => "status",
            Self::Connected => "connected",
            Self::ConnectedSince => "connected_since",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::LastSeenAt => "last_seen_at",
            Self::Location => "location",
            Self::Lock => "lock",
            Self::Entities => "entities",
            Self::Commands => "commands",
            Self::Alerts => "alerts",
            Self::Fields => "fields",
            Self::Version => "version",
        }
    }

    /// The member that a filter calls `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == UPDATE_TIME {
            return Some(Self::UpdatedAt);
        }
        Self::ALL.into_iter().find(|head| head.name() == name)
    }
}

impl Field {
    /// Where the names of a filter's path lead: to a member of the head if the first is one's name, else to
    /// what the device reports.
    #[must_use]
    pub fn of(names: &[Box<str>]) -> Self {
        let (head, names) = match names.split_first() {
            Some((first, rest)) => match Head::from_name(first) {
                Some(head) => (head, rest),
                None => (Head::Fields, names),
            },
            None => (Head::Fields, names),
        };
        let key = key(names);
        Self {
            hash: hash(head, &key),
            place: Arc::new(Place {
                head,
                names: names.into(),
                key,
            }),
        }
    }

    /// The member of the document.
    #[must_use]
    #[inline]
    pub fn head(&self) -> Head {
        self.place.head
    }

    /// The names below it; none if it is the member itself.
    #[must_use]
    #[inline]
    pub fn names(&self) -> &[Box<str>] {
        &self.place.names
    }

    /// [`names`](Self::names) as one flat path: joined by dots, and with a backslash before each dot and
    /// backslash within a name, as the flat map of a device's reported values has it. `None` if there are
    /// none.
    #[must_use]
    #[inline]
    pub fn key(&self) -> Option<&str> {
        let place = &*self.place;
        if place.names.is_empty() {
            None
        } else {
            Some(&place.key)
        }
    }

    /// The same for equal places.
    #[inline]
    pub(crate) fn hash(&self) -> u32 {
        self.hash
    }

    /// The type of what stands there, if it stands there at all.
    pub(crate) fn known_type(&self) -> Type {
        if !self.names().is_empty() {
            return Type::Any;
        }
        match self.head() {
            Head::ConnectedSince | Head::CreatedAt | Head::UpdatedAt | Head::LastSeenAt => Type::Timestamp,
            Head::Connected => Type::Boolean,
            Head::Version => Type::Number,
            Head::Id | Head::Tenant | Head::Name | Head::Type | Head::SiteId | Head::Status => Type::TimeText,
            Head::Tags
            | Head::Attributes
            | Head::Location
            | Head::Lock
            | Head::Entities
            | Head::Commands
            | Head::Alerts
            | Head::Fields => Type::Any,
        }
    }
}

fn key(names: &[Box<str>]) -> Box<str> {
    let mut key = String::new();
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            key.push('.');
        }
        for character in name.chars() {
            if matches!(character, '.' | '\\') {
                key.push('\\');
            }
            key.push(character);
        }
    }
    key.into()
}

/// FNV-1a: short keys, no secrets.
fn hash(head: Head, key: &str) -> u32 {
    let seed = 0x811c_9dc5 ^ (head as u32);
    key.bytes().fold(seed, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

impl PartialEq for Field {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let (left, right) = (&*self.place, &*other.place);
        // The member itself and the empty name below it have one key.
        Arc::ptr_eq(&self.place, &other.place)
            || (self.hash == other.hash
                && left.head == right.head
                && left.names.is_empty() == right.names.is_empty()
                && left.key == right.key)
    }
}

impl Eq for Field {}

impl PartialOrd for Field {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Field {
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) = (&*self.place, &*other.place);
        let by_head = left.head.cmp(&right.head);
        by_head.then_with(|| left.names.cmp(&right.names))
    }
}

impl std::hash::Hash for Field {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.place.head, &self.place.key).hash(state);
    }
}

/// As a document names it: `fields.speed`.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.head().name())?;
        match self.key() {
            Some(key) => write!(f, ".{key}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Field({self})")
    }
}
