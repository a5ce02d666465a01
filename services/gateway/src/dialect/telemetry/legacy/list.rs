//! What the legacy socket pushes as a whole.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use journal::Micros;

use crate::dialect::{Action, Moment};

/// After an event, the tables are looked at once they had time to follow, and once more.
const LOOK_US: Micros = 200_000;
/// How long after an event, or without an answer, the second look is.
pub(super) const LOOK_AGAIN_US: Micros = 1_000_000;

/// A list that is pushed as a whole: the alerts, or the fleet.
#[derive(Default)]
pub(super) struct List {
    pub(super) is_subscribed: bool,
    /// To be asked for, and pushed whatever it says.
    pub(super) is_due: bool,
    /// To be asked for at these times, and pushed if it says something new.
    pub(super) looks: Vec<Micros>,
    shown: Option<u64>,
}

impl List {
    pub(super) fn subscribe(&mut self, yes: bool) {
        *self = Self {
            is_subscribed: yes,
            is_due: yes,
            ..Self::default()
        };
    }

    pub(super) fn wants(&self, now: Micros) -> bool {
        self.is_subscribed && (self.is_due || self.looks.iter().any(|at| *at <= now))
    }

    /// Something happened that may have changed it.
    pub(super) fn stir(&mut self, now: Micros) {
        if self.is_subscribed && self.looks.is_empty() {
            self.looks = vec![now + LOOK_US, now + LOOK_AGAIN_US];
        }
    }

    /// The text to push, if any: an object, which gets its cursor.
    pub(super) fn take(&mut self, mut text: String, at: &Moment<'_>) -> Option<Action> {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        let is_new = self.shown.replace(hash) != Some(hash);
        let is_due = std::mem::take(&mut self.is_due);
        self.looks.retain(|look| *look > at.now);
        if let Some(cursor) = at.cursor
            && text.pop().is_some()
        {
            text.push_str(&format!(",\"cursor\":\"{cursor}\"}}"));
        }
        (self.is_subscribed && (is_new || is_due)).then(|| Action::send(text))
    }

    /// There was no answer: the next look is some time away.
    pub(super) fn put_off(&mut self, now: Micros) {
        if self.is_subscribed {
            self.is_due = false;
            self.looks = vec![now + LOOK_AGAIN_US];
        }
    }
}
