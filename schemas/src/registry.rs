//! Every schema that was ever published, by subject and by id: the data behind the read side of a
//! Confluent Schema Registry.
//!
//! Ids are assigned here, once, and never again to anything else; the newest version of a subject is
//! the one that [`encode`](crate::Event::encode) writes.

mod compatibility;

pub use compatibility::{Incompatible, check_compatible};

/// A name under which versions of one schema are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// Values of `wakeline.events`.
    Events,
    /// Values of `wakeline.state`.
    State,
    /// Values of `wakeline.control`.
    Control,
    /// Values of `wakeline.rejected`.
    Rejected,
    /// The document in a row of the table of devices; no topic.
    Device,
}

/// One published version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// Its subject.
    pub subject: Subject,
    /// Its id, unique over all subjects.
    pub id: u32,
    /// Its version: from 1, without gaps.
    pub version: u32,
    /// The schema, as the file has it.
    pub schema_text: &'static str,
}

/// All versions, each subject's in order.
const REGISTERED: &[Registered] = &[
    version(
        Subject::Events,
        7_100_101,
        1,
        include_str!("../history/events/1.avsc"),
    ),
    version(
        Subject::State,
        7_100_201,
        1,
        include_str!("../history/state/1.avsc"),
    ),
    version(
        Subject::State,
        7_100_202,
        2,
        include_str!("../history/state/2.avsc"),
    ),
    version(
        Subject::State,
        7_100_203,
        3,
        include_str!("../history/state/3.avsc"),
    ),
    version(
        Subject::Control,
        7_100_301,
        1,
        include_str!("../history/control/1.avsc"),
    ),
    version(
        Subject::Rejected,
        7_100_401,
        1,
        include_str!("../history/rejected/1.avsc"),
    ),
    version(
        Subject::Device,
        7_100_501,
        1,
        include_str!("../history/device/1.avsc"),
    ),
    version(
        Subject::Device,
        7_100_502,
        2,
        include_str!("../history/device/2.avsc"),
    ),
];

const fn version(subject: Subject, id: u32, version: u32, schema_text: &'static str) -> Registered {
    Registered {
        subject,
        id,
        version,
        schema_text,
    }
}

impl Subject {
    /// Every subject.
    pub const ALL: [Self; 5] = [
        Self::Events,
        Self::State,
        Self::Control,
        Self::Rejected,
        Self::Device,
    ];

    /// The name in the registry: `<topic>-value` for topics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "wakeline.events-value",
            Self::State => "wakeline.state-value",
            Self::Control => "wakeline.control-value",
            Self::Rejected => "wakeline.rejected-value",
            Self::Device => "wakeline.device",
        }
    }

    /// The subject of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| subject.name() == name)
    }
}

/// Every published version, each subject's in order.
#[must_use]
pub const fn all() -> &'static [Registered] {
    REGISTERED
}

/// The version with that id.
#[must_use]
pub fn by_id(id: u32) -> Option<&'static Registered> {
    REGISTERED.iter().find(|registered| registered.id == id)
}

/// The versions of a subject, oldest first.
pub fn versions(subject: Subject) -> impl DoubleEndedIterator<Item = &'static Registered> + Clone {
    REGISTERED
        .iter()
        .filter(move |registered| registered.subject == subject)
}

/// The newest version of a subject.
#[must_use]
pub fn latest(subject: Subject) -> Option<&'static Registered> {
    versions(subject).next_back()
}

#[cfg(test)]
mod tests;
