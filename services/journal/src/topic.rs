//! The four topics.

/// A topic of the log. Names, keys and meaning are a public interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Every event, in per-device order: the log of record.
    Events,
    /// The device after each event that changed it; compacted.
    State,
    /// Configuration; compacted, one partition.
    Control,
    /// Authenticated input that was refused.
    Rejected,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 4] = [Self::Events, Self::State, Self::Control, Self::Rejected];

    /// The name in Kafka.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "wakeline.events",
            Self::State => "wakeline.state",
            Self::Control => "wakeline.control",
            Self::Rejected => "wakeline.rejected",
        }
    }

    /// Whether only the newest record of a key is kept for good.
    #[must_use]
    pub const fn is_compacted(self) -> bool {
        matches!(self, Self::State | Self::Control)
    }

    /// Whether readers must not see records of open or aborted transactions.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        matches!(self, Self::State)
    }

    /// Number in stored forms; never reassigned.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Events => 0,
            Self::State => 1,
            Self::Control => 2,
            Self::Rejected => 3,
        }
    }

    /// The topic of a [`code`](Self::code).
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.code() == code)
    }
}
